-- One row per job and state: how long it was in it, as far as listings told.
--
--  org_id    VARCHAR                   the org
--  id        VARCHAR                   the job
--  state     VARCHAR                   the state
--  spans     BIGINT                    how often it was seen to enter it
--  first_at  TIMESTAMP WITH TIME ZONE  when it first did; see state_spans
--  seconds   BIGINT                    seconds in it; null for a state that it has not left: a final one, or one that lasts
--
-- unique: org_id, id, state
select
    org_id,
    id,
    state,
    cast(sum(case when state_before is null or state_before <> state then 1 else 0 end) as bigint) as spans,
    min(entered_at) as first_at,
    case when count(*) = count(left_at) then cast(sum(seconds) as bigint) end as seconds
from salesforce.state_spans
group by 1, 2, 3
