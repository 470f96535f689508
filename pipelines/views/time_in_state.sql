-- One row per job and state: how long the job was in it, according to the listings.
--
--  org_id    VARCHAR                   the org
--  id        VARCHAR                   the job
--  state     VARCHAR                   the state
--  spans     BIGINT                    how often it was seen to enter it
--  first_at  TIMESTAMP WITH TIME ZONE  when it first did; see state_spans
--  seconds   BIGINT                    seconds in it; null for a state that it has not left: a final one, its present one, or one to which it returned unseen
--
-- unique: org_id, id, state
select
    s.org_id,
    s.id,
    s.state,
    cast(sum(case when s.state_before is null or s.state_before <> s.state then 1 else 0 end) as bigint) as spans,
    min(s.entered_at) as first_at,
    case when count(*) = count(s.left_at) and max(j.state) is null then cast(sum(s.seconds) as bigint) end as seconds
from salesforce.state_spans as s
left join salesforce.listed_jobs as j on j.org_id = s.org_id and j.id = s.id and j.state = s.state
group by 1, 2, 3
