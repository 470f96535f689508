-- One row per UTC hour, org, job type, operation, object and user: jobs created; an hour without any has one row.
--
--  hour             TIMESTAMP  start of the hour, UTC
--  org_id           VARCHAR    the org
--  kind             VARCHAR    query: reads records out of the org; load: writes or deletes
--  job_type         VARCHAR    V2Query, or Classic, which includes Classic loads
--  operation        VARCHAR    query, queryAll, insert, update, upsert, delete, hardDelete
--  object           VARCHAR    API name of the object
--  created_by_id    VARCHAR    the user
--  created_by       VARCHAR    name of the user, as in user_names; the id if the name is not known
--  jobs             BIGINT     jobs created; for an hour without any, 0 if all of it is covered, else null
--  covered_percent  DOUBLE     share of the hour that lies in coverage, 0 to 100; below 100, there may have been more jobs
--
-- unique: hour, org_id, job_type, operation, object, created_by_id
--
-- Hours run from the org's first recorded job with a plausible created_date to its newest listing, as in covered_hours;
-- other hours have a row only if they have jobs. Jobs without a readable created_date are left out.
with hourly as (
    select
        date_trunc('hour', created_date at time zone 'UTC') as hour,
        org_id,
        kind,
        job_type,
        operation,
        object,
        created_by_id,
        count(*) as jobs
    from salesforce.listed_jobs
    where created_date is not null
    group by 1, 2, 3, 4, 5, 6, 7
),
hours as (
    select hour, org_id, covered_percent from salesforce.covered_hours
),
firsts as (
    select org_id, date_trunc('hour', min(began_at) at time zone 'UTC') as first_hour from salesforce.all_jobs group by 1
),
empty as (
    select h.hour, h.org_id, h.covered_percent
    from hours as h
    inner join firsts as f on f.org_id = h.org_id and h.hour >= f.first_hour
    left join (select distinct hour, org_id from hourly) as b on b.org_id = h.org_id and b.hour = h.hour
    where b.hour is null
)
select
    h.hour,
    h.org_id,
    h.kind,
    h.job_type,
    h.operation,
    h.object,
    h.created_by_id,
    coalesce(w.name, h.created_by_id) as created_by,
    h.jobs,
    coalesce(c.covered_percent, 0) as covered_percent
from hourly as h
left join salesforce.user_names as w on w.org_id = h.org_id and w.id = h.created_by_id
left join hours as c on c.org_id = h.org_id and c.hour = h.hour
union all
select
    hour,
    org_id,
    cast(null as varchar) as kind,
    cast(null as varchar) as job_type,
    cast(null as varchar) as operation,
    cast(null as varchar) as object,
    cast(null as varchar) as created_by_id,
    cast(null as varchar) as created_by,
    case when covered_percent = 100 then 0 end as jobs,
    covered_percent
from empty
