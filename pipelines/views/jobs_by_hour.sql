-- One row per UTC hour, org, feed, job type, operation, object and user: jobs created; an hour without any of a feed has one row for it.
--
--  hour             TIMESTAMP  start of the hour, UTC
--  org_id           VARCHAR    the org
--  kind             VARCHAR    query: reads records out of the org; load: writes or deletes
--  job_type         VARCHAR    V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation        VARCHAR    query, queryAll, insert, update, upsert, delete, hardDelete
--  object           VARCHAR    API name of the object
--  created_by_id    VARCHAR    the user
--  created_by       VARCHAR    name of the user, as in user_names; the id if the name is not known
--  jobs             BIGINT     jobs created; for an hour without any, 0 if all of it is covered, else null
--  covered_percent  DOUBLE     share of the hour that lies in the feed's coverage, 0 to 100; below 100, there may have been more jobs
--  feed             VARCHAR    the listing that shows them: query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
--
-- unique: hour, org_id, feed, job_type, operation, object, created_by_id
--
-- Hours run from the feed's first recorded job with a plausible created_date to the newest listing, as in covered_hours;
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
        feed,
        count(*) as jobs
    from salesforce.listed_jobs
    where created_date is not null
    group by 1, 2, 3, 4, 5, 6, 7, 8
),
hours as (
    select hour, org_id, feed, covered_percent from salesforce.covered_hours
),
firsts as (
    select org_id, feed, date_trunc('hour', min(began_at) at time zone 'UTC') as first_hour
    from salesforce.dated_jobs
    group by 1, 2
),
empty as (
    select h.hour, h.org_id, h.feed, h.covered_percent
    from hours as h
    inner join firsts as f on f.org_id = h.org_id and f.feed = h.feed and h.hour >= f.first_hour
    left join (select distinct hour, org_id, feed from hourly) as b
        on b.org_id = h.org_id and b.feed = h.feed and b.hour = h.hour
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
    coalesce(c.covered_percent, 0) as covered_percent,
    h.feed
from hourly as h
left join salesforce.user_names as w on w.org_id = h.org_id and w.id = h.created_by_id
left join hours as c on c.org_id = h.org_id and c.feed = h.feed and c.hour = h.hour
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
    covered_percent,
    feed
from empty
