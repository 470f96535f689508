-- One row per complete listing: unfiltered, and read to its end. Only these prove what an org has, and has no longer.
--
--  org_id      VARCHAR                   the org
--  listing_id  VARCHAR                   the listing
--  listed_at   TIMESTAMP WITH TIME ZONE  its start; of one that had to start again, the start of the last try: it is complete as of then
--  ended_at    TIMESTAMP WITH TIME ZONE  its end: what it showed was so by then, and what it did not show was gone by then
--
-- unique: listing_id
select
    org_id,
    listing_id,
    coalesce(restarted_at, started_at) as listed_at,
    finished_at as ended_at
from salesforce.listings
where filters = '{}'
