"""Rows of bins and groups (start, kind, group, value), as charts draw them and as a table."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from pipelines.answers.pictures.picture import KINDS
from pipelines.answers.selection import Selection
from pipelines.warehouse.reader import Row


def total(found: Iterable[Row]) -> int:
    return sum(row["value"] for row in found)


def end_of(start: date, size: str) -> date:
    """The day after a bin's last day."""
    month = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return month if size == "month" else start + timedelta(days=7 if size == "week" else 1)


def days_of(start: date, end: date) -> Iterator[date]:
    """Each day from the first to the one before the last."""
    while start < end:
        yield start
        start += timedelta(days=1)


def bins(selection: Selection) -> Iterator[date]:
    """The start of each bin of the time shown, in order; the first may begin before it."""
    size, start = selection.granularity, selection.since
    start -= timedelta(days=start.weekday() if size == "week" else start.day - 1 if size == "month" else 0)
    while start <= selection.until:
        yield start
        start = end_of(start, size)


def bars(found: Sequence[Row], size: str) -> dict[str, list[Row]]:
    """Panel -> rows with the end of each bin, for each kind that occurs."""
    panels: dict[str, list[Row]] = {KINDS[kind]: [] for kind in KINDS if any(row["kind"] == kind for row in found)}
    for row in found:
        panels[KINDS[row["kind"]]].append({**row, "end": end_of(row["start"], size)})
    return panels


def by_group(found: Sequence[Row]) -> list[Row]:
    """One row per bin and kind, one column per group."""
    groups = sorted({row["group"] for row in found})
    table: dict[tuple[date, str], Row] = {}
    for row in found:
        line = table.setdefault(
            (row["start"], row["kind"]), {"from": row["start"], "kind": row["kind"]} | dict.fromkeys(groups, 0)
        )
        line[row["group"]] += row["value"]
    return list(table.values())
