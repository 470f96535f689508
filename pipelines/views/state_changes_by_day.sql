-- One row per UTC day, org and pair of states: how often jobs were seen to go from one state into the other.
--
--  day         DATE     UTC day on which the listing started that first showed the new state
--  org_id      VARCHAR  the org
--  from_state  VARCHAR  the state observed before; null for the first one observed of a job
--  to_state    VARCHAR  the state observed then; states between two listings go unseen
--  changes     BIGINT   number of changes
--
-- unique: day, org_id, from_state, to_state
select
    cast(to_states.observed_at at time zone 'UTC' as date) as day,
    to_states.org_id,
    to_states.from_state,
    to_states.state as to_state,
    count(*) as changes
from (
    select
        org_id,
        state,
        observed_at,
        lag(state) over (
            partition by org_id, id
            order by system_modstamp, observed_at, case when state in ('Open', 'UploadComplete') then 0
                when state = 'InProgress' then 1 when state = 'Closed' then 2 else 3 end, state
        ) as from_state
    from salesforce.query_job_states
) as to_states
where to_states.from_state is null or to_states.from_state <> to_states.state
group by 1, 2, 3, 4
