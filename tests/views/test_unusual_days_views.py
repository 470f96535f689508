"""Days with far more or fewer jobs than usual: judged by the same weekday of the weeks before."""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from planted import DAY, NOW, ORG, plant, rows

MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)
MIDNIGHT = NOW.replace(hour=0)


def weeks_of_jobs(counts: dict[datetime, int], **columns: Any) -> list[dict[str, Any]]:
    return [{"created_date": day + n * MINUTE, **columns} for day, count in counts.items() for n in range(count)]


def test_unusual_days_are_judged_by_the_same_weekday_of_eight_weeks(tmp_path: Path) -> None:
    """Of both kinds, over half a year with a hole; including days without jobs."""
    dice, file = Random(3), tmp_path / "w"
    first = MIDNIGHT - 150 * DAY
    counts = {
        sort: {first + n * DAY: 1 if n == 0 else dice.choice((0, 1, 2, 2, 3, 12)) for n in range(149)}
        for sort in ("query", "load")
    }
    listed = [first + n * DAY for n in (7, 13, 20, 27, 33, 57, 64, *range(70, 151, 5))]  # a hole from day 33 to 50
    file = plant(
        file,
        query_jobs=[
            *weeks_of_jobs(counts["query"], operation="queryAll"),
            *weeks_of_jobs(counts["load"], operation="refresh"),
            *weeks_of_jobs({first + 9 * DAY: 5}, operation=None),
        ],
        listings=[{"started_at": at} for at in listed],
    )
    whole = [n for n in range(151) if n < 33 or 50 <= n < 150]
    expected = []
    for sort, by_day in counts.items():
        for n in whole:
            jobs = by_day.get(first + n * DAY, 0)
            before = [by_day.get(first + b * DAY, 0) for b in range(n - 56, n, 7) if b in whole]
            usual = spread = score = None
            if len(before) >= 3:
                usual = median(before)
                spread = median(abs(b - usual) for b in before)
                score = round((jobs - usual) / 1.4826 / max(spread, usual / 100, 1), 9)
            unusual = None if score is None else abs(score) >= 3.5
            expected.append(((first + n * DAY).date(), ORG, sort, jobs, usual, spread, score, 100.0, unusual, "query"))
    found = rows(file, "select * from unusual_days")

    assert sorted((*row[:6], row[6] and round(row[6], 9), *row[7:]) for row in found) == sorted(expected)


def test_a_sudden_day_scores_high_and_a_quiet_one_low(tmp_path: Path) -> None:
    """After four weeks of some two hundred; a day that is off by one percent is not unusual."""
    usual = {MIDNIGHT - n * WEEK: 200 for n in range(2, 6)}
    listings = [{"started_at": NOW - n * DAY} for n in range(0, 36, 5)]
    jobs = weeks_of_jobs(usual | {MIDNIGHT - WEEK: 202, MIDNIGHT - 6 * DAY: 60})
    file = plant(tmp_path / "w", query_jobs=jobs, listings=[*listings, {"started_at": NOW + DAY}])
    days = dict(rows(file, "select day, score from unusual_days"))

    assert days[MIDNIGHT.date()] == pytest.approx(-200 / 2 / 1.4826)
    assert days[(MIDNIGHT - WEEK).date()] == pytest.approx(2 / 2 / 1.4826)
    assert days[(MIDNIGHT - 6 * DAY).date()] == pytest.approx(60 / 1.4826)
    assert days[(MIDNIGHT - 3 * WEEK).date()] is None


def test_the_first_loads_after_weeks_without_any_are_unusual(tmp_path: Path) -> None:
    """That nothing was loaded on eight Sundays is also on record."""
    queries = weeks_of_jobs({MIDNIGHT - n * DAY: 1 for n in range(60)})
    loads = weeks_of_jobs({MIDNIGHT - DAY: 500}, operation="hardDelete", job_type="Classic")
    listings = [{"started_at": NOW - n * DAY} for n in range(0, 60, 5)]
    file = plant(tmp_path / "w", query_jobs=queries + loads, listings=listings)

    assert rows(file, "select jobs, usual, score > 3.5 from unusual_days where kind = 'load' and jobs > 0") == [
        (500, 0.0, True)
    ]
