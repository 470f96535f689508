-- One row per series whose jobs are usually deleted before the org would remove them: how long they can be listed.
--
--  org_id         VARCHAR  the org
--  kind           VARCHAR  query: reads records out of the org; load: writes or deletes
--  job_type       VARCHAR  V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation      VARCHAR  query, queryAll, insert, update, upsert, delete, hardDelete
--  object         VARCHAR  API name of the object
--  created_by_id  VARCHAR  the user; org, type, operation, object and user make the series
--  jobs           BIGINT   jobs of the eight weeks before the feed's as_of (recorded_feeds)
--  deleted        BIGINT   of these, deleted early: half of them or more
--  hours          DOUBLE   median lifetime of the deleted ones: each counts as deleted halfway between the last listing that showed it and the first that did not
--  feed           VARCHAR  the listing that shows them, query or ingest; see jobs
--
-- unique: org_id, job_type, operation, object, created_by_id
--
-- Jobs of such a series may have appeared and vanished between two listings that were further apart than these hours: if
-- none was seen there, some may still have run. Coverage assumes that no jobs are deleted.
with recent as (
    select j.org_id, j.id, j.kind, j.job_type, j.operation, j.object, j.created_by_id, j.began_at, j.shown_at, j.feed
    from salesforce.dated_jobs as j
    inner join salesforce.recorded_feeds as o on o.org_id = j.org_id and o.feed = j.feed
    where j.began_at > o.as_of - interval '1344' hour
),
-- not from early_deletions, which reads all jobs a second time
gone as (
    select
        org_id,
        job_type,
        operation,
        object,
        created_by_id,
        (
            date_diff('second', began_at, case when last_listed_at > began_at then last_listed_at else began_at end)
            + age_hours * 3600
        ) / cast(7200 as double) as hours
    from (
        select
            r.org_id,
            r.job_type,
            r.operation,
            r.object,
            r.created_by_id,
            r.began_at,
            u.last_listed_at,
            date_diff('second', r.began_at, coalesce(e.ended_at, u.unlisted_at)) / cast(3600 as double) as age_hours
        from salesforce.unlisted_jobs as u
        inner join recent as r
            on r.org_id = u.org_id and r.id = u.id and r.feed = u.feed and r.shown_at < u.unlisted_at
        left join salesforce.listing_ends as e on e.org_id = u.org_id and e.feed = u.feed and e.started_at = u.unlisted_at
        where u.listed_again_at is null
            and not coalesce(u.hidden, false)
            and u.unlisted_at < r.began_at + interval '168' hour
            and coalesce(e.ended_at, u.unlisted_at) < r.began_at + interval '168' hour
    ) as g
),
ranked as (
    select
        org_id,
        job_type,
        operation,
        object,
        created_by_id,
        hours,
        row_number() over (partition by org_id, job_type, operation, object, created_by_id order by hours) as nth,
        count(*) over (partition by org_id, job_type, operation, object, created_by_id) as siblings
    from gone
),
lives as (
    select
        org_id,
        job_type,
        operation,
        object,
        created_by_id,
        max(siblings) as deleted,
        avg(case when 2 * nth between siblings and siblings + 2 then hours end) as hours
    from ranked
    group by 1, 2, 3, 4, 5
),
series as (
    select org_id, kind, job_type, operation, object, created_by_id, count(*) as jobs, max(feed) as feed
    from recent
    group by 1, 2, 3, 4, 5, 6
)
select
    s.org_id,
    s.kind,
    s.job_type,
    s.operation,
    s.object,
    s.created_by_id,
    s.jobs,
    v.deleted,
    v.hours,
    s.feed
from series as s
inner join lives as v
    on v.org_id = s.org_id
    and coalesce('=' || v.job_type, '') = coalesce('=' || s.job_type, '')
    and coalesce('=' || v.operation, '') = coalesce('=' || s.operation, '')
    and coalesce('=' || v.object, '') = coalesce('=' || s.object, '')
    and coalesce('=' || v.created_by_id, '') = coalesce('=' || s.created_by_id, '')
where 2 * v.deleted >= s.jobs
