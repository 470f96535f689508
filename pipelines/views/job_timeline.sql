-- One row per job and event: all that is known of what happened to it, when, and from where that is known.
--
--  org_id   VARCHAR                   the org
--  id       VARCHAR                   the job; `id like '750…%'` finds it by the 15 characters of the Setup page as well
--  event_at  TIMESTAMP WITH TIME ZONE  when it happened, or was noticed; see source
--  event    VARCHAR                   created, a state, details answered (gone, refused), no longer listed, listed again
--  source   VARCHAR                   createdDate; systemModstamp; listing: noticed then, happened before; answer
--  detail   VARCHAR                   what there is to say: user and object; first observed; counts and error, empty if nothing was told; events of one second have no order
--
-- unique: org_id, id, event_at, event, detail
--
-- A job begins as Open or UploadComplete. One that was first seen in another state, with its stamp still at its creation,
-- came into that some time before the listing that showed it: the end as job_lifetimes has it.
select
    j.org_id,
    j.id,
    j.created_date as event_at,
    'created' as event,
    'createdDate' as source,
    concat_ws(' ', j.job_type, j.operation, 'of', j.object, 'by', coalesce(w.name, j.created_by_id)) as detail
from salesforce.query_jobs as j
left join salesforce.users as w on w.org_id = j.org_id and w.id = j.created_by_id
union all
select
    v.org_id,
    v.id,
    case when v.by_stamp then v.entered_at else greatest(v.observed_at, v.created_date) end as event_at,
    v.state as event,
    case when v.by_stamp then 'systemModstamp' else 'listing' end as source,
    'first observed at ' || strftime(v.observed_at at time zone 'UTC', '%Y-%m-%d %H:%M') || ' UTC' as detail
from (
    select
        s.org_id,
        s.id,
        s.state,
        s.entered_at,
        s.observed_at,
        j.created_date,
        case when s.nth > 1 then s.entered_at <> s.observed_at
            else s.state in ('Open', 'UploadComplete') or s.entered_at = s.observed_at
                or s.entered_at > j.created_date end as by_stamp
    from salesforce.state_spans as s
    left join salesforce.query_jobs as j on j.org_id = s.org_id and j.id = s.id
) as v
union all
select
    org_id,
    id,
    asked_at as event_at,
    'details ' || outcome as event,
    'answer' as source,
    concat_ws(
        '; ',
        cast(number_records_processed as varchar) || ' records processed',
        cast(number_records_failed as varchar) || ' failed',
        error_message,
        error
    ) as detail
from salesforce.job_details
union all
select org_id, id, unlisted_at as event_at, 'no longer listed' as event, 'listing' as source, null as detail
from salesforce.unlisted_jobs
union all
select org_id, id, listed_again_at as event_at, 'listed again' as event, 'listing' as source, null as detail
from salesforce.unlisted_jobs
where listed_again_at is not null
