-- One row per org, feed and start of a listing: by when all of what it showed had been read.
--
--  org_id      VARCHAR                   the org
--  started_at  TIMESTAMP WITH TIME ZONE  the listing's start, or that of its last try, if it had to restart: what other tables have as observed_at and unlisted_at
--  ended_at    TIMESTAMP WITH TIME ZONE  its end: an upper bound for anything that happened before it was listed
--  feed        VARCHAR                   which listing: query (/jobs/query) or ingest (/jobs/ingest); those of one run can start in the same second
--
-- unique: org_id, feed, started_at
select
    org_id,
    started_at,
    max(finished_at) as ended_at,
    feed
from (
    select org_id, feed, started_at, finished_at from salesforce.listings
    union all
    select org_id, feed, restarted_at, finished_at from salesforce.listings where restarted_at is not null
) as l
group by 1, 2, 4
