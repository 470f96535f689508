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
    cast(observed_at at time zone 'UTC' as date) as day,
    org_id,
    state_before as from_state,
    state as to_state,
    count(*) as changes
from salesforce.state_spans
where state_before is null or state_before <> state
group by 1, 2, 3, 4
