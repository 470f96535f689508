"""One job with an odd createdDate, kept as it came: the days and hours of all others are counted as without it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from planted import DAY, HOUR, NOW, plant, rows

ODD = [datetime(year, 1, 1, tzinfo=UTC) for year in (1900, 1970, 2015, 2999)]
VIEWS = ("jobs_by_day", "jobs_by_hour", "jobs_at_once")
BORN = {"jobs_by_day": "day", "jobs_by_hour": "hour", "jobs_at_once": "hour"}
RUNNING = [{"created_date": NOW - n * DAY, "system_modstamp": NOW - n * DAY + HOUR} for n in (9, 8, 2)]
LISTINGS = [{"started_at": NOW - n * DAY} for n in (10, 5, 0)]


def recorded(file: Path, *odd: datetime) -> Path:
    """A warehouse of three jobs and, at these times, odd ones."""
    jobs = [*RUNNING, *({"created_date": at, "system_modstamp": at + HOUR, "state": "Failed"} for at in odd)]
    return plant(file, query_jobs=jobs, listings=LISTINGS)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd.year))
@pytest.mark.parametrize("view", VIEWS)
def test_one_odd_date_changes_nothing_for_the_others(tmp_path: Path, view: str, odd: datetime) -> None:
    """It has a row of its own; the time that is recorded has all of its rows, those without jobs too."""
    file, plain = recorded(tmp_path / "odd", odd), recorded(tmp_path / "plain")
    mine = (NOW - 9 * DAY).replace(tzinfo=None), NOW.replace(tzinfo=None)
    within = (
        f"select * from {view} where {BORN[view]} between '{mine[0]:%Y-%m-%d %H:%M}' and '{mine[1]:%Y-%m-%d %H:%M}'"
    )

    assert sorted(rows(file, within), key=str) == sorted(rows(plain, within), key=str)
    count = "at_once" if view == "jobs_at_once" else "jobs"
    assert rows(file, f"select {count} from {view} where {BORN[view]} = '{odd:%Y-%m-%d}'") == [(1,)]
