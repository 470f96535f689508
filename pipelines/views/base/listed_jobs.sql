-- One row per job as it was last listed: its kind, and whether its state is final. The only place that reads query_jobs and ingest_jobs; all_jobs adds times.
--
--  org_id           VARCHAR                   the org
--  id               VARCHAR                   the job, 18 characters; Setup and event logs show the first 15
--  kind             VARCHAR                   query: reads records out of the org; load: anything else, which writes or deletes; null if operation is
--  job_type         VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation        VARCHAR                   as in query_jobs and ingest_jobs
--  object           VARCHAR                   API name of the object
--  created_by_id    VARCHAR                   the user who created it
--  created_date     TIMESTAMP WITH TIME ZONE  when it was created
--  system_modstamp  TIMESTAMP WITH TIME ZONE  when it last changed; does not always move with the state
--  state            VARCHAR                   newest state observed
--  is_finished      BOOLEAN                   whether the state is final: JobComplete, Failed, Aborted, Closed
--  api_version      DOUBLE                    API version that created it
--  observed_at      TIMESTAMP WITH TIME ZONE  start of the listing that first showed it with this state and system_modstamp
--  shown_at         TIMESTAMP WITH TIME ZONE  start of the listing that first showed the job as its table has it; it was listed at least then
--  feed             VARCHAR                   the listing that shows it: query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads and what else only that one shows)
--
-- unique: org_id, id
select
    org_id,
    id,
    case when operation in ('query', 'queryAll') then 'query' when operation is not null then 'load' end as kind,
    job_type,
    operation,
    object,
    created_by_id,
    created_date,
    system_modstamp,
    state,
    state in ('JobComplete', 'Failed', 'Aborted', 'Closed') as is_finished,
    api_version,
    observed_at,
    coalesce(current_since, observed_at) as shown_at,
    feed
from (
    select
        org_id, id, job_type, operation, object, created_by_id, created_date, system_modstamp, state, api_version,
        observed_at, current_since, 'query' as feed
    from salesforce.query_jobs
    union all
    select
        org_id, id, job_type, operation, object, created_by_id, created_date, system_modstamp, state, api_version,
        observed_at, current_since, 'ingest' as feed
    from salesforce.ingest_jobs
) as j
