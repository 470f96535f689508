"""How many jobs no listing showed: what the org's own counter has more than the record, for each day and added up."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, plant, rows

WEEK, SECOND = 7 * DAY, timedelta(seconds=1)
Row = dict[str, Any]


def counters(*counts: tuple[datetime, int | None], **listing: Any) -> dict[str, list[Row]]:
    """Listings at these times, each with a snapshot of the org's counter: what is left of 10,000."""
    limit = {"limit_name": "DailyBulkV2QueryJobs", "max": 10_000}
    return {
        "org_limits": [{**limit, "listing_id": f"{at}", "asked_at": at, "remaining": left} for at, left in counts],
        "listings": [{"listing_id": f"{at}", "started_at": at, **listing} for at, _ in counts],
    }


def test_the_last_count_of_a_day_is_used(tmp_path: Path) -> None:
    """Midnight belongs to the day that it begins; a day without a count is absent."""
    midnight = datetime(2026, 11, 10, tzinfo=UTC)
    counts = [(midnight - HOUR, 9_990), (midnight - SECOND, 9_980), (midnight, 9_970), (midnight + 2 * DAY, -21)]
    jobs = [{"created_date": midnight - DAY}, {"created_date": midnight - SECOND}, {"created_date": midnight}]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, **counters(*counts))

    assert rows(file, "select day, counted_at, counted, seen, unseen from unseen_jobs order by day") == [
        ((midnight - DAY).date(), midnight - SECOND, 20, 2, 18),
        (midnight.date(), midnight, 30, 2, 28),
        ((midnight + 2 * DAY).date(), midnight + 2 * DAY, 10_021, 0, 10_021),
    ]


def test_a_counter_that_lags_behind_gives_no_unseen_jobs(tmp_path: Path) -> None:
    """It is accurate within five minutes: a count below what was seen does not give a negative number."""
    file = plant(tmp_path / "w.duckdb", query_jobs=[{"created_date": NOW}] * 3, **counters((NOW, 9_999)))

    assert rows(file, "select counted, seen, unseen from unseen_jobs") == [(1, 3, 0)]


def test_a_missing_count_is_ignored(tmp_path: Path) -> None:
    """The last count of the day that exists is used; a day without any is absent."""
    counts = counters((NOW, 9_000), (NOW + HOUR, None), (NOW + DAY, None))
    file = plant(tmp_path / "w.duckdb", **counts)

    assert rows(file, "select counted_at, counted, unseen from unseen_jobs") == [(NOW, 1_000, 1_000)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("{}", [(700, 700)]),
        ('{"jobType":"V2Query"}', [(700, 700)]),
        ('{"jobType":"Classic"}', []),
        ('{"isPkChunkingEnabled":"true","jobType":"V2Query"}', []),
    ],
)
def test_a_recorder_that_filters_out_query_jobs_misses_none(
    tmp_path: Path, filters: str, expected: list[tuple[int, int]]
) -> None:
    """Otherwise, all of them would count as unseen."""
    file = plant(tmp_path / "w.duckdb", **counters((NOW, 9_300), filters=filters))

    assert rows(file, "select counted, unseen from unseen_jobs") == expected


def test_the_last_count_with_a_listing_of_query_jobs_is_used(tmp_path: Path) -> None:
    """A later one is from a time for which there is no listing."""
    looked, later = counters((NOW, 9_990)), counters((NOW + HOUR, 9_000), filters='{"jobType":"Classic"}')
    file = plant(tmp_path / "w.duckdb", **{table: looked[table] + later[table] for table in looked})

    assert rows(file, "select counted_at, counted from unseen_jobs") == [(NOW, 10)]


def test_jobs_in_two_windows_are_added_up_once(tmp_path: Path) -> None:
    """Ten unseen jobs, counted at eleven in the evening and at six in the morning: ten, not twenty."""
    evening = NOW - 7 * HOUR
    file = plant(tmp_path / "w.duckdb", **counters((evening, 9_990), (NOW, 9_990)))

    assert rows(file, "select unseen, adds_up from unseen_jobs order by day") == [(10, True), (10, False)]
    assert rows(file, "select sum(unseen) from unseen_jobs where adds_up") == [(10,)]


@pytest.mark.parametrize(
    ("hours", "adds_up"),
    [
        ((23, 23, 23, 23), (True, True, True, True)),
        ((23, 22, 23, 23), (True, False, True, True)),
        ((23, 22, 21, 20), (True, False, True, False)),
        ((23, None, 1, 0), (True, None, True, False)),
        ((4, 3, None, 2), (True, False, None, True)),
    ],
)
def test_days_whose_24_hours_do_not_overlap_add_up(tmp_path: Path, hours: tuple, adds_up: tuple) -> None:
    """If they overlap, every other one."""
    counts = [(NOW.replace(hour=hour) + n * DAY, 9_000) for n, hour in enumerate(hours) if hour is not None]
    file = plant(tmp_path / "w.duckdb", **counters(*counts))

    found = rows(file, "select adds_up from unseen_jobs order by day")
    assert found == [(flag,) for flag in adds_up if flag is not None]


@pytest.mark.parametrize(("late", "adds_up"), [(0, True), (-300, True), (-301, False), (300, True)])
def test_an_overlap_of_five_minutes_is_within_the_counters_accuracy(tmp_path: Path, late: int, adds_up: bool) -> None:
    """A cron job does not start to the second."""
    file = plant(tmp_path / "w.duckdb", **counters((NOW, 9_000), (NOW + DAY + late * SECOND, 9_000)))

    assert rows(file, "select adds_up from unseen_jobs order by day") == [(True,), (adds_up,)]


@pytest.mark.parametrize("seed", range(5))
def test_the_sum_is_never_more_than_the_actual_number(tmp_path: Path, seed: int) -> None:
    """Histories of an org that deletes many jobs unseen, with a recorder that loads irregularly: each job is counted at
    most once, and every job is that was created in the 24 hours of a day that adds up."""
    dice = Random(seed)
    created = sorted(NOW - dice.randrange(20 * 86_400) * SECOND for _ in range(1_500))
    unseen = {at for at in created if dice.random() < 0.3}
    loads, at = [], NOW - 20 * DAY
    while at < NOW:
        loads.append(at)
        at += dice.choice((4 * HOUR, 9 * HOUR, 20 * HOUR, 40 * HOUR)) + dice.randrange(6) * timedelta(minutes=10)
    counts = [(at, 10_000 - sum(at - DAY < time <= at for time in created)) for at in loads]
    seen = [{"created_date": time} for time in created if time not in unseen]
    file = plant(tmp_path / "w.duckdb", query_jobs=seen, **counters(*counts))
    days = rows(file, "select counted_from, counted_at, unseen, adds_up from unseen_jobs order by day")

    own = [(since, until) for since, until, _, adds_up in days if adds_up]
    assert sum(count for *_, count, adds_up in days if adds_up) == sum(
        1 for time in created if time in unseen and any(since < time <= until for since, until in own)
    )
    assert sum(count for *_, count, _ in days) > sum(count for *_, count, adds_up in days if adds_up)
    assert all(until <= since for (_, until), (since, _) in pairwise(own))
