-- One row per complete listing: unfiltered, and read to its end. The one definition of complete: only these listings prove what an org has, and what it no longer has.
--
--  org_id      VARCHAR                   the org
--  listing_id  VARCHAR                   the listing
--  listed_at   TIMESTAMP WITH TIME ZONE  its start; of one that had to start again, the start of its last try: it is complete as of then
--  ended_at    TIMESTAMP WITH TIME ZONE  its end: what it showed was so by then, and what it did not show was gone by then
--
-- unique: listing_id
select
    org_id,
    listing_id,
    listed_at,
    ended_at
from salesforce.all_listings
where filters = '{}'
