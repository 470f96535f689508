-- One row per job: from its creation to its end, as far as listings show.
--
--  org_id         VARCHAR                   the org
--  id             VARCHAR                   the job, 18 characters; Setup and event logs show the first 15
--  kind           VARCHAR                   query: reads records out of the org; load: anything else, which writes or deletes; null if operation is
--  job_type       VARCHAR                   V2Query, V2Ingest, BigObjectIngest, or Classic, which includes Classic loads
--  operation      VARCHAR                   as in query_jobs and ingest_jobs
--  object         VARCHAR                   API name of the object
--  created_by_id  VARCHAR                   the user who created it
--  created_date   TIMESTAMP WITH TIME ZONE  when it was created
--  state          VARCHAR                   newest state observed
--  api_version    DOUBLE                    API version that created it
--  is_finished    BOOLEAN                   whether that state is final: JobComplete, Failed, Aborted or Closed
--  is_gone        BOOLEAN                   whether it vanished from the listing without having been seen finished, and not together with most others (reduced_views)
--  ended_by       TIMESTAMP WITH TIME ZONE  its latest possible end: system_modstamp if that moved with the final state, else the end of the listing that first showed the job ended, or no longer showed it; null while it runs
--  seconds        BIGINT                    seconds from began_at to ended_by: how long it took at most; null if either is not known
--  by_stamp       BOOLEAN                   whether ended_by is a system_modstamp, exact to the second; false: the end of a listing, later than the job's end; null while it runs
--  began_at       TIMESTAMP WITH TIME ZONE  created_date, if that is plausible; see all_jobs
--  feed           VARCHAR                   the listing that shows it, query or ingest; see listed_jobs
--  outcome        VARCHAR                   how it ended; see job_outcomes
--  outcome_as_of  TIMESTAMP WITH TIME ZONE  see job_outcomes
--
-- unique: org_id, id
--
-- The API does not say when a job ended. system_modstamp is when the job last changed; for some jobs it never moves, and for others it
-- moves again after the end: what counts is that of the first version in the state that the job stayed in.
-- A Classic job that is Closed accepts no more batches; those that it has may still run (job_details.provisional).
with newest as (
    select org_id, id, nth, state, state_before, entered_at, by_stamp, observed_by
    from salesforce.state_spans
    where left_at is null and nth > 1 and (state = state_before or not by_stamp)
),
-- the few jobs whose newest system_modstamp says nothing about the end: when they entered their present state
entered as (
    select org_id, id, nth, state, entered_at, by_stamp, observed_by from newest where state <> state_before
    union all
    select org_id, id, nth, state, entered_at, by_stamp, observed_by
    from (
        select
            s.org_id,
            s.id,
            s.nth,
            s.state,
            s.entered_at,
            s.by_stamp,
            s.observed_by,
            row_number() over (partition by s.org_id, s.id order by s.nth desc) as nth_last
        from salesforce.state_spans as s
        inner join newest as n on n.org_id = s.org_id and n.id = s.id and n.state = n.state_before
        where s.state_before is null or s.state <> s.state_before
    ) as v
    where nth_last = 1
),
ended as (
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
        j.api_version,
        j.is_finished,
        j.is_gone and not j.is_finished as is_gone,
        j.outcome,
        j.outcome_as_of,
        case
            when not j.is_finished then null
            when e.id is null and j.changed_at > j.created_date then j.changed_at
            when e.state = j.state and e.by_stamp and e.entered_at > j.created_date then e.entered_at
        end as stamp,
        case
            when not j.is_finished then j.gone_by
            when e.state = j.state then e.observed_by
            when e.state <> j.state then j.shown_by
            else j.observed_by
        end as listed
    from salesforce.job_outcomes as j
    left join entered as e on e.org_id = j.org_id and e.id = j.id
)
select
    org_id,
    id,
    kind,
    job_type,
    operation,
    object,
    created_by_id,
    created_date,
    state,
    api_version,
    is_finished,
    is_gone,
    ended_by,
    date_diff('second', began_at, ended_by) as seconds,
    case when ended_by is not null then is_stamped end as by_stamp,
    began_at,
    feed,
    outcome,
    outcome_as_of
from (
    select
        org_id,
        id,
        feed,
        kind,
        job_type,
        operation,
        object,
        created_by_id,
        created_date,
        began_at,
        state,
        api_version,
        is_finished,
        is_gone,
        outcome,
        outcome_as_of,
        stamp is not null as is_stamped,
        -- not over before it began: the clocks of an org's servers differ by seconds
        case when stamp is null and began_at > listed then began_at else coalesce(stamp, listed) end as ended_by
    from ended
) as b
