-- One row per UTC hour, org, job type, operation, object and user: jobs created; an hour without any has one row.
--
--  hour           TIMESTAMP  start of the hour, UTC
--  org_id         VARCHAR    the org
--  kind           VARCHAR    query: reads records out of the org; load: writes or deletes
--  job_type       VARCHAR    V2Query, or Classic, which includes Classic loads
--  operation      VARCHAR    query, queryAll, insert, update, upsert, delete, hardDelete
--  object         VARCHAR    API name of the object
--  created_by_id  VARCHAR    the user
--  created_by     VARCHAR    name of the user; the id where the name is not known
--  jobs           BIGINT     jobs created; 0 in an hour without any that is covered, null in one that is not
--
-- unique: hour, org_id, job_type, operation, object, created_by_id
--
-- Hours run from the org's first recorded job to its newest listing, of which the last 100,000 (11 years) have a row each,
-- the others only with jobs. Jobs without a readable created_date are left out.
with hourly as (
    select
        date_trunc('hour', created_date at time zone 'UTC') as hour,
        org_id,
        job_type,
        operation,
        object,
        created_by_id,
        count(*) as jobs
    from salesforce.query_jobs
    where created_date is not null
    group by 1, 2, 3, 4, 5, 6
),
bounds as (
    select
        h.org_id,
        min(h.hour) as first_hour,
        coalesce(max(l.last_hour), max(h.hour)) as last_hour
    from hourly as h
    left join (
        select org_id, date_trunc('hour', max(started_at) at time zone 'UTC') as last_hour
        from salesforce.listings
        group by 1
    ) as l on l.org_id = h.org_id
    group by 1
),
hours as (
    -- counted back from the end: a single job with an odd date, of 1970 say, does not use the numbers up
    select b.org_id, b.last_hour - s.n * interval '1' hour as hour
    from bounds as b
    inner join salesforce.numbers as s on s.n <= date_diff('hour', b.first_hour, b.last_hour)
),
empty as (
    select h.hour, h.org_id
    from hours as h
    left join (select distinct hour, org_id from hourly) as b on b.org_id = h.org_id and b.hour = h.hour
    where b.hour is null
)
select
    b.hour,
    b.org_id,
    case when b.operation in ('query', 'queryAll') then 'query' when b.operation is not null then 'load' end as kind,
    b.job_type,
    b.operation,
    b.object,
    b.created_by_id,
    coalesce(w.name, b.created_by_id) as created_by,
    b.jobs
from hourly as b
left join salesforce.users as w on w.org_id = b.org_id and w.id = b.created_by_id
union all
select
    e.hour,
    e.org_id,
    cast(null as varchar) as kind,
    cast(null as varchar) as job_type,
    cast(null as varchar) as operation,
    cast(null as varchar) as object,
    cast(null as varchar) as created_by_id,
    cast(null as varchar) as created_by,
    case when c.org_id is not null then 0 end as jobs
from empty as e
left join salesforce.coverage as c
    on c.org_id = e.org_id
    and e.hour >= c.covered_from at time zone 'UTC'
    and e.hour + interval '1' hour <= c.covered_to at time zone 'UTC'
