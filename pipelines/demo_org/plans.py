"""What a job of the simulated org will be: when it is created, its states, and what becomes of its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Reasons = tuple[tuple[str, int], ...]  # errors as in sf__Error, and how many records have each


@dataclass(frozen=True, slots=True)
class Records:
    """What became of the records of a Bulk API 2.0 load, all of which are made like `row`."""

    row: Mapping[str, str]
    failed: Reasons = ()
    saved: int = 0
    unprocessed: int = 0
    sf_id: str = ""  # of the failed ones, where they have one


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """A batch of a Classic job as it is at a moment."""

    state: str
    records: int = 0
    failed: Reasons = ()
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A later state of a job, so many seconds after its creation; `stamp`: whether systemModstamp moves."""

    after: int
    state: str
    stamp: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    records: Records | None = None
    batches: tuple[BatchPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A job to come: when it is created (seconds since 1970), by whom, and what becomes of it."""

    at: int
    user: str
    fields: dict[str, Any]
    moves: tuple[Move, ...]
    deleted_after: int | None = None  # seconds after its creation
    refused: bool = False  # whether its results are refused
    apart: bool = False  # whether its id comes from numbers of its own
