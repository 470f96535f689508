-- One row per listing that proves coverage: a complete one that did not show only a fraction of the jobs.
--
--  org_id         VARCHAR                   the org
--  listing_id     VARCHAR                   the listing
--  listed_at      TIMESTAMP WITH TIME ZONE  its start; see complete_listings
--  listed_before  TIMESTAMP WITH TIME ZONE  start of the previous one of the same feed; null for the first
--  is_continuous  BOOLEAN                   whether coverage continues from the previous one: it was at most seven days earlier, so that no job can have finished and expired in between; false for the first
--  feed           VARCHAR                   which listing: query (/jobs/query) or ingest (/jobs/ingest); it proves coverage of that feed's jobs
--
-- unique: listing_id
--
-- Assumed: an org keeps a finished job for seven days unless it is deleted.
select
    org_id,
    listing_id,
    listed_at,
    listed_before,
    coalesce(listed_before >= listed_at - interval '168' hour, false) as is_continuous,
    feed
from (
    select
        c.org_id,
        c.feed,
        c.listing_id,
        c.listed_at,
        lag(c.listed_at) over (partition by c.org_id, c.feed order by c.listed_at) as listed_before
    from salesforce.complete_listings as c
    left join salesforce.reduced_views as r
        on r.org_id = c.org_id and r.feed = c.feed and c.listed_at >= r.reduced_from and c.listed_at <= r.reduced_to
    where r.org_id is null
) as p
