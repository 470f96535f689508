-- One row per org and limit: how much of it is used, how that has changed, and when it is reached if this continues.
--
--  org_id          VARCHAR                   the org
--  limit_name      VARCHAR                   name of the limit, such as DailyBulkApiBatches
--  max             BIGINT                    the limit, at the newest snapshot
--  used            BIGINT                    how much was used then
--  used_percent    DOUBLE                    the same in percent
--  read_at         TIMESTAMP WITH TIME ZONE  the newest snapshot
--  used_before     BIGINT                    how much was used at the oldest snapshot of the 24 hours before that; null if there is none
--  hours_between   DOUBLE                    hours from that to the newest one
--  reached_at      TIMESTAMP WITH TIME ZONE  when the limit is reached at the pace between the two; read_at if it is already; null: use does not grow, or not within 90 days
--  weeks           BIGINT                    whole weeks before the newest snapshot, up to eight, with snapshots
--  weekly_growth   DOUBLE                    by how much the weeks' peaks grow from week to week: the slope of the straight line that fits them best; null with fewer than three
--  reached_on      DATE                      the day on which a peak reaches the limit if that continues; null: peaks do not grow, or not within two years
--
-- unique: org_id, limit_name
--
-- Limits of the whole org; an app's share has no row. Use of a Daily limit is that of the last 24 hours, so it falls again as
-- earlier use drops out: reached_at is right only while the pace lasts. A peak is the highest use that a snapshot of the week shows.
with readings as (
    select
        org_id,
        limit_name,
        max as allowed,
        used,
        used_percent as percent,
        read_at,
        listing_id,
        max(read_at) over (partition by org_id, limit_name) as newest_at
    from salesforce.limit_readings
    where source = 'snapshot' and app = '' and max > 0
),
aged as (
    select
        org_id,
        limit_name,
        allowed,
        used,
        percent,
        read_at,
        newest_at,
        cast(floor(date_diff('second', read_at, newest_at) / cast(604800 as double)) as bigint) as week,
        -- by the org's clock, which shows seconds: two runs can have the same
        row_number() over (partition by org_id, limit_name order by read_at desc, listing_id desc) as nth_last,
        row_number() over (
            partition by org_id, limit_name, case when date_diff('second', read_at, newest_at) <= 86400 then 1 else 0 end
            order by read_at, listing_id
        ) as nth_of_day
    from readings
),
newest as (
    select org_id, limit_name, allowed, used, percent, read_at from aged where nth_last = 1
),
before as (
    select org_id, limit_name, used, date_diff('second', read_at, newest_at) as seconds
    from aged
    where nth_of_day = 1 and nth_last > 1 and date_diff('second', read_at, newest_at) <= 86400
),
peaks as (
    -- weeks counted forward, so that a positive slope is growth
    select org_id, limit_name, cast(-week as double) as x, cast(max(used) as double) as y
    from aged
    where week < 8
    group by org_id, limit_name, week
),
trends as (
    select
        org_id,
        limit_name,
        count(*) as weeks,
        max(case when x = 0 then y end) as peak,
        case
            when count(*) >= 3
                then (count(*) * sum(x * y) - sum(x) * sum(y)) / (count(*) * sum(x * x) - sum(x) * sum(x))
        end as growth
    from peaks
    group by 1, 2
),
paced as (
    select
        n.org_id,
        n.limit_name,
        n.allowed,
        n.used,
        n.percent,
        n.read_at,
        b.used as used_before,
        b.seconds,
        t.weeks,
        t.growth,
        case
            when n.used >= n.allowed then 0
            when b.seconds > 0 and n.used > b.used
                then (n.allowed - n.used) * cast(b.seconds as double) / (n.used - b.used)
        end as seconds_left,
        case when t.growth > 0 then 7 * (n.allowed - t.peak) / t.growth end as days_left
    from newest as n
    inner join trends as t on t.org_id = n.org_id and t.limit_name = n.limit_name
    left join before as b on b.org_id = n.org_id and b.limit_name = n.limit_name
)
select
    org_id,
    limit_name,
    allowed as max,
    used,
    percent as used_percent,
    read_at,
    used_before,
    seconds / cast(3600 as double) as hours_between,
    case
        when seconds_left <= 7776000 then read_at + cast(floor(seconds_left) as bigint) * interval '1' second
    end as reached_at,
    weeks,
    growth as weekly_growth,
    case
        when days_left <= 0 then cast(read_at at time zone 'UTC' as date)
        when days_left <= 730
            then cast((read_at at time zone 'UTC') + cast(floor(days_left) as bigint) * interval '1' day as date)
    end as reached_on
from paced
