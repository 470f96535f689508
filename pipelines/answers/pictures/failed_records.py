"""Why the records of loads failed, as far as their results were read."""

from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

from pipelines.answers import charts
from pipelines.answers.findings.record_reasons import reason_name
from pipelines.answers.findings.words import known
from pipelines.answers.pictures.bars import end_of
from pipelines.answers.pictures.picture import Picture, day, series
from pipelines.answers.selection import FILTERS, Selection
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

SHOWN: Final = 3  # reasons with bars of their own
RECORDS: Final = {"failed records": charts.AMOUNT}


def reasons(selection: Selection) -> Picture:
    """Failed records by reason: over time for the most frequent ones, all of them by series in the table."""
    title = "Why did records fail?"
    where = f"{selection.where_clause(*FILTERS)} and began_at >= $since and began_at < $until"
    loads = f"""
        with loads as (
            select id, job_type, operation, object, created_by_id, began_at
            from all_jobs where {where} and kind = 'load'
        )
    """
    found = selection.query(f"""
        {loads}
        select
            cast(date_trunc($granularity, l.began_at at time zone 'UTC') as date) as start,
            coalesce(n.name, l.created_by_id, '?') as "user", l.*, e.reason, e.error_code, e.fields, e.message,
            e.retryable, e.records
        from loads as l
        inner join record_errors as e on e.org_id = $org and e.id = l.id and e.records > 0
        left join user_names as n on n.org_id = $org and n.id = l.created_by_id
        order by l.began_at, l.id, e.reason
    """)
    (failed,) = selection.query(f"""
        {loads}
        select cast(coalesce(sum(d.number_records_failed), 0) as bigint) as records
        from loads as l inner join job_details as d on d.org_id = $org and d.id = l.id
    """)
    table = _by_series(found, selection)
    first = table[0] if table and table[0]["last 7 days"] else None
    by_reason: Counter[str] = Counter()
    for row in found:
        by_reason[row["reason"]] += row["records"]
    most = max(failed["records"], by_reason.total())
    numbers: dict[str, Any] = {
        "records": by_reason.total(),
        "records_failed": most,
        "records_unknown": most - by_reason.total(),
        "reasons": len(by_reason),
        "jobs": len({row["id"] for row in found}),
        "records_retryable": sum(row["records"] for row in found if row["retryable"]),
        "since": selection.since,
        "until": selection.until,
        "records_last_7_days": sum(row["last 7 days"] for row in table),
        "most_often_in_7_days": first["last 7 days"] if first else None,
        **{
            f"most_often_{name}": first[name] if first else None
            for name in ("reason", "user", "operation", "object", "type")
        },
    }
    if not found:
        words = "No record is known to have failed in this period."
        if most:
            words = f"{counted(most, 'record')} failed in this period; why is not known."
        return Picture("reasons", title, words, numbers)
    words = (
        f"{counted(numbers['records'], 'record')} of {counted(numbers['jobs'], 'load')} from {day(selection.since)} to "
        f"{day(selection.until)} failed for {counted(numbers['reasons'], 'reason')}"
    )
    if numbers["records_retryable"]:
        words += f"; {numbers['records_retryable']:,} of them may succeed if sent again"
    if numbers["records_unknown"]:
        words += f". Why {numbers['records_unknown']:,} more failed is not known"
    words += f". {numbers['records_last_7_days']:,} failed in the last 7 days"
    if first:
        what = {"operation": first["operation"], "object": first["object"], "job_type": first["type"]}
        words += (
            f", most often in {series(what)} by {first['user']}: {first['last 7 days']:,} (reason: {first['reason']})"
        )
    panels, span = _panels(found, by_reason, selection), selection.span  # read now: the file may be closed when drawn
    return Picture(
        "reasons",
        title,
        f"{words}.",
        numbers,
        table,
        lambda width: charts.stacked_bars(
            panels,
            RECORDS,
            f"records a {selection.granularity}",
            span,
            width,
        ),
    )


def _by_series(found: list[Row], selection: Selection) -> list[Row]:
    """One row per reason and series, those of the last seven days first."""
    table: dict[tuple[Any, ...], Row] = {}
    for row in found:
        key = (row["reason"], row["job_type"], row["operation"], row["object"], row["created_by_id"])
        line = table.setdefault(
            key,
            {
                "reason": reason_name(row), "user": row["user"], "operation": known(row["operation"]),
                "object": known(row["object"]), "type": known(row["job_type"]), "records": 0, "last 7 days": 0,
                "loads": 0, "first on": row["began_at"].date(), "last on": None,
                "send again?": "may succeed" if row["retryable"] else "",
            },
        )  # fmt: skip
        line["records"] += row["records"]
        line["last 7 days"] += row["records"] if row["began_at"] > selection.end - timedelta(days=7) else 0
        line["loads"] += 1
        line["last on"] = row["began_at"].date()
    return sorted(
        table.values(),
        key=lambda line: (
            -line["last 7 days"], -line["records"], line["reason"], line["user"], line["object"], line["operation"],
            line["type"],
        ),
    )  # fmt: skip


def _panels(found: list[Row], by_reason: Counter[str], selection: Selection) -> dict[str, list[Row]]:
    """The most frequent reasons, each with its bars."""
    named = {row["reason"]: reason_name(row) for row in found}
    panels: dict[str, list[Row]] = {}
    for nth, (reason, _) in enumerate(by_reason.most_common(SHOWN), 1):
        bins: Counter[date] = Counter()
        for row in found:
            bins[row["start"]] += row["records"] if row["reason"] == reason else 0
        panels[f"{nth}. {named[reason]}"] = [
            {
                "start": start, "end": end_of(start, selection.granularity), "group": "failed records", "value": value,
            }
            for start, value in sorted(bins.items())
            if value
        ]  # fmt: skip
    return panels
