"""Rows of a load's results: planted as a pattern, and made one by one whenever they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

NUMBER = "{n}"  # in a pattern: the number of the row, from 1


class Row(NamedTuple):
    """A record as uploaded, and what became of it."""

    values: Mapping[str, str]
    error: str = ""  # sf__Error
    sf_id: str = ""
    created: bool = False


class _Part(NamedTuple):
    rows: Sequence[Row]
    times: int | None
    pattern: bool


class Rows:
    """Rows of one kind. A million take no more memory than the pattern that they are made from."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def add(self, rows: Sequence[Row], times: int | None = 1, *, pattern: bool = False) -> None:
        """Add rows, so many times in turn; None: without end. `pattern`: whether they are numbered.

        Raises ValueError: times is below 1.
        """
        if times is not None and times < 1:
            raise ValueError("times must be 1 or more, or None for rows without end")
        self._parts.append(_Part(tuple(rows), times, pattern))

    @property
    def columns(self) -> list[str]:
        """The columns of the upload, in the order in which they first appear."""
        return list(dict.fromkeys(name for part in self._parts for row in part.rows for name in row.values))

    def __len__(self) -> int:
        """How many there are; rows without end count once."""
        return sum(len(part.rows) * (part.times or 1) for part in self._parts)

    def __iter__(self) -> Iterator[Row]:
        """Make the rows that are planted by now."""
        return _made(tuple(self._parts))


def _made(parts: Sequence[_Part]) -> Iterator[Row]:
    number = 0
    for part in parts:
        turn = 0
        while part.rows and (part.times is None or turn < part.times):
            turn += 1
            for row in part.rows:
                number += 1
                yield _numbered(row, str(number)) if part.pattern else row


def _numbered(row: Row, number: str) -> Row:
    values = {name: value.replace(NUMBER, number) for name, value in row.values.items()}
    return row._replace(values=values, error=row.error.replace(NUMBER, number), sf_id=row.sf_id.replace(NUMBER, number))
