-- One row per failure reason of one user, object and operation: what ended jobs, and what failed the records of loads.
--
--  org_id       VARCHAR                   the org
--  kind         VARCHAR                   query: reads records out of the org; load: writes or deletes
--  operation    VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object       VARCHAR                   API name of the object
--  created_by_id  VARCHAR                 the user
--  created_by   VARCHAR                   name of the user, as in user_names; the id if the name is not known
--  outcome      VARCHAR                   for jobs: failed, aborted, every record failed, partly failed; null for records and batches, whatever became of their jobs
--  error_code   VARCHAR                   such as InvalidBatch, or UNABLE_TO_LOCK_ROW; null: no code given, or details not fetched
--  error_template  VARCHAR                what their errors have in common: without ids, numbers, quoted and bracketed text; null: no error given, details not fetched, or a text that may contain values of records
--  error        VARCHAR                   an example: the error of the job last_id; null for records and batches
--  jobs         BIGINT                    number of jobs
--  records_failed  BIGINT                 for jobs: records that failed in them, if the org gives a count; for records: those read that failed for this reason; null for batches
--  first_at     TIMESTAMP WITH TIME ZONE  creation of the first of the jobs
--  last_at      TIMESTAMP WITH TIME ZONE  creation of the last of them
--  last_id      VARCHAR                   the last of them; if several were created in one second, the greatest id
--  level        VARCHAR                   job: what ended jobs; record: what failed records of loads; batch: what failed batches of Classic loads as a whole. A load can count in several: do not add them up
--  fields       VARCHAR                   API names of the fields concerned, separated by commas; null: none given, or not a record's reason
--  retryable    BOOLEAN                   whether sending the records again may succeed: locks, time-outs, server errors; null for jobs
--
-- unique: org_id, level, kind, operation, object, created_by_id, outcome, error_code, error_template, fields
--
-- Reasons of records and batches are known for loads whose results were read (job_details.results_outcome); record_counts says how far. Reasons new in the last seven days: reason_trends.
with reasons as (
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
        'job' as level,
        cast(null as varchar) as fields,
        cast(null as bigint) as retryable
    from salesforce.failures
    union all
    select
        e.org_id,
        e.id,
        j.kind,
        j.operation,
        j.object,
        j.created_by_id,
        coalesce(w.name, j.created_by_id) as created_by,
        j.created_date,
        null as outcome,
        e.records as records_failed,
        e.error_code,
        e.message as error_template,
        null as error,
        e.level,
        e.fields,
        case when e.retryable then 1 else 0 end as retryable
    from salesforce.record_errors as e
    inner join salesforce.dated_jobs as j on j.org_id = e.org_id and j.id = e.id
    left join salesforce.user_names as w on w.org_id = j.org_id and w.id = j.created_by_id
    where e.level <> 'job' and (e.records > 0 or e.batches > 0)
),
ranked as (
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
        level,
        fields,
        retryable,
        row_number() over (
            partition by
                org_id, level, kind, operation, object, created_by_id, outcome, error_code, error_template, fields
            order by created_date desc nulls last, id desc
        ) as newest_first
    from reasons
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
    max(case when r.newest_first = 1 then r.id end) as last_id,
    r.level,
    r.fields,
    max(r.retryable) = 1 as retryable
from ranked as r
group by
    r.org_id, r.level, r.kind, r.operation, r.object, r.created_by_id, r.outcome, r.error_code, r.error_template, r.fields
