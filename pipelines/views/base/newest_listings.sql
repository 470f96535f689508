-- One row per org and feed with a complete listing: the newest one. The record of that feed's jobs is as of then.
--
--  org_id     VARCHAR                   the org
--  listed_at  TIMESTAMP WITH TIME ZONE  its start; see complete_listings
--  ended_at   TIMESTAMP WITH TIME ZONE  its end
--  feed       VARCHAR                   which listing: query (/jobs/query) or ingest (/jobs/ingest)
--
-- unique: org_id, feed
select org_id, max(listed_at) as listed_at, max(ended_at) as ended_at, feed
from salesforce.complete_listings
group by 1, 4
