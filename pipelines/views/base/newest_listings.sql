-- One row per org with a complete listing: its newest one. The record is as of then.
--
--  org_id     VARCHAR                   the org
--  listed_at  TIMESTAMP WITH TIME ZONE  its start; see complete_listings
--  ended_at   TIMESTAMP WITH TIME ZONE  its end
--
-- unique: org_id
select org_id, max(listed_at) as listed_at, max(ended_at) as ended_at
from salesforce.complete_listings
group by 1
