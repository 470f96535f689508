-- One row per UTC day, org, kind, job type, operation and outcome: how the jobs created that day ended.
--
--  day                DATE     UTC day of created_date; null where that could not be read
--  org_id             VARCHAR  the org
--  kind               VARCHAR  query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR  V2Query, or Classic, which includes Classic loads
--  operation          VARCHAR  query, queryAll, insert, update, upsert, delete, hardDelete
--  outcome            VARCHAR  as in jobs; "done: record failures unknown" is neither a success nor a failure
--  jobs               BIGINT   number of jobs
--  records_processed  BIGINT   records processed, where the org told
--  records_failed     BIGINT   of these, failed, where the org told
--
-- unique: day, org_id, kind, job_type, operation, outcome
select
    cast(created_date at time zone 'UTC' as date) as day,
    org_id,
    kind,
    job_type,
    operation,
    outcome,
    count(*) as jobs,
    cast(sum(records_processed) as bigint) as records_processed,
    cast(sum(records_failed) as bigint) as records_failed
from salesforce.jobs
group by 1, 2, 3, 4, 5, 6
