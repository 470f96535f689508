-- One row per job: who, what, when, and how it ended, with counts and errors where the org gives them.
--
--  org_id             VARCHAR                   the org
--  id                 VARCHAR                   the job, 18 characters; Setup and event logs show the first 15
--  kind               VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation          VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object             VARCHAR                   API name of the object
--  created_by_id      VARCHAR                   the user who created it
--  created_by         VARCHAR                   name of that user; the id if the name is not known
--  created_date       TIMESTAMP WITH TIME ZONE  when it was created
--  state              VARCHAR                   newest state observed
--  outcome            VARCHAR                   failed, aborted, every record failed, partly failed, done, done: record failures unknown, unfinished (includes Closed with batches to come), gone unfinished; null for an unknown state; see job_outcomes
--  ended_by           TIMESTAMP WITH TIME ZONE  its latest possible end; see job_lifetimes
--  seconds            BIGINT                    seconds from creation to ended_by
--  records_processed  BIGINT                    records processed, including failed ones; null if the org gives no count
--  records_failed     BIGINT                    of these, failed; null if the org gives no count, as for V2 queries
--  batches_failed     BIGINT                    Classic: batches that failed as a whole
--  error_code         VARCHAR                   what the error begins with, such as InvalidBatch
--  error              VARCHAR                   the error without that code
--  processing_ms      BIGINT                    milliseconds of work, added up over chunks that ran in parallel: can exceed `seconds`
--  retries            BIGINT                    how often Salesforce retried
--  api_version        DOUBLE                    API version that created it
--  details            VARCHAR                   result of fetching counts and error: answered (perhaps only by an earlier call), gone, or refused; null: not tried
--  outcome_as_of      TIMESTAMP WITH TIME ZONE  for an unfinished job, when that was last known to be so; see job_outcomes
--  error_template     VARCHAR                   the error without its ids, numbers and quoted text: the same for failures of the same kind
--  records_unprocessed  BIGINT                  V2 loads that failed or were aborted: rows of the upload that were never processed; null: not read
--  external_id_field_name  VARCHAR              V2 upserts: the field by which records are matched, as the uploader wrote it
--  feed               VARCHAR                   the listing that shows it: query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
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
    l.outcome,
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
    d.outcome as details,
    l.outcome_as_of,
    d.error_template,
    d.records_unprocessed,
    d.external_id_field_name,
    l.feed
from salesforce.job_lifetimes as l
left join salesforce.job_details as d on d.org_id = l.org_id and d.id = l.id
left join salesforce.user_names as w on w.org_id = l.org_id and w.id = l.created_by_id
