"""How much of the org's allowances was used, by whom, and how near the limits came: added up another way."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere

MINUTE = timedelta(minutes=1)
OTHER = "00DDm0000002000MAA"
LIMIT = "DailyBulkV2QueryJobs"
MIDNIGHT = NOW.replace(hour=0)
FIRST = MIDNIGHT - 6 * DAY
NAMES = {(ORG, "005A"): "Ada"}


def whole_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, tzinfo=None)


@pytest.fixture(scope="module")
def jobs() -> list[dict[str, Any]]:
    """In bursts with hours of quiet between them, some on the hour; the last ones after the newest listing began."""
    dice = Random(11)
    bursts = [FIRST + timedelta(minutes=15 * dice.randrange(4 * 150)) for _ in range(25)]
    moments = [burst + timedelta(seconds=dice.choice((0, 1, 900, 3_599, 9_000))) for burst in bursts for _ in range(40)]
    return [
        {
            "org_id": dice.choice((ORG, ORG, OTHER)),
            "created_date": dice.choice((at, at, at, at, None)),
            "job_type": dice.choice(("V2Query", "V2Query", "Classic", None)),
            "created_by_id": dice.choice(("005A", "005B", None)),
            "object": dice.choice(("Account", "Case", None)),
        }
        for at in [*moments, NOW, NOW + 20 * MINUTE, NOW + 70 * MINUTE]
    ]


@pytest.fixture(scope="module")
def snapshots() -> list[dict[str, Any]]:
    """Of the one org, from its third day on, one just after midnight; what it may use changes from day to day."""
    dice, taken = Random(12), []
    for day in range(2, 7):
        allowed = (100, 0, 150, None, 120)[day - 2]
        for minute in (1, *dice.sample(range(2, 24 * 60 if day < 6 else 6 * 60), 30)):
            at = FIRST + day * DAY + minute * MINUTE
            left = None if allowed is None else allowed - dice.randrange(170)
            taken.append({"limit_name": LIMIT, "max": allowed, "remaining": left, "asked_at": at})
            taken.append({"limit_name": LIMIT, "app": "Loader", "max": 7, "remaining": 1, "asked_at": at + MINUTE})
            taken.append({"limit_name": "DailyApiRequests", "max": 9, "remaining": 1, "asked_at": at + MINUTE})
    return [{"listing_id": str(n), **row} for n, row in enumerate(taken)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, jobs: list, snapshots: list) -> Path:
    return plant(
        tmp_path_factory.mktemp("allowance") / "w.duckdb",
        query_jobs=jobs,
        org_limits=snapshots,
        listings=[{"org_id": org, "started_at": NOW + n * MINUTE} for org in (ORG, OTHER) for n in (-60, 2)],
        users=[{"org_id": org, "id": user, "name": name} for (org, user), name in NAMES.items()],
    )


def v2(jobs: list[dict[str, Any]], org: str) -> list[dict[str, Any]]:
    return [job for job in jobs if job["org_id"] == org and job["job_type"] == "V2Query" and job["created_date"]]


@pytest.fixture(scope="module")
def by_hour(jobs: list, snapshots: list) -> list[tuple]:
    """What allowance_by_hour is to tell, hour by hour from the first to that of the newest listing."""
    told = []
    own = [s for s in snapshots if s["limit_name"] == LIMIT and "app" not in s]
    for org in (ORG, OTHER):
        created = [whole_hour(job["created_date"]) for job in v2(jobs, org)]
        for n in range(151):
            hour = whole_hour(FIRST + n * HOUR)
            inside = sum(hour - 23 * HOUR <= at <= hour for at in created)
            until = [s for s in own if org == ORG and whole_hour(s["asked_at"]) <= hour]
            until.sort(key=lambda s: s["asked_at"])
            here = [s for s in until if whole_hour(s["asked_at"]) == hour]
            counted = here[-1]["max"] - here[-1]["remaining"] if here and here[-1]["max"] is not None else None
            allowed = next((s["max"] for s in reversed(until) if s["max"] is not None), None)
            share = round(100 * max(inside, counted or 0) / allowed, 9) if allowed else None
            if inside or here:
                told.append((hour, org, inside, counted, allowed, share))
    return told


def test_each_hour_looks_back_on_24_whole_ones(file: Path, by_hour: list[tuple]) -> None:
    """Two orgs, one of them without limits; a day on which nothing is allowed, one on which the org did not tell."""
    found = [(*row[:-1], row[-1] and round(row[-1], 9)) for row in rows(file, "select * from allowance_by_hour")]

    assert Counter(found) == Counter(by_hour)
    assert {allowed for *_, allowed, _ in found} == {100, 0, 150, 120, None}


def test_the_days_fullest_hours_are_told_apart_by_user_and_object(file: Path, jobs: list, by_hour: list) -> None:
    """Only whose jobs were in it: all of them, also those of the day before."""
    told = []
    for org, day in {(org, hour.date()) for hour, org, *_ in by_hour}:
        of_day = [row for row in by_hour if row[1] == org and row[0].date() == day]
        hour, _, everybody, _, allowed, _ = max(of_day, key=lambda row: (row[2], row[0]))
        created = [job for job in v2(jobs, org) if hour - 23 * HOUR <= whole_hour(job["created_date"]) <= hour]
        for (user, thing), count in Counter((job["created_by_id"], job["object"]) for job in created).items():
            share = round(100 * count / allowed, 9) if allowed else None
            told.append((day, org, user, NAMES.get((org, user), user), thing, hour, count, everybody, allowed, share))
    found = [(*row[:-1], row[-1] and round(row[-1], 9)) for row in rows(file, "select * from allowance_by_user")]

    assert Counter(found) == Counter(told)
    assert (
        rows(file, "select 1 from allowance_by_user group by day, org_id having sum(query_jobs) <> max(all_jobs)") == []
    )


def test_the_24_hours_are_whole_ones(tmp_path: Path) -> None:
    """What was created at six counts until five the next day; a second before six, until four."""
    six = NOW - DAY
    jobs = [{"created_date": six}, {"created_date": six - timedelta(seconds=1)}]
    file = plant(tmp_path / "w", query_jobs=jobs)

    told = rows(file, "select hour, query_jobs from allowance_by_hour order by hour")
    assert [(hour.day, hour.hour, count) for hour, count in told if hour.hour in {4, 5, 6}] == [
        (15, 5, 1),
        (15, 6, 2),
        (16, 4, 2),
        (16, 5, 1),
    ]


def test_the_peak_takes_in_the_day_before(tmp_path: Path) -> None:
    """Eight at ten in the evening, five at two in the morning: thirteen within 24 hours."""
    evening, night = MIDNIGHT - 2 * HOUR, MIDNIGHT + 2 * HOUR
    jobs = [{"created_date": evening, "created_by_id": "005A"}] * 8 + [
        {"created_date": night, "created_by_id": "005B"}
    ] * 5
    file = plant(tmp_path / "w", query_jobs=jobs)

    told = rows(file, "select day, created_by, query_jobs, all_jobs from allowance_by_user order by day, created_by")
    assert [(day.day, *rest) for day, *rest in told] == [(15, "005A", 8, 8), (16, "005A", 8, 13), (16, "005B", 5, 13)]


def test_the_orgs_own_counter_counts_where_it_is_greater(tmp_path: Path) -> None:
    """The hour's last snapshot does; an app's share of the allowance is not the org's."""

    def snapshot(number: int, minute: int, left: int, **columns: Any) -> dict[str, Any]:
        asked = {"listing_id": str(number), "asked_at": NOW + minute * MINUTE, "max": 1_000, "remaining": left}
        return {"limit_name": LIMIT, **asked, **columns}

    file = plant(
        tmp_path / "w",
        query_jobs=[{"created_date": NOW - HOUR}] * 20,
        org_limits=[
            snapshot(1, 0, 900),
            snapshot(2, 50, -10),
            snapshot(2, 55, 1, app="Dataloader Bulk"),
            snapshot(3, 30, 300),
            snapshot(4, 65, 990),
        ],
        listings=[{"started_at": NOW + HOUR}],
    )

    told = rows(file, "select query_jobs, counted, allowance, share_percent from allowance_by_hour order by hour")
    assert told[1:] == [(20, 1_010, 1_000, 101.0), (20, 10, 1_000, 2.0)]


