-- One row per job: how it ended, judging by its state and, if fetched, its details. The only definition of an outcome.
--
--  org_id             VARCHAR                   the org
--  id                 VARCHAR                   the job
--  feed               VARCHAR                   as in all_jobs, like the following columns
--  kind               VARCHAR                   query or load
--  job_type           VARCHAR                   V2Query, V2Ingest, BigObjectIngest or Classic
--  operation          VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object             VARCHAR                   API name of the object
--  created_by_id      VARCHAR                   the user who created it
--  created_date       TIMESTAMP WITH TIME ZONE  when it was created
--  began_at           TIMESTAMP WITH TIME ZONE  created_date if that is plausible
--  changed_at         TIMESTAMP WITH TIME ZONE  system_modstamp if that is plausible
--  state              VARCHAR                   newest state observed
--  api_version        DOUBLE                    API version that created it
--  observed_by        TIMESTAMP WITH TIME ZONE  end of the listing that first showed this state
--  shown_by           TIMESTAMP WITH TIME ZONE  end of the listing that first showed the job as its table has it
--  is_finished        BOOLEAN                   whether that state is final
--  is_gone            BOOLEAN                   whether it is no longer listed although its last state was not final, or was Closed
--  gone_by            TIMESTAMP WITH TIME ZONE  end of the listing that no longer showed it; null unless is_gone
--  hidden_since       TIMESTAMP WITH TIME ZONE  the last listing that showed a job that may still exist
--  records_processed  BIGINT                    records processed, including failed ones; null if the details are not known
--  records_failed     BIGINT                    records that failed, likewise
--  outcome            VARCHAR                   failed, aborted, every record failed, partly failed, done, done: record failures unknown, unfinished (includes Closed with batches to come), gone unfinished; null for an unknown state
--  outcome_as_of      TIMESTAMP WITH TIME ZONE  for an unfinished job or one in an unknown state, when that was last known to be so: the newest complete listing of its feed; for one that is Closed with batches to come, when its details were last fetched, null if that is not known; null for all others
--  is_failure         BOOLEAN                   true for failed, or every record failed; false for partly failed or done; null for outcomes that say nothing about the next job: aborted, unfinished, gone
--
-- unique: org_id, id
--
-- Every record failed: as many records failed as were processed, or every batch did and no record is known to have succeeded.
-- JobComplete and Closed say nothing about a load's records: only its details do, for a Classic load those of the Classic API.
-- If they were not fetched, or were refused, the load's failures are unknown.
with judged as (
    select
        j.org_id,
        j.id,
        j.feed,
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
        j.observed_by,
        j.shown_by,
        j.is_finished,
        j.is_gone,
        j.gone_by,
        j.hidden_since,
        d.number_records_processed as records_processed,
        d.number_records_failed as records_failed,
        case
            when j.state = 'Failed' then 'failed'
            when j.state = 'Aborted' then 'aborted'
            when j.is_gone and not j.is_finished then 'gone unfinished'
            when j.state in ('Open', 'UploadComplete', 'InProgress') then 'unfinished'
            when j.state not in ('JobComplete', 'Closed') then null
            when coalesce(d.provisional, false) and not j.is_gone then 'unfinished'
            when coalesce(d.provisional, false) and coalesce(d.number_records_failed, 0) = 0 then 'gone unfinished'
            when d.number_records_failed > 0 and d.number_records_failed >= d.number_records_processed
                and not coalesce(d.provisional, false)
                then 'every record failed'
            when d.number_batches_failed > 0 and d.number_batches_failed = d.number_batches_total
                and coalesce(d.number_records_processed, 0) <= coalesce(d.number_records_failed, 0)
                then 'every record failed'
            when d.number_records_failed > 0 or d.number_batches_failed > 0 then 'partly failed'
            when j.job_type = 'V2Query' or d.number_records_failed = 0 then 'done'
            else 'done: record failures unknown'
        end as outcome,
        case
            when j.is_finished then case when d.outcome = 'answered' and d.error is null then d.asked_at end
            when j.hidden_since is not null then j.hidden_since
            when j.shown_at > n.listed_at then j.shown_at
            else n.listed_at
        end as known_at
    from salesforce.all_jobs as j
    left join salesforce.job_details as d on d.org_id = j.org_id and d.id = j.id
    left join salesforce.newest_listings as n on n.org_id = j.org_id and n.feed = j.feed
)
select
    org_id,
    id,
    feed,
    kind,
    job_type,
    operation,
    object,
    created_by_id,
    created_date,
    began_at,
    changed_at,
    state,
    api_version,
    observed_by,
    shown_by,
    is_finished,
    is_gone,
    gone_by,
    hidden_since,
    records_processed,
    records_failed,
    outcome,
    case when outcome = 'unfinished' or (outcome is null and not is_finished) then known_at end as outcome_as_of,
    case
        when outcome in ('failed', 'every record failed') then true
        when outcome in ('partly failed', 'done', 'done: record failures unknown') then false
    end as is_failure
from judged
