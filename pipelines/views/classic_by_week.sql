-- One row per UTC week, org and kind: how many jobs still go through the Classic API.
--
--  week             DATE     Monday of the week of created_date
--  org_id           VARCHAR  the org
--  kind             VARCHAR  query: reads records out of the org; load: writes or deletes
--  jobs             BIGINT   jobs recorded
--  classic_jobs     BIGINT   of these, Classic
--  classic_percent  DOUBLE   their share; 100 for the loads of weeks in which /jobs/ingest, which shows V2 loads, was not recorded: compare queries there
--  classic_users    BIGINT   users who created Classic jobs
--
-- unique: week, org_id, kind
--
-- Jobs without a readable created_date are left out; a week without jobs has no row.
select
    cast(date_trunc('week', created_date at time zone 'UTC') as date) as week,
    org_id,
    kind,
    count(*) as jobs,
    cast(sum(case when job_type = 'Classic' then 1 else 0 end) as bigint) as classic_jobs,
    100 * cast(sum(case when job_type = 'Classic' then 1 else 0 end) as double) / count(*) as classic_percent,
    count(distinct case when job_type = 'Classic' then created_by_id end) as classic_users
from salesforce.listed_jobs
where created_date is not null
group by 1, 2, 3
