-- One row per series with recently ended jobs: how many of them failed, and how many records of the others.
--
--  org_id             VARCHAR                   the org
--  kind               VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation          VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object             VARCHAR                   API name of the object
--  created_by_id      VARCHAR                   the user; org, type, operation, object and user make the series
--  created_by         VARCHAR                   name of the user
--  covered_to         TIMESTAMP WITH TIME ZONE  the newest listing of its feed that proves coverage (recorded_feeds): jobs created later do not count
--  since              TIMESTAMP WITH TIME ZONE  creation of the first job that counts
--  jobs               BIGINT                    jobs that ended, of the seven days before covered_to; if these have fewer than seven jobs, the last seven jobs of four weeks
--  jobs_failed        BIGINT                    of these, failed as a job
--  jobs_lost          BIGINT                    of these, Closed or JobComplete although every record failed
--  first_failure_at   TIMESTAMP WITH TIME ZONE  creation of the first of jobs_failed
--  last_failure_at    TIMESTAMP WITH TIME ZONE  creation of the last of them
--  is_failing         BOOLEAN                   whether last_failure_at is at most a day before covered_to, or at most three times the usual pause between two jobs
--  jobs_counted       BIGINT                    of `jobs`, those that neither failed nor lost all records, and whose records the org counted
--  records_processed  BIGINT                    records of these, including failed ones
--  records_failed     BIGINT                    of these, failed
--  first_loss_at      TIMESTAMP WITH TIME ZONE  creation of the first job that lost some
--  last_loss_at       TIMESTAMP WITH TIME ZONE  creation of the last job that lost some
--  is_losing          BOOLEAN                   like is_failing, but for last_loss_at
--  jobs_percent       DOUBLE                    jobs_failed in percent of jobs
--  records_percent    DOUBLE                    records_failed in percent of records_processed; 0 if none was processed
--  feed               VARCHAR                   the listing that shows them, query or ingest; see jobs
--
-- unique: org_id, job_type, operation, object, created_by_id
--
-- Only covered time counts: since the beginning of the coverage that extends to covered_to. Aborted and unfinished jobs,
-- and those without a plausible date, are ignored.
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
        r.covered_to,
        j.outcome,
        j.records_processed as processed,
        j.records_failed as failed,
        row_number() over (
            partition by j.org_id, j.job_type, j.operation, j.object, j.created_by_id order by j.began_at desc, j.id
        ) as nth_last
    from salesforce.job_outcomes as j
    inner join salesforce.recorded_feeds as r on r.org_id = j.org_id and r.feed = j.feed
    where j.began_at > r.covered_to - interval '672' hour and j.began_at <= r.covered_to
        and j.began_at >= r.covered_from and j.is_failure is not null
),
counted as (
    select
        *,
        outcome not in ('failed', 'every record failed') and processed is not null and failed is not null as is_counted
    from ended
    where nth_last <= 7 or began_at > covered_to - interval '168' hour
),
series as (
    select
        org_id,
        kind,
        job_type,
        operation,
        object,
        created_by_id,
        max(covered_to) as covered_to,
        max(feed) as feed,
        min(began_at) as since,
        count(*) as jobs,
        cast(sum(case when outcome = 'failed' then 1 else 0 end) as bigint) as jobs_failed,
        cast(sum(case when outcome = 'every record failed' then 1 else 0 end) as bigint) as jobs_lost,
        min(case when outcome = 'failed' then began_at end) as first_failure_at,
        max(case when outcome = 'failed' then began_at end) as last_failure_at,
        cast(sum(case when is_counted then 1 else 0 end) as bigint) as jobs_counted,
        cast(coalesce(sum(case when is_counted then processed end), 0) as bigint) as records_processed,
        cast(coalesce(sum(case when is_counted then failed end), 0) as bigint) as records_failed,
        min(case when is_counted and failed > 0 then began_at end) as first_loss_at,
        max(case when is_counted and failed > 0 then began_at end) as last_loss_at,
        case when count(*) > 1 then 3 * date_diff('second', min(began_at), max(began_at)) / cast(count(*) - 1 as double) end as silence
    from counted
    group by 1, 2, 3, 4, 5, 6
)
select
    s.org_id,
    s.kind,
    s.job_type,
    s.operation,
    s.object,
    s.created_by_id,
    coalesce(w.name, s.created_by_id) as created_by,
    s.covered_to,
    s.since,
    s.jobs,
    s.jobs_failed,
    s.jobs_lost,
    s.first_failure_at,
    s.last_failure_at,
    coalesce(
        date_diff('second', s.last_failure_at, s.covered_to) <= case when s.silence > 86400 then s.silence else 86400 end,
        false
    ) as is_failing,
    s.jobs_counted,
    s.records_processed,
    s.records_failed,
    s.first_loss_at,
    s.last_loss_at,
    coalesce(
        date_diff('second', s.last_loss_at, s.covered_to) <= case when s.silence > 86400 then s.silence else 86400 end,
        false
    ) as is_losing,
    100 * cast(s.jobs_failed as double) / s.jobs as jobs_percent,
    coalesce(100 * cast(s.records_failed as double) / nullif(s.records_processed, 0), 0) as records_percent,
    s.feed
from series as s
left join salesforce.user_names as w on w.org_id = s.org_id and w.id = s.created_by_id
