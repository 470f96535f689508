-- One row per listing of any kind, including filtered ones: from when to when it was read.
--
--  org_id       VARCHAR                   the org
--  listing_id   VARCHAR                   the listing
--  listed_at    TIMESTAMP WITH TIME ZONE  its start; if it had to restart, the start of its last try
--  ended_at     TIMESTAMP WITH TIME ZONE  its end
--  filters      VARCHAR                   JSON object of the filters sent, as in listings
--  api_version  VARCHAR                   API version used for the request
--  feed         VARCHAR                   which of the org's listings it is: query (/jobs/query) or ingest (/jobs/ingest)
--
-- unique: listing_id
select
    org_id,
    listing_id,
    coalesce(restarted_at, started_at) as listed_at,
    finished_at as ended_at,
    filters,
    api_version,
    feed
from salesforce.listings
