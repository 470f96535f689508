-- One row per series that runs at regular times: when it last ran, and by when it usually runs again.
--
--  org_id             VARCHAR                   the org
--  kind               VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type           VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation          VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object             VARCHAR                   API name of the object
--  created_by_id      VARCHAR                   the user; org, type, operation, object and user make the series
--  created_by         VARCHAR                   name of the user
--  rhythm             VARCHAR                   day: its hours recur from day to day; week: from week to week, as for what runs on working days or once a week
--  runs               BIGINT                    hours in which it ran, in the five weeks up to the last run
--  usual_pause_hours  DOUBLE                    average time between two of these
--  last_run_at        TIMESTAMP WITH TIME ZONE  creation of the last job, up to the feed's newest listing that proves coverage (recorded_feeds)
--  last_run_id        VARCHAR                   that job; if there are several in one second, the greatest id
--  expected_at        TIMESTAMP WITH TIME ZONE  start of the hour in which it usually runs next
--  expected_by        TIMESTAMP WITH TIME ZONE  when it counts as late: the end of that hour, plus one to six hours depending on its pauses, plus twice the spread of its times
--  is_missing         BOOLEAN                   whether the feed's newest listing that proves coverage is at or after expected_by, by less than a week
--  feed               VARCHAR                   the listing that shows them, query or ingest; see jobs
--
-- unique: org_id, job_type, operation, object, created_by_id
--
-- Regular means recurring: nine in ten of its hours have another run a day before (in the last 13 days, ten or more of them
-- covered) or a week before (in the last four weeks): in the same hour if pauses are shorter than eight hours, else within
-- one hour, two if they last a day, four from two days on; runs that people start at random recur less. The next run is
-- expected by the latest time at which it followed on ten or more earlier days, or in three or more earlier weeks; of four
-- or more, the very latest is ignored, so that a single late or skipped run does not become the rule. Left out are series
-- that last ran more than two weeks ago, that run monthly, at random or only since recently, whose jobs may be deleted
-- before a listing shows them (short_lived_jobs), and feeds without two covered weeks.
with record as (
    select
        org_id,
        feed,
        covered_to,
        date_diff('hour', timestamp '2000-01-01 00:00:00', covered_from at time zone 'UTC') + 1 as first_hour,
        date_diff('hour', timestamp '2000-01-01 00:00:00', covered_to at time zone 'UTC') as last_hour
    from salesforce.recorded_feeds
    where is_settled
),
recent as (
    select
        j.org_id,
        j.kind,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.began_at,
        date_diff('hour', timestamp '2000-01-01 00:00:00', j.began_at at time zone 'UTC') as hour,
        r.first_hour,
        j.feed
    from salesforce.dated_jobs as j
    inner join record as r on r.org_id = j.org_id and r.feed = j.feed
    where j.began_at > r.covered_to - interval '1176' hour and j.began_at <= r.covered_to
),
hourly as (
    select
        j.org_id,
        j.kind,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.hour,
        max(j.began_at) as last_at,
        max(j.feed) as feed
    from recent as j
    where j.hour >= j.first_hour
    group by 1, 2, 3, 4, 5, 6, 7
),
numbered as (
    select *, dense_rank() over (order by org_id, job_type, operation, object, created_by_id) as series
    from hourly
),
-- From here to the samples each row is an hour of a series, and windows compare it with the others: engines that
-- cannot tell how many rows there will be would join them one by one.
known as (
    select
        n.series,
        n.hour,
        r.first_hour as record_from,
        r.last_hour as record_to,
        max(n.hour) over (
            partition by n.series order by n.hour rows between unbounded preceding and unbounded following
        ) as last_hour
    from numbered as n
    inner join record as r on r.org_id = n.org_id and r.feed = n.feed
),
bounded as (
    select
        series,
        hour,
        last_hour,
        case when record_from > last_hour - 840 then record_from else last_hour - 840 end as first_hour
    from known
    where last_hour > record_to - 336
),
counted as (
    select
        *,
        count(*) over (
            partition by series order by hour rows between unbounded preceding and unbounded following
        ) as runs,
        min(hour) over (
            partition by series order by hour rows between unbounded preceding and unbounded following
        ) as least_hour,
        lag(hour) over (partition by series order by hour) as hour_before
    from bounded
    where hour >= first_hour
),
paced as (
    select *, cast(last_hour - least_hour as double) / (runs - 1) as pause
    from counted
    where runs >= 3
),
run_hours as (
    select
        *,
        case when pause < 8 then 0 when pause < 22 then 1 when pause < 48 then 2 else 4 end as slack,
        case when pause < 24 then 1 when pause >= 72 then 6 else cast(floor(pause / 12) as bigint) end as late
    from paced
),
rhythms as (
    select 'day' as rhythm, 24 as length, 312 as looks_back, 5 as least_hours, 13 as most_samples, 10 as least_samples
    union all
    select 'week' as rhythm, 168 as length, 672 as looks_back, 2 as least_hours, 4 as most_samples, 3 as least_samples
),
tested as (
    select h.series, y.rhythm, h.hour, y.least_hours, 1 as ran, 0 as recurred
    from run_hours as h
    cross join rhythms as y
    where h.hour > h.last_hour - y.looks_back and h.hour - y.length - h.slack >= h.first_hour
    union all
    select h.series, y.rhythm, h.hour + y.length + h.slack - d.n as hour, y.least_hours, 0 as ran, 1 as recurred
    from run_hours as h
    cross join rhythms as y
    inner join salesforce.numbers as d on d.n <= 8 and d.n <= 2 * h.slack
),
compared as (
    select series, rhythm, min(least_hours) as least_hours, max(recurred) as recurred
    from tested
    group by series, rhythm, hour
    having max(ran) = 1
),
rhythmic as (
    select series, rhythm
    from compared
    group by 1, 2
    having 10 * sum(recurred) >= 9 * count(*) and count(*) >= min(least_hours)
),
samples as (
    select
        h.series,
        y.rhythm,
        y.least_samples,
        k.n as nth,
        h.hour - (h.last_hour - k.n * y.length) as delay
    from rhythmic as c
    inner join run_hours as h on h.series = c.series
    inner join rhythms as y on y.rhythm = c.rhythm
    inner join salesforce.numbers as k on k.n between 1 and 13 and k.n <= y.most_samples
    where
        h.last_hour - k.n * y.length >= h.first_hour
        and k.n * y.length > h.pause / 2
        and h.hour > h.last_hour - k.n * y.length + h.pause / 2
        and (h.hour_before is null or h.hour_before <= h.last_hour - k.n * y.length + h.pause / 2)
),
ranked as (
    select
        series,
        rhythm,
        least_samples,
        delay,
        count(*) over (partition by series, rhythm) as samples,
        row_number() over (partition by series, rhythm order by delay, nth) as nth_least,
        row_number() over (partition by series, rhythm order by delay desc, nth) as nth_most
    from samples
),
expected as (
    select
        series,
        rhythm,
        max(case when samples < 4 or nth_most > 1 then delay end) as most,
        min(case when samples < 4 or nth_least > 1 then delay end) as least,
        row_number() over (partition by series order by rhythm) as nth
    from ranked
    where samples >= least_samples
    group by 1, 2
),
gaps as (
    select org_id, feed, max(gap) as longest_gap
    from (
        select
            l.org_id,
            l.feed,
            date_diff(
                'second', lag(l.listed_at) over (partition by l.org_id, l.feed order by l.listed_at), l.listed_at
            ) as gap
        from salesforce.complete_listings as l
        inner join salesforce.recorded_feeds as o on o.org_id = l.org_id and o.feed = l.feed
        where l.listed_at > o.covered_to - interval '1176' hour
    ) as g
    group by 1, 2
),
hidden as (
    select d.org_id, d.job_type, d.operation, d.object, d.created_by_id
    from salesforce.short_lived_jobs as d
    inner join gaps as g on g.org_id = d.org_id and g.feed = d.feed
    where d.hours * 3600 < g.longest_gap
),
timed as (
    select
        n.org_id,
        n.feed,
        n.kind,
        n.job_type,
        n.operation,
        n.object,
        n.created_by_id,
        e.rhythm,
        h.runs,
        h.pause,
        n.last_at,
        timestamp '2000-01-01 00:00:00' + (h.last_hour + e.most) * interval '1' hour as expected_at,
        timestamp '2000-01-01 00:00:00'
            + (h.last_hour + e.most + 1 + h.late + 2 * (e.most - e.least)) * interval '1' hour as expected_by
    from expected as e
    inner join run_hours as h on h.series = e.series and h.hour = h.last_hour
    inner join numbered as n on n.series = h.series and n.hour = h.hour
    where e.nth = 1
)
select
    t.org_id,
    t.kind,
    t.job_type,
    t.operation,
    t.object,
    t.created_by_id,
    coalesce(w.name, t.created_by_id) as created_by,
    t.rhythm,
    t.runs,
    t.pause as usual_pause_hours,
    t.last_at as last_run_at,
    max(j.id) as last_run_id,
    t.expected_at at time zone 'UTC' as expected_at,
    t.expected_by at time zone 'UTC' as expected_by,
    t.expected_by <= r.covered_to at time zone 'UTC'
        and t.expected_by + interval '168' hour > r.covered_to at time zone 'UTC' as is_missing,
    t.feed
from timed as t
inner join salesforce.recorded_feeds as r on r.org_id = t.org_id and r.feed = t.feed
inner join salesforce.dated_jobs as j
    on j.org_id = t.org_id and j.began_at = t.last_at and j.created_date = t.last_at
    and coalesce('=' || j.job_type, '') = coalesce('=' || t.job_type, '')
    and coalesce('=' || j.operation, '') = coalesce('=' || t.operation, '')
    and coalesce('=' || j.object, '') = coalesce('=' || t.object, '')
    and coalesce('=' || j.created_by_id, '') = coalesce('=' || t.created_by_id, '')
left join hidden as d
    on d.org_id = t.org_id
    and coalesce('=' || d.job_type, '') = coalesce('=' || t.job_type, '')
    and coalesce('=' || d.operation, '') = coalesce('=' || t.operation, '')
    and coalesce('=' || d.object, '') = coalesce('=' || t.object, '')
    and coalesce('=' || d.created_by_id, '') = coalesce('=' || t.created_by_id, '')
left join salesforce.user_names as w on w.org_id = t.org_id and w.id = t.created_by_id
where d.org_id is null
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16
