"""A picture: a question, its answer in numbers and words, and its chart; and how summaries name things."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from pipelines.answers.charts import Chart
from pipelines.answers.findings.words import known
from pipelines.answers.selection import FILTERS
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

MAX_ENTRIES: Final = 10  # in a ranking or list; the rest is summed up
KINDS: Final = {"query": "queries", "load": "loads", None: "jobs of an unknown kind"}
ONE: Final = {"query": "query", "load": "load", None: "job of an unknown kind"}
NUMBER_OF: Final = {"query": "queries", "load": "loads", None: "jobs_of_unknown_kind"}  # in the names of numbers


@dataclass(frozen=True)
class Picture:
    """A question and its answer.

    `numbers` has every number in `summary` by name: counts, unrounded shares, times, the names that belong to them, and
    lists of these; None: not known. `draw` makes the chart at a given width in pixels; None: there is nothing to draw.
    `supported_filters` names the filters that apply to the picture; its views lack the columns for the others.
    """

    name: str
    title: str
    summary: str
    numbers: dict[str, Any] = field(default_factory=dict)
    table: Sequence[Row] = ()
    draw: Callable[[int], Chart] | None = None
    supported_filters: tuple[str, ...] = tuple(FILTERS)


def of_kind(number: int, kind: str | None) -> str:
    return counted(number, ONE[kind], KINDS[kind])


def day(date_: date) -> str:
    return f"{date_:%-d %B %Y}"


def series(row: Row) -> str:
    """What the jobs of a row do, worded as in `check`; a question mark stands for unknown parts."""
    return f"{known(row['operation'])} of {known(row['object'])} ({known(row['job_type'])})"
