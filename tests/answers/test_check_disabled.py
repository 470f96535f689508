"""A series that was reported as failing, and then switched off, is not reported again as missing."""

from datetime import timedelta
from pathlib import Path

import pytest
from check_rows import Row, found
from check_situations import DAILY, HOURLY, kinds, nightly, of_days, rate
from planted import DAY, HOUR, NOW, plant

from pipelines.answers.check import Thresholds, check

pytestmark = pytest.mark.slow_cases

LATER = [*DAILY, *HOURLY]


def stopped(nights_ago: int, failed: int) -> list[Row]:
    """A nightly series whose last runs failed."""
    jobs = nightly(40, nights_ago)
    return [job | {"state": "Failed"} if n < failed else job for n, job in enumerate(jobs)]


@pytest.mark.parametrize(("nights", "kind"), [(1, "failing"), (2, "failing"), (3, None), (5, None), (7, None)])
def test_a_disabled_series_that_failed_in_a_row_is_not_missed(tmp_path: Path, nights: int, kind: str | None) -> None:
    """ "Fix or disable it", the finding said."""
    findings = found(tmp_path, {"query_jobs": stopped(nights, 4), "listings": DAILY})

    assert kinds(findings) == [kind] * (kind is not None)


@pytest.mark.parametrize("days", [0, 1, 2, 5])
def test_a_disabled_series_that_failed_too_often_is_not_missed(tmp_path: Path, days: int) -> None:
    """Two of three failed, up to the last but one."""
    tables = rate(67, 100, DAY / 2)
    jobs = [job | {"created_date": job["created_date"] - days * DAY} for job in tables["query_jobs"]]

    assert kinds(found(tmp_path, tables | {"query_jobs": jobs})) == ["failure rate"] * (days == 0)


@pytest.mark.parametrize("failed", [0, 2])
def test_a_series_that_failed_less_often_is_missed(tmp_path: Path, failed: int) -> None:
    """Two failures were never reported."""
    assert kinds(found(tmp_path, {"query_jobs": stopped(3, failed), "listings": DAILY})) == ["missing run"]


def test_a_series_that_was_repaired_and_then_stopped_is_missed(tmp_path: Path) -> None:
    """Half of its jobs failed, but not the last six; three days later there is no run."""
    jobs = [job for hour in (2, 14) for job in nightly(40, 3, hour)]
    jobs.sort(key=lambda job: job["created_date"], reverse=True)
    jobs = [job | {"state": "Failed"} if 6 <= n < 20 else job for n, job in enumerate(jobs)]

    assert kinds(found(tmp_path, {"query_jobs": jobs, "listings": DAILY})) == ["missing run"]


@pytest.mark.parametrize("hours", [0, 30])
def test_a_day_without_the_jobs_of_a_disabled_series_is_not_unusual(tmp_path: Path, hours: int) -> None:
    """Forty a day in one series, whose last four failed; others continue."""
    last = NOW.replace(hour=0) - timedelta(hours=hours) - DAY
    jobs = [job for job in of_days(*[40] * 40) if job["created_date"] < last]
    jobs.sort(key=lambda job: job["created_date"], reverse=True)
    jobs = [job | {"state": "Failed"} if n < 4 else job for n, job in enumerate(jobs)]
    others = of_days(*[10] * 40, object="Order")
    findings = found(tmp_path, {"query_jobs": [*jobs, *others], "listings": LATER})

    assert "unusual volume" not in kinds(findings)


def test_a_day_that_lacks_other_jobs_as_well_is_unusual(tmp_path: Path) -> None:
    """Only the jobs that a failing series lacks are explained by it."""
    last = NOW.replace(hour=0) - DAY - HOUR
    jobs = [job for job in of_days(*[40] * 40) if job["created_date"] < last]
    jobs.sort(key=lambda job: job["created_date"], reverse=True)
    jobs = [job | {"state": "Failed"} if n < 4 else job for n, job in enumerate(jobs)]
    others = of_days(*[50] * 40, object="Order")
    others = [job for job in others if job["created_date"] < last]
    findings = found(tmp_path, {"query_jobs": [*jobs, *others], "listings": LATER})

    assert "unusual volume" in kinds(findings)


def test_a_series_that_never_failed_is_missed_even_with_thresholds_of_0(tmp_path: Path) -> None:
    """Thresholds can be 0."""
    file = plant(tmp_path / "w.duckdb", query_jobs=stopped(3, 0), listings=DAILY)

    assert kinds(check(file, Thresholds(failed_jobs=0, failed_percent=0), now=NOW)) == ["missing run"]