def test_without_limits_nothing_is_divided(tmp_path: Path) -> None:
    """Not known, or none at all."""
    for limits, allowed in (([], None), ([{"listing_id": "1", "limit_name": LIMIT, "max": 0, "remaining": 0}], 0)):
        file = plant(tmp_path / f"{allowed}", query_jobs=[{"created_date": NOW}] * 3, org_limits=limits)
        for view in ("allowance_by_hour", "allowance_by_user"):
            assert rows(file, f"select query_jobs, allowance, share_percent from {view}") == [(3, allowed, None)]


def test_the_allowance_is_that_of_the_newest_snapshot_up_to_the_days_end(tmp_path: Path) -> None:
    """The day on which recording began has one, also before the hour in which it did."""
    snapshot = {"listing_id": "1", "limit_name": LIMIT, "max": 100, "remaining": 100}
    file = plant(tmp_path / "w", query_jobs=[{"created_date": MIDNIGHT}], org_limits=[snapshot])

    assert rows(file, "select distinct allowance from allowance_by_hour") == [(100,)]
    assert rows(file, "select allowance, share_percent from allowance_by_user") == [(100, 1.0)]


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Four weeks of snapshots; each week another maximum, none of them twice at one height."""
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
    """By org, limit and app, below zero, too; a limit of which nothing may be used has no percentage."""
    file, taken = limits
    weeks: dict[tuple, list[dict[str, Any]]] = {}
    for row in (row for row in taken if row["max"] is not None):
        monday = row["asked_at"].date() - timedelta(days=row["asked_at"].weekday())
        weeks.setdefault((monday, row["org_id"], row["limit_name"], row["app"]), []).append(row)

    def percent(row: dict[str, Any]) -> float | None:
        return round(100 * (row["max"] - row["remaining"]) / row["max"], 9) if row["max"] else None

    told = []
    for key, week in weeks.items():
        last, peak = max(week, key=lambda r: r["asked_at"]), max(week, key=lambda r: r["max"] - r["remaining"])
        used = (peak["max"] - peak["remaining"], percent(peak), peak["asked_at"])
        told.append((*key, last["max"], last["remaining"], percent(last), *used, len(week)))
    found = rows(file, "select * from limits_by_week")

    assert Counter(tuple(round(v, 9) if isinstance(v, float) else v for v in row) for row in found) == Counter(told)
    assert len(found) == 25
    assert rows(file, "select count(*) > 0 from limits_by_week where remaining < 0 or peak_percent > 100") == [(True,)]


@pytest.mark.parametrize(("before", "after"), [((100, 10), (1_000, 850)), ((0, -5), (0, -2)), ((0, -5), (100, 97))])
def test_the_peak_is_the_snapshot_that_came_nearest_to_the_limit(
    tmp_path: Path, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Also where the maximum was raised within the week, or is zero."""
    taken = [
        {"listing_id": str(n), "limit_name": LIMIT, "max": most, "remaining": left, "asked_at": NOW + n * HOUR}
        for n, (most, left) in enumerate((before, after))
    ]
    file = plant(tmp_path / "w", org_limits=taken)
    nearest = max((before, after), key=lambda limit: ((limit[0] - limit[1]) / limit[0] if limit[0] else -9, -limit[1]))

    assert rows(file, "select peak_used, snapshots from limits_by_week") == [(nearest[0] - nearest[1], 2)]


def test_weeks_begin_on_monday_at_midnight_utc(tmp_path: Path) -> None:
    """A second earlier is the week before."""
    moments = (MIDNIGHT - timedelta(seconds=1), MIDNIGHT)
    taken = [{"listing_id": str(at), "limit_name": "A", "max": 2, "remaining": 1, "asked_at": at} for at in moments]
    file = plant(tmp_path / "w", org_limits=taken)

    told = rows(file, "select week, snapshots, peak_at from limits_by_week order by 1")
    assert told == [(date(2026, 11, 9), 1, moments[0]), (date(2026, 11, 16), 1, moments[1].astimezone(UTC))]


@pytest.mark.parametrize("view", ["allowance_by_hour", "allowance_by_user", "limits_by_week"])
def test_it_does_not_matter_where_the_reader_lives(file: Path, limits: tuple[Path, list], view: str) -> None:
    """Hours, days and weeks are UTC's."""
    warehouse = limits[0] if view == "limits_by_week" else file
    assert Counter(rows_elsewhere(warehouse, view)) == Counter(rows(warehouse, f"select * from {view}"))
