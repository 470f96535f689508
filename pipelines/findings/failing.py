"""What fails: every time, without Salesforce saying so, or often enough to matter."""

from collections.abc import Iterator
from typing import Final

from pipelines.findings.finding import SERIES, Finding, Question, series_of
from pipelines.findings.words import counted, jobs_are, known, percent, series_name, when
from pipelines.reader import Row

WORKED: Final = ("done", "done: record failures unknown")
LOST: Final = "every record failed"
COUNTED: Final = 3  # jobs whose records are known, before their failures are more than one bad file
RATES: Final = """
select *, 100.0 * jobs_failed / jobs as jobs_percent, 100.0 * records_failed / nullif(records_processed, 0) as percent
from failure_rates
where org_id = $org and covered_to = $proven
"""


def streaks(question: Question) -> Iterator[Finding]:
    """What has failed every time, and is still tried."""
    for streak in question.ask("""
        select s.*, f.error_code, f.error, f.outcome
        from failure_streaks as s
        left join failures as f on f.org_id = s.org_id and f.id = s.last_failed_id
        where s.org_id = $org and s.failures >= $failures_in_a_row and s.is_ongoing
        order by s.failures desc, s.failing_since, s.object, s.operation, s.created_by_id
    """):
        question.reported.failing[series_of(streak)] = (streak["failing_since"], streak["last_failure_at"])
        error = ": ".join(part for part in (streak["error_code"], streak["error"]) if part)
        if not error and streak["outcome"] == LOST:
            error = "Salesforce calls the last of them Closed, but every record failed."
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
        lost = "every batch" if not records else f"every one of {counted(records, 'record')}"
        group = {**alike[0], "jobs": len(alike)}
        yield question.finding(
            "closed but failed",
            *map(known, parts[:2]),
            parts[2],
            message=f"{jobs_are(group)} Closed as if done, but {lost} failed; the last job ended by "
            f"{when(alike[0]['ended_by'])}.",
            remedy="Salesforce keeps the file that says why for seven days: Setup, Bulk Data Load Jobs.",
            ids=tuple(load["id"] for load in alike),
            numbers={"jobs": len(alike), "records_failed": records},
        )


def failure_rate(question: Question) -> Iterator[Finding]:
    """A good share of the jobs of a series fails, though never enough of them in a row."""
    if not question.is_settled:
        return
    for series in question.ask(f"""
        select * from ({RATES})
        where jobs_failed >= $failed_jobs and jobs_percent >= $failed_percent and is_failing
        order by jobs_percent desc, jobs_failed desc, object, operation, created_by_id
    """):
        if series_of(series) in question.reported.failing:
            continue
        failed = _examples(question, series, "failed")
        question.reported.failing[series_of(series)] = (series["first_failure_at"], series["last_failure_at"])
        yield question.finding(
            "failure rate",
            *(known(series[part]) for part in SERIES[:3]),
            series["created_by_id"],
            message=f"{series_name(series)} failed in {series['jobs_failed']:,} of {series['jobs']:,} jobs "
            f"({percent(series['jobs_percent'])}) since {when(series['since'])}, first on "
            f"{when(series['first_failure_at'])}, last on {when(series['last_failure_at'])}{_most_often(failed)}.",
            remedy="See the view failure_reasons for all errors of these jobs.",
            ids=tuple(row["id"] for row in failed),
            numbers={
                **{name: series[name] for name in ("jobs", "jobs_failed", "since", "first_failure_at")},
                "last_failure_at": series["last_failure_at"], "failed_percent": series["jobs_percent"],
            },
        )  # fmt: skip


def record_failures(question: Question) -> Iterator[Finding]:
    """The loads of a series end, but a good share of their records fails."""
    if not question.is_settled:
        return
    for series in question.ask(f"""
        select * from ({RATES})
        where records_failed >= $lost_records and percent >= $lost_percent and is_losing and jobs_counted >= {COUNTED}
        order by percent desc, records_failed desc, object, operation, created_by_id
    """):
        if series_of(series) in question.reported.failing:
            continue
        losing = _examples(question, series, "partly failed")
        yield question.finding(
            "record failures",
            *(known(series[part]) for part in SERIES[:3]),
            series["created_by_id"],
            message=f"{series['records_failed']:,} of {counted(series['records_processed'], 'record')} "
            f"({percent(series['percent'])}) failed in {counted(series['jobs_counted'], 'job')} of "
            f"{series_name(series)} since {when(series['since'])}, first on {when(series['first_loss_at'])}, last on "
            f"{when(series['last_loss_at'])}{_most_often(losing)}.",
            remedy="Salesforce keeps the files that say why for seven days: Setup, Bulk Data Load Jobs.",
            ids=tuple(row["id"] for row in losing),
            numbers={
                **{name: series[name] for name in ("jobs_counted", "records_processed", "records_failed", "since")},
                "first_loss_at": series["first_loss_at"], "last_loss_at": series["last_loss_at"],
                "failed_percent": series["percent"],
            },
        )  # fmt: skip


def _examples(question: Question, series: Row, outcome: str) -> list[Row]:
    """The jobs of a series since a time that ended so, the newest first, with their errors."""
    found = question.ask(
        """
        select f.id, f.job_type, f.operation, f.object, f.created_by_id, f.error_code, f.error, f.error_template
        from failures as f
        where f.org_id = $org and f.outcome = $outcome and f.created_date >= $since and f.created_date <= $proven
        order by f.created_date desc, f.id
        """,
        outcome=outcome,
        since=series["since"],
    )
    return [row for row in found if series_of(row) == series_of(series)]


def _most_often(failed: list[Row]) -> str:
    """The reason that most of these jobs gave, by an example; empty where none is known."""
    reasons: dict[str, list[Row]] = {}
    for row in failed:
        if row["error"]:
            reasons.setdefault(f"{row['error_code']}: {row['error_template'] or row['error']}", []).append(row)
    if not reasons:
        return ""
    alike = max(reasons.values(), key=len)
    error = ": ".join(part for part in (alike[0]["error_code"], alike[0]["error"]) if part)
    return f"; {'most often' if len(reasons) > 1 else 'each time' if len(alike) == len(failed) else 'such as'}: {error}"
