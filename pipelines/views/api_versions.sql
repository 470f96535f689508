-- One row per org, user, kind, job type and API version: who still uses which version, and how old that is.
--
--  org_id           VARCHAR                   the org
--  created_by_id    VARCHAR                   the user
--  created_by       VARCHAR                   name of the user, as in user_names; the id where the name is not known
--  kind             VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type         VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  api_version      DOUBLE                    the version; null if it could not be read
--  releases_behind  DOUBLE                    releases behind the version that the newest listing used; there are three releases a year; negative: ahead of it
--  jobs             BIGINT                    jobs recorded
--  last_week        BIGINT                    of these, created in the seven days before the newest listing
--  first_job_at     TIMESTAMP WITH TIME ZONE  creation of the first; implausible times (dated_jobs.began_at) do not count here
--  last_job_at      TIMESTAMP WITH TIME ZONE  creation of the last
--
-- unique: org_id, created_by_id, kind, job_type, api_version
--
-- Salesforce supports a version for at least three years; 30.0 and older were retired in Summer '25.
with ranked as (
    select
        org_id,
        listed_at,
        cast(api_version as double) as api_version,
        row_number() over (partition by org_id order by listed_at desc, listing_id) as nth_last
    from salesforce.all_listings
),
newest as (
    select org_id, listed_at, api_version from ranked where nth_last = 1
)
select
    j.org_id,
    j.created_by_id,
    coalesce(w.name, j.created_by_id) as created_by,
    j.kind,
    j.job_type,
    j.api_version,
    n.api_version - j.api_version as releases_behind,
    count(*) as jobs,
    cast(sum(case when j.began_at > n.listed_at - interval '168' hour then 1 else 0 end) as bigint) as last_week,
    min(j.began_at) as first_job_at,
    max(j.began_at) as last_job_at
from salesforce.dated_jobs as j
left join newest as n on n.org_id = j.org_id
left join salesforce.user_names as w on w.org_id = j.org_id and w.id = j.created_by_id
group by 1, 2, 3, 4, 5, 6, 7
