-- One row per streak: two or more jobs of one series that failed with no success between them.
--
--  org_id            VARCHAR                   the org
--  kind              VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type          VARCHAR                   V2Query or Classic
--  operation         VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object            VARCHAR                   API name of the object
--  created_by_id     VARCHAR                   the user; org, type, operation, object and user make the series
--  created_by        VARCHAR                   name of the user; the id where the name is not known
--  failures          BIGINT                    jobs that failed in a row, as a job or with every record; aborted ones do not count
--  failing_since     TIMESTAMP WITH TIME ZONE  creation of the first of them
--  last_failure_at   TIMESTAMP WITH TIME ZONE  creation of the last of them
--  last_success_at   TIMESTAMP WITH TIME ZONE  creation of the last job that did not fail, before them; null: none was recorded
--  ended_at          TIMESTAMP WITH TIME ZONE  creation of the first that did not fail, after them; null: it still fails
--  last_failed_id    VARCHAR                   the last job of the streak
--
-- unique: org_id, job_type, operation, object, created_by_id, failing_since
--
-- One user's nightly and hourly jobs on one object are one series: the API knows no names of schedules.
-- A job ends a streak that did not fail as a job, also if some of its records failed, or if that is not known; of one
-- second, it comes first. Aborted, unfinished and undated jobs count for nothing. A streak can reach across a hole of coverage.
with ended as (
    select
        j.org_id,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.created_date,
        j.id,
        case when j.state = 'Failed' or d.lost then 1 else 0 end as failed
    from salesforce.query_jobs as j
    -- The outcomes "every record failed" and "unfinished" of the view jobs, told again here: these details are few, and
    -- joining all of them would take as long as all the rest.
    left join (
        select
            org_id,
            id,
            provisional is true as provisional,
            number_records_failed >= number_records_processed
                or (
                    number_batches_failed = number_batches_total
                    and coalesce(number_records_processed, 0) <= coalesce(number_records_failed, 0)
                ) as lost
        from salesforce.job_details
        where number_records_failed > 0 or number_batches_failed > 0 or provisional
    ) as d on d.org_id = j.org_id and d.id = j.id
    where j.created_date is not null
        and (j.state = 'Failed' or (j.state in ('JobComplete', 'Closed') and d.provisional is not true))
),
-- a number for each series that can have a streak: sorting by it is several times faster than by five texts
series as (
    select
        org_id,
        job_type,
        operation,
        object,
        created_by_id,
        row_number() over (order by org_id, job_type, operation, object, created_by_id) as series
    from ended
    group by 1, 2, 3, 4, 5
    having sum(failed) >= 2
),
members as (
    select
        s.series,
        e.created_date,
        e.id,
        e.failed,
        sum(1 - e.failed) over (partition by s.series order by e.created_date) as successes
    from ended as e
    inner join series as s
        on s.org_id = e.org_id
        and s.job_type is not distinct from e.job_type
        and s.operation is not distinct from e.operation
        and s.object is not distinct from e.object
        and s.created_by_id is not distinct from e.created_by_id
),
runs as (
    select
        series,
        successes,
        sum(failed) as failures,
        max(case when failed = 0 then created_date end) as last_success_at,
        min(case when failed = 1 then created_date end) as failing_since,
        max(case when failed = 1 then created_date end) as last_failure_at
    from members
    group by 1, 2
),
followed as (
    select *, lead(last_success_at) over (partition by series order by successes) as ended_at
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
        max(m.id) as last_failed_id
    from streaks as s
    inner join members as m on m.series = s.series and m.created_date = s.last_failure_at and m.failed = 1
    group by 1, 2, 3, 4, 5, 6
)
select
    s.org_id,
    case when s.operation in ('query', 'queryAll') then 'query' when s.operation is not null then 'load' end as kind,
    s.job_type,
    s.operation,
    s.object,
    s.created_by_id,
    coalesce(w.name, s.created_by_id) as created_by,
    b.failures,
    b.failing_since,
    b.last_failure_at,
    b.last_success_at,
    b.ended_at,
    b.last_failed_id
from bounded as b
inner join series as s on s.series = b.series
left join salesforce.users as w on w.org_id = s.org_id and w.id = s.created_by_id
