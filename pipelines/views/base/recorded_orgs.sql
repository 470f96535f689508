-- One row per recorded org: its display name, as of when the record shows it, and since when it is complete.
--
--  org_id        VARCHAR                   the org
--  name          VARCHAR                   the company's name, followed by the id in brackets if several recorded orgs have that name, as a sandbox and its production org do; the id if the name is not known
--  as_of         TIMESTAMP WITH TIME ZONE  its newest complete listing of any feed; if the recorder always filters, its newest listing
--  covered_to    TIMESTAMP WITH TIME ZONE  the newest listing that proves coverage; null if none does
--  listed_at     TIMESTAMP WITH TIME ZONE  its newest listing of any kind
--  listings      BIGINT                    listings of any kind
--  covered_from  TIMESTAMP WITH TIME ZONE  start of the coverage that extends to covered_to; null like it
--  is_settled    BOOLEAN                   whether that coverage spans two weeks or more: only then is anything called usual
--
-- unique: org_id
--
-- covered_from, covered_to and is_settled are those of the jobs listed by /jobs/query; if it is not recorded (any more), or proves
-- nothing, of those listed by /jobs/ingest. For each of the two: recorded_feeds.
with listed as (
    select org_id, max(as_of) as as_of, max(listed_at) as listed_at, cast(sum(listings) as bigint) as listings
    from salesforce.recorded_feeds
    group by 1
),
ranked as (
    select
        org_id,
        covered_from,
        covered_to,
        is_settled,
        row_number() over (
            partition by org_id
            order by case when is_current then 0 else 1 end, case when feed = 'query' then 0 else 1 end
        ) as nth
    from salesforce.recorded_feeds
    where covered_to is not null
),
named as (
    select
        l.org_id,
        l.as_of,
        l.listed_at,
        l.listings,
        o.name,
        o.is_sandbox,
        count(*) over (partition by o.name) as namesakes
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
    n.as_of,
    r.covered_to,
    n.listed_at,
    n.listings,
    r.covered_from,
    coalesce(r.is_settled, false) as is_settled
from named as n
left join ranked as r on r.org_id = n.org_id and r.nth = 1
