-- One row per job: its kind, and its times as far as they are plausible. all_jobs adds whether it is gone, for which it has to read unlisted_jobs.
--
--  org_id         VARCHAR                   the org
--  id             VARCHAR                   the job, 18 characters; Setup and event logs show the first 15
--  kind           VARCHAR                   query: reads records out of the org; load: anything else, which writes or deletes; null if operation is
--  job_type       VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation      VARCHAR                   as in query_jobs and ingest_jobs
--  object         VARCHAR                   API name of the object
--  created_by_id  VARCHAR                   the user who created it
--  created_date   TIMESTAMP WITH TIME ZONE  when it was created
--  began_at       TIMESTAMP WITH TIME ZONE  created_date if that is plausible: not before 2009, when the Bulk API was introduced, and not after the job was listed; else null
--  changed_at     TIMESTAMP WITH TIME ZONE  system_modstamp if that is plausible in the same way; else null
--  state          VARCHAR                   newest state observed
--  api_version    DOUBLE                    API version that created it
--  observed_at    TIMESTAMP WITH TIME ZONE  start of the listing that first showed it with this state and system_modstamp
--  observed_by    TIMESTAMP WITH TIME ZONE  end of that listing: the job was in this state by then
--  shown_at       TIMESTAMP WITH TIME ZONE  start of the listing that first showed the job as its table has it; it was listed at least then
--  is_finished    BOOLEAN                   whether the state is final: JobComplete, Failed, Aborted, Closed
--  feed           VARCHAR                   the listing that shows it, query or ingest; see listed_jobs
--
-- unique: org_id, id
--
-- The clocks of an org's servers may differ by five minutes.
select
    org_id,
    id,
    kind,
    job_type,
    operation,
    object,
    created_by_id,
    created_date,
    case
        when created_date >= timestamptz '2009-01-01 00:00:00+00:00' and created_date <= observed_by + interval '5' minute
            then created_date
    end as began_at,
    case
        when system_modstamp >= timestamptz '2009-01-01 00:00:00+00:00' and system_modstamp <= observed_by + interval '5' minute
            then system_modstamp
    end as changed_at,
    state,
    api_version,
    observed_at,
    observed_by,
    shown_at,
    is_finished,
    feed
from (
    select
        j.org_id,
        j.id,
        j.kind,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.created_date,
        j.system_modstamp,
        j.state,
        j.api_version,
        j.observed_at,
        coalesce(e.ended_at, j.observed_at) as observed_by,
        j.shown_at,
        j.is_finished,
        j.feed
    from salesforce.listed_jobs as j
    left join salesforce.listing_ends as e on e.org_id = j.org_id and e.feed = j.feed and e.started_at = j.observed_at
) as l
