"""How many jobs were created and how they ended, bar by bar, and against the days before."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from pipelines.answers import charts
from pipelines.answers.findings.words import precise_percent
from pipelines.answers.pictures.bars import bars, bins, by_group, days_of, end_of, total
from pipelines.answers.pictures.picture import KINDS, NUMBER_OF, Picture, day, of_kind
from pipelines.answers.selection import COVERED_DAYS, FILTERS, Selection
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

FAILED: Final = frozenset({"failed", "every record failed"})
UNKNOWN_FAILURES: Final = "done: record failures unknown"
# What job_outcomes calls a failure or not: jobs that were aborted, or have not ended, say nothing.
ENDED: Final = FAILED | {"partly failed", "done", UNKNOWN_FAILURES}


def volume(selection: Selection) -> Picture:
    """Jobs by bin and outcome, and which share of those that ended failed, separately for queries and loads."""
    title = "How many jobs, and how did they end?"
    found = selection.query(f"""
        select
            cast(date_trunc($granularity, created_date at time zone 'UTC') as date) as start, kind,
            coalesce(outcome, 'in an unknown state') as "group", count(*) as value
        from jobs
        where {selection.where_clause(*FILTERS)} and created_date >= $since and created_date < $until
        group by all
        order by all
    """)
    by_bin: dict[date, int] = {}
    for row in found:
        by_bin[row["start"]] = by_bin.get(row["start"], 0) + row["value"]
    covered = _covered_bins(selection)
    # Not of a time that the record does not cover: there may have been more in any other.
    fullest = max((start for start in by_bin if start in covered), key=lambda start: by_bin[start], default=None)
    compared = _compared(selection)
    numbers: dict[str, Any] = {
        "jobs": total(found),
        **{name: total(row for row in found if row["kind"] == kind) for kind, name in NUMBER_OF.items()},
        "ended": {name: _rate(row for row in found if row["kind"] == kind) for kind, name in NUMBER_OF.items()},
        "record_failures_unknown": total(row for row in found if row["group"] == UNKNOWN_FAILURES),
        "since": selection.since,
        "until": selection.until,
        "bin": selection.granularity,
        "fullest_from": fullest,
        "fullest_jobs": by_bin.get(fullest) if fullest else None,
    }
    for days, figures in compared.items():
        numbers |= {name.format(days=days): value for name, value in figures.items()}
    if not found:
        return Picture("volume", title, "No jobs are recorded in this period.", numbers)
    kinds = ", ".join(of_kind(numbers[name], kind) for kind, name in NUMBER_OF.items() if numbers[name])
    size = selection.granularity
    words = [
        f"{counted(numbers['jobs'], 'job')} from {day(selection.since)} to {day(selection.until)}: {kinds}.",
        *_failed(numbers),
        *([f"The busiest {size}, {_of_bin(fullest, size)}, had {numbers['fullest_jobs']:,}."] if fullest else []),
        *(_comparison(days, numbers) for days in compared),
    ]
    panels, span, rates = bars(found, size), selection.span, _rates(found, selection)
    return Picture(
        "volume",
        title,
        " ".join(words),
        numbers,
        by_group(found),
        lambda width: charts.stacked_bars(panels, charts.OUTCOMES, f"jobs a {size}", span, width, rates),
    )


def _rate(found: Iterable[Row]) -> Row:
    """How many of these jobs ended one way or the other, and how many of those failed."""
    rows = list(found)
    ended = total(row for row in rows if row["group"] in ENDED)
    failed = total(row for row in rows if row["group"] in FAILED)
    return {"jobs": ended, "failed": failed, "percent": 100 * failed / ended if ended else None}


def _failed(numbers: Row) -> list[str]:
    """The rates in words."""
    parts = [
        f"{ended['failed']:,} of {of_kind(ended['jobs'], kind)} ({precise_percent(ended['percent'])})"
        for kind, name in NUMBER_OF.items()
        if (ended := numbers["ended"][name])["jobs"]
    ]
    words = [f"Of those that ended, {' and '.join(parts)} failed or lost every record."] if parts else []
    if unknown := numbers["record_failures_unknown"]:
        words.append(f"It is unknown whether records failed in {unknown:,} of the jobs that ended.")
    return words


def _rates(found: Sequence[Row], selection: Selection) -> dict[str, list[Row]]:
    """Panel -> the rate of each bin, at its middle; None where nothing ended, so that the line breaks."""
    panels: dict[str, list[Row]] = {}
    for kind in {row["kind"] for row in found}:
        lines = panels.setdefault(KINDS[kind], [])
        for start in bins(selection):
            rate = _rate(row for row in found if row["kind"] == kind and row["start"] == start)
            end = end_of(start, selection.granularity)
            lines.append({
                "start": start, "middle": _midnight(start) + (_midnight(end) - _midnight(start)) / 2,
                "value": rate["percent"], "said": f"{rate['failed']:,} of {rate['jobs']:,}",
            })  # fmt: skip
    return panels


def _midnight(day_: date) -> datetime:
    return datetime.combine(day_, time(), UTC)


def _covered_bins(selection: Selection) -> set[date]:
    """The bins whose displayed days are all covered completely."""
    covered = selection.query(
        f"select day from ({COVERED_DAYS}) where covered_percent = 100 and day >= $since and day < $until",
        feeds=list(selection.feeds),
    )
    days = {row["day"] for row in covered}
    return {
        start
        for start in bins(selection)
        if all(
            one in days
            for one in days_of(
                max(start, selection.since),
                min(end_of(start, selection.granularity), selection.until + timedelta(days=1)),
            )
        )
    }


def _compared(selection: Selection) -> dict[int, Row]:
    """Compares the last 7 and 30 whole days with as many before them, if the record goes back that far. The change in
    percent is null unless the record covers all of these days."""
    (first,) = selection.query("""
        select greatest(
            (
                select cast(min(began_at) at time zone 'UTC' as date) from all_jobs
                where org_id = $org
            ),
            (
                select cast(min(covered_from) at time zone 'UTC' + interval 1 day as date) from coverage
                where org_id = $org and list_contains($feeds, feed)
            )
        ) as day
    """, feeds=list(selection.feeds))  # fmt: skip
    compared = {}
    for days in (7, 30):
        bounds = {
            "first": selection.whole_until - timedelta(days=2 * days),
            "middle": selection.whole_until - timedelta(days=days),
            "today": selection.whole_until,
        }
        if first["day"] and first["day"] <= bounds["first"]:
            (sums,) = selection.query(
                f"""
                select
                    cast(coalesce(sum(case when day >= $middle then jobs end), 0) as bigint) as now,
                    cast(coalesce(sum(case when day < $middle then jobs end), 0) as bigint) as before
                from jobs_by_day
                where {selection.where_clause(*FILTERS)} and day >= $first and day < $today
                """,
                **bounds,
            )
            (covered,) = selection.query(
                f"""
                select
                    coalesce(sum(case when day >= $middle then covered_percent end), 0) / 100.0 as now,
                    coalesce(sum(case when day < $middle then covered_percent end), 0) / 100.0 as before
                from ({COVERED_DAYS})
                where day >= $first and day < $today
                """,
                feeds=list(selection.feeds),
                **bounds,
            )
            whole = covered["now"] == days and covered["before"] == days
            change = 100 * (sums["now"] - sums["before"]) / sums["before"] if whole and sums["before"] else None
            compared[days] = {
                "jobs_last_{days}_whole_days": sums["now"],
                "jobs_{days}_whole_days_before": sums["before"],
                "covered_days_of_last_{days}": covered["now"],
                "covered_days_of_{days}_before": covered["before"],
                "change_percent_{days}_whole_days": change,
            }
    return compared


def _comparison(days: int, numbers: Row) -> str:
    covered = [numbers[f"covered_days_of_last_{days}"], numbers[f"covered_days_of_{days}_before"]]
    change = numbers[f"change_percent_{days}_whole_days"]
    note = "" if change is None else f" ({change:+,.0f} %)"
    if min(covered) < days:
        note = f" (covered: {_days(covered[0])} and {_days(covered[1])} of {days} days)"
    now, before = numbers[f"jobs_last_{days}_whole_days"], numbers[f"jobs_{days}_whole_days_before"]
    return f"In the last {days} whole days there were {now:,}, in the {days} before {before:,}{note}."


def _days(number: float) -> str:
    """Days, rounded down: 6.99 days are not 7."""
    return f"{int(number)}" if number == int(number) else f"{int(10 * number) / 10:.1f}"


def _of_bin(start: date, size: str) -> str:
    return f"that of {day(start)}" if size == "week" else f"{start:%B %Y}" if size == "month" else f"{start:%A, %-d %B}"
