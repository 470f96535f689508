-- One row per UTC week, org, limit and app: how close use came to the limit, and where it stood at the week's last snapshot.
--
--  week            DATE                      Monday of the week
--  org_id          VARCHAR                   the org
--  limit_name      VARCHAR                   name of the limit, such as DailyApiRequests
--  app             VARCHAR                   the connected app or sub-limit that this share belongs to; empty for the whole org
--  max             BIGINT                    the limit, at the last snapshot
--  remaining       BIGINT                    what was left, at the last snapshot
--  used_percent    DOUBLE                    percent used, at the last snapshot; null if the limit is 0
--  peak_used       BIGINT                    how much was used at the week's snapshot closest to the limit
--  peak_percent    DOUBLE                    the same in percent of the limit at that time; null if that was 0
--  peak_at         TIMESTAMP WITH TIME ZONE  when that was
--  snapshots       BIGINT                    snapshots in the week; usage may have been higher between them
--
-- unique: week, org_id, limit_name, app
with ranked as (
    select
        cast(date_trunc('week', read_at at time zone 'UTC') as date) as week,
        org_id,
        limit_name,
        app,
        max as allowed,
        used,
        used_percent as percent,
        read_at,
        -- by the org's clock, which shows seconds: two runs can have the same
        row_number() over (
            partition by org_id, limit_name, app, date_trunc('week', read_at at time zone 'UTC')
            order by read_at desc, listing_id desc
        ) as nth_last
    from salesforce.limit_readings
    where source = 'snapshot'
),
judged as (
    select
        week,
        org_id,
        limit_name,
        app,
        allowed,
        used,
        percent,
        read_at,
        nth_last,
        row_number() over (
            partition by org_id, limit_name, app, week
            order by case when percent is null then 1 else 0 end, percent desc, used desc, read_at desc
        ) as nth_peak
    from ranked
)
select
    week,
    org_id,
    limit_name,
    app,
    min(case when nth_last = 1 then allowed end) as max,
    min(case when nth_last = 1 then allowed - used end) as remaining,
    min(case when nth_last = 1 then percent end) as used_percent,
    min(case when nth_peak = 1 then used end) as peak_used,
    min(case when nth_peak = 1 then percent end) as peak_percent,
    min(case when nth_peak = 1 then read_at end) as peak_at,
    count(*) as snapshots
from judged
group by 1, 2, 3, 4
