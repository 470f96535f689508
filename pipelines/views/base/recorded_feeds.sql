-- One row per recorded org and feed: as of when the record shows the feed's jobs, and since when it is complete.
--
--  org_id        VARCHAR                   the org
--  feed          VARCHAR                   which listing: query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
--  as_of         TIMESTAMP WITH TIME ZONE  its newest complete listing; if the recorder always filters it, its newest listing
--  covered_from  TIMESTAMP WITH TIME ZONE  start of the coverage that extends to covered_to; null like it
--  covered_to    TIMESTAMP WITH TIME ZONE  the newest listing that proves coverage; null if none does
--  is_settled    BOOLEAN                   whether that coverage spans two weeks or more: only then is anything called usual
--  listed_at     TIMESTAMP WITH TIME ZONE  its newest listing, complete or not
--  listings      BIGINT                    its listings, complete or not
--  is_current    BOOLEAN                   whether its newest listing is less than two weeks older than the org's newest of any feed; if not, it is no longer recorded
--
-- unique: org_id, feed
with listed as (
    select org_id, feed, max(listed_at) as listed_at, count(*) as listings from salesforce.all_listings group by 1, 2
),
-- spans of coverage do not overlap, so the newest has the greatest start and end
covered as (
    select org_id, feed, max(covered_from) as covered_from, max(covered_to) as covered_to
    from salesforce.coverage
    group by 1, 2
)
select
    l.org_id,
    l.feed,
    coalesce(n.listed_at, l.listed_at) as as_of,
    c.covered_from,
    c.covered_to,
    coalesce(c.covered_from <= c.covered_to - interval '336' hour, false) as is_settled,
    l.listed_at,
    l.listings,
    l.listed_at > max(l.listed_at) over (partition by l.org_id) - interval '336' hour as is_current
from listed as l
left join salesforce.newest_listings as n on n.org_id = l.org_id and n.feed = l.feed
left join covered as c on c.org_id = l.org_id and c.feed = l.feed
