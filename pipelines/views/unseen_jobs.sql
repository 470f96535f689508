-- One row per UTC day and org: V2 query jobs that the org counted in 24 hours, and how many of them are recorded.
--
--  day           DATE                      UTC day of the snapshot
--  org_id        VARCHAR                   the org
--  counted_at    TIMESTAMP WITH TIME ZONE  the day's last snapshot of the org's limits by a run that listed V2 query jobs: the end of its 24 hours
--  counted       BIGINT                    query jobs created in these 24 hours by the org's own counter
--  seen          BIGINT                    of these, recorded
--  unseen        BIGINT                    an estimate of those that appeared and vanished between two listings; never below 0
--  counted_from  TIMESTAMP WITH TIME ZONE  24 hours before counted_at
--  adds_up       BOOLEAN                   whether this day may be added to others: only the 24 hours of such days do not overlap, except by up to five minutes
--
-- unique: day, org_id
--
-- A day has no row if all of its listings may have hidden V2 query jobs, because of a filter or a reduced view. A sum over the days that add up leaves out jobs created in none of their 24 hours.
-- The counter is accurate within five minutes. It is assumed, and not documented,
-- that deleting a job does not lower it. Jobs without a plausible created_date do not count as seen. Loads and Classic jobs have no such counter.
with snapshots as (
    select
        cast(o.asked_at at time zone 'UTC' as date) as day,
        o.org_id,
        o.asked_at,
        o.max - o.remaining as counted,
        row_number() over (
            partition by o.org_id, cast(o.asked_at at time zone 'UTC' as date) order by o.asked_at desc, o.listing_id desc
        ) as nth_last
    from salesforce.org_limits as o
    inner join salesforce.all_listings as l on l.listing_id = o.listing_id and l.org_id = o.org_id and l.feed = 'query'
    left join salesforce.complete_listings as c on c.listing_id = l.listing_id
    where o.limit_name = 'DailyBulkV2QueryJobs' and o.app = '' and o.max > 0 and o.remaining is not null
        and (c.listing_id is not null or l.filters = '{"jobType":"V2Query"}')
        and not exists (
            select 1 from salesforce.reduced_views as r
            where r.org_id = l.org_id and r.feed = l.feed and l.listed_at >= r.reduced_from and l.listed_at <= r.reduced_to
        )
),
last_of_day as (
    select
        day,
        org_id,
        asked_at,
        counted,
        lag(asked_at) over (partition by org_id order by day) as asked_before
    from snapshots
    where nth_last = 1
),
-- Days overlap in islands: each one overlaps the next, but never the one after that, whose last snapshot is more than 24
-- hours later. So every other day of an island adds up, beginning with the first: adding days does not change that.
marked as (
    select
        day,
        org_id,
        asked_at,
        counted,
        sum(case when date_diff('second', asked_before, asked_at) < 86100 then 0 else 1 end) over (
            partition by org_id order by day rows between unbounded preceding and current row
        ) as island
    from last_of_day
),
created as (
    select org_id, began_at, cast(began_at at time zone 'UTC' as date) as day
    from salesforce.dated_jobs
    where job_type = 'V2Query' and began_at is not null
),
seen as (
    select s.day, s.org_id, count(*) as jobs
    from (
        select org_id, began_at, day from created
        union all
        select org_id, began_at, cast(day + interval '1' day as date) as day from created
    ) as c
    inner join last_of_day as s
        on s.org_id = c.org_id and s.day = c.day
        and c.began_at <= s.asked_at and c.began_at > s.asked_at - interval '24' hour
    group by 1, 2
)
select
    m.day,
    m.org_id,
    m.asked_at as counted_at,
    m.counted,
    coalesce(s.jobs, 0) as seen,
    case when m.counted > coalesce(s.jobs, 0) then m.counted - coalesce(s.jobs, 0) else 0 end as unseen,
    m.asked_at - interval '24' hour as counted_from,
    mod(row_number() over (partition by m.org_id, m.island order by m.day), 2) = 1 as adds_up
from marked as m
left join seen as s on s.org_id = m.org_id and s.day = m.day
