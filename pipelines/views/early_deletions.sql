-- One row per job that disappeared from its listing less than seven days after its creation: deleted before the org would remove it. Who deleted it is not known.
--
--  org_id          VARCHAR                   the org
--  id              VARCHAR                   the job
--  kind            VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type        VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic
--  operation       VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object          VARCHAR                   API name of the object
--  created_by      VARCHAR                   name of the user who created it; the id if the name is not known
--  created_date    TIMESTAMP WITH TIME ZONE  when it was created
--  state           VARCHAR                   the last state observed
--  last_listed_at  TIMESTAMP WITH TIME ZONE  the newest listing that showed it
--  unlisted_at     TIMESTAMP WITH TIME ZONE  the listing that no longer did; it was deleted in between
--  age_hours       DOUBLE                    its age at the end of that listing: it was deleted no later
--
-- unique: org_id, id
--
-- Left out are jobs that a later listing showed again, even a filtered one, and jobs that disappeared together with most others, which may be hidden: see reduced_views. Jobs that a client deletes at once are mostly never seen at all: unseen_jobs estimates those.
select
    u.org_id,
    u.id,
    j.kind,
    j.job_type,
    j.operation,
    j.object,
    coalesce(w.name, j.created_by_id) as created_by,
    j.created_date,
    u.state,
    u.last_listed_at,
    u.unlisted_at,
    date_diff('second', j.began_at, u.gone_by) / cast(3600 as double) as age_hours
from (
    select
        a.org_id,
        a.id,
        a.feed,
        a.state,
        a.last_listed_at,
        a.unlisted_at,
        coalesce(e.ended_at, a.unlisted_at) as gone_by
    from salesforce.unlisted_jobs as a
    left join salesforce.listing_ends as e on e.org_id = a.org_id and e.feed = a.feed and e.started_at = a.unlisted_at
    where a.listed_again_at is null and not coalesce(a.hidden, false)
) as u
inner join salesforce.dated_jobs as j on j.org_id = u.org_id and j.id = u.id and j.feed = u.feed and u.unlisted_at > j.shown_at
left join salesforce.user_names as w on w.org_id = j.org_id and w.id = j.created_by_id
where u.gone_by < j.began_at + interval '168' hour
