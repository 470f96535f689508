"""Failure rates and rates of lost records that `make check` reports."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from check_rows import found, job_id, listed
from check_situations import EXTRACT, kinds, losing, rate
from planted import DAY, HOUR, NOW, ORG, plant

from pipelines.answers.check import Thresholds, check

pytestmark = pytest.mark.slow_cases

MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)


def test_a_series_in_which_every_third_job_works_is_reported(tmp_path: Path) -> None:
    """67 of 100 fail, but never three in a row."""
    (finding,) = found(tmp_path, rate(67, 100))

    assert finding.kind == "failure rate"
    assert finding.key == f"failure rate/{ORG}/V2Query/query/Lead/005B"
    assert finding.message.startswith(
        "query of Lead (V2Query) by Data Warehouse failed in 67 of 100 jobs (67 %) since 2026-11-12 02:00 UTC, first on "
    )
    assert finding.message.endswith("; each time: Timeout: Took 2 s.")
    assert len(finding.ids) == 67
    assert finding.numbers["jobs_percent"] == 67


def test_a_nightly_series_in_which_every_third_job_works_is_reported(tmp_path: Path) -> None:
    """Even though a week has only seven of its jobs."""
    assert kinds(found(tmp_path, rate(20, 30, DAY))) == ["failure rate"]


@pytest.mark.parametrize(
    ("failed", "jobs", "settings", "reported"),
    [
        (20, 40, {}, True),
        (19, 40, {}, False),
        (19, 40, {"failed_percent": 47}, True),
        (20, 40, {"failed_percent": 51}, False),
        (20, 40, {"failed_jobs": 21}, False),
        (4, 8, {}, True),
        (3, 6, {}, False),
        (3, 6, {"failed_jobs": 3}, True),
    ],
)
def test_rates_have_thresholds(
    tmp_path: Path, failed: int, jobs: int, settings: dict[str, Any], reported: bool
) -> None:
    """A share, and a significant number of jobs."""
    file = plant(tmp_path / "w.duckdb", **rate(failed, jobs))

    assert kinds(check(file, Thresholds(unusual_jobs=99, **settings), now=NOW)) == ["failure rate"] * reported


@pytest.mark.slow
def test_a_rate_needs_two_covered_weeks(tmp_path: Path) -> None:
    """A first listing covers one week; a week later there are two."""
    for ages, reported in (((0,), False), ((0, 6.9), False), ((0, 7), True), ((0, 7.1, 15), False)):
        tables = rate(67, 100) | {"listings": listed(*(age * DAY for age in ages))}
        assert ("failure rate" in kinds(found(tmp_path, tables))) == reported, ages


def test_a_rate_ends_with_the_last_failure(tmp_path: Path) -> None:
    """A day without failures in an hourly series, and the problem is over."""
    tables = rate(60, 80)
    well = [EXTRACT | {"created_date": NOW - n * MINUTE} for n in range(9)]
    for age, reported in ((22 * HOUR, True), (25 * HOUR, False)):
        jobs = [job | {"created_date": job["created_date"] - age} for job in tables["query_jobs"]]
        assert kinds(found(tmp_path, tables | {"query_jobs": [*jobs, *well]})) == ["failure rate"] * reported


def test_a_nightly_load_that_loses_almost_all_records_is_reported(tmp_path: Path) -> None:
    """Salesforce shows it as Closed, but only one of 10,000 records was loaded."""
    (finding,) = found(tmp_path, losing(9_999, 20))

    assert finding.key == f"record failures/{ORG}/Classic/insert/Lead/005B"
    assert finding.message == (
        "69,993 of 70,000 records (99 %) failed in 7 jobs of insert of Lead (Classic) by Data Warehouse since "
        "2026-11-10 02:00 UTC, first on 2026-11-10 02:00 UTC, last on 2026-11-16 02:00 UTC."
    )
    assert finding.ids == tuple(job_id(n) for n in range(1, 8))


@pytest.mark.parametrize(
    ("failed", "nights", "settings", "reported"),
    [
        (5_000, 20, {}, True),
        (4_999, 20, {}, False),
        (4_999, 20, {"lost_percent": 49}, True),
        (5_000, 20, {"lost_records": 35_001}, False),
        (9_999, 3, {}, True),
        (9_999, 2, {}, False),  # two bad files
    ],
)
def test_lost_records_have_thresholds(tmp_path: Path, failed, nights, settings, reported: bool) -> None:
    """In the last seven days, or the last seven jobs."""
    file = plant(tmp_path / "w.duckdb", **losing(failed, nights))

    assert kinds(check(file, Thresholds(**settings), now=NOW)) == ["record failures"] * reported


def test_a_weekly_load_is_judged_by_its_last_jobs(tmp_path: Path) -> None:
    """There is one a week."""
    tables = losing(9_999, 4)
    weekly = [job | {"created_date": NOW - 4 * HOUR - n * WEEK} for n, job in enumerate(tables["query_jobs"])]

    assert kinds(found(tmp_path, tables | {"query_jobs": weekly})) == ["record failures"]
