-- One row per job: who, what, when, and how it ended, with counts and errors where the org told them.
--
--  org_id             VARCHAR                   the org
--  id                 VARCHAR                   the job, 18 characters; Setup and event logs show the first 15
--  kind               VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR                   V2Query, or Classic, which includes Classic loads
--  operation          VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object             VARCHAR                   API name of the object
--  created_by_id      VARCHAR                   the user who created it
--  created_by         VARCHAR                   name of that user; the id where the name is not known
--  created_date       TIMESTAMP WITH TIME ZONE  when it was created
--  state              VARCHAR                   newest state observed
--  outcome            VARCHAR                   failed, aborted, every record failed, partly failed, done, done: record failures unknown, unfinished (Closed with batches to come, too), gone unfinished; null for an unknown state
--  ended_by           TIMESTAMP WITH TIME ZONE  its end at the latest; see job_lifetimes
--  seconds            BIGINT                    seconds from creation to ended_by
--  records_processed  BIGINT                    records processed, failed ones included; null where the org did not tell
--  records_failed     BIGINT                    of these, failed; null where the org did not tell, as for V2 queries
--  batches_failed     BIGINT                    Classic: batches that failed as a whole
--  error_code         VARCHAR                   what the error begins with, such as InvalidBatch
--  error              VARCHAR                   the error without that code where it says it twice
--  processing_ms      BIGINT                    milliseconds of work, added up over chunks side by side: can exceed `seconds`
--  retries            BIGINT                    how often Salesforce tried again
--  api_version        DOUBLE                    API version that created it
--  details            VARCHAR                   what became of asking for counts and error: answered (perhaps by an earlier call only), gone, or refused; null: not asked
--
-- unique: org_id, id
select
    l.org_id,
    l.id,
    l.kind,
    l.job_type,
    l.operation,
    l.object,
    l.created_by_id,
    coalesce(w.name, l.created_by_id) as created_by,
    l.created_date,
    l.state,
    case
        when l.state = 'Failed' then 'failed'
        when l.state = 'Aborted' then 'aborted'
        when l.is_gone then 'gone unfinished'
        when l.state in ('Open', 'UploadComplete', 'InProgress') then 'unfinished'
        when l.state not in ('JobComplete', 'Closed') then null
        when d.provisional and u.id is null then 'unfinished'
        when d.provisional and coalesce(d.number_records_failed, 0) = 0 then 'gone unfinished'
        when d.number_records_failed > 0 and d.number_records_failed >= d.number_records_processed
            and d.provisional is not true
            then 'every record failed'
        when d.number_batches_failed > 0 and d.number_batches_failed = d.number_batches_total
            and (d.number_records_processed is null or d.number_records_processed = 0
                or d.number_records_processed <= d.number_records_failed)
            then 'every record failed'
        when d.number_records_failed > 0 or d.number_batches_failed > 0 then 'partly failed'
        when l.job_type = 'V2Query' or d.number_records_failed = 0 then 'done'
        else 'done: record failures unknown'
    end as outcome,
    l.ended_by,
    l.seconds,
    d.number_records_processed as records_processed,
    d.number_records_failed as records_failed,
    d.number_batches_failed as batches_failed,
    case when d.error_message like '% : %' and split_part(d.error_message, ' : ', 1) not like '% %'
        then split_part(d.error_message, ' : ', 1) end as error_code,
    case
        when d.error_message like '% : %' and split_part(d.error_message, ' : ', 1) not like '% %'
            and strpos(d.error_message, split_part(d.error_message, ' : ', 1) || ' : '
                || split_part(d.error_message, ' : ', 1) || ' : ') = 1
            then substr(d.error_message, length(split_part(d.error_message, ' : ', 1)) * 2 + 7)
        when d.error_message like '% : %' and split_part(d.error_message, ' : ', 1) not like '% %'
            then substr(d.error_message, length(split_part(d.error_message, ' : ', 1)) + 4)
        else d.error_message
    end as error,
    d.total_processing_time as processing_ms,
    d.retries,
    l.api_version,
    d.outcome as details
from salesforce.job_lifetimes as l
left join salesforce.job_details as d on d.org_id = l.org_id and d.id = l.id
left join (
    select org_id, id from salesforce.unlisted_jobs where state = 'Closed' and listed_again_at is null and hidden is not true
) as u on u.org_id = l.org_id and u.id = l.id
left join salesforce.users as w on w.org_id = l.org_id and w.id = l.created_by_id
