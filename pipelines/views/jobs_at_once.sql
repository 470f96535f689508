-- One row per UTC hour, org and kind: how many jobs had begun and not ended, at most, in any of its minutes.
--
--  hour         TIMESTAMP  start of the hour, UTC
--  org_id       VARCHAR    the org
--  kind         VARCHAR    query: reads records out of the org; load: writes or deletes
--  at_once      BIGINT     jobs between creation and end in the hour's fullest minute, waiting ones included
--  at_start     BIGINT     the same in the hour's first minute
--
-- unique: hour, org_id, kind
--
-- An upper bound: a job whose end is not told counts until the listing that showed it (job_lifetimes.ended_by). Only a
-- Classic job that is Closed may still run batches: it counts until it was closed. Hours run to the newest listing;
-- the last 100,000 of them (11 years) have a row each, the others only if something began or ended in them.
with lifetimes as (
    select
        org_id,
        kind,
        date_trunc('minute', created_date at time zone 'UTC') as began,
        date_trunc('minute', ended_by at time zone 'UTC') as ended
    from salesforce.job_lifetimes
    where created_date is not null
),
events as (
    select org_id, kind, began as minute, 1 as change from lifetimes
    union all
    select org_id, kind, ended + interval '1' minute as minute, -1 as change from lifetimes where ended is not null
),
bounds as (
    select
        e.org_id,
        e.kind,
        date_trunc('hour', min(e.minute)) as first_hour,
        date_trunc('hour', coalesce(max(l.listed), max(e.minute))) as last_hour
    from events as e
    left join (
        select org_id, max(started_at) at time zone 'UTC' as listed from salesforce.listings group by 1
    ) as l on l.org_id = e.org_id
    group by 1, 2
),
per_minute as (
    select org_id, kind, minute, sum(change) as change
    from (
        select org_id, kind, minute, change from events
        union all
        -- a row for each hour's first minute carries the level into hours in which nothing begins or ends; counted back
        -- from the end, so that a single job with an odd date, of 1970 say, does not use the numbers up
        select b.org_id, b.kind, b.last_hour - s.n * interval '1' hour as minute, 0 as change
        from bounds as b
        inner join salesforce.numbers as s on s.n <= date_diff('hour', b.first_hour, b.last_hour)
        union all
        select distinct org_id, kind, date_trunc('hour', minute) as minute, 0 as change from events
    ) as e
    group by 1, 2, 3
),
levels as (
    select
        org_id,
        kind,
        minute,
        sum(change) over (partition by org_id, kind order by minute) as at_once
    from per_minute
)
select
    date_trunc('hour', minute) as hour,
    org_id,
    kind,
    cast(max(at_once) as bigint) as at_once,
    cast(min(case when minute = date_trunc('hour', minute) then at_once end) as bigint) as at_start
from levels
group by 1, 2, 3
