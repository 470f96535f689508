-- One row per UTC day, org, kind and pair of states: how often jobs were seen to change from one state to the other.
--
--  day         DATE     UTC day on which the listing started that first showed the new state
--  org_id      VARCHAR  the org
--  kind        VARCHAR  query: reads records out of the org; load: writes or deletes
--  from_state  VARCHAR  the state observed before; null for a job's first observed state
--  to_state    VARCHAR  the state observed then; states between two listings go unseen
--  changes     BIGINT   number of changes
--
-- unique: day, org_id, kind, from_state, to_state
select
    cast(s.observed_at at time zone 'UTC' as date) as day,
    s.org_id,
    j.kind,
    s.state_before as from_state,
    s.state as to_state,
    count(*) as changes
from salesforce.state_spans as s
left join salesforce.listed_jobs as j on j.org_id = s.org_id and j.id = s.id
where s.state_before is null or s.state_before <> s.state
group by 1, 2, 3, 4, 5
