-- One row per UTC day, org and user with jobs that take batches, which are Classic jobs and V2 loads: how many they took of the org's daily batches.
--
--  day              DATE     UTC day of created_date; null if that could not be read
--  org_id           VARCHAR  the org
--  created_by_id    VARCHAR  the user
--  created_by       VARCHAR  name of the user, as in user_names; the id if the name is not known
--  batches          BIGINT   classic_batches and load_batches: at least as many; null if no job's are known
--  classic_batches  BIGINT   batches of Classic jobs, by the org's own count when their details were last fetched
--  load_batches     BIGINT   fewest batches that V2 loads can have taken: one for every 10,000 records processed, or part of them; the org does not give their number
--  jobs             BIGINT   Classic jobs and V2 loads created that day
--  jobs_counted     BIGINT   of these, those whose batches are known: details were fetched
--
-- unique: day, org_id, created_by_id
--
-- All of an org's Classic jobs and V2 loads share a limit on batches in any 24 hours, DailyBulkApiBatches (limits_by_week): 15,000
-- by default. V2 queries take none. A batch counts on the day of its job's creation, although it may have been added later.
with taken as (
    select
        cast(j.created_date at time zone 'UTC' as date) as day,
        j.org_id,
        j.created_by_id,
        case when j.job_type = 'Classic' then d.number_batches_total end as classic,
        case
            when j.job_type = 'Classic' then null
            when d.number_records_processed >= 0
                then cast(floor((d.number_records_processed + 9999) / cast(10000 as double)) as bigint)
        end as loads
    from salesforce.listed_jobs as j
    left join salesforce.job_details as d on d.org_id = j.org_id and d.id = j.id
    where j.job_type = 'Classic' or j.feed = 'ingest'
),
daily as (
    select
        day,
        org_id,
        created_by_id,
        cast(sum(coalesce(classic, loads)) as bigint) as batches,
        cast(sum(classic) as bigint) as classic_batches,
        cast(sum(loads) as bigint) as load_batches,
        count(*) as jobs,
        count(coalesce(classic, loads)) as jobs_counted
    from taken
    group by 1, 2, 3
)
select
    d.day,
    d.org_id,
    d.created_by_id,
    coalesce(w.name, d.created_by_id) as created_by,
    d.batches,
    d.classic_batches,
    d.load_batches,
    d.jobs,
    d.jobs_counted
from daily as d
left join salesforce.user_names as w on w.org_id = d.org_id and w.id = d.created_by_id
