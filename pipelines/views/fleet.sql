-- One row per recorded org: all of them at a glance, each as of its own newest complete listing.
--
--  org_id               VARCHAR                   the org
--  name                 VARCHAR                   the name to show; see recorded_orgs.display_name
--  configured_name      VARCHAR                   NAME of its [orgs.NAME] in the settings; null if it has none
--  own_name             VARCHAR                   the company's name in Setup; null if it is not known
--  is_sandbox           BOOLEAN                   whether it is a sandbox; null if that is not known
--  left_settings_at     TIMESTAMP WITH TIME ZONE  when a load first found that the settings no longer name it; null: they do, or never did
--  as_of                TIMESTAMP WITH TIME ZONE  its newest complete listing, of either feed; the other columns are as of then
--  hours_behind         DOUBLE                    how long as_of is before the newest complete listing of any org; null if it was removed from the settings
--  usual_gap_hours      DOUBLE                    its usual time between two listings; see org_rhythms
--  is_silent            BOOLEAN                   whether it has gone silent while others are recorded: more than a day behind, and more than one and a half times its usual gap
--  covered_from         TIMESTAMP WITH TIME ZONE  since when the record is complete without a gap; null if nothing proves it
--  jobs                 BIGINT                    jobs created in the last seven days before as_of
--  jobs_before          BIGINT                    and in the seven days before these
--  failed_jobs          BIGINT                    of jobs, those that failed or lost every record
--  failed_jobs_before   BIGINT                    of jobs_before, the same
--  records_failed       BIGINT                    records that failed in jobs; null if the org gave no count of any of them
--  records_failed_before  BIGINT                  records that failed in jobs_before; null in the same way
--  main_reason          VARCHAR                   the reason that most of the jobs with failures share: code, fields and text, as far as known; null if none is
--  main_reason_jobs     BIGINT                    jobs in which it occurs
--  failing_series       BIGINT                    series that failed three or more times in a row, and still run; see failure_streaks
--  stuck_jobs           BIGINT                    jobs that have not ended within a day; see stuck_jobs
--  worst_limit          VARCHAR                   the org's limit that was closest to being used up in these seven days; null if none was read
--  worst_limit_percent  DOUBLE                    how much of it was used then, in percent
--  worst_limit_at       TIMESTAMP WITH TIME ZONE  when that was
--
-- unique: org_id
--
-- An org that has gone silent is shown as it was last recorded. One whose listings all fail from the start has no row: nothing is recorded of it.
with orgs as (
    select
        r.org_id,
        r.display_name,
        r.configured_name,
        o.name as own_name,
        o.is_sandbox,
        r.left_settings_at,
        r.as_of,
        y.hours_behind,
        y.usual_gap_hours,
        y.is_silent,
        r.covered_from
    from salesforce.recorded_orgs as r
    inner join salesforce.org_rhythms as y on y.org_id = r.org_id
    left join salesforce.orgs as o on o.org_id = r.org_id
),
recent as (
    select
        j.org_id,
        j.id,
        case when j.created_date > o.as_of - interval '168' hour then 1 else 0 end as is_last,
        case when j.outcome in ('failed', 'every record failed') then 1 else 0 end as is_failed,
        j.records_failed,
        j.error_code,
        j.error_template,
        j.outcome
    from salesforce.jobs as j
    inner join orgs as o on o.org_id = j.org_id
    where j.created_date > o.as_of - interval '336' hour
        -- the clocks of an org's servers may differ by five minutes; what is later has no readable date
        and j.created_date <= o.as_of + interval '5' minute
),
counted as (
    select
        org_id,
        cast(sum(is_last) as bigint) as jobs,
        cast(sum(1 - is_last) as bigint) as jobs_before,
        cast(sum(is_last * is_failed) as bigint) as failed_jobs,
        cast(sum((1 - is_last) * is_failed) as bigint) as failed_before,
        cast(sum(case when is_last = 1 then r.records_failed end) as bigint) as lost,
        cast(sum(case when is_last = 0 then r.records_failed end) as bigint) as lost_before
    from recent as r
    group by 1
),
reasons as (
    select r.org_id, r.id, e.error_code, e.fields, e.message
    from recent as r
    inner join salesforce.record_errors as e on e.org_id = r.org_id and e.id = r.id
    where r.is_last = 1 and e.level <> 'job' and (e.records > 0 or e.batches > 0)
    union all
    select
        org_id,
        id,
        error_code,
        null as fields,
        -- without the code that it begins with, once or twice, as in the column error
        case
            when strpos(error_template, error_code || ' : ' || error_code || ' : ') = 1
                then substr(error_template, length(error_code) * 2 + 7)
            when strpos(error_template, error_code || ' : ') = 1
                then substr(error_template, length(error_code) + 4)
            else error_template
        end as message
    from recent
    where is_last = 1 and is_failed = 1 and (error_code is not null or error_template is not null)
),
ranked as (
    select
        org_id,
        reason,
        jobs,
        row_number() over (partition by org_id order by jobs desc, reason) as nth
    from (
        select org_id, reason, count(distinct id) as jobs
        from (
            select
                org_id,
                id,
                case
                    when error_code is null and fields is null then message
                    else coalesce(error_code, 'no code') || coalesce(' on ' || fields, '') || coalesce(': ' || message, '')
                end as reason
            from reasons
        ) as w
        group by 1, 2
    ) as g
),
series as (
    select org_id, count(*) as failing
    from salesforce.failure_streaks
    where is_ongoing and failures >= 3
    group by 1
),
stuck as (
    select org_id, count(*) as jobs
    from salesforce.stuck_jobs
    where coalesce(age_hours, hours_in_state) >= 24 and (state <> 'Closed' or kind = 'load')
    group by 1
),
limits as (
    select
        l.org_id,
        l.limit_name,
        l.used_percent,
        l.read_at,
        row_number() over (partition by l.org_id order by l.used_percent desc, l.read_at desc, l.limit_name) as nth
    from salesforce.limit_readings as l
    inner join orgs as o on o.org_id = l.org_id and l.read_at > o.as_of - interval '168' hour
    where l.app = '' and l.used_percent is not null
)
select
    o.org_id,
    o.display_name as name,
    o.configured_name,
    o.own_name,
    o.is_sandbox,
    o.left_settings_at,
    o.as_of,
    o.hours_behind,
    o.usual_gap_hours,
    o.is_silent,
    o.covered_from,
    coalesce(c.jobs, 0) as jobs,
    coalesce(c.jobs_before, 0) as jobs_before,
    coalesce(c.failed_jobs, 0) as failed_jobs,
    coalesce(c.failed_before, 0) as failed_jobs_before,
    c.lost as records_failed,
    c.lost_before as records_failed_before,
    m.reason as main_reason,
    m.jobs as main_reason_jobs,
    coalesce(f.failing, 0) as failing_series,
    coalesce(s.jobs, 0) as stuck_jobs,
    w.limit_name as worst_limit,
    w.used_percent as worst_limit_percent,
    w.read_at as worst_limit_at
from orgs as o
left join counted as c on c.org_id = o.org_id
left join ranked as m on m.org_id = o.org_id and m.nth = 1
left join series as f on f.org_id = o.org_id
left join stuck as s on s.org_id = o.org_id
left join limits as w on w.org_id = o.org_id and w.nth = 1
