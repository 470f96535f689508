"""How much of the org's allowances was used, by whom, and how close to the limits: computed independently."""

from collections import Counter
from datetime import UTC, datetime, timedelta
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
    return at.replace(minute=0, second=0)


def shown(hour: datetime) -> datetime:
    """An hour as in the views: UTC, without a zone."""
    return hour.replace(tzinfo=None)


@pytest.fixture(scope="module")
def jobs() -> list[dict[str, Any]]:
    """In bursts with quiet hours between them, some exactly on the hour; the last ones after the start of the newest
    listing, and some with an implausible creation."""
    dice = Random(11)
    bursts = [FIRST + timedelta(minutes=15 * dice.randrange(4 * 150)) for _ in range(25)]
    moments = [burst + timedelta(seconds=dice.choice((0, 1, 900, 3_599, 9_000))) for burst in bursts for _ in range(40)]
    moments += [at + n * DAY for at in moments[::9] for n in (1, 2)]  # exactly one day later
    return [
        {
            "org_id": dice.choice((ORG, ORG, OTHER)),
            "created_date": dice.choice((at, at, at, at, None)),
            "job_type": dice.choice(("V2Query", "V2Query", "Classic", None)),
            "created_by_id": dice.choice(("005A", "005B", None)),
            "object": dice.choice(("Account", "Case", None)),
            "observed_at": NOW,
            "system_modstamp": NOW,
        }
        for at in [*moments, NOW, NOW + 20 * MINUTE, NOW + 70 * MINUTE, datetime(2999, 1, 1, tzinfo=UTC)]
    ]


@pytest.fixture(scope="module")
def snapshots() -> list[dict[str, Any]]:
    """For one org, from its third day on, one just after midnight; its allowance changes several times a day, and is
    sometimes missing."""
    dice, taken = Random(12), []
    for day in range(2, 7):
        usual = (100, 0, 150, None, 120)[day - 2]
        for minute in sorted((1, *dice.sample(range(2, 24 * 60 if day < 6 else 6 * 60), 30))):
            at = FIRST + day * DAY + minute * MINUTE
            allowed = dice.choice((usual,) * 7 + (None, 80, 1_000))
            left = None if allowed is None or dice.random() < 0.1 else allowed - dice.randrange(170)
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
    """The expected allowance_by_hour, from the first hour to that of the newest listing: all 24 hours that end with a
    job, or with the hour's first second, are counted one by one."""
    found = []
    own = [s for s in snapshots if s["limit_name"] == LIMIT and "app" not in s]
    for org in (ORG, OTHER):
        created = sorted(job["created_date"] for job in v2(jobs, org))
        for n in range(151):
            hour = FIRST + n * HOUR
            ends = [hour, *(at for at in created if hour <= at < hour + HOUR)]
            recorded, at = max((sum(end - DAY < at <= end for at in created), end) for end in ends)
            until = [s for s in own if org == ORG and s["asked_at"] < hour + HOUR]
            here = [s for s in until if s["asked_at"] >= hour]
            counts = [(s["max"] - s["remaining"], s["asked_at"]) for s in here if s["remaining"] is not None]
            counted, counted_at = max(counts, default=(None, None))
            used, peak = (counted, counted_at) if counted is not None and counted > recorded else (recorded, at)
            allowed = next((s["max"] for s in reversed(until) if s["max"] is not None), None)
            if recorded or here:
                share = 100 * used / allowed if allowed else None
                found.append((shown(hour), org, recorded, counted, allowed, share, used, peak))
    return found


def fullness(row: tuple) -> tuple:
    """The order of peaks: by the share of the allowance, then by what was used, then the later one."""
    return -1 if row[5] is None else row[5], row[6], row[0]


def test_each_hour_has_its_fullest_24_hours_and_the_limit_in_force(file: Path, by_hour: list[tuple]) -> None:
    """Two orgs, one without limits; limits that change within an hour, are 0, or are missing."""
    found = rows(file, "select * exclude (fullness) from allowance_by_hour")

    assert Counter(found) == Counter(by_hour)
    places = rows(file, "select hour from allowance_by_hour order by org_id, fullness")
    assert places == [(row[0],) for row in sorted(by_hour, key=lambda row: (row[1], *fullness(row)))]
    assert {row[4] for row in found} == {100, 80, 1_000, 0, 150, 120, None}
    assert sum(row[3] is not None and row[3] > row[2] for row in found) > 20
    assert sum(row[7].minute > 0 for row in found) > 100


