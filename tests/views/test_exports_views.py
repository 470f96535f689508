"""Who read how much by bulk queries, and whether that is new or far more than before: counted by hand."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, covered_percent, kind, plant, plausible, rows, rows_elsewhere

Row = dict[str, Any]
MIDNIGHT = NOW.replace(hour=0)
ODD = (None, datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
OTHER = "00DDm0000002000MAA"
NAMES = {(ORG, "005A"): "Ada"}
COLUMNS = "records_processed, jobs_uncounted, most_records_before, new_user, new_object"
LISTED = [NOW - n * DAY / 2 for n in range(140) if not 50 <= n < 90]  # a hole of thirteen days
DAILY = [{"started_at": NOW - n * DAY} for n in range(60)]


@pytest.fixture(scope="module")
def tables() -> dict[str, list[Row]]:
    """Ten weeks of jobs of few users on few objects, some of whom appear late, some of whom delete; nulls everywhere."""
    dice = Random(7)
    jobs, details, away = [], [], []
    for n in range(2_500):
        job = f"750{n:012}AAA"
        user = dice.choice((None, "005A", "005A", "005B", "005C", "005D"))
        created = NOW - timedelta(seconds=dice.randrange((12 if user == "005D" else 70) * 86_400))
        stamp = dice.choice((created, created + dice.randrange(1, 40) * HOUR, ODD[1]))
        shown = created + dice.randrange(1, 100) * HOUR / 4
        jobs.append({
            "org_id": dice.choice((ORG, ORG, OTHER)), "id": job, "created_by_id": user, "system_modstamp": stamp,
            "created_date": dice.choice(ODD) if dice.random() < 0.03 else created, "observed_at": shown,
            "operation": dice.choice(("query", "query", "queryAll", "insert", None)),
            "object": dice.choice(("Account", "Account", "Case", "Late" if created > NOW - 8 * DAY else "Account", None)),
            "state": dice.choice(("JobComplete", "JobComplete", "Closed", "Failed", "Aborted", "InProgress", None)),
        })  # fmt: skip
        if dice.random() < (0.97 if user in ("005A", "005D") else 0.3):
            details.append({
                "org_id": jobs[-1]["org_id"], "id": job, "provisional": dice.random() < 0.02 or None,
                "number_records_processed": dice.choice((0, 5, 70, 900, 900, 12_000, *([None] if user == "005B" else []))),
            })  # fmt: skip
        if dice.random() < {"005C": 0.5, "005A": 0.02}.get(user or "", 0.1):
            gone = shown + dice.choice((HOUR, 20 * HOUR, 6 * DAY, 8 * DAY))
            away.append({
                "org_id": jobs[-1]["org_id"], "id": job, "last_listed_at": max(shown, gone - 3 * HOUR), "unlisted_at": gone,
                "hidden": dice.choice((None, False, False, True)), "listed_again_at": dice.choice((None,) * 5 + (NOW,)),
            })  # fmt: skip
    users = [{"org_id": org, "id": user, "name": name} for (org, user), name in NAMES.items()]
    listings = [
        {"org_id": org, "started_at": at} for org in (ORG, OTHER) for at in LISTED if org == ORG or at > NOW - 9 * DAY
    ]
    return {"query_jobs": jobs, "job_details": details, "unlisted_jobs": away, "users": users, "listings": listings}


def by_hand(tables: dict[str, list[Row]]) -> list[tuple[Any, ...]]:
    details = {row["id"]: row for row in tables["job_details"]}
    away = {row["id"]: row for row in tables["unlisted_jobs"] if not row["hidden"] and not row["listed_again_at"]}
    days: dict[tuple[str, str | None, str | None], dict[datetime, list[Row]]] = {}
    for job in tables["query_jobs"]:
        created = plausible(job["created_date"], job["observed_at"])
        if kind(job["operation"]) == "query" and created:
            series = days.setdefault((job["org_id"], job["created_by_id"], job["object"]), {})
            series.setdefault(created.replace(hour=0, minute=0, second=0), []).append(job)

    def was_deleted(job: Row) -> bool:
        gone, created = away.get(job["id"]), job["created_date"]
        changed = plausible(job["system_modstamp"], job["observed_at"]) or created
        return bool(gone) and gone["last_listed_at"] <= changed + DAY and gone["unlisted_at"] < created + 7 * DAY

    def is_uncounted(job: Row) -> bool:
        found = details.get(job["id"], {})
        counted = found.get("number_records_processed") is not None and not found["provisional"]
        return job["state"] not in ("Failed", "Aborted") and not counted

    def records(jobs: list[Row]) -> int | None:
        found = [details.get(job["id"], {}).get("number_records_processed") for job in jobs]
        return sum(count for count in found if count is not None) if set(found) - {None} else None

    expected = []
    for (org, user, name), series in days.items():
        of_user: dict[datetime, list[Row]] = {}
        for (other_org, other_user, _), own in days.items():
            if (other_org, other_user) == (org, user):
                for day, jobs in own.items():
                    of_user[day] = of_user.get(day, []) + jobs
        for day, jobs in series.items():
            before = sorted(at for at in series if at < day)[-90:]
            counted = [records(series[at]) or 0 for at in before if not any(map(is_uncounted, series[at]))]
            recent = [of_user[at] for at in sorted(of_user) if at < day][-30:]
            deleted = [sum(map(was_deleted, of_day)) for of_day in recent]
            regularly = sum(n > 0 for n in deleted) >= 3 and 10 * sum(deleted) >= sum(map(len, recent))
            listed = [row["started_at"] for row in tables["listings"] if row["org_id"] == org]
            is_covered = covered_percent(listed, day - 28 * DAY, day) >= 50
            is_known = is_covered and user is not None
            expected.append((
                day.date(), org, user, NAMES.get((org, user or ""), user), name, len(jobs), records(jobs),
                sum(map(is_uncounted, jobs)), sum(map(was_deleted, jobs)), len(before),
                max(counted, default=None) if is_covered and 2 * len(counted) >= len(before) else None, regularly,
                day == min(of_user) if is_known else None,
                day == min(series) if is_known and name is not None and not regularly else None,
            ))  # fmt: skip
    return expected


def test_exports_are_compared_with_what_the_user_did_before(tmp_path: Path, tables: dict[str, list[Row]]) -> None:
    """Row by row; new is only what comes after two weeks of coverage, and not for who deletes regularly."""
    expected = by_hand(tables)
    file = plant(tmp_path / "w.duckdb", **tables)
    found = rows(file, "select * from exports_by_day")

    assert Counter(found) == Counter(expected)
    assert Counter(rows_elsewhere(file, "exports_by_day")) == Counter(expected)
    for column in (6, 10, 12, 13):
        assert {row[column] is None for row in found} == {True, False}, column
    assert {row[11:14] for row in found} >= {(False, True, True), (False, False, True), (True, False, None)}
    assert {row[2] for row in found if row[11]} >= {"005C"}
    assert sum(row[8] for row in found) > 30


def export(day: int, records: int | None = None, *, name: str = "Account", **columns: Any) -> tuple[Row, Row]:
    """A job of so many days ago, and its details."""
    job = f"750{day:06}{name[:6]:_<6}AAA"
    counts = {"id": job, "number_records_processed": records}
    at = MIDNIGHT - day * DAY + HOUR
    return {"id": job, "object": name, "created_date": at, "observed_at": at, **columns}, counts


def planted_exports(file: Path, *given: tuple[Row, Row], **tables: list[Row]) -> Path:
    jobs, details = zip(*given, strict=True)
    return plant(file, **{"query_jobs": list(jobs), "job_details": list(details), "listings": DAILY} | tables)


def test_rows_are_compared_with_days_with_jobs_and_not_with_calendar_days(tmp_path: Path) -> None:
    """An export at the end of each month is as usual as one of each day."""
    file = planted_exports(tmp_path / "w", *(export(30 * n, 10_000 + n) for n in range(5)))

    assert rows(file, "select days_before, most_records_before from exports_by_day order by day desc limit 2") == [
        (4, 10_004),
        (3, 10_004),
    ]


def test_rows_that_nobody_counted_are_not_none(tmp_path: Path) -> None:
    """Neither of this day nor of earlier ones: three known days of seven say nothing about what was most."""
    known, unknown = [export(n, 10 + n) for n in (1, 2, 3)], [export(n) for n in (0, 4, 5, 6, 7)]
    for last, most in ((4, 13), (5, None)):
        file = planted_exports(tmp_path / f"{last}", *known, *unknown[:last])
        newest = rows(file, f"select {COLUMNS} from exports_by_day order by day desc limit 1")
        assert newest == [(None, 1, most, False, False)]


@pytest.mark.parametrize(
    ("late", "is_new"), [(timedelta(0), True), (timedelta(seconds=1), None), (-DAY, True)], ids=["just", "not", "well"]
)
def test_nothing_is_new_before_two_weeks_are_covered(tmp_path: Path, late: timedelta, is_new: bool | None) -> None:
    """A first listing covers the week before it."""
    listings = [{"started_at": MIDNIGHT - 7 * DAY + late}, {"started_at": MIDNIGHT - DAY}, {"started_at": NOW}]
    file = planted_exports(tmp_path / "w", export(0), listings=listings)
    assert rows(file, "select new_user, new_object from exports_by_day") == [(is_new, is_new)]


def test_jobs_that_are_shown_for_days_were_not_deleted_soon(tmp_path: Path) -> None:
    """An admin who cleans up after days hides nothing."""
    soon, late = export(5, 1), export(5, 1, name="Case")
    at = soon[0]["created_date"]
    away = [
        {"id": soon[0]["id"], "last_listed_at": at + 24 * HOUR, "unlisted_at": at + 30 * HOUR},
        {"id": late[0]["id"], "last_listed_at": at + 25 * HOUR, "unlisted_at": at + 30 * HOUR},
    ]
    file = planted_exports(tmp_path / "w", soon, late, unlisted_jobs=away)
    assert rows(file, "select object, jobs_deleted from exports_by_day order by 1") == [("Account", 1), ("Case", 0)]
