"""limits_ahead: at the pace of the last day, and of the last weeks, when is a limit reached? Computed independently."""

from datetime import UTC, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere

LIMIT = 15_000
BATCHES = "DailyBulkApiBatches"


def snapshots(*used: tuple[timedelta, int], name: str = BATCHES, allowed: int = LIMIT) -> list[dict[str, Any]]:
    """Rows of org_limits: how much was used, so long before NOW."""
    return [
        {
            "limit_name": name,
            "max": allowed,
            "remaining": allowed - count,
            "asked_at": NOW - ago,
            "listing_id": f"{name} {ago}",
        }
        for ago, count in used
    ]


def ahead(tmp_path: Path, *used: tuple[timedelta, int], columns: str) -> list[tuple[Any, ...]]:
    file = plant(tmp_path / "w.duckdb", org_limits=snapshots(*used))
    return rows(file, f"select {columns} from limits_ahead")


def test_at_the_pace_of_the_last_day(tmp_path: Path) -> None:
    """From 9,000 to 12,000 in 20 hours: 150 an hour, 3,000 left, 20 hours to go. Older and later ones do not count."""
    used = (30 * HOUR, 14_000), (20 * HOUR, 9_000), (5 * HOUR, 9_500), (0 * HOUR, 12_000)
    found = ahead(tmp_path, *used, columns="used, used_before, hours_between, reached_at")
    assert found == [(12_000, 9_000, 20.0, NOW + 20 * HOUR)]


@pytest.mark.parametrize(
    ("used", "reached"),
    [
        ([(HOUR, 12_000), (0 * HOUR, 12_000)], None),
        ([(HOUR, 12_000), (0 * HOUR, 9_000)], None),
        ([(0 * HOUR, 9_000)], None),
        ([(25 * HOUR, 1_000), (0 * HOUR, 9_000)], None),
        ([(HOUR, 15_100), (0 * HOUR, 15_000)], NOW),
        ([(24 * HOUR, 0), (0 * HOUR, 1)], None),  # 41 years
    ],
)
def test_a_limit_that_is_not_near_has_no_time(tmp_path: Path, used: Any, reached: Any) -> None:
    assert ahead(tmp_path, *used, columns="reached_at") == [(reached,)]


def test_at_the_pace_of_the_last_weeks(tmp_path: Path) -> None:
    """Peaks of 9,000, 10,000, 11,000 and 12,000: three weeks to go, whatever lies between the peaks."""
    used = [(n * 7 * DAY + HOUR, 12_000 - n * 1_000) for n in range(4)] + [
        (n * 7 * DAY + 2 * DAY, 100) for n in range(4)
    ]
    found = ahead(tmp_path, *used, (0 * HOUR, 50), columns="weeks, round(weekly_growth, 6), reached_on")
    assert found == [(4, 1_000, (NOW + 21 * DAY).date())]


def test_two_weeks_are_no_trend(tmp_path: Path) -> None:
    assert ahead(tmp_path, (7 * DAY, 1), (0 * HOUR, 2), columns="weeks, weekly_growth, reached_on") == [(2, None, None)]


def test_every_limit_of_the_org_has_a_row(tmp_path: Path) -> None:
    """Not an app's share, nor a limit of which the org has none; equal to the straight line that fits best."""
    dice, taken = Random(7), []
    for name in ("A", "B", "C"):
        taken += snapshots(
            *((hours * HOUR, dice.randrange(15_000)) for hours in dice.sample(range(8 * 168), 200)), name=name
        )
    none = snapshots((0 * HOUR, 0), name="None", allowed=0)
    shares = [row | {"app": "Loader"} for row in snapshots((0 * HOUR, 9), name="D")]
    file = plant(tmp_path / "w.duckdb", org_limits=[*taken, *none, *shares])
    found = {
        name: rest for name, *rest in rows(file, "select limit_name, weeks, weekly_growth, org_id from limits_ahead")
    }
    assert found.keys() == {"A", "B", "C"}
    for name, (weeks, growth, org) in found.items():
        mine = [row for row in taken if row["limit_name"] == name]
        newest = max(row["asked_at"] for row in mine)
        peaks: dict[int, int] = {}
        for row in mine:
            week = (newest - row["asked_at"]) // (7 * DAY)
            peaks[-week] = max(peaks.get(-week, 0), row["max"] - row["remaining"])
        x, y = sum(peaks) / len(peaks), sum(peaks.values()) / len(peaks)
        slope = sum((at - x) * (peak - y) for at, peak in peaks.items()) / sum((at - x) ** 2 for at in peaks)
        assert (weeks, org) == (len(peaks), ORG)
        assert growth == pytest.approx(slope)
    assert sorted(rows_elsewhere(file, "limits_ahead")) == sorted(rows(file, "from limits_ahead"))
    assert rows(file, "select max(read_at) from limits_ahead")[0][0].astimezone(UTC) <= NOW
