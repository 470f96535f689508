"""Why records fail: for new reasons, more often than before, or for reasons that cannot be read."""

from collections.abc import Iterable, Iterator
from typing import Final

from pipelines.answers.findings.finding import RETENTION, CheckContext, Finding, series_of
from pipelines.answers.findings.record_reasons import reason_name
from pipelines.answers.findings.words import duration, known, precise_percent, sentence, series_name, when
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

RETRY: Final = "Locks, time-outs and server errors are temporary: sending these records again may succeed."
ASK: Final = "Find out what changed: the data, their source, or the org."
COMPARE: Final = "The view reason_trends compares it with the weeks before."


def new_reasons(context: CheckContext) -> Iterator[Finding]:
    """Records of a series failed for a reason that it had never had; see the view reason_trends for what is new. The
    same reason of several series on one object is one finding."""
    news = context.query("""
        select * from reason_trends
        where org_id = $org and list_contains($feeds, feed) and is_new and records >= $new_reason_records
        order by object, reason, records desc, job_type, operation, created_by_id
    """)
    for alike in _by_reason(context, news):
        first, records, jobs = _summed(alike)
        first_at, last_at = min(row["first_at"] for row in alike), max(row["last_at"] for row in alike)
        yield context.finding(
            "new reason",
            known(first["object"]),
            first["reason"],
            message=f"{counted(records, 'record')} of {_of_series(alike)} failed for a new reason, in "
            f"{counted(jobs, 'load')} since {when(first_at)}, the last on {when(last_at)}: "
            f"{sentence(reason_name(first))}",
            remedy=f"{RETRY if first['retryable'] else ASK} {COMPARE}",
            ids=_loads(context, alike),
            numbers={
                "records": records,
                "jobs": jobs,
                "series": len(alike),
                "first_at": first_at,
                "last_at": last_at,
                **_named(first),
            },
            quotes=(first["message"],),
        )


def grown_reasons(context: CheckContext) -> Iterator[Finding]:
    """A reason cost far more records of a series than in each of the weeks before: as a number, as a share of what was
    processed, and without its worst load, which could be a single bad file."""
    grown = context.query("""
        select *
        from reason_trends
        where org_id = $org and list_contains($feeds, feed) and is_comparable and records >= $grown_records
            and sustained_records > most_records_before
            and sustained_percent >= $grown_times * highest_percent_before
        order by object, reason, records desc, job_type, operation, created_by_id
    """)
    for alike in _by_reason(context, grown):
        first, records, jobs = _summed(alike)
        before = "none"
        if first["most_records_before"]:
            before = f"at most {first['most_records_before']:,} ({precise_percent(first['highest_percent_before'])})"
        others = f"; likewise {_others(alike)}" if len(alike) > 1 else ""
        yield context.finding(
            "grown reason",
            known(first["object"]),
            first["reason"],
            message=f"{first['records']:,} of {first['records_processed']:,} records "
            f"({precise_percent(first['records_percent'])}) of {series_name(first)} failed in the last 7 days for one "
            f"reason, but {before} in each of the {counted(first['weeks_before'], 'week')} before{others}: "
            f"{sentence(reason_name(first))}",
            remedy=f"{RETRY if first['retryable'] else ASK} {COMPARE}",
            ids=_loads(context, alike),
            numbers={
                "records": records,
                "jobs": jobs,
                "series": len(alike),
                **{
                    name: first[name]
                    for name in (
                        "records_processed", "records_percent", "weeks_before", "most_records_before",
                        "highest_percent_before",
                    )
                },
                **_named(first),
            },
            quotes=(first["message"],),
        )  # fmt: skip


