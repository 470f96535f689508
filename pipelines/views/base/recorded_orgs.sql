-- One row per recorded org: its display name, as of when the record shows it, and since when it is complete.
--
--  org_id        VARCHAR                   the org
--  name          VARCHAR                   the company's name, followed by the id in brackets if several recorded orgs have that name, as a sandbox and its production org do; the id if the name is not known
--  as_of         TIMESTAMP WITH TIME ZONE  its newest complete listing; if the recorder always filters, its newest listing
--  covered_to    TIMESTAMP WITH TIME ZONE  the newest listing that proves coverage; null if none does
--  listed_at     TIMESTAMP WITH TIME ZONE  its newest listing of any kind
--  listings      BIGINT                    listings of any kind
--  covered_from  TIMESTAMP WITH TIME ZONE  start of the coverage that extends to covered_to; null like it
--  is_settled    BOOLEAN                   whether that coverage spans two weeks or more: only then is anything called usual
--
-- unique: org_id
with listed as (
    select org_id, max(listed_at) as listed_at, count(*) as listings from salesforce.all_listings group by 1
),
-- spans of coverage do not overlap, so the newest has the greatest start and end
covered as (
    select org_id, max(covered_from) as covered_from, max(covered_to) as covered_to from salesforce.coverage group by 1
),
named as (
    select l.org_id, l.listed_at, l.listings, o.name, o.is_sandbox, count(*) over (partition by o.name) as namesakes
    from listed as l
    left join salesforce.orgs as o on o.org_id = l.org_id
)
select
    n.org_id,
    case
        when n.name is null then n.org_id
        when n.namesakes = 1 then n.name
        else n.name || ' (' || case when coalesce(n.is_sandbox, false) then 'sandbox ' else '' end || n.org_id || ')'
    end as name,
    coalesce(c.listed_at, n.listed_at) as as_of,
    v.covered_to,
    n.listed_at,
    n.listings,
    v.covered_from,
    coalesce(v.covered_from <= v.covered_to - interval '336' hour, false) as is_settled
from named as n
left join salesforce.newest_listings as c on c.org_id = n.org_id
left join covered as v on v.org_id = n.org_id
