-- One row per UTC hour, org and feed: how much of it the record of that feed's jobs covers.
--
--  hour             TIMESTAMP  start of the hour, UTC
--  org_id           VARCHAR    the org
--  covered_percent  DOUBLE     share of the hour that lies in coverage, 0 to 100
--  feed             VARCHAR    query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
--
-- unique: hour, org_id, feed
--
-- Hours run from the feed's first moment of coverage, or from its first job (dated_jobs.began_at) if that is earlier, to the
-- org's newest listing, or to the feed's if that is no longer recorded (recorded_feeds.is_current); the last 100,000 of
-- them (11 years) have a row each.
with spans as (
    select org_id, feed, covered_from at time zone 'UTC' as span_from, covered_to at time zone 'UTC' as span_to
    from salesforce.coverage
),
firsts as (
    select org_id, feed, date_trunc('hour', min(first_at)) as first_hour
    from (
        select org_id, feed, min(span_from) as first_at from spans group by 1, 2
        union all
        select org_id, feed, min(began_at) at time zone 'UTC' as first_at from salesforce.dated_jobs group by 1, 2
    ) as f
    group by 1, 2
),
bounds as (
    select
        f.org_id,
        f.feed,
        f.first_hour,
        date_trunc('hour', case when d.is_current then o.listed_at else d.listed_at end at time zone 'UTC') as last_hour
    from firsts as f
    inner join salesforce.recorded_feeds as d on d.org_id = f.org_id and d.feed = f.feed
    inner join salesforce.recorded_orgs as o on o.org_id = f.org_id
),
hours as (
    -- counted back from the end, so that the numbers suffice for the most recent hours
    select
        b.org_id,
        b.feed,
        b.last_hour - n.n * interval '1' hour as hour,
        b.last_hour - (n.n - 1) * interval '1' hour as hour_to
    from bounds as b
    inner join salesforce.numbers as n on n.n <= date_diff('hour', b.first_hour, b.last_hour)
),
parts as (
    select
        h.hour,
        h.org_id,
        h.feed,
        case when s.span_from > h.hour then s.span_from else h.hour end as part_from,
        case when s.span_to < h.hour_to then s.span_to else h.hour_to end as part_to
    from hours as h
    inner join spans as s
        on s.org_id = h.org_id and s.feed = h.feed and s.span_from < h.hour_to and s.span_to > h.hour
),
covered as (
    select hour, org_id, feed, sum(date_diff('second', part_from, part_to)) as seconds from parts group by 1, 2, 3
)
select
    h.hour,
    h.org_id,
    cast(coalesce(c.seconds, 0) as double) / 36 as covered_percent,
    h.feed
from hours as h
left join covered as c on c.org_id = h.org_id and c.feed = h.feed and c.hour = h.hour