def test_each_day_has_its_fullest_hour(file: Path, by_hour: list) -> None:
    """With the values of that hour."""
    days = {(row[1], row[0].date()): row for row in sorted(by_hour, key=fullness)}
    found = rows(file, "select org_id, day, peak_hour, counted, allowance, used, peak_at from allowance_by_day")

    assert Counter(found) == Counter(
        (org, day, hour, counted, allowed, used, peak)
        for (org, day), (hour, _, _, counted, allowed, _, used, peak) in days.items()
    )


def test_the_days_peak_is_broken_down_by_user_and_object(file: Path, jobs: list, by_hour: list) -> None:
    """Only jobs in exactly these 24 hours, including those of the day before."""
    expected = []
    for org, day in {(org, hour.date()) for hour, org, *_ in by_hour}:
        of_day = [row for row in by_hour if row[1] == org and row[0].date() == day]
        peak = max(of_day, key=fullness)
        hour, _, _, _, allowed, _, used, end = peak
        created = [job for job in v2(jobs, org) if end - DAY < job["created_date"] <= end]
        for (user, thing), count in Counter((job["created_by_id"], job["object"]) for job in created).items():
            share = 100 * count / allowed if allowed else None
            who = (user, NAMES.get((org, user), user), thing)
            expected.append((day, org, *who, hour, count, len(created), allowed, share, used, end))
    found = rows(file, "select * from allowance_by_user")

    assert Counter(found) == Counter(expected)
    assert any(row[-2] > row[7] for row in found)
    assert (
        rows(file, "select 1 from allowance_by_user group by day, org_id having sum(query_jobs) <> max(all_jobs)") == []
    )


def snapshot(asked: datetime, most: int | None, left: int | None, **columns: Any) -> dict[str, Any]:
    row = {"listing_id": f"{asked}", "asked_at": asked, "limit_name": LIMIT, "max": most, "remaining": left}
    return {**row, **columns}


@pytest.mark.parametrize(("first", "second"), [(70, 30), (70, 70)])
def test_an_org_at_its_limit_within_24_hours_that_begin_at_half_past(tmp_path: Path, first: int, second: int) -> None:
    """70 at 10:30, and as many at 10:15 the next day: no window of whole hours contains them all."""
    morning = datetime(2026, 10, 12, 10, 30, tzinfo=UTC)
    jobs = [{"created_date": morning}] * first + [{"created_date": morning + DAY - 15 * MINUTE}] * second
    loads = [morning.replace(hour=n, minute=17) + day * DAY for day in (0, 1) for n in range(2, 24, 4)]
    limits = [snapshot(at, 100, 100 - first if at > morning else 100) for at in loads]
    limits = [row for row in limits if row["asked_at"] < morning + DAY - 15 * MINUTE]
    file = plant(tmp_path / "w", query_jobs=jobs, org_limits=limits, listings=[{"started_at": at} for at in loads])
    full, end = first + second, morning + DAY - 15 * MINUTE

    assert rows(
        file,
        "select hour, query_jobs, share_percent, used, peak_at from allowance_by_hour "
        "order by share_percent desc nulls last, used desc, hour desc limit 1",
    ) == [(shown(whole_hour(end)), full, float(full), full, end)]
    assert rows(
        file, f"select query_jobs, all_jobs, used, peak_at from allowance_by_user where day = '{end:%Y-%m-%d}'"
    ) == [(full, full, full, end)]


def test_a_row_is_judged_by_the_limit_that_was_in_force(tmp_path: Path) -> None:
    """95 of 100 at six; from noon on, a thousand are allowed. Before the first snapshot, nothing is known."""
    noon = MIDNIGHT + 12 * HOUR
    file = plant(
        tmp_path / "w",
        query_jobs=[{"created_date": MIDNIGHT + 2 * HOUR}] * 95,
        org_limits=[snapshot(MIDNIGHT + 6 * HOUR, 100, 5), snapshot(noon, 1_000, 905)],
        listings=[{"started_at": noon}],
    )
    by_hour = rows(file, "select hour, allowance, share_percent from allowance_by_hour order by hour")

    assert [(hour.hour, *rest) for hour, *rest in by_hour] == [
        *((hour, None, None) for hour in range(2, 6)),
        *((hour, 100, 95.0) for hour in range(6, 12)),
        (12, 1_000, 9.5),
    ]
    assert rows(file, "select peak_hour, query_jobs, allowance, share_percent from allowance_by_user") == [
        (shown(MIDNIGHT + 11 * HOUR), 95, 100, 95.0)
    ]


def test_the_peak_is_where_the_share_is_greatest(tmp_path: Path) -> None:
    """90 of 100 in the morning are more than 200 of 1,000 in the evening: by hour, by user and overall."""
    morning, evening = MIDNIGHT + HOUR, MIDNIGHT + 5 * HOUR
    file = plant(
        tmp_path / "w",
        query_jobs=[{"created_date": morning, "created_by_id": "005A"}] * 90
        + [{"created_date": evening, "created_by_id": "005B"}] * 110,
        org_limits=[snapshot(morning, 100, 10), snapshot(evening - MINUTE, 1_000, 910)],
    )

    assert rows(file, "select created_by_id, query_jobs, all_jobs, used, share_percent from allowance_by_user") == [
        ("005A", 90, 90, 90, 90.0)
    ]


