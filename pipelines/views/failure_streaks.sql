-- One row per streak: two or more jobs of one series that failed with no success between them.
--
--  org_id            VARCHAR                   the org
--  kind              VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type          VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation         VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object            VARCHAR                   API name of the object
--  created_by_id     VARCHAR                   the user; org, type, operation, object and user make the series
--  created_by        VARCHAR                   name of the user; the id if the name is not known
--  failures          BIGINT                    jobs that failed in a row, as a job or with every record; aborted ones do not count
--  failing_since     TIMESTAMP WITH TIME ZONE  creation of the first of them
--  last_failure_at   TIMESTAMP WITH TIME ZONE  creation of the last of them
--  last_success_at   TIMESTAMP WITH TIME ZONE  creation of the last job before them that did not fail, although some of its records may have: see outcome_before; null: none was recorded
--  ended_at          TIMESTAMP WITH TIME ZONE  creation of the first job after them that did not fail; null: it still fails
--  last_failed_id    VARCHAR                   the last job of the streak
--  outcome_before    VARCHAR                   how the job at last_success_at ended: done, done: record failures unknown, or partly failed, which is no failure of the job; if there are several, the worst
--  is_ongoing        BOOLEAN                   whether its status is ongoing
--  status            VARCHAR                   recovered: a job that did not fail ended it; else ongoing: at the as_of of its feed (recorded_feeds) or, if that is no longer recorded, of the org, the last failure is at most a day ago, or three times the usual pause between its failures; else abandoned: no longer tried
--  feed              VARCHAR                   the listing that shows them, query or ingest; see jobs
--
-- unique: org_id, job_type, operation, object, created_by_id, failing_since
--
-- One user's nightly and hourly jobs on one object are one series: the API has no names of schedules.
-- A job that did not fail as a job ends a streak, even if some of its records failed or that is not known; within one
-- second, it comes first. Aborted, unfinished and undated jobs are ignored. A streak can span a gap in the record.
with ended as (
    select
        j.org_id,
        j.feed,
        j.kind,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.began_at,
        j.id,
        j.outcome,
        case when j.is_failure then 1 else 0 end as failed
    from salesforce.job_outcomes as j
    where j.began_at is not null and j.is_failure is not null
),
-- a number for each series that can have a streak: sorting by it is several times faster than by five text columns
series as (
    select
        org_id,
        max(kind) as kind,
        max(feed) as feed,
        job_type,
        operation,
        object,
        created_by_id,
        row_number() over (order by org_id, job_type, operation, object, created_by_id) as series
    from ended
    group by 1, 4, 5, 6, 7
    having sum(failed) >= 2
),
members as (
    select
        s.series,
        e.began_at,
        e.id,
        e.outcome,
        e.failed,
        sum(1 - e.failed) over (
            partition by s.series order by e.began_at, e.failed rows between unbounded preceding and current row
        ) as successes
    from ended as e
    inner join series as s
        on s.org_id = e.org_id
        and coalesce('=' || s.job_type, '') = coalesce('=' || e.job_type, '')
        and coalesce('=' || s.operation, '') = coalesce('=' || e.operation, '')
        and coalesce('=' || s.object, '') = coalesce('=' || e.object, '')
        and coalesce('=' || s.created_by_id, '') = coalesce('=' || e.created_by_id, '')
),
runs as (
    select
        series,
        successes,
        sum(failed) as failures,
        max(case when failed = 0 then began_at end) as last_success_at,
        min(case when failed = 1 then began_at end) as failing_since,
        max(case when failed = 1 then began_at end) as last_failure_at
    from members
    group by 1, 2
),
followed as (
    select
        series,
        failures,
        last_success_at,
        failing_since,
        last_failure_at,
        lead(last_success_at) over (partition by series order by successes) as ended_at
    from runs
),
streaks as (
    select series, failures, failing_since, last_failure_at, last_success_at, ended_at
    from followed
    where failures >= 2
),
bounded as (
    select
        s.series,
        cast(s.failures as bigint) as failures,
        s.failing_since,
        s.last_failure_at,
        s.last_success_at,
        s.ended_at,
        max(case when m.failed = 1 then m.id end) as last_failed_id,
        max(case when m.failed = 0 then m.outcome end) as outcome_before
    from streaks as s
    inner join members as m
        on m.series = s.series
        and (
            (m.failed = 1 and m.began_at = s.last_failure_at)
            or (m.failed = 0 and m.began_at = s.last_success_at)
        )
    group by 1, 2, 3, 4, 5, 6
),
judged as (
    select
        s.org_id,
        s.feed,
        s.kind,
        s.job_type,
        s.operation,
        s.object,
        s.created_by_id,
        b.failures,
        b.failing_since,
        b.last_failure_at,
        b.last_success_at,
        b.ended_at,
        b.last_failed_id,
        b.outcome_before,
        case
            when b.ended_at is not null then 'recovered'
            when date_diff('second', b.last_failure_at, case when r.is_current then r.as_of else o.as_of end) <= 86400 then 'ongoing'
            when date_diff('second', b.last_failure_at, case when r.is_current then r.as_of else o.as_of end) * (b.failures - 1)
                <= 3 * date_diff('second', b.failing_since, b.last_failure_at)
                then 'ongoing'
            else 'abandoned'
        end as status
    from bounded as b
    inner join series as s on s.series = b.series
    left join salesforce.recorded_feeds as r on r.org_id = s.org_id and r.feed = s.feed
    left join salesforce.recorded_orgs as o on o.org_id = s.org_id
)
select
    j.org_id,
    j.kind,
    j.job_type,
    j.operation,
    j.object,
    j.created_by_id,
    coalesce(w.name, j.created_by_id) as created_by,
    j.failures,
    j.failing_since,
    j.last_failure_at,
    j.last_success_at,
    j.ended_at,
    j.last_failed_id,
    j.outcome_before,
    j.status = 'ongoing' as is_ongoing,
    j.status,
    j.feed
from judged as j
left join salesforce.user_names as w on w.org_id = j.org_id and w.id = j.created_by_id
