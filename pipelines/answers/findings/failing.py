"""What fails: every time, without Salesforce saying so, or often enough to matter."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pipelines.answers.findings.finding import SERIES, Finding, Question, Series, series_of
from pipelines.answers.findings.words import counted, jobs_are, known, percent, series_name, when
from pipelines.warehouse.reader import Row

WORKED: Final = ("done", "done: record failures unknown")
LOST: Final = "every record failed"
COUNTED: Final = 3  # jobs whose records are known, before their failures are more than one bad file
RATES: Final = """
select
    *, 100.0 * jobs_failed / jobs as jobs_percent,
    coalesce(100.0 * records_failed / nullif(records_processed, 0), 0) as records_percent
from failure_rates
where org_id = $org and covered_to = $proven
"""


def streaks(question: Question) -> Iterator[Finding]:
    """What has failed every time, and is still tried."""
    unended = question.ask("""
        select * from failure_streaks
        where org_id = $org and failures >= $failures_in_a_row and ended_at is null
        order by failures desc, failing_since, object, operation, created_by_id
    """)
    failing = [streak for streak in unended if streak["is_ongoing"]]
    question.reported.abandoned.update(
        (series_of(streak), streak["last_failure_at"]) for streak in unended if not streak["is_ongoing"]
    )
    last = [streak["last_failed_id"] for streak in failing]
    # Asked for by id: to find them among all failures of a long history takes seconds.
    errors = question.ask("select * from failures where org_id = $org and list_contains($ids, id)", ids=last)
    by_id = {failure["id"]: failure for failure in errors}
    for streak in failing:
        failure = by_id[streak["last_failed_id"]]
        question.reported.failing[series_of(streak)] = (streak["failing_since"], streak["last_failure_at"])
        error = _error(failure)
        if not error and failure["outcome"] == LOST:
            error = f"Salesforce calls the last of them {_ended_as(streak)}, but every record failed."
        yield question.finding(
            "failing",
            *(known(streak[part]) for part in SERIES[:3]),
            streak["created_by_id"],
            message=f"{series_name(streak)} has failed {counted(streak['failures'], 'time')} in a row since "
            f"{when(streak['failing_since'])}, the last time {when(streak['last_failure_at'])}; {_before(streak)}"
            + (f". {error}" if error else "."),
            remedy="Fix or disable it: each attempt counts against the daily allowance.",
            ids=(streak["last_failed_id"],),
            numbers={name: streak[name] for name in ("failures", "failing_since", "last_failure_at")},
        )


def _before(streak: Row) -> str:
    """How the last job before a streak ended."""
    if streak["last_success_at"] is None:
        return "no success is recorded"
    if streak["outcome_before"] in WORKED:
        return f"it last worked {when(streak['last_success_at'])}"
    return f"the last job before them, of {when(streak['last_success_at'])}, was {streak['outcome_before']}"


def _ended_as(row: Row) -> str:
    """The state of jobs that ended well, as Salesforce sees it."""
    return "JobComplete" if row["job_type"] == "V2Query" else "Closed"


def lost_loads(question: Question) -> Iterator[Finding]:
    """Loads that Salesforce calls Closed, though every record failed: nothing else says so. It goes by their end, for
    one can stand open for longer than a week. Those of a series that fails every time are reported with it."""
    loads = question.ask(
        """
        select id, created_date, job_type, operation, object, created_by_id, created_by, records_failed, ended_by
        from failures
        where org_id = $org and outcome = $lost and ended_by >= $as_of - interval 7 days
        order by ended_by desc, id
        """,
        lost=LOST,
    )
    groups: dict[tuple[str | None, ...], list[Row]] = {}
    for load in loads:
        spell = question.reported.failing.get(series_of(load))
        if not spell or not load["created_date"] or not spell[0] <= load["created_date"] <= spell[1]:
            groups.setdefault(series_of(load)[1:], []).append(load)
    for parts, alike in groups.items():
        records = sum(load["records_failed"] or 0 for load in alike)
        # Where whole batches failed, the org may have counted no records at all.
        lost = {0: "every batch", 1: "the only record"}.get(records, f"every one of {records:,} records")
        group = {**alike[0], "jobs": len(alike)}
        yield question.finding(
            "closed but failed",
            *map(known, parts[:2]),
            parts[2],
            message=f"{jobs_are(group)} {_ended_as(group)} as if done, but {lost} failed; the last job ended by "
            f"{when(alike[0]['ended_by'])}.",
            remedy="Salesforce keeps the file that says why for seven days: Setup, Bulk Data Load Jobs.",
            ids=tuple(load["id"] for load in alike),
            numbers={"jobs": len(alike), "records_failed": records},
        )


def rates(question: Question) -> Iterator[Finding]:
    """A good share of a series fails, though never enough in a row: of its jobs, or of the records of jobs that end."""
    if not question.is_settled:
        return
    found = question.ask(
        f"""
        select
            *, jobs_failed >= $failed_jobs and jobs_percent >= $failed_percent as jobs_failed_often,
            jobs_failed_often and is_failing as jobs_fail,
            records_failed >= $lost_records and records_percent >= $lost_percent and is_losing
                and jobs_counted >= $counted as records_fail
        from ({RATES})
        where jobs_failed_often or records_fail
        order by not jobs_fail, jobs_percent desc, records_percent desc, object, operation, created_by_id
        """,
        counted=COUNTED,
    )
    news = [
        series
        for series in found
        if (series["jobs_fail"] or series["records_fail"]) and series_of(series) not in question.reported.failing
    ]
    question.reported.abandoned.update(
        (series_of(series), series["last_failure_at"])
        for series in found
        if series["jobs_failed"] and series["jobs_failed_often"] and not series["is_failing"]
    )
    failures = _failures_since(question, min((series["since"] for series in news), default=question.proven))
    for series in news:
        outcome = "failed" if series["jobs_fail"] else "partly failed"
        alike = [
            failure
            for failure in failures.get(series_of(series), ())
            if failure["outcome"] == outcome and failure["created_date"] >= series["since"]
        ]
        yield _failure_rate(question, series, alike) if series["jobs_fail"] else _lost_records(question, series, alike)


def _failure_rate(question: Question, series: Row, failed: list[Row]) -> Finding:
    question.reported.failing[series_of(series)] = (series["first_failure_at"], series["last_failure_at"])
    names = ("jobs", "jobs_failed", "jobs_percent", "since", "first_failure_at", "last_failure_at")
    return question.finding(
        "failure rate",
        *(known(series[part]) for part in SERIES[:3]),
        series["created_by_id"],
        message=f"{series_name(series)} failed in {series['jobs_failed']:,} of {series['jobs']:,} jobs "
        f"({percent(series['jobs_percent'])}) since {when(series['since'])}, first on "
        f"{when(series['first_failure_at'])}, last on {when(series['last_failure_at'])}{_most_often(failed)}.",
        remedy="See the view failure_reasons for all errors of these jobs.",
        ids=tuple(row["id"] for row in failed),
        numbers={name: series[name] for name in names},
    )


def _lost_records(question: Question, series: Row, losing: list[Row]) -> Finding:
    names = ("jobs_counted", "records_processed", "records_failed", "records_percent", "since", "first_loss_at")
    return question.finding(
        "record failures",
        *(known(series[part]) for part in SERIES[:3]),
        series["created_by_id"],
        message=f"{series['records_failed']:,} of {counted(series['records_processed'], 'record')} "
        f"({percent(series['records_percent'])}) failed in {counted(series['jobs_counted'], 'job')} of "
        f"{series_name(series)} since {when(series['since'])}, first on {when(series['first_loss_at'])}, last on "
        f"{when(series['last_loss_at'])}{_most_often(losing)}.",
        remedy="Salesforce keeps the files that say why for seven days: Setup, Bulk Data Load Jobs.",
        ids=tuple(row["id"] for row in losing),
        numbers={name: series[name] for name in (*names, "last_loss_at")},
    )


def _failures_since(question: Question, since: datetime) -> dict[Series, list[Row]]:
    """The failures created since a time that is covered, the newest first, by series."""
    by_series: dict[Series, list[Row]] = {}
    for failure in question.ask(
        """
        select id, job_type, operation, object, created_by_id, created_date, outcome, error_code, error, error_template
        from failures
        where org_id = $org and created_date >= $since and created_date <= $proven
        order by created_date desc, id
        """,
        since=since,
    ):
        by_series.setdefault(series_of(failure), []).append(failure)
    return by_series


def _most_often(failed: list[Row]) -> str:
    """The reason that most of these jobs gave, by an example; empty where none is known."""
    reasons: dict[str, list[Row]] = {}
    for failure in failed:
        if failure["error"]:
            template = f"{failure['error_code']}: {failure['error_template'] or failure['error']}"
            reasons.setdefault(template, []).append(failure)
    if not reasons:
        return ""
    alike = max(reasons.values(), key=len)
    often = "most often" if len(reasons) > 1 else "each time" if len(alike) == len(failed) else "such as"
    return f"; {often}: {_error(alike[0])}"


def _error(failure: Row) -> str:
    return ": ".join(part for part in (failure["error_code"], failure["error"]) if part)
