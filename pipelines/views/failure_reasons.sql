-- One row per failure reason: jobs of one user, object and operation with the same outcome, for the same reason.
--
--  org_id       VARCHAR                   the org
--  kind         VARCHAR                   query: reads records out of the org; load: writes or deletes
--  operation    VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object       VARCHAR                   API name of the object
--  created_by_id  VARCHAR                 the user
--  created_by   VARCHAR                   name of the user, as in user_names; the id if the name is not known
--  outcome      VARCHAR                   failed, aborted, every record failed, partly failed
--  error_code   VARCHAR                   such as InvalidBatch; null: no code given, or not asked
--  error_template  VARCHAR                what their errors have in common: without ids, numbers, quoted and bracketed text; null: no error given, or not asked
--  error        VARCHAR                   an example: the error of the job last_id
--  jobs         BIGINT                    number of jobs
--  records_failed  BIGINT                 records that failed in them, if the org gives a count
--  first_at     TIMESTAMP WITH TIME ZONE  creation of the first of them
--  last_at      TIMESTAMP WITH TIME ZONE  creation of the last of them
--  last_id      VARCHAR                   the last of them; if several were created in one second, the greatest id
--
-- unique: org_id, kind, operation, object, created_by_id, outcome, error_code, error_template
with ranked as (
    select
        org_id,
        id,
        kind,
        operation,
        object,
        created_by_id,
        created_by,
        created_date,
        outcome,
        records_failed,
        error_code,
        error_template,
        error,
        row_number() over (
            partition by org_id, kind, operation, object, created_by_id, outcome, error_code, error_template
            order by created_date desc nulls last, id desc
        ) as newest_first
    from salesforce.failures
)
select
    r.org_id,
    r.kind,
    r.operation,
    r.object,
    r.created_by_id,
    max(r.created_by) as created_by,
    r.outcome,
    r.error_code,
    r.error_template,
    max(case when r.newest_first = 1 then r.error end) as error,
    count(*) as jobs,
    cast(sum(r.records_failed) as bigint) as records_failed,
    min(r.created_date) as first_at,
    max(r.created_date) as last_at,
    max(case when r.newest_first = 1 then r.id end) as last_id
from ranked as r
group by r.org_id, r.kind, r.operation, r.object, r.created_by_id, r.outcome, r.error_code, r.error_template
