-- One row per job that failed, was aborted, or lost records: what went wrong, as far as is known.
--
--  org_id             VARCHAR                   the org
--  id                 VARCHAR                   the job
--  kind               VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation          VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object             VARCHAR                   API name of the object
--  created_by_id      VARCHAR                   the user who created it
--  created_by         VARCHAR                   name of the user who created it; the id if the name is not known
--  created_date       TIMESTAMP WITH TIME ZONE  when it was created
--  ended_by           TIMESTAMP WITH TIME ZONE  its latest possible end
--  outcome            VARCHAR                   failed, aborted, every record failed (although Closed or JobComplete), partly failed
--  records_processed  BIGINT                    records processed, including failed ones; a failed job often has 0 of 0
--  records_failed     BIGINT                    of these, failed; null if the org gives no count
--  error_code         VARCHAR                   what the error begins with, such as InvalidBatch; null: no code given, or details not fetched
--  error              VARCHAR                   the rest of the error; why single records failed is in record_errors
--  error_template     VARCHAR                   the error without its ids, numbers and quoted text: the same for failures of the same kind
--
-- unique: org_id, id
select
    org_id,
    id,
    kind,
    job_type,
    operation,
    object,
    created_by_id,
    created_by,
    created_date,
    ended_by,
    outcome,
    records_processed,
    records_failed,
    error_code,
    error,
    error_template
from salesforce.jobs
where outcome in ('failed', 'aborted', 'every record failed', 'partly failed')
