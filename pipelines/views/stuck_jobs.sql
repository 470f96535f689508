-- One row per job that, as last known, had not ended: it is running, stuck, or was left open.
--
--  org_id          VARCHAR                   the org
--  id              VARCHAR                   the job
--  kind            VARCHAR                   query: reads records out of the org; load: writes or deletes
--  job_type        VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation       VARCHAR                   query, queryAll, insert, update, upsert, delete, hardDelete
--  object          VARCHAR                   API name of the object
--  created_by_id   VARCHAR                   the user who created it
--  created_by      VARCHAR                   name of the user who created it; the id if the name is not known
--  state           VARCHAR                   Open: left open, unless data or batches are still to come; UploadComplete: waiting; InProgress: running; Closed: has batches to come; or an undocumented state
--  created_date    TIMESTAMP WITH TIME ZONE  when it was created
--  in_state_since  TIMESTAMP WITH TIME ZONE  end of the listing that first showed it in this state; null if it returned to it unseen, without a new system_modstamp
--  as_of           TIMESTAMP WITH TIME ZONE  when it was last known to be so: the newest complete listing of its feed; for a Closed job, when its details were last fetched; null if there is none, and so are the hours
--  age_hours       DOUBLE                    from its creation to as_of; null if its creation is not plausible (all_jobs.began_at)
--  hours_in_state  DOUBLE                    from in_state_since to as_of: it was in this state for at least as long
--  feed            VARCHAR                   the listing that shows it, query or ingest; see jobs
--
-- unique: org_id, id
--
-- A job that is no longer listed is left out, whatever its last state: see jobs, outcome "gone unfinished".
with running as (
    select
        j.org_id,
        j.id,
        j.feed,
        j.kind,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.created_date,
        j.began_at,
        j.state,
        n.listed_at as as_of,
        j.outcome_as_of
    from salesforce.job_outcomes as j
    left join salesforce.newest_listings as n on n.org_id = j.org_id and n.feed = j.feed
    where j.hidden_since is null
        and (j.outcome = 'unfinished' or (j.outcome is null and not j.is_finished and not j.is_gone))
),
entered as (
    select
        s.org_id,
        s.id,
        max(case when s.left_at is null then s.state end) as state,
        max(case when s.state_before is null or s.state <> s.state_before then s.observed_by end) as since
    from salesforce.state_spans as s
    inner join running as r on r.org_id = s.org_id and r.id = s.id
    group by 1, 2
),
timed as (
    select
        r.org_id,
        r.id,
        r.began_at,
        case when r.as_of is not null then r.outcome_as_of end as as_of,
        case when e.state = r.state then case when r.began_at > e.since then r.began_at else e.since end end as since
    from running as r
    left join entered as e on e.org_id = r.org_id and e.id = r.id
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
    t.since as in_state_since,
    t.as_of,
    case when t.began_at > t.as_of then 0.0
        else date_diff('second', t.began_at, t.as_of) / cast(3600 as double) end as age_hours,
    case when t.since > t.as_of then 0.0
        else date_diff('second', t.since, t.as_of) / cast(3600 as double) end as hours_in_state,
    r.feed
from running as r
inner join timed as t on t.org_id = r.org_id and t.id = r.id
left join salesforce.user_names as w on w.org_id = r.org_id and w.id = r.created_by_id
