-- One row per complete listing: unfiltered, and read to its end. The only definition of complete: only these listings prove what an org has, and what it no longer has.
--
--  org_id      VARCHAR                   the org
--  listing_id  VARCHAR                   the listing
--  listed_at   TIMESTAMP WITH TIME ZONE  its start; if it had to restart, the start of its last try: it is complete as of then
--  ended_at    TIMESTAMP WITH TIME ZONE  its end: by then, what it showed was true, and what it did not show was gone
--  feed        VARCHAR                   which listing: query (/jobs/query) or ingest (/jobs/ingest); each of them proves nothing about the jobs of the other
--
-- unique: listing_id
select
    org_id,
    listing_id,
    listed_at,
    ended_at,
    feed
from salesforce.all_listings
where filters = '{}'
