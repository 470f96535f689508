-- One row per job: from its creation to its end, as far as listings told.
--
--  org_id         VARCHAR                   the org
--  id             VARCHAR                   the job, 18 characters; Setup and event logs show the first 15
--  kind           VARCHAR                   query: reads records out of the org; load: anything else, it writes or deletes; null where operation is
--  job_type       VARCHAR                   V2Query, or Classic, which includes Classic loads
--  operation      VARCHAR                   as in query_jobs
--  object         VARCHAR                   API name of the object
--  created_by_id  VARCHAR                   the user who created it
--  created_date   TIMESTAMP WITH TIME ZONE  when it was created
--  state          VARCHAR                   newest state observed
--  api_version    DOUBLE                    API version that created it
--  is_finished    BOOLEAN                   whether that state is final: JobComplete, Failed, Aborted or Closed
--  is_gone        BOOLEAN                   whether it vanished from the listing without having been seen finished
--  ended_by       TIMESTAMP WITH TIME ZONE  its end at the latest: system_modstamp where that moved with the final state, else the listing that showed the end, or no longer showed the job; null while it runs
--  seconds        BIGINT                    seconds from creation to ended_by: how long it took at most
--
-- unique: org_id, id
--
-- The API tells no end of a job. system_modstamp is when the job last changed; for some jobs it never moves.
-- A Classic job that is Closed takes no more batches; those that it has may still run (job_details.provisional).
select
    e.org_id,
    e.id,
    case when e.operation in ('query', 'queryAll') then 'query' when e.operation is not null then 'load' end as kind,
    e.job_type,
    e.operation,
    e.object,
    e.created_by_id,
    e.created_date,
    e.state,
    e.api_version,
    e.is_finished,
    e.is_gone,
    e.ended_by,
    date_diff('second', e.created_date, e.ended_by) as seconds
from (
    select
        j.org_id,
        j.id,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.created_date,
        j.state,
        j.api_version,
        j.state in ('JobComplete', 'Failed', 'Aborted', 'Closed') as is_finished,
        u.id is not null and j.state not in ('JobComplete', 'Failed', 'Aborted', 'Closed') as is_gone,
        case
            when j.state not in ('JobComplete', 'Failed', 'Aborted', 'Closed') then u.unlisted_at
            when s.id is null and j.system_modstamp > j.created_date then j.system_modstamp
            else greatest(j.observed_at, j.created_date)
        end as ended_by
    from salesforce.query_jobs as j
    left join (
        select org_id, id, unlisted_at
        from salesforce.unlisted_jobs
        where state not in ('JobComplete', 'Failed', 'Aborted', 'Closed') and listed_again_at is null
    ) as u on u.org_id = j.org_id and u.id = j.id and u.unlisted_at > j.observed_at
    -- the few jobs whose newest version has the stamp of the one before: it says nothing about the end
    left join (
        select org_id, id
        from salesforce.state_spans
        where left_at is null and entered_at = observed_at and nth > 1
    ) as s on s.org_id = j.org_id and s.id = j.id
) as e
