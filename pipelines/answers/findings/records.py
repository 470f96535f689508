"""Records without a usable key, and details that are missing."""

from collections.abc import Iterator

from pipelines.answers.findings.finding import RETENTION, URGENT_AFTER, CheckContext, Finding
from pipelines.answers.findings.words import sentence, when
from pipelines.config.project import command_for
from pipelines.plural import counted


def rejected(context: CheckContext) -> Iterator[Finding]:
    """Listed records without a usable key: they are in quarantine, and in no table of jobs."""
    for kept in context.query("""
        select reason, count(*) as records, max(last_observed_at) as last_at
        from rejected_records
        where org_id = $org and last_observed_at >= $as_of - interval 24 hours
        group by reason
        order by reason
    """):
        were = "was" if kept["records"] == 1 else "were"
        yield context.finding(
            "rejected",
            kept["reason"],
            message=f"{counted(kept['records'], 'listed record')} had no usable key and {were} set aside: "
            f"{sentence(kept['reason'])}",
            remedy="The table rejected_records has them as received, with the reason.",
            numbers=kept,
        )


def details(context: CheckContext) -> Iterator[Finding]:
    """Finished jobs whose details could not be fetched for a day, or were not reached because a run stopped early: the
    org forgets details with the job. A long backlog alone is not reported; see details_left of `listings`."""
    for waiting in context.query("""
        with newest as (
            select org_id, feed, started_at from listings where org_id = $org
            order by started_at desc, feed desc limit 1
        ),
        -- the listings of the newest run, of which one tells what became of the details
        newest_run as (
            select max(l.details_stopped) as details_stopped
            from newest as n
            inner join listings as l on l.org_id = n.org_id and l.started_at > coalesce((
                select max(b.started_at) from listings as b
                where b.org_id = n.org_id and b.feed = n.feed and b.started_at < n.started_at
            ), timestamptz '-infinity')
        ),
        waiting as (
            select
                j.id, j.observed_at, d.asked_at,
                case when d.error like 'Classic API: %' then 'record counts' else 'details' end as lacking,
                case when d.id is null then n.details_stopped else d.error end as error
            from listed_jobs as j
            cross join newest_run as n
            left join job_details as d on d.org_id = j.org_id and d.id = j.id
            left join unlisted_jobs as u on u.org_id = j.org_id and u.id = j.id and u.listed_again_at is null
            where j.org_id = $org and j.is_finished and j.observed_at >= $as_of - interval 7 days
                and u.id is null and coalesce(d.outcome, '') <> 'gone'
        )
        select
            lacking, count(*) as jobs, min(observed_at) as since,
            max_by(error, (asked_at is not null, asked_at, id)) as error,
            list(id order by observed_at, id) as ids
        from waiting
        where error is not null
        group by lacking
        having since <= $as_of - interval 24 hours
        order by lacking
    """):
        one, counts = waiting["jobs"] == 1, waiting["lacking"] == "record counts"
        forgotten = waiting["since"] + RETENTION
        api = "the Classic API (/services/async)" if counts else "the API"
        yield context.finding(
            "details",
            waiting["lacking"],
            message=f"{waiting['jobs']:,} finished {'job has' if one else 'jobs have'} no {waiting['lacking']}, "
            f"{'since' if one else 'the oldest since'} {when(waiting['since'])}: {waiting['error']}",
            remedy=f"Each load asks again, but Salesforce forgets them from {when(forgotten)} on: check that the "
            f"recorder's user may use {api}, and run {command_for('doctor')}.",
            urgent=context.now >= waiting["since"] + URGENT_AFTER,
            ids=tuple(waiting["ids"]),
            numbers={"jobs": waiting["jobs"], "since": waiting["since"], "forgotten_from": forgotten},
            quotes=(waiting["error"],),
        )
