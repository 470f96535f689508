-- One row per org, user, object, operation, and job type: since when this source of jobs is known, and whether it is new.
--
--  org_id         VARCHAR                   the org
--  created_by_id  VARCHAR                   the user
--  created_by     VARCHAR                   name of the user, as in user_names; the id if the name is not known
--  kind           VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type       VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation      VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object         VARCHAR                   API name of the object
--  jobs           BIGINT                    jobs recorded
--  first_job_at   TIMESTAMP WITH TIME ZONE  creation of the first; implausible times (dated_jobs.began_at) do not count here
--  last_job_at    TIMESTAMP WITH TIME ZONE  creation of the last
--  new_source     BOOLEAN                   whether the first job is less than seven days older than the newest listing; null if the feed's coverage does not go back 14 days
--  new_user       BOOLEAN                   whether the same is true of the user's first job of any kind
--  new_object     BOOLEAN                   whether the same is true of any user's first job on the object
--  feed           VARCHAR                   the listing that shows them, query or ingest; see jobs
--
-- unique: org_id, created_by_id, job_type, operation, object
--
-- Only complete, unfiltered listings give coverage: a recorder that always filters cannot tell what is new.
with sources as (
    select
        org_id,
        created_by_id,
        kind,
        job_type,
        operation,
        object,
        max(feed) as feed,
        count(*) as jobs,
        min(began_at) as first_job_at,
        max(began_at) as last_job_at
    from salesforce.dated_jobs
    group by 1, 2, 3, 4, 5, 6
),
firsts as (
    select
        org_id,
        created_by_id,
        kind,
        job_type,
        operation,
        object,
        feed,
        jobs,
        first_job_at,
        last_job_at,
        min(first_job_at) over (partition by org_id, created_by_id) as user_first_at,
        min(first_job_at) over (partition by org_id, object) as object_first_at
    from sources
),
record as (
    select o.org_id, o.feed, o.listed_at - interval '168' hour as new_from, c.org_id is not null as reaches_back
    from salesforce.recorded_feeds as o
    left join salesforce.coverage as c
        on c.org_id = o.org_id
        and c.feed = o.feed
        and c.covered_from <= o.listed_at - interval '336' hour
        and c.covered_to >= o.listed_at - interval '168' hour
)
select
    f.org_id,
    f.created_by_id,
    coalesce(w.name, f.created_by_id) as created_by,
    f.kind,
    f.job_type,
    f.operation,
    f.object,
    f.jobs,
    f.first_job_at,
    f.last_job_at,
    case when r.reaches_back then f.first_job_at > r.new_from end as new_source,
    case when r.reaches_back then f.user_first_at > r.new_from end as new_user,
    case when r.reaches_back then f.object_first_at > r.new_from end as new_object,
    f.feed
from firsts as f
left join record as r on r.org_id = f.org_id and r.feed = f.feed
left join salesforce.user_names as w on w.org_id = f.org_id and w.id = f.created_by_id