def unread_results(context: CheckContext) -> Iterator[Finding]:
    """Why records of last week's loads failed is not known, or of a part only: once for each cause. Results that broke
    off are read again by the next loads, and reported only after a day."""
    for cause in context.query("""
        with loads as (
            select
                f.id, f.created_by, f.records_failed, f.ended_by, d.results_error as error,
                case
                    when d.results_outcome like 'first %' then 'incomplete'
                    else coalesce(d.results_outcome, 'not yet')
                end as cause,
                try_cast(split_part(d.results_outcome, ' ', 2) as bigint) as rows_read
            from recent_failures as f
            inner join job_details as d on d.org_id = f.org_id and d.id = f.id
            where f.org_id = $org and f.ended_by >= $as_of - interval 7 days
                and (
                    d.results_outcome in ('refused', 'unreadable') or d.results_outcome like 'first %'
                    or (d.results_outcome is null and d.results_error is not null
                        and f.ended_by <= $as_of - interval 24 hours)
                )
        )
        select
            cause, case when cause = 'refused' then split_part(error, ':', 1) end as answer, count(*) as jobs,
            cast(sum(records_failed) as bigint) as records_failed, cast(sum(rows_read) as bigint) as rows_read,
            max_by(error, (ended_by, id)) as error, min(ended_by) as since, list(id order by ended_by desc, id) as ids,
            list(distinct created_by order by created_by) as users
        from loads
        group by 1, 2
        order by 1, 2
    """):
        forgotten = cause["since"] + RETENTION
        records, loads = cause["records_failed"], counted(cause["jobs"], "load")
        whose = f"{loads} of the last 7 days, of {_list(cause['users'])},"
        what = f"{whose} in which {counted(records, 'record')} failed" if records else f"{whose} with failures"
        why = {
            "refused": f"Salesforce refuses to show why: {cause['error']}",
            "unreadable": f"why could not be read: {cause['error']}",
            "not yet": f"why could not be read for {duration(context.as_of - cause['since'])}: {cause['error']}",
            "incomplete": f"only the first {counted(cause['rows_read'] or 0, 'failed record')} could be read.",
        }[cause["cause"]]
        yield context.finding(
            "unread results",
            cause["cause"],
            *([cause["answer"]] if cause["answer"] else []),
            message=f"{what}: {why}",
            remedy="Ask their owner, or see Setup → Bulk Data Load Jobs: Salesforce forgets the first of them "
            f"{when(forgotten)}."
            + (
                " Each load tries again." if cause["cause"] == "not yet"
                else "" if cause["cause"] == "incomplete"
                else " If this cannot be changed, mute this finding."
            ),
            ids=tuple(cause["ids"]),
            numbers={"jobs": cause["jobs"], "records_failed": records, "rows_read": cause["rows_read"],
                     "since": cause["since"], "forgotten_from": forgotten},
            quotes=(cause["error"],),
        )  # fmt: skip


def _by_reason(context: CheckContext, found: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows with the same object and reason together, most records first; without series reported as failing."""
    groups: dict[tuple[str | None, str], list[Row]] = {}
    for row in found:
        if series_of(row) not in context.reported.failing and series_of(row) not in context.reported.losing:
            groups.setdefault((row["object"], row["reason"]), []).append(row)
    yield from groups.values()


def _summed(alike: list[Row]) -> tuple[Row, int, int]:
    return alike[0], sum(row["records"] for row in alike), sum(row["jobs"] for row in alike)


def _loads(context: CheckContext, alike: list[Row]) -> tuple[str, ...]:
    """The loads that count, newest first."""
    found = context.query(
        """
        select j.id, j.job_type, j.operation, j.object, j.created_by_id
        from record_errors as e
        inner join all_jobs as j on j.org_id = e.org_id and j.id = e.id
        inner join recorded_feeds as f on f.org_id = j.org_id and f.feed = j.feed
        inner join job_outcomes as o on o.org_id = j.org_id and o.id = j.id
        where e.org_id = $org and e.reason = $reason and e.records > 0 and o.outcome <> 'every record failed'
            and j.is_finished and j.began_at > f.covered_to - interval 168 hours and j.began_at <= f.covered_to
        order by j.began_at desc, j.id
        """,
        reason=alike[0]["reason"],
    )
    series = {series_of(row) for row in alike}
    return tuple(job["id"] for job in found if series_of(job) in series)


def _of_series(alike: list[Row]) -> str:
    return series_name(alike[0]) + (f", and of {_others(alike)}," if len(alike) > 1 else "")


def _others(alike: list[Row]) -> str:
    return _list([series_name(row) for row in alike[1:]])


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _named(row: Row) -> Row:
    return {name: row[name] for name in ("error_code", "fields", "message", "retryable")}
