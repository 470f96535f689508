-- One row per UTC day, org, job type, operation, object and user with more than one query: how often, and how far apart.
--
--  day                     DATE     UTC day of created_date
--  org_id                  VARCHAR  the org
--  job_type                VARCHAR  V2Query or Classic
--  operation               VARCHAR  query or queryAll
--  object                  VARCHAR  API name of the object
--  created_by_id           VARCHAR  the user
--  created_by              VARCHAR  name of the user; the id where the name is not known
--  jobs                    BIGINT   queries created that day
--  median_seconds_between  DOUBLE   half of them followed the one before within this time
--  least_seconds_between   BIGINT   the shortest time between two of them
--
-- unique: day, org_id, job_type, operation, object, created_by_id
--
-- The API does not tell the query's text: these may be different queries on one object.
with queries as (
    select org_id, job_type, operation, object, created_by_id, created_date
    from salesforce.query_jobs
    where operation in ('query', 'queryAll') and created_date is not null
),
-- a number for each source: sorting by it is several times faster than by five texts
sources as (
    select
        org_id, job_type, operation, object, created_by_id,
        row_number() over (order by org_id, job_type, operation, object, created_by_id) as source
    from queries
    group by 1, 2, 3, 4, 5
    having count(*) > 1
),
timed as (
    select
        s.source,
        cast(q.created_date at time zone 'UTC' as date) as day,
        date_diff('second', lag(q.created_date) over (
            partition by s.source, cast(q.created_date at time zone 'UTC' as date) order by q.created_date
        ), q.created_date) as seconds_between
    from queries as q
    inner join sources as s
        on s.org_id = q.org_id
        and s.job_type is not distinct from q.job_type
        and s.operation = q.operation
        and s.object is not distinct from q.object
        and s.created_by_id is not distinct from q.created_by_id
),
daily as (
    select
        source,
        day,
        count(*) as jobs,
        median(seconds_between) as median_seconds_between,
        min(seconds_between) as least_seconds_between
    from timed
    group by 1, 2
    having count(*) > 1
)
select
    d.day,
    s.org_id,
    s.job_type,
    s.operation,
    s.object,
    s.created_by_id,
    coalesce(w.name, s.created_by_id) as created_by,
    d.jobs,
    d.median_seconds_between,
    d.least_seconds_between
from daily as d
inner join sources as s on s.source = d.source
left join salesforce.users as w on w.org_id = s.org_id and w.id = s.created_by_id
