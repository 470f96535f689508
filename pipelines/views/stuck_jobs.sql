-- One row per job that had not ended at the newest listing: what runs, what is stuck, what was left open.
--
--  org_id          VARCHAR                   the org
--  id              VARCHAR                   the job
--  kind            VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type        VARCHAR                   V2Query, or Classic, which includes Classic loads
--  operation       VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object          VARCHAR                   API name of the object
--  created_by      VARCHAR                   name of the user who created it; the id where the name is not known
--  state           VARCHAR                   Open: left open, if no batch is to come; UploadComplete: waits; InProgress: runs
--  created_date    TIMESTAMP WITH TIME ZONE  when it was created
--  in_state_since  TIMESTAMP WITH TIME ZONE  the listing that first showed it in this state
--  as_of           TIMESTAMP WITH TIME ZONE  the org's newest complete listing
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
    select *
    from salesforce.job_lifetimes
    where not is_finished and not is_gone
),
entered as (
    select s.org_id, s.id, s.state, min(s.observed_at) as in_state_since
    from salesforce.query_job_states as s
    inner join running as r on r.org_id = s.org_id and r.id = s.id and r.state = s.state
    group by 1, 2, 3
)
select
    r.org_id,
    r.id,
    r.kind,
    r.job_type,
    r.operation,
    r.object,
    coalesce(w.name, r.created_by_id) as created_by,
    r.state,
    r.created_date,
    e.in_state_since,
    n.as_of,
    date_diff('second', r.created_date, n.as_of) / 3600.0 as age_hours,
    date_diff('second', e.in_state_since, n.as_of) / 3600.0 as hours_in_state
from running as r
left join entered as e on e.org_id = r.org_id and e.id = r.id
left join newest as n on n.org_id = r.org_id
left join salesforce.users as w on w.org_id = r.org_id and w.id = r.created_by_id
