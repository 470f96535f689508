"""How close each of an org's limits came, week by week: computed independently from the snapshots."""

from collections import Counter
from datetime import UTC, date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere

MINUTE = timedelta(minutes=1)
OTHER = "00DDm0000002000MAA"
LIMIT = "DailyBulkV2QueryJobs"
MIDNIGHT = NOW.replace(hour=0)


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Four weeks of snapshots; the maximum can differ from week to week, and no two readings in a week are equal."""
    dice, taken = Random(13), []
    for org in (ORG, OTHER):
        for name, app in (("DailyApiRequests", ""), ("DailyApiRequests", "Loader"), (LIMIT, "")):
            for week in range(4):
                monday = MIDNIGHT - week * 7 * DAY
                allowed = dice.choice((300, 5_000))
                minutes = dice.sample(range(7 * 24 * 60), 12)
                moments = [monday, monday + 7 * DAY - timedelta(seconds=1), *(monday + m * MINUTE for m in minutes)]
                lefts = dice.sample(range(-50, 300), len(moments))
                taken += [
                    {"org_id": org, "limit_name": name, "app": app, "max": allowed, "remaining": left, "asked_at": at}
                    for at, left in zip(moments, lefts, strict=True)
                ]
    taken += [{"limit_name": "None", "max": 0, "remaining": 0}, {"limit_name": "Unread", "max": None, "remaining": 5}]
    taken = [{"listing_id": str(n), "app": "", "asked_at": NOW, "org_id": ORG, **row} for n, row in enumerate(taken)]
    return plant(tmp_path_factory.mktemp("limits") / "w.duckdb", org_limits=taken), taken


def test_each_week_has_its_last_snapshot_and_its_peak(limits: tuple[Path, list[dict[str, Any]]]) -> None:
    """By org, limit and app, even below zero; a limit of 0 has no percentage."""
    file, taken = limits
    weeks: dict[tuple, list[dict[str, Any]]] = {}
    for row in (row for row in taken if row["max"] is not None):
        monday = row["asked_at"].date() - timedelta(days=row["asked_at"].weekday())
        weeks.setdefault((monday, row["org_id"], row["limit_name"], row["app"]), []).append(row)

    def percent(row: dict[str, Any]) -> float | None:
        return round(100 * (row["max"] - row["remaining"]) / row["max"], 9) if row["max"] else None

    expected = []
    for key, week in weeks.items():
        last, peak = max(week, key=lambda r: r["asked_at"]), max(week, key=lambda r: r["max"] - r["remaining"])
        used = (peak["max"] - peak["remaining"], percent(peak), peak["asked_at"])
        expected.append((*key, last["max"], last["remaining"], percent(last), *used, len(week)))
    found = rows(file, "select * from limits_by_week")

    assert Counter(tuple(round(v, 9) if isinstance(v, float) else v for v in row) for row in found) == Counter(expected)
    assert len(found) == 25
    assert rows(file, "select count(*) > 0 from limits_by_week where remaining < 0 or peak_percent > 100") == [(True,)]


@pytest.mark.parametrize(("before", "after"), [((100, 10), (1_000, 850)), ((0, -5), (0, -2)), ((0, -5), (100, 97))])
def test_the_peak_is_the_snapshot_that_came_nearest_to_the_limit(
    tmp_path: Path, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Even if the maximum was raised within the week, or is zero."""
    taken = [
        {"listing_id": str(n), "limit_name": LIMIT, "max": most, "remaining": left, "asked_at": NOW + n * HOUR}
        for n, (most, left) in enumerate((before, after))
    ]
    file = plant(tmp_path / "w", org_limits=taken)
    nearest = max((before, after), key=lambda limit: ((limit[0] - limit[1]) / limit[0] if limit[0] else -9, -limit[1]))

    assert rows(file, "select peak_used, snapshots from limits_by_week") == [(nearest[0] - nearest[1], 2)]


def test_weeks_begin_on_monday_at_midnight_utc(tmp_path: Path) -> None:
    """A second earlier belongs to the week before."""
    moments = (MIDNIGHT - timedelta(seconds=1), MIDNIGHT)
    taken = [{"listing_id": str(at), "limit_name": "A", "max": 2, "remaining": 1, "asked_at": at} for at in moments]
    file = plant(tmp_path / "w", org_limits=taken)

    found = rows(file, "select week, snapshots, peak_at from limits_by_week order by 1")
    assert found == [(date(2026, 11, 9), 1, moments[0]), (date(2026, 11, 16), 1, moments[1].astimezone(UTC))]


def test_the_readers_time_zone_does_not_matter(limits: tuple[Path, list]) -> None:
    """Weeks are in UTC."""
    assert Counter(rows_elsewhere(limits[0], "limits_by_week")) == Counter(
        rows(limits[0], "select * from limits_by_week")
    )


def test_of_two_snapshots_at_the_same_second_the_same_one_counts(tmp_path: Path) -> None:
    """The org's clock shows seconds. Whatever order the rows are stored in, and any engine reads them in."""
    snapshots = [
        {
            "listing_id": f"listing {n}",
            "limit_name": LIMIT,
            "asked_at": NOW - days * DAY,
            "max": allowed,
            "remaining": left,
        }
        for n, (days, allowed, left) in enumerate([(1, 500, 400), (1, 300, 250), (0, 300, 90), (0, 400, 200)])
    ]
    listings = [{"started_at": row["asked_at"]} for row in snapshots]
    orders = [
        plant(tmp_path / f"{step}.duckdb", listings=listings, org_limits=snapshots[::step], alone=True)
        for step in (1, -1)
    ]

    for view in ("limits_by_week", "limits_ahead", "allowance_by_hour", "unseen_jobs"):
        one, other = (rows(file, f"select * from {view} order by all") for file in orders)
        assert one == other != [], view
