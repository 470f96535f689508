-- One row per UTC hour, org and kind: the greatest number of jobs between creation and end at the same time.
--
--  hour             TIMESTAMP  start of the hour, UTC
--  org_id           VARCHAR    the org
--  kind             VARCHAR    query: reads records out of the org; load: writes or deletes
--  at_once          BIGINT     jobs between creation and end in the hour's busiest second, including waiting ones
--  at_start         BIGINT     the same in the hour's first second
--  covered_percent  DOUBLE     share of the hour that lies in coverage, 0 to 100; below 100, there may have been more; see below
--
-- unique: hour, org_id, kind
--
-- An upper bound: a job whose end is not known counts until the listing that showed it (job_lifetimes.ended_by). The only
-- exception: a Classic job counts until it was Closed, but may still run batches then. A job counts for at least a second;
-- one that ends in the second in which another begins does not overlap with it. Jobs without a plausible created_date are
-- left out. Hours run to the newest listing; those of covered_hours have a row each, the others only if something began
-- or ended in them.
-- Queries are covered by the record of /jobs/query, loads by that of /jobs/query (Classic) and of /jobs/ingest (V2): the
-- lesser share counts, of those that were recorded by then.
with lifetimes as (
    select
        org_id,
        kind,
        began_at at time zone 'UTC' as began,
        case when ended_by > began_at then ended_by else began_at + interval '1' second end at time zone 'UTC' as ended,
        ended_by is not null as is_over
    from salesforce.job_lifetimes
    where began_at is not null
),
changes as (
    select org_id, kind, began as moment, 1 as change from lifetimes
    union all
    select org_id, kind, ended as moment, -1 as change from lifetimes where is_over
),
firsts as (
    select org_id, kind, date_trunc('hour', min(moment)) as first_hour from changes group by 1, 2
),
hours as (
    select
        org_id,
        hour,
        max(case when feed = 'query' then covered_percent end) as query_percent,
        min(covered_percent) as least_percent
    from salesforce.covered_hours
    group by 1, 2
),
-- a row for each hour's first second carries the number over into hours in which nothing begins or ends; of one moment,
-- who leaves comes first, so an hour is fullest after an arrival, or at its start
levels as (
    select
        org_id,
        kind,
        moment,
        change,
        sum(change) over (
            partition by org_id, kind order by moment, change rows between unbounded preceding and current row
        ) as jobs
    from (
        select org_id, kind, moment, change from changes
        union all
        select f.org_id, f.kind, h.hour as moment, 0 as change
        from firsts as f
        inner join hours as h on h.org_id = f.org_id and h.hour >= f.first_hour
        union all
        select distinct org_id, kind, date_trunc('hour', moment) as moment, 0 as change from changes
    ) as c
),
hourly as (
    select
        org_id,
        kind,
        date_trunc('hour', moment) as hour,
        cast(max(jobs) as bigint) as at_once,
        cast(max(case when moment = date_trunc('hour', moment) then jobs end) as bigint) as at_start
    from levels
    where change >= 0
    group by 1, 2, 3
)
select
    v.hour,
    v.org_id,
    v.kind,
    v.at_once,
    v.at_start,
    coalesce(case when v.kind = 'query' then c.query_percent end, c.least_percent, 0) as covered_percent
from hourly as v
left join hours as c on c.org_id = v.org_id and c.hour = v.hour
