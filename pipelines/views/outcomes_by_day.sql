-- One row per UTC day, org, feed, kind, job type, operation and outcome: how the jobs created that day ended.
--
--  day                DATE     UTC day of created_date; null if that could not be read
--  org_id             VARCHAR  the org
--  kind               VARCHAR  query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR  V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation          VARCHAR  query, queryAll, insert, update, upsert, delete, hardDelete
--  outcome            VARCHAR  as in jobs; "done: record failures unknown" is neither a success nor a failure
--  jobs               BIGINT   number of jobs
--  records_processed  BIGINT   records processed, if the org gives a count
--  records_failed     BIGINT   of these, failed, if the org gives a count
--  covered_percent    DOUBLE   share of the day that lies in the feed's coverage, 0 to 100; below 100, there may have been more jobs; null if the day is
--  feed               VARCHAR  the listing that shows them: query (/jobs/query: V2 queries and Classic jobs) or ingest (/jobs/ingest: V2 loads)
--
-- unique: day, org_id, feed, kind, job_type, operation, outcome
with daily as (
    select
        cast(created_date at time zone 'UTC' as date) as day,
        org_id,
        kind,
        job_type,
        operation,
        outcome,
        feed,
        count(*) as jobs,
        cast(sum(records_processed) as bigint) as processed,
        cast(sum(records_failed) as bigint) as failed
    from salesforce.jobs
    group by 1, 2, 3, 4, 5, 6, 7
)
select
    d.day,
    d.org_id,
    d.kind,
    d.job_type,
    d.operation,
    d.outcome,
    d.jobs,
    d.processed as records_processed,
    d.failed as records_failed,
    case when d.day is not null then coalesce(c.covered_percent, 0) end as covered_percent,
    d.feed
from daily as d
left join salesforce.covered_days as c on c.org_id = d.org_id and c.feed = d.feed and c.day = d.day
