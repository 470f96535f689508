-- One row per load whose details are known: do its counts add up, and how far are the reasons of its failed records known?
--
--  org_id               VARCHAR                   the org
--  id                   VARCHAR                   the load
--  job_type             VARCHAR                   V2Ingest, BigObjectIngest, or Classic
--  operation            VARCHAR                   insert, update, upsert, delete, hardDelete
--  object               VARCHAR                   API name of the object
--  created_by           VARCHAR                   name of the user who created it; the id if the name is not known
--  created_date         TIMESTAMP WITH TIME ZONE  when it was created
--  state                VARCHAR                   newest state observed
--  outcome              VARCHAR                   as in job_outcomes
--  records_processed    BIGINT                    records processed, including failed ones; null if the org gives no count
--  records_failed       BIGINT                    of these, failed, by the org's own count; null if it gives none
--  records_succeeded    BIGINT                    the rest of these; null if either is not known
--  records_unprocessed  BIGINT                    V2 loads that failed or were aborted: rows of the upload that were never processed, in neither of the other counts; null: not read
--  rows_read            BIGINT                    failed rows whose reason was read; null: none were read
--  results              VARCHAR                   how far reading went, as in job_details.results_outcome: read, first N of M, refused, unreadable; null: not tried
--  verdict              VARCHAR                   adds up; reasons unknown: records failed, and no reason was read; fewer reasons than failures; more reasons than failures; more failed than processed; counts unknown
--  looks_done           BOOLEAN                   whether Salesforce shows it as JobComplete or Closed although every record failed
--
-- unique: org_id, id
--
-- Salesforce records no results for batches beyond the daily limit on batches, so fewer reasons than failures need not be an error of the recorder.
with read as (
    select org_id, id, max(rows_read) as rows_read
    from salesforce.record_errors
    where level = 'record'
    group by 1, 2
)
select
    j.org_id,
    j.id,
    j.job_type,
    j.operation,
    j.object,
    coalesce(w.name, j.created_by_id) as created_by,
    j.created_date,
    j.state,
    j.outcome,
    d.number_records_processed as records_processed,
    d.number_records_failed as records_failed,
    d.number_records_processed - d.number_records_failed as records_succeeded,
    d.records_unprocessed,
    r.rows_read,
    d.results_outcome as results,
    case
        when d.number_records_processed is null or d.number_records_failed is null then 'counts unknown'
        when d.number_records_failed > d.number_records_processed then 'more failed than processed'
        when coalesce(r.rows_read, 0) > d.number_records_failed then 'more reasons than failures'
        when coalesce(r.rows_read, 0) = d.number_records_failed then 'adds up'
        when r.rows_read is null then 'reasons unknown'
        else 'fewer reasons than failures'
    end as verdict,
    j.state in ('JobComplete', 'Closed') and coalesce(j.outcome = 'every record failed', false) as looks_done
from salesforce.job_outcomes as j
inner join salesforce.job_details as d on d.org_id = j.org_id and d.id = j.id
left join read as r on r.org_id = j.org_id and r.id = j.id
left join salesforce.user_names as w on w.org_id = j.org_id and w.id = j.created_by_id
where j.kind = 'load'
