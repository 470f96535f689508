-- One row per UTC hour and org: V2 query jobs created in the 24 hours that end with it, against the org's allowance.
--
--  hour               TIMESTAMP  start of the last of the 24 hours, UTC
--  org_id             VARCHAR    the org
--  query_jobs         BIGINT     V2 query jobs recorded in these 24 hours; jobs that were deleted unseen are missing
--  counted            BIGINT     the same by the org's own counter, deleted ones included: the hour's last snapshot; null without one
--  allowance          BIGINT     how many the org allows in any 24 hours, by the newest snapshot up to the day's end; null without one
--  share_percent      DOUBLE     the greater of the two in percent of the allowance; null where that is 0 or not known
--
-- unique: hour, org_id
--
-- An hour without a job in its 24 hours and without a snapshot has no row; in a hole of coverage, query_jobs is too low.
-- Whole hours: the peak of a window that begins within an hour can be a little higher.
with hourly as (
    select
        date_trunc('hour', created_date at time zone 'UTC') as hour,
        org_id,
        count(*) as jobs
    from salesforce.query_jobs
    where job_type = 'V2Query' and created_date is not null
    group by 1, 2
),
windows as (
    select
        h.hour + s.n * interval '1' hour as hour,
        h.org_id,
        sum(h.jobs) as jobs
    from hourly as h
    inner join salesforce.numbers as s on s.n < 24
    group by 1, 2
),
snapshots as (
    select
        date_trunc('hour', asked_at at time zone 'UTC') as hour,
        org_id,
        max as allowance,
        max - remaining as counted,
        row_number() over (
            partition by org_id, date_trunc('hour', asked_at at time zone 'UTC') order by asked_at desc
        ) as nth_last
    from salesforce.org_limits
    where limit_name = 'DailyBulkV2QueryJobs' and app = ''
),
joined as (
    select
        coalesce(w.hour, s.hour) as hour,
        coalesce(w.org_id, s.org_id) as org_id,
        coalesce(w.jobs, 0) as query_jobs,
        s.counted,
        s.allowance,
        count(s.allowance) over (
            partition by coalesce(w.org_id, s.org_id) order by coalesce(w.hour, s.hour)
        ) as nth_snapshot
    from windows as w
    full join (select * from snapshots where nth_last = 1) as s on s.org_id = w.org_id and s.hour = w.hour
),
carried as (
    select
        hour,
        org_id,
        query_jobs,
        counted,
        max(allowance) over (partition by org_id, nth_snapshot) as allowance
    from joined
),
of_day as (
    select
        hour,
        org_id,
        query_jobs,
        counted,
        max(case when nth_last = 1 then allowance end) over (partition by org_id, cast(hour as date)) as allowance
    from (
        select
            hour,
            org_id,
            query_jobs,
            counted,
            allowance,
            row_number() over (partition by org_id, cast(hour as date) order by hour desc) as nth_last
        from carried
    ) as c
),
newest as (
    select org_id, date_trunc('hour', max(seen_at) at time zone 'UTC') as hour
    from (
        select org_id, started_at as seen_at from salesforce.listings
        union all
        select org_id, asked_at as seen_at from salesforce.org_limits
    ) as s
    group by 1
)
select
    b.hour,
    b.org_id,
    cast(b.query_jobs as bigint) as query_jobs,
    b.counted,
    b.allowance,
    100.0 * greatest(b.query_jobs, coalesce(b.counted, 0)) / nullif(b.allowance, 0) as share_percent
from of_day as b
inner join newest as n on n.org_id = b.org_id and b.hour <= n.hour
