-- One row per UTC day, org, kind and feed: how far its number of jobs is from the usual number on that weekday.
--
--  day              DATE     UTC day
--  org_id           VARCHAR  the org
--  kind             VARCHAR  query: reads records out of the org; load: writes or deletes
--  jobs             BIGINT   jobs created; days without any have a row with 0
--  usual            DOUBLE   median of the same weekday in up to eight preceding weeks; null if there are fewer than three
--  spread           DOUBLE   median distance of these from `usual` (MAD); null like it
--  score            DOUBLE   robust z-score: (jobs - usual) / (1.4826 * spread); see is_unusual; null like `usual`
--  covered_percent  DOUBLE   share of the day that lies in coverage: always 100, see below
--  is_unusual       BOOLEAN  whether score is at least 3.5 or at most -3.5; null like it
--  feed             VARCHAR  the listing that shows them: query (V2 queries, Classic queries and loads) or ingest (V2 loads); each is compared with itself, over days that its own record covers
--
-- unique: day, org_id, kind, feed
--
-- Only complete, fully covered days are rated or compared with. A spread below 1 % of `usual`, or below 1 job, counts as that.
-- Jobs without an operation or a readable created_date are left out.
with whole_days as (
    select org_id, feed, day, covered_percent from salesforce.covered_days where covered_percent = 100
),
recorded as (
    select
        cast(created_date at time zone 'UTC' as date) as day,
        org_id,
        kind,
        feed,
        count(*) as jobs
    from salesforce.listed_jobs
    where created_date is not null and kind is not null
    group by 1, 2, 3, 4
),
kinds as (
    select distinct org_id, kind, feed from recorded
),
daily as (
    select d.day, d.org_id, k.kind, d.feed, coalesce(r.jobs, 0) as jobs, d.covered_percent
    from whole_days as d
    inner join kinds as k on k.org_id = d.org_id and k.feed = d.feed
    left join recorded as r on r.day = d.day and r.org_id = d.org_id and r.kind = k.kind and r.feed = d.feed
),
-- the median is the mean of the one or two middle values
ranked as (
    select
        t.day,
        t.org_id,
        t.kind,
        t.feed,
        b.jobs as jobs_before,
        row_number() over (partition by t.day, t.org_id, t.kind, t.feed order by b.jobs) as nth,
        count(*) over (partition by t.day, t.org_id, t.kind, t.feed) as days
    from daily as t
    inner join salesforce.numbers as w on w.n between 1 and 8
    inner join daily as b on b.org_id = t.org_id and b.kind = t.kind and b.feed = t.feed and b.day = t.day - w.n * 7
),
usual as (
    select
        day,
        org_id,
        kind,
        feed,
        avg(case when 2 * nth between days and days + 2 then cast(jobs_before as double) end) as usual
    from ranked
    where days >= 3
    group by 1, 2, 3, 4
),
distances as (
    select
        day,
        org_id,
        kind,
        feed,
        usual,
        distance,
        row_number() over (partition by day, org_id, kind, feed order by distance) as nth,
        count(*) over (partition by day, org_id, kind, feed) as days
    from (
        select u.day, u.org_id, u.kind, u.feed, u.usual, abs(r.jobs_before - u.usual) as distance
        from usual as u
        inner join ranked as r on r.day = u.day and r.org_id = u.org_id and r.kind = u.kind and r.feed = u.feed
    ) as d
),
spread as (
    select
        day,
        org_id,
        kind,
        feed,
        usual,
        avg(case when 2 * nth between days and days + 2 then distance end) as spread
    from distances
    group by 1, 2, 3, 4, 5
)
select
    day,
    org_id,
    kind,
    jobs,
    usual,
    spread,
    score,
    covered_percent,
    abs(score) >= 3.5 as is_unusual,
    feed
from (
    select
        d.day,
        d.org_id,
        d.kind,
        d.feed,
        d.jobs,
        s.usual,
        s.spread,
        (d.jobs - s.usual) / (
            cast(1.4826 as double) * case
                when s.spread >= 1 and s.spread >= s.usual / 100 then s.spread
                when s.usual >= 100 then s.usual / 100
                else 1
            end
        ) as score,
        d.covered_percent
    from daily as d
    left join spread as s on s.day = d.day and s.org_id = d.org_id and s.kind = d.kind and s.feed = d.feed
) as j
