"""When jobs ended, given what was seen of them: all views agree on each job."""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows

MINUTE = timedelta(minutes=1)
CREATED = NOW - 3 * DAY
OTHER = "00DDm0000002000MAA"
FINISHED = {"JobComplete", "Failed", "Aborted", "Closed"}
ProgressCallbacks = tuple[float, str, float]  # stamp, state, and the listing that first showed it: hours since creation

# What was seen of a job, its end, and whether that is a stamp.
LIVES: dict[str, tuple[list[ProgressCallbacks], float, bool]] = {
    "done": ([(0.5, "JobComplete", 1)], 0.5, True),
    "done, the stamp stands still since it ran": ([(0.5, "InProgress", 5), (0.5, "JobComplete", 6)], 6, False),
    "done, touched later": ([(0.5, "JobComplete", 1), (26, "JobComplete", 27)], 0.5, True),
    "done, touched twice": ([(0.5, "JobComplete", 1), (2, "JobComplete", 3), (26, "JobComplete", 27)], 0.5, True),
    "ran, done, touched": ([(0.5, "InProgress", 1), (2, "JobComplete", 3), (26, "JobComplete", 27)], 2, True),
    "ran, done with its stamp still, touched": ([(0.5, "InProgress", 1), (0.5, "Failed", 3), (26, "Failed", 27)], 3, False),
    "never moved": ([(0, "Closed", 6)], 6, False),
    "never moved, touched": ([(0, "Closed", 6), (26, "Closed", 27)], 6, False),
    "closed, then failed": ([(1, "Closed", 2), (3, "Failed", 4), (9, "Failed", 10)], 3, True),
    "closed, opened again": ([(1, "Closed", 2), (3, "Open", 4), (5, "Closed", 6), (9, "Closed", 10)], 5, True),
}  # fmt: skip


def version_row(version: tuple[datetime, str, datetime]) -> dict[str, Any]:
    return dict(zip(("system_modstamp", "state", "observed_at"), version, strict=True))


def planted_life(file: Path, seen: list[ProgressCallbacks]) -> Path:
    """A warehouse with one job, of which these versions were seen."""
    lived = [version_row((CREATED + stamp * HOUR, state, CREATED + at * HOUR)) for stamp, state, at in seen]
    states = [{"id": "750A", **version} for version in lived]
    return plant(file, query_jobs=[states[-1] | {"created_date": CREATED}], query_job_states=states)


@pytest.mark.parametrize("life", LIVES)
def test_a_job_ended_when_it_entered_the_state_that_it_stayed_in(tmp_path: Path, life: str) -> None:
    """Not when its record changed later; until then it counts as running at the same time."""
    versions, end, by_stamp = LIVES[life]
    file, ended = planted_life(tmp_path / "w", versions), CREATED + end * HOUR

    assert rows(file, "select ended_by, seconds, by_stamp from job_lifetimes") == [(ended, end * 3_600, by_stamp)]
    last = (ended - timedelta(seconds=1)).replace(tzinfo=None, minute=0, second=0)
    assert rows(file, "select max(hour) from jobs_at_once where at_once > 0") == [(last,)]


def test_the_end_of_a_job_is_found_in_its_whole_history(tmp_path: Path) -> None:
    """Random histories, walked back by hand from the newest version to where its state began."""
    dice, jobs, states, expected = Random(31), [], [], []
    for n in range(600):
        key = {"org_id": dice.choice((ORG, OTHER)), "id": f"750{n:015}"}
        created, seen, lived = dice.choice((CREATED, CREATED, None)), CREATED + MINUTE, []
        stamp = CREATED + dice.choice((0, 0, 1)) * MINUTE / 2
        for state in dice.choices(("Open", "InProgress", "Closed", "JobComplete"), k=dice.randrange(1, 6)):
            if (stamp, state) not in {version[:2] for version in lived}:
                lived.append((stamp, state, seen))
            stamp = seen + dice.randrange(1, 60) * MINUTE if dice.random() < 0.6 else stamp
            seen = max(stamp, seen) + dice.randrange(1, 60) * MINUTE
        states += [key | version_row(version) for version in lived]
        jobs.append(states[-1] | {"created_date": created})
        if lived[-1][1] not in FINISHED:
            expected.append((*key.values(), None, None))
            continue
        run = [k for k, (_, state, _) in enumerate(lived) if state != lived[k - 1][1] or not k][-1]
        stamp, _, seen = lived[run]
        moved = (lived[run - 1][0] != stamp if run else True) and created and stamp > created
        expected.append((*key.values(), stamp if moved else seen, bool(moved)))
    file = plant(tmp_path / "w", query_jobs=jobs, query_job_states=states)

    found = rows(file, "select org_id, id, ended_by, by_stamp from job_lifetimes")
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert {row[-1] for row in expected} == {True, False, None}


@pytest.mark.parametrize("life", [name for name, (lived, *_) in LIVES.items() if lived[-1][1] != "Failed"])
def test_weeks_time_a_job_as_its_lifetime_does(tmp_path: Path, life: str) -> None:
    """Or not at all, if its end is only known from a listing."""
    versions, end, by_stamp = LIVES[life]
    file = planted_life(tmp_path / "w", versions)

    found = rows(file, "select jobs, timed, p50_seconds, p95_seconds from durations_by_week")
    assert found == [(1, 1, end * 3_600, end * 3_600) if by_stamp else (1, 0, None, None)]


@pytest.mark.parametrize("life", LIVES)
def test_the_timeline_has_the_end_that_the_lifetime_has(tmp_path: Path, life: str) -> None:
    """And the same source."""
    versions, end, by_stamp = LIVES[life]
    file, state = planted_life(tmp_path / "w", versions), versions[-1][1]

    found = rows(file, f"select event_at, source from job_timeline where event = '{state}'")
    assert (CREATED + end * HOUR, "systemModstamp" if by_stamp else "listing") in found


@pytest.mark.parametrize(("state", "at", "source"), [("Open", 0, "systemModstamp"), ("InProgress", 6, "listing")])
def test_only_an_initial_state_is_entered_at_creation(tmp_path: Path, state: str, at: int, source: str) -> None:
    """Any other was entered later, by the end of the listing at the latest."""
    file = planted_life(tmp_path / "w", [(0, state, 6)])

    found = rows(file, "select event_at, source from job_timeline where event <> 'created'")
    assert found == [(CREATED + at * HOUR, source)]
