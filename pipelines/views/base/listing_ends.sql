-- One row per org and start of a listing: by when all of what it showed had been read.
--
--  org_id      VARCHAR                   the org
--  started_at  TIMESTAMP WITH TIME ZONE  the listing's start, or that of its last try, if it had to restart: what other tables have as observed_at and unlisted_at
--  ended_at    TIMESTAMP WITH TIME ZONE  its end: an upper bound for anything that happened before it was listed
--
-- unique: org_id, started_at
select
    org_id,
    started_at,
    max(finished_at) as ended_at
from (
    select org_id, started_at, finished_at from salesforce.listings
    union all
    select org_id, restarted_at, finished_at from salesforce.listings where restarted_at is not null
) as l
group by 1, 2
