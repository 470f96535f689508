-- One row per job that had not ended at the newest listing: what runs, what is stuck, what was left open.
--
--  org_id          VARCHAR                   the org
--  id              VARCHAR                   the job
--  kind            VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type        VARCHAR                   V2Query, or Classic, which includes Classic loads
--  operation       VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object          VARCHAR                   API name of the object
--  created_by_id   VARCHAR                   the user who created it
--  created_by      VARCHAR                   name of the user who created it; the id where the name is not known
--  state           VARCHAR                   Open: left open, if no batch is to come; UploadComplete: waits; InProgress: runs; Closed: has batches to come; or one that is not documented
--  created_date    TIMESTAMP WITH TIME ZONE  when it was created
--  in_state_since  TIMESTAMP WITH TIME ZONE  the listing that first showed it in this state
--  as_of           TIMESTAMP WITH TIME ZONE  the org's newest complete, unfiltered listing; null without one, and so are the hours
--  age_hours       DOUBLE                    from its creation to as_of
--  hours_in_state  DOUBLE                    from in_state_since to as_of: it was in this state for at least as long
--
-- unique: org_id, id
--
-- A job that is listed no longer is not here, whatever its last state: see jobs, outcome "gone unfinished".
with newest as (
    select org_id, max(coalesce(restarted_at, started_at)) as as_of
    from salesforce.listings
    where filters = '{}'
    group by 1
),
running as (
    select l.*
    from salesforce.job_lifetimes as l
    left join (
        select d.org_id, d.id
        from salesforce.job_details as d
        left join (
            select org_id, id from salesforce.unlisted_jobs where state = 'Closed' and listed_again_at is null
        ) as u on u.org_id = d.org_id and u.id = d.id
        where d.provisional and u.id is null
    ) as p on p.org_id = l.org_id and p.id = l.id and l.state = 'Closed'
    left join (
        select org_id, id, unlisted_at from salesforce.unlisted_jobs where listed_again_at is null and hidden
    ) as h on h.org_id = l.org_id and h.id = l.id and not l.is_finished
    left join salesforce.query_jobs as j on j.org_id = l.org_id and j.id = l.id and h.unlisted_at > j.observed_at
    where (not l.is_finished and not l.is_gone and j.id is null) or p.id is not null
),
spans as (
    select s.org_id, s.id, s.nth, s.observed_at, s.state <> s.state_before or s.state_before is null as moved
    from salesforce.state_spans as s
    inner join running as r on r.org_id = s.org_id and r.id = s.id
),
entered as (
    select org_id, id, observed_at as in_state_since
    from (
        select org_id, id, observed_at, row_number() over (partition by org_id, id order by nth desc) as nth_last
        from spans
        where moved
    ) as m
    where nth_last = 1
)
select
    r.org_id,
    r.id,
    r.kind,
    r.job_type,
    r.operation,
    r.object,
    r.created_by_id,
    coalesce(w.name, r.created_by_id) as created_by,
    r.state,
    r.created_date,
    greatest(e.in_state_since, r.created_date) as in_state_since,
    n.as_of,
    case when r.created_date > n.as_of then 0.0
        else date_diff('second', r.created_date, n.as_of) / 3600.0 end as age_hours,
    case when greatest(e.in_state_since, r.created_date) > n.as_of then 0.0
        else date_diff('second', greatest(e.in_state_since, r.created_date), n.as_of) / 3600.0 end as hours_in_state
from running as r
left join entered as e on e.org_id = r.org_id and e.id = r.id
left join newest as n on n.org_id = r.org_id
left join salesforce.users as w on w.org_id = r.org_id and w.id = r.created_by_id
