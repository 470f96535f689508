-- One row per recorded org: its names, as of when the record shows it, and since when it is complete.
--
--  org_id            VARCHAR                   the org
--  name              VARCHAR                   the company's name, followed by the id in brackets if several recorded orgs have that name, as a sandbox and its production org do; the id if the name is not known
--  as_of             TIMESTAMP WITH TIME ZONE  its newest complete listing of any feed; if the recorder always filters, its newest listing
--  covered_to        TIMESTAMP WITH TIME ZONE  the newest listing that proves coverage; null if none does
--  listed_at         TIMESTAMP WITH TIME ZONE  its newest listing of any kind
--  listings          BIGINT                    listings of any kind
--  covered_from      TIMESTAMP WITH TIME ZONE  start of the coverage that extends to covered_to; null like it
--  is_settled        BOOLEAN                   whether that coverage spans two weeks or more: only then is anything called usual
--  configured_name   VARCHAR                   NAME of its [orgs.NAME] in the settings; null if it has none
--  left_settings_at  TIMESTAMP WITH TIME ZONE  when a load first found that the settings no longer name it: nothing new is recorded of it; null: they do, or never did
--  display_name      VARCHAR                   the name to show: the company's, followed by the configured one in brackets; one of them if they are the same or the other is not known; `name` if none is configured; the id is added where two orgs would be called the same
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
counted as (
    select
        l.org_id,
        l.as_of,
        l.listed_at,
        l.listings,
        o.name,
        o.is_sandbox,
        o.configured_name,
        o.left_settings_at,
        count(*) over (partition by o.name) as namesakes
    from listed as l
    left join salesforce.orgs as o on o.org_id = l.org_id
),
named as (
    select
        c.org_id,
        c.as_of,
        c.listed_at,
        c.listings,
        c.name as company,
        c.configured_name,
        c.left_settings_at,
        case
            when c.name is null then c.org_id
            when c.namesakes = 1 then c.name
            else c.name || ' (' || case when coalesce(c.is_sandbox, false) then 'sandbox ' else '' end || c.org_id || ')'
        end as name
    from counted as c
),
joined as (
    select
        n.org_id,
        n.as_of,
        n.listed_at,
        n.listings,
        n.name,
        n.configured_name,
        n.left_settings_at,
        case
            when n.configured_name is null then n.name
            when n.company is null then n.configured_name
            when lower(n.company) = lower(n.configured_name) then n.company
            else n.company || ' (' || n.configured_name || ')'
        end as display_name
    from named as n
)
select
    j.org_id,
    j.name,
    j.as_of,
    r.covered_to,
    j.listed_at,
    j.listings,
    r.covered_from,
    coalesce(r.is_settled, false) as is_settled,
    j.configured_name,
    j.left_settings_at,
    case
        when count(*) over (partition by j.display_name) > 1 and j.display_name <> j.org_id
            then j.display_name || ' (' || j.org_id || ')'
        else j.display_name
    end as display_name
from joined as j
left join ranked as r on r.org_id = j.org_id and r.nth = 1
