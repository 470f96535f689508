-- One row per job: from its creation to its end, as far as listings told.
--
--  org_id         VARCHAR                   the org
--  id             VARCHAR                   the job, 18 characters; Setup and event logs show the first 15
--  kind           VARCHAR                   query: reads records out of the org; load: anything else, it writes or deletes; null where operation is
--  job_type       VARCHAR                   V2Query, or Classic, which includes Classic loads
--  operation      VARCHAR                   as in query_jobs
--  object         VARCHAR                   API name of the object
--  created_by_id  VARCHAR                   the user who created it
--  created_date   TIMESTAMP WITH TIME ZONE  when it was created
--  state          VARCHAR                   newest state observed
--  api_version    DOUBLE                    API version that created it
--  is_finished    BOOLEAN                   whether that state is final: JobComplete, Failed, Aborted or Closed
--  is_gone        BOOLEAN                   whether it vanished from the listing without having been seen finished, and not with most others at once (reduced_views)
--  ended_by       TIMESTAMP WITH TIME ZONE  its end at the latest: system_modstamp where that moved with the final state, else the listing that first showed the end, or no longer showed the job; null while it runs
--  seconds        BIGINT                    seconds from creation to ended_by: how long it took at most
--  by_stamp       BOOLEAN                   whether a system_modstamp told ended_by, to the second; false: a listing did, later than the end; null while it runs
--
-- unique: org_id, id
--
-- The API tells no end of a job. system_modstamp is when the job last changed; for some jobs it never moves, and of some it
-- moves again after the end: that of the first version in the state that the job stayed in counts.
-- A Classic job that is Closed takes no more batches; those that it has may still run (job_details.provisional).
with newest as (
    select org_id, id, nth, state, state_before, entered_at, observed_at
    from salesforce.state_spans
    where left_at is null and nth > 1 and (state = state_before or entered_at = observed_at)
),
-- the few jobs of which the newest version's stamp says nothing about the end: when they came into its state
entered as (
    select org_id, id, nth, state, entered_at, observed_at from newest where state <> state_before
    union all
    select org_id, id, nth, state, entered_at, observed_at
    from (
        select
            s.org_id,
            s.id,
            s.nth,
            s.state,
            s.entered_at,
            s.observed_at,
            row_number() over (partition by s.org_id, s.id order by s.nth desc) as nth_last
        from salesforce.state_spans as s
        inner join newest as n on n.org_id = s.org_id and n.id = s.id and n.state = n.state_before
        where s.state_before is null or s.state <> s.state_before
    ) as v
    where nth_last = 1
)
select
    t.org_id,
    t.id,
    case when t.operation in ('query', 'queryAll') then 'query' when t.operation is not null then 'load' end as kind,
    t.job_type,
    t.operation,
    t.object,
    t.created_by_id,
    t.created_date,
    t.state,
    t.api_version,
    t.is_finished,
    t.is_gone,
    coalesce(t.stamp, t.listed) as ended_by,
    date_diff('second', t.created_date, coalesce(t.stamp, t.listed)) as seconds,
    case when coalesce(t.stamp, t.listed) is not null then t.stamp is not null end as by_stamp
from (
    select
        j.org_id,
        j.id,
        j.job_type,
        j.operation,
        j.object,
        j.created_by_id,
        j.created_date,
        j.state,
        j.api_version,
        j.state in ('JobComplete', 'Failed', 'Aborted', 'Closed') as is_finished,
        u.id is not null and j.state not in ('JobComplete', 'Failed', 'Aborted', 'Closed') as is_gone,
        case
            when j.state not in ('JobComplete', 'Failed', 'Aborted', 'Closed') then null
            when e.id is null and j.system_modstamp > j.created_date then j.system_modstamp
            when e.state = j.state and e.entered_at > j.created_date
                and (e.nth = 1 or e.entered_at <> e.observed_at or e.entered_at = j.system_modstamp)
                then e.entered_at
        end as stamp,
        case
            when j.state not in ('JobComplete', 'Failed', 'Aborted', 'Closed') then u.unlisted_at
            when e.state = j.state then greatest(e.observed_at, j.created_date)
            else greatest(j.observed_at, j.created_date)
        end as listed
    from salesforce.query_jobs as j
    left join (
        select org_id, id, unlisted_at
        from salesforce.unlisted_jobs
        where state not in ('JobComplete', 'Failed', 'Aborted', 'Closed') and listed_again_at is null
            and hidden is not true
    ) as u on u.org_id = j.org_id and u.id = j.id and u.unlisted_at > j.observed_at
    left join entered as e on e.org_id = j.org_id and e.id = j.id
) as t
