-- One row per UTC week, org, job type, operation and object: how long jobs took, and whether that grows.
--
--  week               DATE     Monday of the week of created_date
--  org_id             VARCHAR  the org
--  kind               VARCHAR  query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR  V2Query, or Classic, which includes Classic loads
--  operation          VARCHAR  query, queryAll, insert, update, upsert, delete, hardDelete
--  object             VARCHAR  API name of the object
--  jobs               BIGINT   jobs that ended as JobComplete or Closed
--  timed              BIGINT   of these, those whose end a system_modstamp told (job_lifetimes.by_stamp): only they are in the percentiles
--  p50_seconds        BIGINT   half of the timed jobs had ended by then, seconds after creation
--  p95_seconds        BIGINT   19 of 20 had
--  p50_processing_ms  BIGINT   the same for the milliseconds of work, which add up over chunks side by side; of all jobs that told them; null: none did
--  p95_processing_ms  BIGINT   the same for 19 of 20
--  p50_growth         DOUBLE   p50_seconds divided by that of the week before, if there is one; 2 is twice as long
--
-- unique: week, org_id, job_type, operation, object
--
-- The API tells no end. A job took as long as job_lifetimes says, its waiting included.
-- Jobs without a readable created_date are left out. For a Classic job that is Closed it says when no more batches could be added, not when the last one was done.
with finished as (
    select
        cast(date_trunc('week', l.created_date at time zone 'UTC') as date) as week,
        l.org_id,
        l.kind,
        l.job_type,
        l.operation,
        l.object,
        case when l.by_stamp then l.seconds end as seconds,
        d.total_processing_time as processing_ms
    from salesforce.job_lifetimes as l
    left join salesforce.job_details as d on d.org_id = l.org_id and d.id = l.id
    where l.state in ('JobComplete', 'Closed') and l.created_date is not null
),
weekly as (
    select
        week,
        org_id,
        kind,
        job_type,
        operation,
        object,
        count(*) as jobs,
        count(seconds) as timed,
        percentile_disc(0.5) within group (order by seconds) as p50_seconds,
        percentile_disc(0.95) within group (order by seconds) as p95_seconds,
        percentile_disc(0.5) within group (order by processing_ms) as p50_processing_ms,
        percentile_disc(0.95) within group (order by processing_ms) as p95_processing_ms
    from finished
    group by 1, 2, 3, 4, 5, 6
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
from weekly as t
left join weekly as b
    on b.org_id = t.org_id and b.week = t.week - interval '7' day
    and b.job_type is not distinct from t.job_type
    and b.operation is not distinct from t.operation
    and b.object is not distinct from t.object