@pytest.mark.parametrize(("seconds", "most"), [(-1, 2), (0, 1), (1, 1)])
def test_24_hours_are_86400_seconds(tmp_path: Path, seconds: int, most: int) -> None:
    """A job exactly one day after another is never in the same 24 hours."""
    first = MIDNIGHT - DAY + timedelta(hours=1, minutes=2, seconds=3)
    second = first + DAY + timedelta(seconds=seconds)
    file = plant(tmp_path / "w", query_jobs=[{"created_date": first}, {"created_date": second}])

    assert rows(file, "select max(query_jobs) from allowance_by_hour") == [(most,)]
    assert rows(file, f"select peak_at from allowance_by_hour where hour = '{second:%Y-%m-%d %H}:00:00'") == [(second,)]


def test_a_job_counts_in_every_hour_in_which_24_hours_with_it_end(tmp_path: Path) -> None:
    """25 of them, or 24 for one that was created as an hour began."""
    for second, hours in ((0, 24), (1, 25), (3_599, 25)):
        created = MIDNIGHT - 3 * DAY + timedelta(seconds=second)
        file = plant(tmp_path / f"{second}", query_jobs=[{"created_date": created}])
        assert rows(file, "select count(*), min(hour), max(query_jobs) from allowance_by_hour") == [
            (hours, shown(MIDNIGHT - 3 * DAY), 1)
        ]


def test_the_peak_includes_the_day_before(tmp_path: Path) -> None:
    """Eight at ten in the evening, five at two in the morning: thirteen within 24 hours."""
    evening, night = MIDNIGHT - 2 * HOUR, MIDNIGHT + 2 * HOUR
    jobs = [{"created_date": evening, "created_by_id": "005A"}] * 8 + [
        {"created_date": night, "created_by_id": "005B"}
    ] * 5
    file = plant(tmp_path / "w", query_jobs=jobs)

    found = rows(file, "select day, created_by, query_jobs, all_jobs from allowance_by_user order by day, created_by")
    assert [(day.day, *rest) for day, *rest in found] == [(15, "005A", 8, 8), (16, "005A", 8, 13), (16, "005B", 5, 13)]


def test_the_orgs_own_counter_is_used_if_it_is_greater(tmp_path: Path) -> None:
    """The greatest of the hour's snapshots is used; an app's share of the allowance is not the org's."""
    file = plant(
        tmp_path / "w",
        query_jobs=[{"created_date": NOW - HOUR}] * 20,
        org_limits=[
            snapshot(NOW, 1_000, 900),
            snapshot(NOW + 40 * MINUTE, 1_000, -10),
            snapshot(NOW + 45 * MINUTE, 1_000, 1, app="Dataloader Bulk"),
            snapshot(NOW + 50 * MINUTE, 1_000, 300),
            snapshot(NOW + 65 * MINUTE, 1_000, 990),
        ],
        listings=[{"started_at": NOW + HOUR}],
    )

    columns = "query_jobs, counted, allowance, share_percent, used, peak_at"
    assert rows(file, f"select {columns} from allowance_by_hour order by hour")[1:] == [
        (20, 1_010, 1_000, 101.0, 1_010, NOW + 40 * MINUTE),
        (20, 10, 1_000, 2.0, 20, NOW + HOUR),
    ]
    assert rows(file, "select query_jobs, all_jobs, used, peak_at from allowance_by_user") == [
        (20, 20, 1_010, NOW + 40 * MINUTE)
    ]


def test_without_limits_nothing_is_divided(tmp_path: Path) -> None:
    """Limits that are not known, or 0."""
    cases = ([], None), ([snapshot(NOW, 0, 0)], 0), ([snapshot(NOW, None, 7)], None)
    for n, (limits, allowed) in enumerate(cases):
        file = plant(tmp_path / f"{n}", query_jobs=[{"created_date": NOW}] * 3, org_limits=limits)
        for view in ("allowance_by_hour", "allowance_by_user"):
            assert rows(file, f"select query_jobs, allowance, share_percent, used from {view}") == [
                (3, allowed, None, 3)
            ]


@pytest.mark.parametrize("view", ["allowance_by_hour", "allowance_by_user"])
def test_the_readers_time_zone_does_not_matter(file: Path, view: str) -> None:
    """Days and weeks are in UTC."""
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"select * from {view}"))
