-- One row per job meant to delete records, or to read deleted ones, too: delete, hardDelete, queryAll.
--
--  org_id             VARCHAR                   the org
--  id                 VARCHAR                   the job
--  job_type           VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic
--  operation          VARCHAR                   delete; hardDelete, which bypasses the recycle bin; queryAll, which also reads deleted records
--  object             VARCHAR                   API name of the object
--  created_by_id      VARCHAR                   the user who created it
--  created_by         VARCHAR                   name of that user; the id if the name is not known
--  created_date       TIMESTAMP WITH TIME ZONE  when it was created
--  outcome            VARCHAR                   as in jobs
--  records_processed  BIGINT                    records processed, including failed ones; null if the org gives no count
--  records_failed     BIGINT                    of these, failed; null if the org gives no count
--
-- unique: org_id, id
--
-- Deletes by V2 loads are included if /jobs/ingest is recorded. Data Loader's default (SOAP) and single-record APIs make no job at all.
select
    org_id,
    id,
    job_type,
    operation,
    object,
    created_by_id,
    created_by,
    created_date,
    outcome,
    records_processed,
    records_failed
from salesforce.jobs
where operation in ('delete', 'hardDelete', 'queryAll')
