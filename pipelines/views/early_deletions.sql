-- One row per job that went from the listing at less than seven days of age: deleted by somebody before the org would have.
--
--  org_id          VARCHAR                   the org
--  id              VARCHAR                   the job
--  kind            VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type        VARCHAR                   V2Query, or Classic
--  operation       VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object          VARCHAR                   API name of the object
--  created_by      VARCHAR                   name of the user who created it; the id where the name is not known
--  created_date    TIMESTAMP WITH TIME ZONE  when it was created
--  state           VARCHAR                   the last state that was observed
--  last_listed_at  TIMESTAMP WITH TIME ZONE  the newest listing that showed it
--  unlisted_at     TIMESTAMP WITH TIME ZONE  the listing that no longer did; it was deleted in between
--  age_hours       DOUBLE                    its age at unlisted_at: it was deleted at no greater age
--
-- unique: org_id, id
--
-- Jobs that were lost with most others at once may be hidden, and are not here: see reduced_views. Of jobs that their owner deletes at once, most are never seen at all: unseen_jobs estimates those.
select
    u.org_id,
    u.id,
    case when j.operation in ('query', 'queryAll') then 'query' when j.operation is not null then 'load' end as kind,
    j.job_type,
    j.operation,
    j.object,
    coalesce(w.name, j.created_by_id) as created_by,
    j.created_date,
    u.state,
    u.last_listed_at,
    u.unlisted_at,
    date_diff('second', j.created_date, u.unlisted_at) / 3600.0 as age_hours
from salesforce.unlisted_jobs as u
inner join salesforce.query_jobs as j on j.org_id = u.org_id and j.id = u.id
left join salesforce.users as w on w.org_id = j.org_id and w.id = j.created_by_id
where u.listed_again_at is null and u.hidden is not true and u.unlisted_at < j.created_date + interval '168' hour
