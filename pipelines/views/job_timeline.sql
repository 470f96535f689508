-- One row per job and event: what happened to it, when, and how that is known.
--
--  org_id   VARCHAR                   the org
--  id       VARCHAR                   the job; `id like '750…%'` also finds it by the 15 characters of the Setup page
--  event_at  TIMESTAMP WITH TIME ZONE  when it happened, or was noticed; see source
--  event    VARCHAR                   created, a state, details answered (gone, refused), no longer listed, listed again
--  source   VARCHAR                   createdDate; systemModstamp; listing: it had happened by its end; answer
--  detail   VARCHAR                   user and object; when first observed; counts and error, empty if the answer had none; events within one second are not ordered
--
-- unique: org_id, id, event_at, event, detail
--
-- A job begins as Open or UploadComplete. One that was first seen in another state, with its system_modstamp still at its
-- creation, entered that state some time before the end of the listing that showed it, as in job_lifetimes.
select
    j.org_id,
    j.id,
    j.created_date as event_at,
    'created' as event,
    'createdDate' as source,
    coalesce(j.job_type || ' ', '') || coalesce(j.operation || ' ', '') || 'of' || coalesce(' ' || j.object, '')
        || ' by' || coalesce(' ' || coalesce(w.name, j.created_by_id), '') as detail
from salesforce.listed_jobs as j
left join salesforce.user_names as w on w.org_id = j.org_id and w.id = j.created_by_id
union all
select
    v.org_id,
    v.id,
    case when v.by_stamp then v.entered_at when v.began_at > v.observed_by then v.began_at else v.observed_by end
        as event_at,
    v.state as event,
    case when v.by_stamp then 'systemModstamp' else 'listing' end as source,
    'first observed at ' || substr(cast(v.observed_at at time zone 'UTC' as varchar), 1, 16) || ' UTC' as detail
from (
    select
        s.org_id,
        s.id,
        s.state,
        s.entered_at,
        s.observed_at,
        s.observed_by,
        j.began_at,
        s.by_stamp and (
            s.nth > 1 or s.state in ('Open', 'UploadComplete') or s.entered_at = s.observed_by
            or coalesce(s.entered_at > j.began_at, false)
        ) as by_stamp
    from salesforce.state_spans as s
    left join salesforce.dated_jobs as j on j.org_id = s.org_id and j.id = s.id
) as v
union all
select
    org_id,
    id,
    asked_at as event_at,
    'details ' || outcome as event,
    'answer' as source,
    substr(
        coalesce('; ' || cast(number_records_processed as varchar) || ' records processed', '')
        || coalesce('; ' || cast(number_records_failed as varchar) || ' failed', '')
        || coalesce('; ' || cast(records_unprocessed as varchar) || ' unprocessed', '')
        || coalesce('; ' || error_message, '')
        || coalesce('; ' || error, ''),
        3
    ) as detail
from salesforce.job_details
union all
select
    u.org_id,
    u.id,
    coalesce(e.ended_at, u.unlisted_at) as event_at,
    'no longer listed' as event,
    'listing' as source,
    cast(null as varchar) as detail
from salesforce.unlisted_jobs as u
left join salesforce.listing_ends as e on e.org_id = u.org_id and e.feed = u.feed and e.started_at = u.unlisted_at
union all
select
    u.org_id,
    u.id,
    coalesce(e.ended_at, u.listed_again_at) as event_at,
    'listed again' as event,
    'listing' as source,
    cast(null as varchar) as detail
from salesforce.unlisted_jobs as u
left join salesforce.listing_ends as e on e.org_id = u.org_id and e.feed = u.feed and e.started_at = u.listed_again_at
where u.listed_again_at is not null
