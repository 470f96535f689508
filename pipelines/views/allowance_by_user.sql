-- One row per UTC day, org, user and object: whose V2 query jobs filled the day's fullest 24 hours.
--
--  day            DATE       UTC day on which these 24 hours end
--  org_id         VARCHAR    the org
--  created_by_id  VARCHAR    the user
--  created_by     VARCHAR    name of the user; the id where the name is not known
--  object         VARCHAR    API name of the object
--  peak_hour      TIMESTAMP  start of the last of the fullest 24 hours, UTC; see allowance_by_hour
--  query_jobs     BIGINT     this user's V2 query jobs on this object in these 24 hours
--  all_jobs       BIGINT     everybody's in these 24 hours
--  allowance      BIGINT     how many the org allows; null where its limits are not known
--  share_percent  DOUBLE     query_jobs in percent of the allowance
--
-- unique: day, org_id, created_by_id, object
--
-- Do not sum over days: the 24 hours of two days overlap. The fullest are so by recorded jobs; of several, the last.
with peaks as (
    select
        hour,
        org_id,
        query_jobs,
        allowance,
        cast(hour as date) as day,
        row_number() over (
            partition by org_id, cast(hour as date) order by query_jobs desc, hour desc
        ) as nth
    from salesforce.allowance_by_hour
),
peak_of_day as (
    select day, org_id, hour, query_jobs, allowance from peaks where nth = 1 and query_jobs > 0
),
hourly as (
    select
        date_trunc('hour', created_date at time zone 'UTC') as hour,
        cast(created_date at time zone 'UTC' as date) as day,
        org_id,
        created_by_id,
        object,
        count(*) as jobs
    from salesforce.query_jobs
    where job_type = 'V2Query' and created_date is not null
    group by 1, 2, 3, 4, 5
),
in_peak as (
    select p.day, p.org_id, h.created_by_id, h.object, p.hour, p.query_jobs, p.allowance, sum(h.jobs) as jobs
    from (
        select hour, day, org_id, created_by_id, object, jobs from hourly
        union all
        select hour, cast(day + interval '1' day as date) as day, org_id, created_by_id, object, jobs from hourly
    ) as h
    inner join peak_of_day as p
        on p.org_id = h.org_id and p.day = h.day
        and h.hour <= p.hour and h.hour > p.hour - interval '24' hour
    group by 1, 2, 3, 4, 5, 6, 7
)
select
    i.day,
    i.org_id,
    i.created_by_id,
    coalesce(w.name, i.created_by_id) as created_by,
    i.object,
    i.hour as peak_hour,
    cast(i.jobs as bigint) as query_jobs,
    i.query_jobs as all_jobs,
    i.allowance,
    100.0 * i.jobs / nullif(i.allowance, 0) as share_percent
from in_peak as i
left join salesforce.users as w on w.org_id = i.org_id and w.id = i.created_by_id
