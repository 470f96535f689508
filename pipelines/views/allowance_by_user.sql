-- One row per UTC day, org, user and object: whose V2 query jobs filled the 24 hours of the day's peak.
--
--  day            DATE                      UTC day on which these 24 hours end
--  org_id         VARCHAR                   the org
--  created_by_id  VARCHAR                   the user
--  created_by     VARCHAR                   what to call the user, see user_names; the id where the name is not known
--  object         VARCHAR                   API name of the object
--  peak_hour      TIMESTAMP                 the hour of the peak, see allowance_by_hour, UTC
--  query_jobs     BIGINT                    this user's V2 query jobs on this object in these 24 hours, as far as they are recorded
--  all_jobs       BIGINT                    everybody's recorded ones in these 24 hours
--  allowance      BIGINT                    how many the org allows; null where its limits are not known
--  share_percent  DOUBLE                    query_jobs in percent of the allowance
--  used           BIGINT                    how many there were by allowance_by_hour: all_jobs or, where the org's own counter knows of more, its count
--  peak_at        TIMESTAMP WITH TIME ZONE  end of these 24 hours
--
-- unique: day, org_id, created_by_id, object
--
-- Do not sum over days: the 24 hours of two days overlap. A day whose peak has no recorded jobs has no row.
with ranked as (
    select
        cast(hour as date) as day,
        org_id,
        hour,
        allowance,
        used,
        peak_at,
        row_number() over (
            partition by org_id, cast(hour as date) order by coalesce(share_percent, -1) desc, used desc, hour desc
        ) as nth
    from salesforce.allowance_by_hour
),
peaks as (
    select day, org_id, hour, allowance, used, peak_at from ranked where nth = 1
),
jobs as (
    select
        org_id,
        created_by_id,
        object,
        began_at,
        cast(began_at at time zone 'UTC' as date) as day
    from salesforce.all_jobs
    where job_type = 'V2Query' and began_at is not null
),
in_peak as (
    select p.day, p.org_id, j.created_by_id, j.object, p.hour, p.allowance, p.used, p.peak_at, count(*) as query_jobs
    from (
        select org_id, created_by_id, object, began_at, day from jobs
        union all
        select org_id, created_by_id, object, began_at, cast(day + interval '1' day as date) as day from jobs
    ) as j
    inner join peaks as p
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
    i.hour as peak_hour,
    i.query_jobs,
    cast(sum(i.query_jobs) over (partition by i.org_id, i.day) as bigint) as all_jobs,
    i.allowance,
    100 * cast(i.query_jobs as double) / nullif(i.allowance, 0) as share_percent,
    i.used,
    i.peak_at
from in_peak as i
left join salesforce.user_names as w on w.org_id = i.org_id and w.id = i.created_by_id
