-- One row per UTC day, org, job type, operation and state: jobs created that day, in the state they have now.
--
--  day         DATE     UTC day of created_date; null where that could not be read
--  org_id      VARCHAR  the org
--  job_type    VARCHAR  V2Query, or Classic, which includes Classic loads
--  operation   VARCHAR  query and queryAll extract; insert, update, upsert, delete and hardDelete load
--  state       VARCHAR  newest state observed
--  jobs        BIGINT   number of jobs
--
-- unique: day, org_id, job_type, operation, state
select
    cast(created_date at time zone 'UTC' as date) as day,
    org_id,
    job_type,
    operation,
    state,
    count(*) as jobs
from salesforce.query_jobs
group by 1, 2, 3, 4, 5
