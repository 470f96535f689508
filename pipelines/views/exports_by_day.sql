-- One row per UTC day, org, user and object that the user read by bulk queries: how many rows, and whether that is new, or far more than before, for this user.
--
--  day                  DATE     UTC day of the jobs' creation
--  org_id               VARCHAR  the org
--  created_by_id        VARCHAR  the user
--  created_by           VARCHAR  name of the user, as in user_names; the id if the name is not known
--  object               VARCHAR  API name of the object
--  jobs                 BIGINT   bulk queries created: query and queryAll, V2 and Classic
--  records_processed    BIGINT   rows that they read, as far as counted; null if none of the jobs has a count
--  jobs_uncounted       BIGINT   of jobs, those that may have read more: without a final count, and neither failed nor aborted. A job that is deleted before its details are fetched never has one
--  jobs_deleted         BIGINT   of jobs, those deleted less than seven days after their creation (early_deletions), and that no listing showed more than 24 hours after they last changed
--  days_before          BIGINT   the user's earlier days with queries of the object: the last 90 of them at most
--  most_records_before  BIGINT   most rows read on one of these days; null unless the rows of at least half of them are counted, and at least 14 of the 28 days before this one are covered
--  deletes_regularly    BOOLEAN  whether this user's jobs are deleted anyway: on three or more of the 30 days with queries before this one, and at least a tenth of the jobs of these days
--  new_user             BOOLEAN  whether this is the user's first day with bulk queries on record; null if too little is covered, as above, or the user is not known
--  new_object           BOOLEAN  whether it is the user's first day with bulk queries of this object; null like new_user, if the object is not known, or if deletes_regularly: then most jobs are gone before any listing
--
-- unique: day, org_id, created_by_id, object
--
-- Days are those with jobs, not calendar days: a user who exports at the end of each month is compared with earlier month-ends.
-- Jobs without a plausible creation are left out. Exports without a bulk job are not here: REST and SOAP queries, reports.
with queries as (
    select
        date_trunc('day', j.began_at at time zone 'UTC') as day,
        j.org_id,
        j.created_by_id,
        j.object,
        d.number_records_processed as records,
        case
            when coalesce(j.state, '') in ('Failed', 'Aborted') then 0
            when d.number_records_processed is null or coalesce(d.provisional, false) then 1
            else 0
        end as uncounted,
        -- not from early_deletions, which reads all jobs a second time
        case
            when u.last_listed_at <= coalesce(j.changed_at, j.began_at) + interval '24' hour
                and u.unlisted_at < j.began_at + interval '168' hour
                then 1
            else 0
        end as deleted
    from salesforce.dated_jobs as j
    left join salesforce.job_details as d on d.org_id = j.org_id and d.id = j.id
    left join salesforce.unlisted_jobs as u
        on u.org_id = j.org_id and u.id = j.id and u.feed = j.feed and u.unlisted_at > j.shown_at
        and u.listed_again_at is null and not coalesce(u.hidden, false)
    where j.kind = 'query' and j.began_at is not null
),
daily as (
    select
        day,
        org_id,
        created_by_id,
        object,
        count(*) as jobs,
        cast(sum(records) as bigint) as records,
        cast(sum(uncounted) as bigint) as uncounted,
        cast(sum(deleted) as bigint) as deleted
    from queries
    group by 1, 2, 3, 4
),
users as (
    select
        day,
        org_id,
        created_by_id,
        min(day) over (partition by org_id, created_by_id) as first_day,
        sum(case when deleted > 0 then 1 else 0 end) over (
            partition by org_id, created_by_id order by day rows between 30 preceding and 1 preceding
        ) as deleting_days,
        sum(deleted) over (
            partition by org_id, created_by_id order by day rows between 30 preceding and 1 preceding
        ) as deleted_before,
        sum(jobs) over (
            partition by org_id, created_by_id order by day rows between 30 preceding and 1 preceding
        ) as jobs_before
    from (
        select d.day, d.org_id, d.created_by_id, sum(d.jobs) as jobs, sum(d.deleted) as deleted from daily as d group by 1, 2, 3
    ) as u
),
habits as (
    select
        day,
        org_id,
        created_by_id,
        first_day,
        coalesce(deleting_days >= 3 and 10 * deleted_before >= jobs_before, false) as deletes_regularly
    from users
),
objects as (
    select
        day,
        org_id,
        created_by_id,
        object,
        jobs,
        records,
        uncounted,
        deleted,
        min(day) over (partition by org_id, created_by_id, object) as first_day,
        count(*) over (
            partition by org_id, created_by_id, object order by day rows between 90 preceding and 1 preceding
        ) as days_before,
        sum(case when uncounted = 0 then 1 else 0 end) over (
            partition by org_id, created_by_id, object order by day rows between 90 preceding and 1 preceding
        ) as counted_days,
        max(case when uncounted = 0 then coalesce(records, 0) end) over (
            partition by org_id, created_by_id, object order by day rows between 90 preceding and 1 preceding
        ) as most_records
    from daily
),
spans as (
    select org_id, covered_from at time zone 'UTC' as span_from, covered_to at time zone 'UTC' as span_to
    from salesforce.coverage
    where feed = 'query'
),
-- the 14 days of coverage, in seconds
history as (
    select
        d.day,
        d.org_id,
        sum(date_diff(
            'second',
            case when s.span_from > d.day - interval '672' hour then s.span_from else d.day - interval '672' hour end,
            case when s.span_to < d.day then s.span_to else d.day end
        )) >= 1209600 as suffices
    from (select distinct day, org_id from daily) as d
    inner join spans as s on s.org_id = d.org_id and s.span_from < d.day and s.span_to > d.day - interval '672' hour
    group by 1, 2
)
select
    cast(o.day as date) as day,
    o.org_id,
    o.created_by_id,
    coalesce(w.name, o.created_by_id) as created_by,
    o.object,
    o.jobs,
    o.records as records_processed,
    o.uncounted as jobs_uncounted,
    o.deleted as jobs_deleted,
    o.days_before,
    case when h.suffices and 2 * o.counted_days >= o.days_before then o.most_records end as most_records_before,
    u.deletes_regularly,
    case when h.suffices and o.created_by_id is not null then o.day = u.first_day end as new_user,
    case
        when h.suffices and o.created_by_id is not null and o.object is not null and not u.deletes_regularly
            then o.day = o.first_day
    end as new_object
from objects as o
inner join habits as u
    on u.org_id = o.org_id and u.day = o.day
    and coalesce('=' || u.created_by_id, '') = coalesce('=' || o.created_by_id, '')
left join history as h on h.org_id = o.org_id and h.day = o.day
left join salesforce.user_names as w on w.org_id = o.org_id and w.id = o.created_by_id
