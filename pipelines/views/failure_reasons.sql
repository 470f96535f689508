-- One row per way to fail: jobs of one user, object and operation that ended alike, for the same reason.
--
--  org_id       VARCHAR                   the org
--  kind         VARCHAR                   query: reads records out of the org; load: writes or deletes
--  operation    VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object       VARCHAR                   API name of the object
--  created_by_id  VARCHAR                 the user
--  created_by   VARCHAR                   name of the user; the id where the name is not known
--  outcome      VARCHAR                   failed, aborted, every record failed, partly failed
--  error_code   VARCHAR                   such as InvalidBatch; null: no code told, or not asked
--  error        VARCHAR                   the rest of the error
--  jobs         BIGINT                    how many jobs
--  records_failed  BIGINT                 records that failed in them, where the org told
--  first_at     TIMESTAMP WITH TIME ZONE  creation of the first of them
--  last_at      TIMESTAMP WITH TIME ZONE  creation of the last of them
--  last_id      VARCHAR                   an example: the greatest job id among them
--
-- unique: org_id, kind, operation, object, created_by_id, outcome, error_code, error
select
    org_id,
    kind,
    operation,
    object,
    created_by_id,
    created_by,
    outcome,
    error_code,
    error,
    count(*) as jobs,
    cast(sum(records_failed) as bigint) as records_failed,
    min(created_date) as first_at,
    max(created_date) as last_at,
    max(id) as last_id
from salesforce.failures
group by 1, 2, 3, 4, 5, 6, 7, 8, 9
