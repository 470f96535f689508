-- One row per UTC hour and org: the greatest number of V2 query jobs created within any 24 hours that end in it, against the org's allowance.
--
--  hour               TIMESTAMP                 start of the hour in which these 24 hours end, UTC
--  org_id             VARCHAR                   the org
--  query_jobs         BIGINT                    most V2 query jobs recorded within 24 hours that end in this hour; jobs that were deleted unseen are missing
--  counted            BIGINT                    the same by the org's own counter, including deleted jobs: the greatest count of the hour's snapshots; null without one
--  allowance          BIGINT                    how many the org allows in any 24 hours, by the newest snapshot up to the end of this hour; null before the first
--  share_percent      DOUBLE                    `used` in percent of the allowance; null if that is 0 or not known
--  used               BIGINT                    the greater of query_jobs and counted
--  peak_at            TIMESTAMP WITH TIME ZONE  end of the 24 hours with that number: a job's creation or the hour's start, or the snapshot that counted more; if there are several in this hour, the last
--  fullness           BIGINT                    rank among all of the org's hours, starting with the least busy: the peak of any period is the row with the greatest fullness
--
-- unique: hour, org_id
--
-- Each 24 hours end with a whole second: they include everything created in it, and nothing from the same second of the day
-- before. Jobs without a plausible created_date (dated_jobs.began_at) are left out. An hour without a job in its 24 hours
-- and without a snapshot has no row; in a gap of the record, query_jobs is too low. fullness ranks hours by share_percent
-- (nulls lowest), then by `used`, then by time.
with jobs as (
    select org_id, began_at at time zone 'UTC' as created
    from salesforce.dated_jobs
    where job_type = 'V2Query' and began_at is not null
),
snapshots as (
    select
        org_id,
        date_trunc('hour', asked_at at time zone 'UTC') as hour,
        asked_at,
        max as allowed,
        max - remaining as used,
        row_number() over (
            partition by org_id, date_trunc('hour', asked_at at time zone 'UTC')
            order by case when max is null then 1 else 0 end, asked_at desc, listing_id desc
        ) as nth_known,
        row_number() over (
            partition by org_id, date_trunc('hour', asked_at at time zone 'UTC')
            order by coalesce(remaining - max, 1000000000000), asked_at desc
        ) as nth_count
    from salesforce.org_limits
    where limit_name = 'DailyBulkV2QueryJobs' and app = ''
),
counts as (
    select
        org_id,
        hour,
        max(case when nth_known = 1 then allowed end) as allowance,
        max(case when nth_count = 1 then used end) as counted,
        max(case when nth_count = 1 then asked_at end) as counted_at
    from snapshots
    group by 1, 2
),
newest as (
    select org_id, date_trunc('hour', max(seen_at) at time zone 'UTC') as last_hour
    from (
        select org_id, listed_at as seen_at from salesforce.recorded_orgs
        union all
        select org_id, asked_at as seen_at from salesforce.org_limits
    ) as s
    group by 1
),
hours as (
    select h.org_id, h.hour
    from (
        -- a job counts in 25 hours, unless it was created in the first second of an hour
        select j.org_id, j.hour + n.n * interval '1' hour as hour
        from (select distinct org_id, date_trunc('hour', created) as hour from jobs) as j
        inner join salesforce.numbers as n on n.n <= 24
        union
        select org_id, hour from counts
    ) as h
    inner join newest as w on w.org_id = h.org_id and w.last_hour >= h.hour
),
-- a job counts for 24 hours from its creation; a row for each hour's start carries the number over
changes as (
    select org_id, created as moment, 1 as change from jobs
    union all
    select org_id, created + interval '24' hour as moment, -1 as change from jobs
    union all
    select org_id, hour as moment, 0 as change from hours
),
-- of one moment, who leaves comes first; so an hour is fullest after an arrival, or at its start
levels as (
    select org_id, date_trunc('hour', moment) as hour, moment, jobs
    from (
        select
            org_id,
            moment,
            change,
            sum(change) over (
                partition by org_id order by moment, change rows between unbounded preceding and current row
            ) as jobs
        from changes
    ) as c
    where change >= 0
),
fullest as (
    select org_id, hour, max(jobs) as most
    from levels
    group by 1, 2
),
peaks as (
    select f.org_id, f.hour, cast(f.most as bigint) as query_jobs, max(v.moment) as last_at
    from fullest as f
    inner join hours as h on h.org_id = f.org_id and h.hour = f.hour
    inner join levels as v on v.org_id = f.org_id and v.hour = f.hour and v.jobs = f.most
    group by 1, 2, 3
),
joined as (
    select
        p.org_id,
        p.hour,
        p.query_jobs,
        p.last_at at time zone 'UTC' as last_at,
        c.hour is not null as is_counted,
        c.counted,
        c.counted_at,
        c.allowance,
        count(c.allowance) over (
            partition by p.org_id order by p.hour rows between unbounded preceding and current row
        ) as nth_allowance
    from peaks as p
    left join counts as c on c.org_id = p.org_id and c.hour = p.hour
),
carried as (
    select
        org_id,
        hour,
        query_jobs,
        counted,
        case when counted > query_jobs then counted else query_jobs end as used,
        case when counted > query_jobs then counted_at else last_at end as peak_at,
        max(allowance) over (partition by org_id, nth_allowance) as allowed,
        is_counted
    from joined
),
shared as (
    select
        hour,
        org_id,
        query_jobs,
        counted,
        allowed,
        100 * cast(used as double) / nullif(allowed, 0) as share_percent,
        used,
        peak_at
    from carried
    where query_jobs > 0 or is_counted
)
select
    hour,
    org_id,
    query_jobs,
    counted,
    allowed as allowance,
    share_percent,
    used,
    peak_at,
    row_number() over (partition by org_id order by coalesce(share_percent, -1), used, hour) as fullness
from shared
