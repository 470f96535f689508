-- One row per UTC day, org, feed, job type, operation, object, user and state: jobs created that day, by their present state; a day without any of a feed has one row for it.
--
--  day              DATE     UTC day of created_date; null if that could not be read
--  org_id           VARCHAR  the org
--  kind             VARCHAR  query: reads records out of the org; load: writes or deletes
--  job_type         VARCHAR  V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation        VARCHAR  query, queryAll, insert, update, upsert, delete, hardDelete
--  object           VARCHAR  API name of the object
--  created_by_id    VARCHAR  the user
--  created_by       VARCHAR  name of the user, as in user_names; the id if the name is not known
--  state            VARCHAR  newest state observed
--  jobs             BIGINT   jobs created; for a day without any, 0 if all of it is covered, else null
--  covered_percent  DOUBLE   share of the day that lies in the feed's coverage, 0 to 100; below 100, there may have been more jobs; null if the day is
--  feed             VARCHAR  the listing that shows them: query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
--
-- unique: day, org_id, feed, job_type, operation, object, created_by_id, state
--
-- Days run from the feed's first recorded job with a plausible created_date to the newest listing, as in covered_days;
-- other days have a row only if they have jobs. A row with jobs 0 or null has no type, user or state.
with daily as (
    select
        cast(created_date at time zone 'UTC' as date) as day,
        org_id,
        kind,
        job_type,
        operation,
        object,
        created_by_id,
        state,
        feed,
        count(*) as jobs
    from salesforce.listed_jobs
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
),
days as (
    select day, org_id, feed, covered_percent from salesforce.covered_days
),
firsts as (
    select org_id, feed, cast(min(began_at) at time zone 'UTC' as date) as first_day
    from salesforce.dated_jobs
    group by 1, 2
),
empty as (
    select d.day, d.org_id, d.feed, d.covered_percent
    from days as d
    inner join firsts as f on f.org_id = d.org_id and f.feed = d.feed and d.day >= f.first_day
    left join (select distinct day, org_id, feed from daily) as b
        on b.org_id = d.org_id and b.feed = d.feed and b.day = d.day
    where b.day is null
)
select
    d.day,
    d.org_id,
    d.kind,
    d.job_type,
    d.operation,
    d.object,
    d.created_by_id,
    coalesce(w.name, d.created_by_id) as created_by,
    d.state,
    d.jobs,
    case when d.day is not null then coalesce(c.covered_percent, 0) end as covered_percent,
    d.feed
from daily as d
left join salesforce.user_names as w on w.org_id = d.org_id and w.id = d.created_by_id
left join days as c on c.org_id = d.org_id and c.feed = d.feed and c.day = d.day
union all
select
    day,
    org_id,
    cast(null as varchar) as kind,
    cast(null as varchar) as job_type,
    cast(null as varchar) as operation,
    cast(null as varchar) as object,
    cast(null as varchar) as created_by_id,
    cast(null as varchar) as created_by,
    cast(null as varchar) as state,
    case when covered_percent = 100 then 0 end as jobs,
    covered_percent,
    feed
from empty
