-- One row per UTC week, org, job type, operation and object: how long jobs took, and whether they are getting slower.
--
--  week               DATE     Monday of the week of creation
--  org_id             VARCHAR  the org
--  kind               VARCHAR  query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR  V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation          VARCHAR  query, queryAll, insert, update, upsert, delete, hardDelete
--  object             VARCHAR  API name of the object
--  jobs               BIGINT   jobs that ended as JobComplete or Closed
--  timed              BIGINT   of these, those whose end is known from system_modstamp (job_lifetimes.by_stamp): only these are in the percentiles
--  p50_seconds        BIGINT   median seconds from creation to end of the timed jobs
--  p95_seconds        BIGINT   95th percentile of the same
--  p50_processing_ms  BIGINT   median milliseconds of work, added up over chunks that ran in parallel, of all jobs that have them; null: none has
--  p95_processing_ms  BIGINT   95th percentile of the same
--  p50_growth         DOUBLE   p50_seconds divided by that of the week before, if there is one; 2 is twice as long
--
-- unique: week, org_id, job_type, operation, object
--
-- The API does not say when a job ended. Durations are those of job_lifetimes, including time spent waiting.
-- Jobs without a plausible created_date (job_lifetimes.began_at) are left out. A Classic job counts as ended when it was Closed, not when its last batch was done.
with finished as (
    select
        cast(date_trunc('week', l.began_at at time zone 'UTC') as date) as week,
        l.org_id,
        l.kind,
        l.job_type,
        l.operation,
        l.object,
        case when l.by_stamp then l.seconds end as seconds,
        d.total_processing_time as processing_ms
    from salesforce.job_lifetimes as l
    left join salesforce.job_details as d on d.org_id = l.org_id and d.id = l.id
    where l.state in ('JobComplete', 'Closed') and l.began_at is not null
),
-- a number for each group: sorting by it is several times faster than by five text columns
weekly as (
    select
        week,
        org_id,
        kind,
        job_type,
        operation,
        object,
        count(*) as jobs,
        count(f.seconds) as timed,
        row_number() over (order by week, org_id, job_type, operation, object) as nth
    from finished as f
    group by 1, 2, 3, 4, 5, 6
),
numbered as (
    select w.nth, f.seconds, f.processing_ms
    from finished as f
    inner join weekly as w
        on w.week = f.week
        and w.org_id = f.org_id
        and coalesce('=' || w.job_type, '') = coalesce('=' || f.job_type, '')
        and coalesce('=' || w.operation, '') = coalesce('=' || f.operation, '')
        and coalesce('=' || w.object, '') = coalesce('=' || f.object, '')
),
ranked as (
    select
        nth,
        what,
        value,
        row_number() over (partition by nth, what order by value) as place,
        count(*) over (partition by nth, what) as places
    from (
        select nth, 'seconds' as what, seconds as value from numbered where seconds is not null
        union all
        select nth, 'processing_ms' as what, processing_ms as value from numbered where processing_ms is not null
    ) as v
),
percentiles as (
    select
        nth,
        min(case when what = 'seconds' and 2 * place >= places then value end) as p50_seconds,
        min(case when what = 'seconds' and 20 * place >= 19 * places then value end) as p95_seconds,
        min(case when what = 'processing_ms' and 2 * place >= places then value end) as p50_processing_ms,
        min(case when what = 'processing_ms' and 20 * place >= 19 * places then value end) as p95_processing_ms
    from ranked
    group by 1
),
summed as (
    select
        w.week,
        w.org_id,
        w.kind,
        w.job_type,
        w.operation,
        w.object,
        w.jobs,
        w.timed,
        p.p50_seconds,
        p.p95_seconds,
        p.p50_processing_ms,
        p.p95_processing_ms
    from weekly as w
    left join percentiles as p on p.nth = w.nth
)
select
    t.week,
    t.org_id,
    t.kind,
    t.job_type,
    t.operation,
    t.object,
    t.jobs,
    t.timed,
    t.p50_seconds,
    t.p95_seconds,
    t.p50_processing_ms,
    t.p95_processing_ms,
    t.p50_seconds / nullif(cast(b.p50_seconds as double), 0) as p50_growth
from summed as t
left join summed as b
    on b.org_id = t.org_id
    and b.week = cast(t.week - interval '7' day as date)
    and coalesce('=' || b.job_type, '') = coalesce('=' || t.job_type, '')
    and coalesce('=' || b.operation, '') = coalesce('=' || t.operation, '')
    and coalesce('=' || b.object, '') = coalesce('=' || t.object, '')
