-- One row per UTC day, org, job type, operation, object, user and state: jobs created that day, in the state they have now; a day without any has one row.
--
--  day            DATE     UTC day of created_date; null where that could not be read
--  org_id         VARCHAR  the org
--  kind           VARCHAR  query: reads records out of the org; load: writes or deletes
--  job_type       VARCHAR  V2Query, or Classic, which includes Classic loads
--  operation      VARCHAR  query, queryAll, insert, update, upsert, delete, hardDelete
--  object         VARCHAR  API name of the object
--  created_by_id  VARCHAR  the user
--  created_by     VARCHAR  name of the user; the id where the name is not known
--  state          VARCHAR  newest state observed
--  jobs           BIGINT   jobs created; 0 on a day without any that is covered, null on one that is not
--
-- unique: day, org_id, job_type, operation, object, created_by_id, state
--
-- Days run from the org's first recorded job to its newest listing. A row with jobs 0 or null has no type, user or state.
with daily as (
    select
        cast(created_date at time zone 'UTC' as date) as day,
        org_id,
        job_type,
        operation,
        object,
        created_by_id,
        state,
        count(*) as jobs
    from salesforce.query_jobs
    group by 1, 2, 3, 4, 5, 6, 7
),
bounds as (
    select
        d.org_id,
        min(d.day) as first_day,
        coalesce(max(l.last_day), max(d.day)) as last_day
    from daily as d
    left join (
        select org_id, cast(max(started_at) at time zone 'UTC' as date) as last_day
        from salesforce.listings
        group by 1
    ) as l on l.org_id = d.org_id
    where d.day is not null
    group by 1
),
days as (
    -- counted back from the end, so that a single job with an odd date does not use the numbers up
    select b.org_id, cast(b.last_day - s.n * interval '1' day as date) as day
    from bounds as b
    inner join salesforce.numbers as s on s.n <= date_diff('day', b.first_day, b.last_day)
),
empty as (
    select s.day, s.org_id
    from days as s
    left join (select distinct day, org_id from daily) as d on d.org_id = s.org_id and d.day = s.day
    where d.day is null
)
select
    d.day,
    d.org_id,
    case when d.operation in ('query', 'queryAll') then 'query' when d.operation is not null then 'load' end as kind,
    d.job_type,
    d.operation,
    d.object,
    d.created_by_id,
    coalesce(w.name, d.created_by_id) as created_by,
    d.state,
    d.jobs
from daily as d
left join salesforce.users as w on w.org_id = d.org_id and w.id = d.created_by_id
union all
select
    e.day,
    e.org_id,
    cast(null as varchar) as kind,
    cast(null as varchar) as job_type,
    cast(null as varchar) as operation,
    cast(null as varchar) as object,
    cast(null as varchar) as created_by_id,
    cast(null as varchar) as created_by,
    cast(null as varchar) as state,
    case when c.org_id is not null then 0 end as jobs
from empty as e
left join salesforce.coverage as c
    on c.org_id = e.org_id
    and e.day >= c.covered_from at time zone 'UTC'
    and e.day + interval '1' day <= c.covered_to at time zone 'UTC'
