"""What fails: every time, often enough to matter, or without Salesforce saying so."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pipelines.answers.findings.finding import SERIES, CheckContext, Finding, Series, series_of
from pipelines.answers.findings.record_reasons import main_reason
from pipelines.answers.findings.words import jobs_are, known, percent, sentence, series_name, when
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

WORKED: Final = ("done", "done: record failures unknown")
LOST: Final = "every record failed"
MIN_COUNTED_JOBS: Final = 3  # with known record counts: fewer could be a single bad file
SETUP: Final = "Salesforce keeps the errors for seven days after the job: Setup → Bulk Data Load Jobs."
WHICH: Final = (
    "See the view failure_reasons for all reasons. Salesforce keeps the failed records for seven days after the job: "
    "Setup → Bulk Data Load Jobs."
)


def streaks(context: CheckContext) -> Iterator[Finding]:
    """Series that failed several times in a row, and still run."""
    lasting = context.query("""
        select * from failure_streaks
        where org_id = $org and failures >= $failures_in_a_row and status <> 'recovered'
            and list_contains($feeds, feed)
        order by failures desc, failing_since, object, operation, created_by_id
    """)
    failing = [streak for streak in lasting if streak["is_ongoing"]]
    context.reported.abandoned.update(
        (series_of(streak), streak["last_failure_at"]) for streak in lasting if not streak["is_ongoing"]
    )
    last = [streak["last_failed_id"] for streak in failing]
    if not last:
        return
    errors = context.query("select * from recent_failures where org_id = $org and list_contains($ids, id)", ids=last)
    by_id = {failure["id"]: failure for failure in errors}
    for streak in failing:
        failure = by_id[streak["last_failed_id"]]
        context.reported.failing[series_of(streak)] = (streak["failing_since"], streak["last_failure_at"])
        error, quoted = _error(failure), failure["error"]
        if not error and failure["outcome"] == LOST:
            reason = main_reason(context, [failure["id"]])
            error = f"Salesforce shows the last one as {_ended_as(streak)}, but every record failed."
            error += reason.sentence if reason else ""
            quoted = reason.quoted if reason else None
        yield context.finding(
            "failing",
            *(known(streak[part]) for part in SERIES[:3]),
            streak["created_by_id"],
            message=f"{series_name(streak)} has failed {counted(streak['failures'], 'time')} in a row since "
            f"{when(streak['failing_since'])}, the last time {when(streak['last_failure_at'])}; {_before(streak)}"
            + (f". {error}" if error else "."),
            remedy="Fix or disable it: each attempt counts against the daily limit.",
            ids=(streak["last_failed_id"],),
            numbers={name: streak[name] for name in ("failures", "failing_since", "last_failure_at")},
            quotes=(quoted,),
        )


def _before(streak: Row) -> str:
    """How the last job before a streak ended."""
    if streak["last_success_at"] is None:
        return "no success is recorded"
    if streak["outcome_before"] in WORKED:
        return f"it last worked {when(streak['last_success_at'])}"
    return f"the job before, of {when(streak['last_success_at'])}, {streak['outcome_before']}"


def _ended_as(row: Row) -> str:
    """The state that Salesforce shows for jobs that ended well."""
    return "Closed" if row["job_type"] == "Classic" else "JobComplete"


def lost_loads(context: CheckContext) -> Iterator[Finding]:
    """Loads that Salesforce shows as Closed or JobComplete, although every record failed. What counts is when they
    ended: a load can be open for more than a week. Loads of a series that was reported as failing are left out."""
    loads = context.query(
        """
        select id, created_date, job_type, operation, object, created_by_id, created_by, records_failed, ended_by
        from recent_failures
        where org_id = $org and outcome = $lost and ended_by >= $as_of - interval 7 days
        order by ended_by desc, id
        """,
        lost=LOST,
    )
    groups: dict[tuple[str | None, ...], list[Row]] = {}
    for load in loads:
        spell = context.reported.failing.get(series_of(load))
        if not spell or not load["created_date"] or not spell[0] <= load["created_date"] <= spell[1]:
            groups.setdefault(series_of(load)[1:], []).append(load)
    for parts, alike in groups.items():
        records = sum(load["records_failed"] or 0 for load in alike)
        # If whole batches failed, the org may have counted no records at all.
        lost = {0: "every batch", 1: "the only record"}.get(records, f"all {records:,} records")
        group = {**alike[0], "jobs": len(alike)}
        last = "it" if len(alike) == 1 else "the last job"
        ids = tuple(load["id"] for load in alike)
        reason = main_reason(context, ids)
        yield context.finding(
            "closed but failed",
            *map(known, parts[:2]),
            parts[2],
            message=f"{jobs_are(group, 'shows as', 'show as')} {_ended_as(group)}, but {lost} failed; {last} ended by "
            f"{when(alike[0]['ended_by'])}.{reason.sentence if reason else ''}",
            remedy=WHICH if reason else SETUP,
            ids=ids,
            numbers={"jobs": len(alike), "records_failed": records},
            quotes=(reason.quoted if reason else None,),
        )


def rates(context: CheckContext) -> Iterator[Finding]:
    """A large share of a series' jobs fails, but not enough in a row; or a large share of its other jobs' records."""
    found = context.query(
        """
        select
            r.*, jobs_failed >= $failed_jobs and jobs_percent >= $failed_percent as jobs_failed_often,
            jobs_failed_often and is_failing as jobs_fail,
            records_failed >= $lost_records and records_percent >= $lost_percent and is_losing
                and jobs_counted >= $counted as records_fail
        from failure_rates as r
        inner join recorded_feeds as f on f.org_id = r.org_id and f.feed = r.feed
            and f.is_settled and f.is_current
        where r.org_id = $org and (jobs_failed_often or records_fail)
        order by not jobs_fail, jobs_percent desc, records_percent desc, object, operation, created_by_id
        """,
        counted=MIN_COUNTED_JOBS,
    )
    news = [
        series
        for series in found
        if (series["jobs_fail"] or series["records_fail"]) and series_of(series) not in context.reported.failing
    ]
    context.reported.abandoned.update(
        (series_of(series), series["last_failure_at"])
        for series in found
        if series["jobs_failed"] and series["jobs_failed_often"] and not series["is_failing"]
    )
    failures = _failures_since(context, min(series["since"] for series in news)) if news else {}
    for series in news:
        if series["records_fail"]:
            context.reported.losing.add(series_of(series))
        outcome = "failed" if series["jobs_fail"] else "partly failed"
        alike = [
            failure
            for failure in failures.get(series_of(series), ())
            if failure["outcome"] == outcome and series["since"] <= failure["created_date"] <= series["covered_to"]
        ]
        yield _failure_rate(context, series, alike) if series["jobs_fail"] else _lost_records(context, series, alike)


def _failure_rate(context: CheckContext, series: Row, failed: list[Row]) -> Finding:
    context.reported.failing[series_of(series)] = (series["first_failure_at"], series["last_failure_at"])
    names = ("jobs", "jobs_failed", "jobs_percent", "since", "first_failure_at", "last_failure_at")
    why, quoted = _why(context, failed)
    return context.finding(
        "failure rate",
        *(known(series[part]) for part in SERIES[:3]),
        series["created_by_id"],
        message=sentence(
            f"{series_name(series)} failed in {series['jobs_failed']:,} of {series['jobs']:,} jobs "
            f"({percent(series['jobs_percent'])}) since {when(series['since'])}, first on "
            f"{when(series['first_failure_at'])}, last on {when(series['last_failure_at'])}{why}"
        ),
        remedy="See the view failure_reasons for all errors of these jobs.",
        ids=tuple(row["id"] for row in failed),
        numbers={name: series[name] for name in names},
        quotes=(quoted,),
    )


def _lost_records(context: CheckContext, series: Row, losing: list[Row]) -> Finding:
    reason = main_reason(context, [row["id"] for row in losing])
    why, quoted = (reason.clause, reason.quoted) if reason else _most_often(losing)
    names = ("jobs_counted", "records_processed", "records_failed", "records_percent", "since", "first_loss_at")
    return context.finding(
        "record failures",
        *(known(series[part]) for part in SERIES[:3]),
        series["created_by_id"],
        message=sentence(
            f"{series['records_failed']:,} of {counted(series['records_processed'], 'record')} "
            f"({percent(series['records_percent'])}) failed in {counted(series['jobs_counted'], 'job')} of "
            f"{series_name(series)} since {when(series['since'])}, first on {when(series['first_loss_at'])}, last on "
            f"{when(series['last_loss_at'])}{why}"
        ),
        remedy=WHICH if reason else SETUP,
        ids=tuple(row["id"] for row in losing),
        numbers={name: series[name] for name in (*names, "last_loss_at")},
        quotes=(quoted,),
    )


def _failures_since(context: CheckContext, since: datetime) -> dict[Series, list[Row]]:
    """The failures created since then, by series, newest first."""
    by_series: dict[Series, list[Row]] = {}
    for failure in context.query(
        """
        select id, job_type, operation, object, created_by_id, created_date, outcome, error_code, error, error_template
        from recent_failures
        where org_id = $org and created_date >= $since
        order by created_date desc, id
        """,
        since=since,
    ):
        by_series.setdefault(series_of(failure), []).append(failure)
    return by_series


def _why(context: CheckContext, failed: list[Row]) -> tuple[str, str | None]:
    """Why jobs failed, or if they do not tell, why their records did; and what that quotes."""
    said, quoted = _most_often(failed)
    if said:
        return said, quoted
    reason = main_reason(context, [row["id"] for row in failed])
    return (reason.clause, reason.quoted) if reason else ("", None)


def _most_often(failed: list[Row]) -> tuple[str, str | None]:
    """An example of the most frequent reason, and what that quotes; empty if no reason is known."""
    reasons: dict[str, list[Row]] = {}
    for failure in failed:
        if failure["error"]:
            template = f"{failure['error_code']}: {failure['error_template'] or failure['error']}"
            reasons.setdefault(template, []).append(failure)
    if not reasons:
        return "", None
    alike = max(reasons.values(), key=len)
    often = "most often" if len(reasons) > 1 else "each time" if len(alike) == len(failed) else "such as"
    return f"; {often}: {_error(alike[0])}", alike[0]["error"]


def _error(failure: Row) -> str:
    return ": ".join(part for part in (failure["error_code"], failure["error"]) if part)
