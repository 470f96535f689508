"""Jobs that run or wait for too long, or were left open."""

from collections.abc import Iterator
from datetime import timedelta

from pipelines.answers.findings.finding import Finding, Question
from pipelines.answers.findings.words import duration, jobs_are, known, when


def unfinished(question: Question) -> Iterator[Finding]:
    """A Closed query is left out: with PK chunking its first batch is never processed, and whether the counts leave
    that one out is documented nowhere. Of a Closed load only its own answers tell, which are asked for less and less
    often: it counts by the last of them. A recorder that always filters learns of no job's end that its filter hides,
    and so of none that is stuck."""
    for stuck in question.ask("""
        with unfinished as (
            select
                s.*,
                -- Of a job without a readable date: how long it was seen so.
                coalesce(s.age_hours, s.hours_in_state) as hours,
                case when s.state = 'Closed' then s.as_of end as asked_at
            from stuck_jobs as s
            left join job_details as d on d.org_id = s.org_id and d.id = s.id and s.state = 'Closed'
            where s.org_id = $org and (s.state <> 'Closed' or (s.kind = 'load' and d.outcome = 'answered'))
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
        question.reported.hanging.update((job_type, *parts) for job_type in stuck["job_types"])
        yield question.finding(
            "unfinished",
            stuck["state"],
            *map(known, parts[:2]),
            stuck["created_by_id"],
            message=f"{are}.",
            remedy="Close or abort jobs that are no longer needed: Setup, Bulk Data Load Jobs.",
            ids=tuple(stuck["ids"]),
            numbers={"jobs": stuck["jobs"], "oldest_hours": stuck["hours"]},
        )
