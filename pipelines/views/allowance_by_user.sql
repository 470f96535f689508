-- One row per UTC day, org, user and object: whose V2 query jobs made up the day's busiest 24 hours.
--
--  day            DATE                      UTC day on which these 24 hours end
--  org_id         VARCHAR                   the org
--  created_by_id  VARCHAR                   the user
--  created_by     VARCHAR                   name of the user, as in user_names; the id if the name is not known
--  object         VARCHAR                   API name of the object
--  peak_hour      TIMESTAMP                 the hour of the peak, see allowance_by_hour, UTC
--  query_jobs     BIGINT                    this user's V2 query jobs on this object recorded in these 24 hours
--  all_jobs       BIGINT                    all users' V2 query jobs recorded in these 24 hours
--  allowance      BIGINT                    how many the org allows; null if its limits are not known
--  share_percent  DOUBLE                    query_jobs in percent of the allowance
--  used           BIGINT                    how many there were according to allowance_by_hour: all_jobs or, if the org's own counter has more, its count
--  peak_at        TIMESTAMP WITH TIME ZONE  end of these 24 hours
--
-- unique: day, org_id, created_by_id, object
--
-- Don't add up days: the 24 hours of two days overlap. A day whose peak has no recorded jobs has no row.
with jobs as (
    select
        org_id,
        created_by_id,
        object,
        began_at,
        cast(began_at at time zone 'UTC' as date) as day
    from salesforce.dated_jobs
    where job_type = 'V2Query' and began_at is not null
),
in_peak as (
    select p.day, p.org_id, j.created_by_id, j.object, p.peak_hour, p.allowance, p.used, p.peak_at, count(*) as query_jobs
    from (
        select org_id, created_by_id, object, began_at, day from jobs
        union all
        select org_id, created_by_id, object, began_at, cast(day + interval '1' day as date) as day from jobs
    ) as j
    inner join salesforce.allowance_by_day as p
        on p.org_id = j.org_id and p.day = j.day
        and j.began_at <= p.peak_at and j.began_at > p.peak_at - interval '24' hour
    group by 1, 2, 3, 4, 5, 6, 7, 8
)
select
    i.day,
    i.org_id,
    i.created_by_id,
    coalesce(w.name, i.created_by_id) as created_by,
    i.object,
    i.peak_hour,
    i.query_jobs,
    cast(sum(i.query_jobs) over (partition by i.org_id, i.day) as bigint) as all_jobs,
    i.allowance,
    100 * cast(i.query_jobs as double) / nullif(i.allowance, 0) as share_percent,
    i.used,
    i.peak_at
from in_peak as i
left join salesforce.user_names as w on w.org_id = i.org_id and w.id = i.created_by_id
