"""Failures in a row: from which job to which, and what ends them."""

from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from planted import HOUR, NOW, plant, rows

# One job an hour: Failed, every record failed, Success, partly failed, Aborted, Open, unknown what became of its records
COUNTS = {"E": (251, 251), "S": (251, 0), "P": (251, 250)}
STATES = {"F": "Failed", "A": "Aborted", "O": "Open"}
STREAKS = {  # failures, and the hours of first failure, last failure, success before, success after
    "FFF": [(3, 0, 2, None, None)],
    "SSFFSS": [(2, 2, 3, 1, 4)],
    "FOAFS": [(2, 0, 3, None, 4)],
    "SAFF": [(2, 2, 3, 0, None)],
    "EFP": [(2, 0, 1, None, 2)],
    "FFsF": [(2, 1, 2, 1, None)],  # within one second the order is not known; the success is assumed to be first
    "FFSFFF": [(2, 0, 1, None, 2), (3, 3, 5, 2, None)],
}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series for each of the stories above, all at the same hours; and some special cases."""
    expected = []
    for story in (*STREAKS, "FFUF"):
        hours = accumulate(letter.isupper() for letter in story)
        expected += [(story, hour - 1, letter.upper(), "005A") for hour, letter in zip(hours, story, strict=True)]
    expected += [("two users", n, "F", user) for n, user in enumerate(("005A", "005B", "005A", "005B"))]
    expected += [("backwards", hour, "F", "005A") for hour in (2, 1, 0)]
    jobs, details = [], []
    for n, (story, hour, letter, user) in enumerate(expected):
        series = {"job_type": "Classic", "operation": "upsert", "object": story, "created_by_id": user}
        jobs.append({**series, "created_date": _hour(hour), "state": STATES.get(letter, "Closed"), "id": f"{n:018}"})
        if counts := COUNTS.get(letter):
            details.append(
                {"id": f"{n:018}", "number_records_processed": counts[0], "number_records_failed": counts[1]}
            )
    users = [
        {"id": user, "name": "Integration User", "username": n} for user, n in (("005A", None), ("005B", "b@acme.test"))
    ]
    file = tmp_path_factory.mktemp("series") / "w.duckdb"
    return plant(file, query_jobs=jobs, job_details=details, users=users)


def _hour(number: int | None) -> Any:
    return None if number is None else NOW - 20 * HOUR + number * HOUR


STREAK = (
    "select failures, failing_since, last_failure_at, last_success_at, ended_at from failure_streaks where object = "
)


@pytest.mark.parametrize("story", STREAKS)
def test_a_streak_lasts_from_success_to_success(series: Path, story: str) -> None:
    """Aborted and open jobs neither prolong nor end it; a job that lost only some records ends it."""
    found = rows(series, f"{STREAK} '{story}' order by failing_since")

    assert found == [(failures, *map(_hour, hours)) for failures, *hours in STREAKS[story]]


def test_two_users_side_by_side_are_two_series(series: Path) -> None:
    """Even if they have the same name, and take turns."""
    found = rows(series, "select created_by_id, created_by, failures from failure_streaks where object = 'two users'")

    assert sorted(found) == [("005A", "Integration User (005A)", 2), ("005B", "Integration User (b@acme.test)", 2)]


def test_failure_reasons_keeps_users_with_the_same_name_apart(series: Path) -> None:
    """ "Jobs of one user": several integrations may well bear one name."""
    assert rows(series, "select jobs from failure_reasons where object = 'two users'") == [(2,), (2,)]


def test_the_last_job_of_a_streak_is_the_one_created_last(series: Path) -> None:
    """Ids do not have to increase with time."""
    (last,) = rows(series, "select id from jobs where object = 'backwards' order by created_date desc limit 1")

    assert rows(series, "select last_failed_id from failure_streaks where object = 'backwards'") == [last]


def test_a_streak_is_ended_by_a_job_that_did_not_fail_as_a_job(series: Path) -> None:
    """Whether its records failed is not known; without the Classic API, no streak of loads would ever end otherwise."""
    assert rows(series, f"{STREAK} 'FFUF'") == [(2, _hour(0), _hour(1), None, _hour(2))]


def test_a_streak_says_how_the_job_before_it_ended(tmp_path: Path) -> None:
    """A job that lost 9,999 of 10,000 records ends a streak, but did not work."""
    load = {"job_type": "Classic", "operation": "insert", "state": "Closed"}
    jobs = [load | {"created_date": NOW - 9 * HOUR}, *(load | {"created_date": NOW - n * HOUR} for n in (1, 2, 3))]
    lost = [(10_000, 9_999), *[(10, 10)] * 3]
    details = [
        {"id": f"750{n:012}AAA", "number_records_processed": of, "number_records_failed": failed, "provisional": False}
        for n, (of, failed) in enumerate(lost, 1)
    ]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, job_details=details)

    assert rows(file, "select failures, last_success_at, outcome_before, is_ongoing from failure_streaks") == [
        (3, NOW - 9 * HOUR, "partly failed", True)
    ]


@pytest.mark.parametrize(
    ("last", "pause", "ongoing"),
    [(23, 1, True), (25, 1, False), (25, 9, True), (28, 9, False), (24, 1, True)],
)
def test_a_streak_is_ongoing_until_the_series_stops(tmp_path: Path, last: int, pause: int, ongoing: bool) -> None:
    """For a day, or three usual pauses."""
    jobs = [{"state": "Failed", "created_date": NOW - (last + n * pause) * HOUR} for n in range(3)]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs)

    assert rows(file, "select is_ongoing from failure_streaks") == [(ongoing,)]
