"""A picture: a question, its answer as numbers and in words, and its chart; and how the words write a number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from pipelines.charts import Chart
from pipelines.reader import Row
from pipelines.selection import FILTERS

MAX_ENTRIES: Final = 10  # of a ranking or an enumeration; the rest is summed up
KINDS: Final = {"query": "queries", "load": "loads", None: "jobs of an unknown kind"}
ONE: Final = {"query": "query", "load": "load", None: "job of an unknown kind"}
NUMBER_OF: Final = {"query": "queries", "load": "loads", None: "jobs_of_unknown_kind"}  # in the names of numbers


@dataclass(frozen=True)
class Picture:
    """A question and its answer.

    `numbers` holds by name every number that `words` contains: counts, unrounded shares, times, the names that belong
    to them, and lists of such where something repeats; None: not known. `draw` makes the chart so many pixels wide;
    None: there is nothing to draw. `obeys` names the filters that the picture can follow; the views behind the others
    do not know of them.
    """

    name: str
    title: str
    words: str
    numbers: dict[str, Any] = field(default_factory=dict)
    table: Sequence[Row] = ()
    draw: Callable[[int], Chart] | None = None
    obeys: tuple[str, ...] = tuple(FILTERS)


def count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def of_kind(number: int, kind: str | None) -> str:
    return f"{number:,} {ONE[kind] if number == 1 else KINDS[kind]}"


def percent(number: float, sign: str = "") -> str:
    return f"{number:{sign},.0f} %"


def part(number: float) -> str:
    """The percentage of something that is not whole: never written as 100 %."""
    return f"{int(number)} %"


def day(date_: date) -> str:
    return f"{date_:%-d %B %Y}"


def when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def series(row: Row) -> str:
    """What the jobs of a row do, in the words of `check`; a question mark for what the org did not tell."""
    return f"{row['operation'] or '?'} of {row['object'] or '?'} ({row['job_type'] or '?'})"


def duration(hours: float) -> str:
    """Rounded to seconds, minutes, hours or days, whichever says most."""
    for unit, seconds, least in (("day", 86_400, 259_200), ("hour", 3_600, 7_200), ("minute", 60, 120)):
        if 3_600 * hours >= least:
            return f"{3_600 * hours / seconds:,.{1 if unit == 'day' else 0}f} {unit}s"
    return count(round(3_600 * hours), "second")
