-- One row per UTC hour and org: how much of it the record covers.
--
--  hour             TIMESTAMP  start of the hour, UTC
--  org_id           VARCHAR    the org
--  covered_percent  DOUBLE     share of the hour that lies in coverage, 0 to 100
--
-- unique: hour, org_id
--
-- Hours run from the org's first moment of coverage, or from its first job (all_jobs.began_at) if that is earlier, to its
-- newest listing; the last 100,000 of them (11 years) have a row each.
with spans as (
    select org_id, covered_from at time zone 'UTC' as span_from, covered_to at time zone 'UTC' as span_to
    from salesforce.coverage
),
firsts as (
    select org_id, date_trunc('hour', min(first_at)) as first_hour
    from (
        select org_id, min(span_from) as first_at from spans group by 1
        union all
        select org_id, min(began_at) at time zone 'UTC' as first_at from salesforce.all_jobs group by 1
    ) as f
    group by 1
),
bounds as (
    select f.org_id, f.first_hour, date_trunc('hour', o.listed_at at time zone 'UTC') as last_hour
    from firsts as f
    inner join salesforce.recorded_orgs as o on o.org_id = f.org_id
),
hours as (
    -- counted back from the end, so that the numbers suffice for the most recent hours
    select b.org_id, b.last_hour - n.n * interval '1' hour as hour, b.last_hour - (n.n - 1) * interval '1' hour as hour_to
    from bounds as b
    inner join salesforce.numbers as n on n.n <= date_diff('hour', b.first_hour, b.last_hour)
),
parts as (
    select
        h.hour,
        h.org_id,
        case when s.span_from > h.hour then s.span_from else h.hour end as part_from,
        case when s.span_to < h.hour_to then s.span_to else h.hour_to end as part_to
    from hours as h
    inner join spans as s on s.org_id = h.org_id and s.span_from < h.hour_to and s.span_to > h.hour
),
covered as (
    select hour, org_id, sum(date_diff('second', part_from, part_to)) as seconds from parts group by 1, 2
)
select
    h.hour,
    h.org_id,
    cast(coalesce(c.seconds, 0) as double) / 36 as covered_percent
from hours as h
left join covered as c on c.org_id = h.org_id and c.hour = h.hour
