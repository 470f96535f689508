-- One row per listing that proves coverage: complete, and not of a spell that showed only a fraction of the jobs.
--
--  org_id         VARCHAR                   the org
--  listing_id     VARCHAR                   the listing
--  listed_at      TIMESTAMP WITH TIME ZONE  its start; see complete_listings
--  listed_before  TIMESTAMP WITH TIME ZONE  the same of the one before it; null for the first
--
-- unique: listing_id
select
    c.org_id,
    c.listing_id,
    c.listed_at,
    lag(c.listed_at) over (partition by c.org_id order by c.listed_at) as listed_before
from salesforce.complete_listings as c
left join salesforce.reduced_views as r
    on r.org_id = c.org_id and c.listed_at >= r.reduced_from and c.listed_at <= r.reduced_to
where r.org_id is null
