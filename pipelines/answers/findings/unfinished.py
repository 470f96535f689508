"""Jobs that have run, waited or stayed open for too long."""

from collections.abc import Iterator
from datetime import timedelta

from pipelines.answers.findings.finding import CheckContext, Finding
from pipelines.answers.findings.words import duration, jobs_are, known, when


def unfinished(context: CheckContext) -> Iterator[Finding]:
    """Closed queries are left out: with PK chunking the first batch is never processed, and it is not documented
    whether the counts include it. A Closed load is judged as of when its details were last fetched, which happens less
    and less often. A recorder that always filters cannot see the end of the jobs that its filter hides, so it reports
    none."""
    for stuck in context.query("""
        with unfinished as (
            select
                s.*,
                -- without a readable date: how long it has been observed in this state
                coalesce(s.age_hours, s.hours_in_state) as hours,
                case when s.state = 'Closed' then s.as_of end as asked_at
            from stuck_jobs as s
            left join job_details as d on d.org_id = s.org_id and d.id = s.id and s.state = 'Closed'
            where s.org_id = $org and list_contains($feeds, s.feed)
                and (s.state <> 'Closed' or (s.kind = 'load' and d.outcome = 'answered'))
        )
        select
            state, operation, object, created_by, created_by_id,
            count(*) as jobs, max(hours) as hours, list(id order by hours desc, id) as ids, min(asked_at) as asked_at,
            list(distinct job_type) as job_types
        from unfinished
        where hours >= $unfinished_hours
        group by all
        order by hours desc, state, operation, object, created_by
    """):
        one = stuck["jobs"] == 1
        after = f"{'' if one else 'the oldest '}after {duration(timedelta(hours=stuck['hours']))}"
        if stuck["asked_at"]:
            asked = f"when {'it was' if one else 'they were'} last asked: {when(stuck['asked_at'])}"
            are = f"{jobs_are(stuck, 'was', 'were')} Closed with batches to come{'' if one else ','} {after}, {asked}"
            are += "" if one else " or later"
        else:
            are = f"{jobs_are(stuck)} still {stuck['state']}, {after}"
        parts = (stuck["operation"], stuck["object"], stuck["created_by_id"])
        context.reported.unfinished.update((job_type, *parts) for job_type in stuck["job_types"])
        yield context.finding(
            "unfinished",
            stuck["state"],
            *map(known, parts[:2]),
            stuck["created_by_id"],
            message=f"{are}.",
            remedy="Close or abort jobs that are no longer needed: Setup → Bulk Data Load Jobs.",
            ids=tuple(stuck["ids"]),
            numbers={"jobs": stuck["jobs"], "oldest_hours": stuck["hours"]},
        )
