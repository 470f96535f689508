-- One row per UTC day, org and kind: how far its number of jobs is from what that weekday usually brings.
--
--  day        DATE     UTC day
--  org_id     VARCHAR  the org
--  kind       VARCHAR  query: reads records out of the org; load: writes or deletes
--  jobs       BIGINT   jobs created; days without any are there, with 0
--  usual      DOUBLE   median of the same weekday in up to eight weeks before; null for fewer than three
--  spread     DOUBLE   median distance of these from `usual` (MAD); null like it
--  score      DOUBLE   robust z-score: (jobs - usual) / (1.4826 * spread); above 3.5 or below -3.5 is unusual; null like `usual`
--
-- unique: day, org_id, kind
--
-- Only whole days inside coverage are judged, and judged by. A spread below 1 % of `usual`, or below 1 job, counts as that.
-- Jobs without an operation or a readable created_date are left out.
with days as (
    select
        c.org_id,
        cast(cast(c.covered_from at time zone 'UTC' as date) + s.n * interval '1' day as date) as day,
        c.covered_from at time zone 'UTC' as covered_from,
        c.covered_to at time zone 'UTC' as covered_to
    from salesforce.coverage as c
    inner join salesforce.numbers as s on s.n <= date_diff('day', c.covered_from, c.covered_to) + 1
),
whole_days as (
    select org_id, day
    from days
    where day >= covered_from and day + interval '1' day <= covered_to
),
recorded as (
    select
        cast(created_date at time zone 'UTC' as date) as day,
        org_id,
        case when operation in ('query', 'queryAll') then 'query' else 'load' end as kind,
        count(*) as jobs
    from salesforce.query_jobs
    where created_date is not null and operation is not null
    group by 1, 2, 3
),
kinds as (
    select distinct org_id, kind from recorded
),
daily as (
    select d.day, d.org_id, k.kind, coalesce(r.jobs, 0) as jobs
    from whole_days as d
    inner join kinds as k on k.org_id = d.org_id
    left join recorded as r on r.day = d.day and r.org_id = d.org_id and r.kind = k.kind
),
pairs as (
    select t.day, t.org_id, t.kind, t.jobs, b.jobs as jobs_before
    from daily as t
    inner join salesforce.numbers as w on w.n between 1 and 8
    left join daily as b on b.org_id = t.org_id and b.kind = t.kind and b.day = t.day - w.n * 7
),
usual as (
    select
        day,
        org_id,
        kind,
        jobs,
        case when count(jobs_before) >= 3 then median(jobs_before) end as usual
    from pairs
    group by 1, 2, 3, 4
),
spread as (
    select u.day, u.org_id, u.kind, u.jobs, u.usual, median(abs(p.jobs_before - u.usual)) as spread
    from usual as u
    inner join pairs as p on p.day = u.day and p.org_id = u.org_id and p.kind = u.kind
    group by 1, 2, 3, 4, 5
)
select
    day,
    org_id,
    kind,
    jobs,
    usual,
    spread,
    (jobs - usual) / (1.4826 * greatest(spread, 0.01 * usual, 1)) as score
from spread
