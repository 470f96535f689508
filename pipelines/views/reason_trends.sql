-- One row per series and reason for which records of its loads failed in the last seven days: how many, whether it is new, and how it was in the weeks before.
--
--  org_id                  VARCHAR                   the org
--  job_type                VARCHAR                   V2Ingest, BigObjectIngest, or Classic
--  operation               VARCHAR                   insert, update, upsert, delete, hardDelete
--  object                  VARCHAR                   API name of the object
--  created_by_id           VARCHAR                   the user; org, type, operation, object and user make the series
--  created_by              VARCHAR                   name of the user; the id if the name is not known
--  reason                  VARCHAR                   hash of the next three; see record_errors
--  error_code              VARCHAR                   Salesforce's code, such as UNABLE_TO_LOCK_ROW; null: none was given
--  fields                  VARCHAR                   API names of the fields concerned, separated by commas; null: none was given
--  message                 VARCHAR                   the message without any value of a record; null: not recognized
--  retryable               BOOLEAN                   whether sending the records again may succeed
--  covered_to              TIMESTAMP WITH TIME ZONE  the newest listing of the feed that proves coverage (recorded_feeds): the seven days end with it
--  first_at                TIMESTAMP WITH TIME ZONE  creation of the series' first load whose records failed for it, however long ago
--  last_at                 TIMESTAMP WITH TIME ZONE  creation of the last one
--  last_id                 VARCHAR                   that load
--  jobs                    BIGINT                    loads of the seven days of which some records failed for it
--  records                 BIGINT                    records that failed for it in them
--  sustained_records       BIGINT                    these without those of the load with the most of them, which may have been a single bad file
--  records_processed       BIGINT                    records of all the series' loads of the seven days whose reasons are known, including failed ones
--  records_percent         DOUBLE                    records in percent of records_processed
--  sustained_percent       DOUBLE                    sustained_records in percent of records_processed
--  weeks_before            BIGINT                    how many of the four times seven days before have such loads
--  most_records_before     BIGINT                    the most records that failed for it in one of these weeks; null if there is none
--  highest_percent_before  DOUBLE                    the highest share of one of these weeks; null if there is none
--  is_comparable           BOOLEAN                   whether the weeks before show what is usual: two of them count, the reason is known for more than a week before the seven days, and the feed's coverage spans two weeks
--  is_new                  BOOLEAN                   whether first_at is in the seven days, and it is not an old reason with another text; null: not known
--  replaces                VARCHAR                   a reason of the series that ended within the seven days before this one began, and had a similar share (a third to three times as much) in the loads in which it occurred: the same cause may have been given another code or text, as in a new release; if there are several, the greatest hash
--  feed                    VARCHAR                   the listing that shows the loads, query or ingest; see jobs
--
-- unique: org_id, job_type, operation, object, created_by_id, reason
--
-- Loads of which every record failed count for first_at, last_at and is_new only: failures has these. Reasons of a load are known
-- if none of its records failed, or its results were read, at least in part. is_new needs two weeks of coverage, and of the series,
-- in the four weeks before first_at, three loads whose reasons are known, one of them a week before; and they must be known of half
-- of all its loads, and of half of those with failures. A reason is not new if one with the same code and fields was there before,
-- and one of the two has no message: whether a text is kept is a setting, and a new version may recognize more of them.
with loads as (
    select
        j.org_id,
        j.feed,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.id,
        j.began_at,
        r.covered_to,
        r.is_settled,
        cast(floor(date_diff('second', j.began_at, r.covered_to) / cast(604800 as double)) as bigint) as week,
        d.number_records_processed as size,
        case when j.outcome = 'every record failed' then 0 else 1 end as counted,
        case
            when d.results_outcome = 'read' then 1
            when d.results_outcome like 'first %' and d.results_outcome not like 'first 0%' then 1
            when d.outcome = 'answered' and not coalesce(d.provisional, false)
                and d.number_records_failed = 0 and coalesce(d.number_batches_failed, 0) = 0
                then 1
            else 0
        end as known,
        -- whose reasons are there to be read
        case
            when d.outcome = 'answered' and (d.number_records_failed > 0 or d.number_batches_failed > 0) then 1
            else 0
        end as failing
    from salesforce.job_outcomes as j
    inner join salesforce.recorded_feeds as r on r.org_id = j.org_id and r.feed = j.feed
    left join salesforce.job_details as d on d.org_id = j.org_id and d.id = j.id
    where j.kind = 'load' and j.is_finished and j.began_at <= r.covered_to
),
-- a number for each series with a reason in the seven days
series as (
    select
        l.org_id,
        l.job_type,
        l.operation,
        l.object,
        l.created_by_id,
        max(l.feed) as feed,
        row_number() over (order by l.org_id, l.job_type, l.operation, l.object, l.created_by_id) as series
    from loads as l
    inner join salesforce.record_errors as e on e.org_id = l.org_id and e.id = l.id
    where l.week = 0 and l.counted = 1 and e.records > 0
    group by 1, 2, 3, 4, 5
),
members as (
    select s.series, l.org_id, l.id, l.began_at, l.covered_to, l.is_settled, l.week, l.size, l.counted, l.known, l.failing
    from loads as l
    inner join series as s
        on s.org_id = l.org_id
        and coalesce('=' || s.job_type, '') = coalesce('=' || l.job_type, '')
        and coalesce('=' || s.operation, '') = coalesce('=' || l.operation, '')
        and coalesce('=' || s.object, '') = coalesce('=' || l.object, '')
        and coalesce('=' || s.created_by_id, '') = coalesce('=' || l.created_by_id, '')
),
seen as (
    select
        m.series,
        m.id,
        m.began_at,
        m.covered_to,
        m.is_settled,
        m.week,
        m.size,
        m.counted,
        e.reason,
        e.error_code,
        e.fields,
        e.message,
        e.retryable,
        e.records as failed,
        row_number() over (partition by m.series, e.reason order by m.began_at desc, m.id desc) as newest_first
    from members as m
    inner join salesforce.record_errors as e on e.org_id = m.org_id and e.id = m.id
    where e.level = 'record' and e.records > 0
),
reasons as (
    select
        series,
        reason,
        max(error_code) as error_code,
        max(fields) as fields,
        max(message) as message,
        max(case when retryable then 1 else 0 end) as retryable,
        max(covered_to) as covered_to,
        max(case when is_settled then 1 else 0 end) as settled,
        min(began_at) as first_at,
        max(began_at) as last_at,
        max(case when newest_first = 1 then id end) as last_id,
        sum(case when week = 0 then counted else 0 end) as jobs,
        sum(case when week = 0 and counted = 1 then failed else 0 end) as records,
        max(case when week = 0 and counted = 1 then failed end) as most_in_a_job,
        cast(sum(failed) as double) / nullif(sum(size), 0) as share_in_its_loads
    from seen
    group by 1, 2
),
weeks as (
    select series, week, cast(coalesce(sum(size), 0) as bigint) as processed
    from members
    where known = 1 and counted = 1 and week <= 4
    group by 1, 2
),
reason_weeks as (
    select series, reason, week, sum(failed) as records
    from seen
    where counted = 1 and week <= 4
    group by 1, 2, 3
),
-- zero in a week with loads in which no record failed for the reason
by_week as (
    select r.series, r.reason, w.week, w.processed, coalesce(f.records, 0) as records
    from reasons as r
    inner join weeks as w on w.series = r.series and w.processed > 0
    left join reason_weeks as f on f.series = r.series and f.reason = r.reason and f.week = w.week
    where r.jobs > 0
),
trends as (
    select
        series,
        reason,
        max(case when week = 0 then processed end) as processed_lately,
        sum(case when week > 0 then 1 else 0 end) as weeks_before,
        max(case when week > 0 then records end) as most_records_before,
        max(case when week > 0 then 100 * cast(records as double) / processed end) as highest_percent_before
    from by_week
    group by 1, 2
),
begun as (
    select series, reason, error_code, fields, message, first_at, share_in_its_loads, settled
    from reasons
    where first_at > covered_to - interval '168' hour
),
-- what is known of the series before a reason began
known_before as (
    select
        b.series,
        b.reason,
        sum(m.known) as known,
        sum(1 - m.known) as unknown,
        sum(m.failing * m.known) as failing_known,
        sum(m.failing * (1 - m.known)) as failing_unknown,
        min(case when m.known = 1 then m.began_at end) as known_from
    from begun as b
    inner join members as m
        on m.series = b.series and m.began_at < b.first_at and m.began_at >= b.first_at - interval '672' hour
    group by 1, 2
),
alike as (
    select distinct b.series, b.reason
    from begun as b
    inner join reasons as o
        on o.series = b.series
        and o.first_at < b.first_at
        and coalesce('=' || o.error_code, '') = coalesce('=' || b.error_code, '')
        and coalesce('=' || o.fields, '') = coalesce('=' || b.fields, '')
        and (o.message is null or b.message is null)
),
replaced as (
    select b.series, b.reason, max(o.reason) as replaces
    from begun as b
    inner join reasons as o
        on o.series = b.series
        and o.last_at < b.first_at
        and o.last_at >= b.first_at - interval '168' hour
        and o.share_in_its_loads <= 3 * b.share_in_its_loads
        and b.share_in_its_loads <= 3 * o.share_in_its_loads
    group by 1, 2
)
select
    s.org_id,
    s.job_type,
    s.operation,
    s.object,
    s.created_by_id,
    coalesce(w.name, s.created_by_id) as created_by,
    r.reason,
    r.error_code,
    r.fields,
    r.message,
    r.retryable = 1 as retryable,
    r.covered_to,
    r.first_at,
    r.last_at,
    r.last_id,
    cast(r.jobs as bigint) as jobs,
    cast(r.records as bigint) as records,
    cast(r.records - r.most_in_a_job as bigint) as sustained_records,
    coalesce(t.processed_lately, 0) as records_processed,
    100 * cast(r.records as double) / nullif(t.processed_lately, 0) as records_percent,
    100 * cast(r.records - r.most_in_a_job as double) / nullif(t.processed_lately, 0) as sustained_percent,
    cast(coalesce(t.weeks_before, 0) as bigint) as weeks_before,
    cast(t.most_records_before as bigint) as most_records_before,
    t.highest_percent_before,
    r.settled = 1 and coalesce(t.weeks_before, 0) >= 2 and r.first_at <= r.covered_to - interval '336' hour as is_comparable,
    case
        when b.reason is null or a.reason is not null or p.replaces is not null then false
        when b.settled = 1 and k.known >= 3 and k.unknown <= k.known and k.failing_unknown <= k.failing_known
            and k.known_from <= b.first_at - interval '168' hour
            then true
    end as is_new,
    p.replaces,
    s.feed
from reasons as r
inner join series as s on s.series = r.series
left join trends as t on t.series = r.series and t.reason = r.reason
left join begun as b on b.series = r.series and b.reason = r.reason
left join known_before as k on k.series = r.series and k.reason = r.reason
left join alike as a on a.series = r.series and a.reason = r.reason
left join replaced as p on p.series = r.series and p.reason = r.reason
left join salesforce.user_names as w on w.org_id = s.org_id and w.id = s.created_by_id
where r.jobs > 0
