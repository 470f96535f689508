-- One row per job, for other views to build on: its kind, whether it has ended, and between which times it existed. Views that need not know whether it is gone read dated_jobs, which takes half as long.
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
--  shown_by       TIMESTAMP WITH TIME ZONE  end of that listing
--  is_finished    BOOLEAN                   whether the state is final: JobComplete, Failed, Aborted, Closed
--  is_gone        BOOLEAN                   whether it is no longer listed although its last state was not final, or was Closed: expired or deleted
--  gone_by        TIMESTAMP WITH TIME ZONE  end of the listing, of its feed, that no longer showed it; null unless is_gone
--  hidden_since   TIMESTAMP WITH TIME ZONE  of a job that disappeared together with most others and may still exist: the last listing that showed it; else null
--  feed           VARCHAR                   the listing that shows it, query or ingest; see listed_jobs
--
-- unique: org_id, id
--
-- is_gone is false for jobs in the other final states, listed or not: nearly all of them expire.
with away as (
    select
        u.org_id,
        u.feed,
        u.id,
        u.unlisted_at,
        u.last_listed_at,
        coalesce(u.hidden, false) as is_hidden,
        coalesce(e.ended_at, u.unlisted_at) as gone_by
    from salesforce.unlisted_jobs as u
    left join salesforce.listing_ends as e on e.org_id = u.org_id and e.feed = u.feed and e.started_at = u.unlisted_at
    where u.listed_again_at is null and u.state not in ('JobComplete', 'Failed', 'Aborted')
)
select
    j.org_id,
    j.id,
    j.kind,
    j.job_type,
    j.operation,
    j.object,
    j.created_by_id,
    j.created_date,
    j.began_at,
    j.changed_at,
    j.state,
    j.api_version,
    j.observed_at,
    j.observed_by,
    j.shown_at,
    coalesce(s.ended_at, j.shown_at) as shown_by,
    j.is_finished,
    a.id is not null and not a.is_hidden as is_gone,
    case when not a.is_hidden then a.gone_by end as gone_by,
    case when a.is_hidden then a.last_listed_at end as hidden_since,
    j.feed
from salesforce.dated_jobs as j
left join salesforce.listing_ends as s on s.org_id = j.org_id and s.feed = j.feed and s.started_at = j.shown_at
left join away as a on a.org_id = j.org_id and a.id = j.id and a.feed = j.feed and a.unlisted_at > j.shown_at
