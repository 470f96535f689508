-- One row per UTC day, org, job type, operation, object and user with more than one query: how often, and how far apart.
--
--  day                     DATE     UTC day of created_date
--  org_id                  VARCHAR  the org
--  job_type                VARCHAR  V2Query or Classic
--  operation               VARCHAR  query or queryAll
--  object                  VARCHAR  API name of the object
--  created_by_id           VARCHAR  the user
--  created_by              VARCHAR  name of the user, as in user_names; the id if the name is not known
--  jobs                    BIGINT   queries created that day
--  median_seconds_between  DOUBLE   median time from one to the next
--  least_seconds_between   BIGINT   the shortest time between two of them
--
-- unique: day, org_id, job_type, operation, object, created_by_id
--
-- The API does not return the query's text: these may be different queries on one object.
with queries as (
    select org_id, job_type, operation, object, created_by_id, created_date at time zone 'UTC' as created
    from salesforce.listed_jobs
    where kind = 'query' and created_date is not null
),
-- a number for each source: sorting by it is several times faster than by five text columns
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
        cast(q.created as date) as day,
        date_diff('second', lag(q.created) over (
            partition by s.source, cast(q.created as date) order by q.created
        ), q.created) as seconds_between
    from queries as q
    inner join sources as s
        on s.org_id = q.org_id
        and s.operation = q.operation
        and coalesce('=' || s.job_type, '') = coalesce('=' || q.job_type, '')
        and coalesce('=' || s.object, '') = coalesce('=' || q.object, '')
        and coalesce('=' || s.created_by_id, '') = coalesce('=' || q.created_by_id, '')
),
-- the median is the mean of the one or two middle values
ranked as (
    select
        source,
        day,
        seconds_between,
        row_number() over (partition by source, day order by seconds_between) as nth,
        count(*) over (partition by source, day) as pauses
    from timed
    where seconds_between is not null
),
daily as (
    select
        source,
        day,
        count(*) + 1 as jobs,
        avg(case when 2 * nth between pauses and pauses + 2 then cast(seconds_between as double) end) as median_between,
        min(seconds_between) as least_between
    from ranked
    group by 1, 2
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
    d.median_between as median_seconds_between,
    d.least_between as least_seconds_between
from daily as d
inner join sources as s on s.source = d.source
left join salesforce.user_names as w on w.org_id = s.org_id and w.id = s.created_by_id
