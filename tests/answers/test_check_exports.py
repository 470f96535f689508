"""What `check` says about exports: a theft once, whatever signs it left; nothing about what integrations and admins do."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from check_rows import NAMES, Row, Tables, found, listed
from check_situations import kinds, of_days
from planted import DAY, HOUR, NOW, ORG, plant

from pipelines.alerts.events import Problem
from pipelines.answers.check import Finding, Thresholds, check

pytestmark = pytest.mark.slow_cases

MINUTE = timedelta(minutes=1)
AT = NOW - 10 * HOUR  # on Sunday evening
LISTINGS = listed(*(n * HOUR for n in range(24)), *(n * DAY for n in range(1, 40)))
STOLEN = ("Account", "Case", "Contact")
OTHER = "00DDm0000002000MAA"
THIEF, WAREHOUSE = "005M", "005B"


def together(*given: Tables) -> Tables:
    tables: Tables = {"listings": LISTINGS}
    for one in given:
        for name, rows in one.items():
            tables[name] = [*tables.get(name, []), *rows] if name != "listings" else rows
    return tables


def export(
    at: datetime = AT, *objects: str, records: int | None = None, deleted: timedelta | None = None, **columns: Any
) -> Tables:
    """A query of each object, three minutes apart; they take five, are listed on the hour, counted unless `records` is
    None, and deleted so long after their end unless that is None."""
    tables: Tables = {"query_jobs": [], "job_details": [], "unlisted_jobs": []}
    for n, name in enumerate(objects or STOLEN):
        created = at + n * 3 * MINUTE
        ended = created + 5 * MINUTE
        shown = ended.replace(minute=0) + HOUR
        job = {"org_id": ORG, "id": f"750{created:%m%d%H%M}{name[:4]:_<4}AAA", "created_by_id": THIEF, **columns}
        whose = {"org_id": job["org_id"], "id": job["id"]}
        times = {"created_date": created, "system_modstamp": ended, "observed_at": shown}
        tables["query_jobs"].append(job | {"object": name} | times)
        if records is not None:
            tables["job_details"].append(whose | {"number_records_processed": records})
        if deleted is not None:
            gone = max(ended + deleted, shown + MINUTE).replace(minute=0) + HOUR
            tables["unlisted_jobs"].append(whose | {"last_listed_at": gone - HOUR, "unlisted_at": gone})
    return tables


def every_day(*objects: str, days: int = 40, **columns: Any) -> Tables:
    """At half past one, on the day of the export, the day after, and so many less one before."""
    nights = [AT.replace(hour=1, minute=30) - n * DAY for n in range(-1, days)]
    return together(
        *(export(night, *objects, **{"records": 9_000, "created_by_id": WAREHOUSE} | columns) for night in nights)
    )


USUAL = every_day(*STOLEN, "Lead")
SOON = 5 * MINUTE


def one(tmp_path: Path, *given: Tables) -> Finding:
    (finding,) = found(tmp_path, together(USUAL, *given))
    return finding


# A theft


def test_a_theft_is_one_urgent_finding(tmp_path: Path) -> None:
    """A user without bulk queries before, three objects, millions of rows, deleted five minutes after they ended."""
    stolen = export(records=1_200_000, deleted=SOON)
    finding = one(tmp_path, stolen)

    assert (finding.kind, finding.urgent) == ("unusual export", True)
    assert finding.key == f"unusual export/{ORG}/{THIEF}/2026-11-15/urgent"
    assert finding.message == (
        "005M read 3,600,000 rows of Account, Case and Contact by 3 bulk queries on Sunday, 15 November 2026: the first "
        "bulk queries of this user on record. All 3 jobs were deleted soon after, the last by 2026-11-15 22:00 UTC."
    )
    assert "Login History" in finding.remedy
    assert finding.ids == tuple(job["id"] for job in stolen["query_jobs"])
    assert finding.numbers["records_processed"] == 3_600_000
    assert finding.numbers["jobs_deleted"] == 3
    assert Problem.of(finding, NOW).text.startswith(finding.message)


def test_rows_of_jobs_that_were_deleted_before_anyone_could_count_are_unknown(tmp_path: Path) -> None:
    """Not none; if some are known, it is at least these."""
    unknown = export(deleted=SOON)
    assert "005M read an unknown number of rows of Account, Case and Contact by" in one(tmp_path, unknown).message
    unknown["job_details"] = export(records=70_000)["job_details"][:1]
    assert "005M read at least 70,000 rows of Account," in one(tmp_path, unknown).message
    running = export(state="InProgress", deleted=SOON)
    assert one(tmp_path, running).urgent


def test_a_stolen_token_of_an_integration_is_found_by_its_own_past(tmp_path: Path) -> None:
    """It reads the same objects as each night, but all of them; and one that it never read."""
    finding = one(tmp_path, export(AT, "Account", "User", records=900_000, deleted=SOON, created_by_id=WAREHOUSE))

    assert finding.urgent
    assert finding.message == (
        "Data Warehouse read 1,809,000 rows of Account and User by 3 bulk queries on Sunday, 15 November 2026: this "
        "user's first of User on record; 909,000 rows of Account, and never more than 9,000 on an earlier day. "
        "2 of the 3 jobs were deleted soon after, the last by 2026-11-15 22:00 UTC."
    )


def test_who_deletes_nothing_is_reported_for_several_objects_and_not_urgent(tmp_path: Path) -> None:
    """What happens next is another finding: those who muted the first one must still hear that all was deleted."""
    finding = one(tmp_path, export(records=40_000))
    assert (finding.urgent, finding.key) == (False, f"unusual export/{ORG}/{THIEF}/2026-11-15")
    assert finding.message.endswith(": the first bulk queries of this user on record.")
    assert one(tmp_path, export(records=40_000, deleted=SOON)).key == f"{finding.key}/urgent"


def test_a_single_query_whose_traces_are_gone_is_reported_and_not_urgent(tmp_path: Path) -> None:
    """An integration that deletes its jobs is seen like that for the first time, too. Not if it read few rows."""
    finding = one(tmp_path, export(AT, "Case", deleted=SOON))
    assert not finding.urgent
    assert ". The job was deleted soon after, by 2026-11-15 22:00 UTC." in finding.message
    assert one(tmp_path, export(AT, "Case", records=50_000, deleted=SOON)).urgent
    assert found(tmp_path, together(USUAL, export(AT, "Case", records=49_999, deleted=SOON))) == []


def test_a_theft_on_days_in_a_row_is_one_finding_until_a_week_later(tmp_path: Path) -> None:
    """Its key is that of the first day."""
    evening = NOW.replace(hour=23)
    days = [export(evening - 2 * DAY, "Account", deleted=SOON), export(evening - DAY, "Case", "Lead", deleted=SOON)]
    finding = one(tmp_path, *days)

    assert finding.key == f"unusual export/{ORG}/{THIEF}/2026-11-14/urgent"
    assert " from Saturday, 14 November 2026 to Sunday, 15 November 2026: " in finding.message
    assert finding.numbers["jobs_deleted"] == 3
    for later, reported in ((6 * DAY, 1), (7 * DAY, 0)):
        tables = together(USUAL, *days) | {"listings": [*LISTINGS, *listed(*(-n * DAY for n in range(1, 8)))]}
        tables["listings"] = [row for row in tables["listings"] if row["started_at"] <= NOW + later]
        file = plant(tmp_path / f"{later.days}.duckdb", **NAMES | tables)
        assert kinds(check(file, Thresholds(unusual_jobs=99), now=NOW + later)).count("unusual export") == reported


def test_many_jobs_of_a_theft_are_not_an_unusual_day_as_well(tmp_path: Path) -> None:
    """Unless others had too many, too."""
    usual = {"query_jobs": of_days(*[40] * 40), "listings": LISTINGS}
    names = [f"{n:02}__c" for n in range(60)]
    theft = export(AT.replace(hour=12), *names, deleted=SOON)
    assert kinds(found(tmp_path, together(usual, theft))) == ["unusual export"]
    more = {"query_jobs": of_days(120, object="Lead")[19:]}
    assert kinds(found(tmp_path, together(usual, theft, more))) == ["unusual export", "unusual volume"]


def test_in_a_sandbox_nothing_is_urgent(tmp_path: Path) -> None:
    """People try things out there."""
    sandbox = {"orgs": [{"name": "Acme", "is_sandbox": True}]}
    assert not one(tmp_path, export(records=1_200_000, deleted=SOON), sandbox).urgent


def test_of_several_orgs_it_is_told_of_the_one(tmp_path: Path) -> None:
    """A user of the same id is another one there."""
    elsewhere = every_day(*STOLEN, org_id=OTHER, created_by_id=THIEF)
    orgs = {"orgs": [{"name": "Acme"}, {"org_id": OTHER, "name": "Umbrella"}]}
    listings = {"listings": [*LISTINGS, *(row | {"org_id": OTHER} for row in LISTINGS)]}
    (finding,) = found(tmp_path, together(USUAL, export(deleted=SOON), elsewhere, orgs, listings))
    assert (finding.kind, finding.org) == ("unusual export", "Acme")


# What is none


HABIT = every_day("Lead", deleted=SOON)
NONE: dict[str, tuple[Tables, ...]] = {
    "a new extract of one object": (USUAL, export(AT, "Account", records=9_000_000)),
    "a new extract of few rows": (USUAL, export(records=16_000)),
    "a new extract without a count": (USUAL, export()),
    "a backfill of one object": (USUAL, export(AT, "Lead", records=9_000_000, created_by_id=WAREHOUSE)),
    "a backfill that is deleted by who deletes anyway": (HABIT, export(AT, "Lead", records=9_000_000, created_by_id=WAREHOUSE, deleted=SOON)),
    "a new object of who deletes anyway": (HABIT, export(created_by_id=WAREHOUSE, deleted=SOON)),
    "a user who deletes for the first time, and nothing else": (USUAL, export(records=9_000, created_by_id=WAREHOUSE, deleted=SOON)),
    "queries that failed": (USUAL, export(state="Failed", deleted=SOON)),
    "loads": (USUAL, export(operation="insert", job_type="Classic", state="Closed", records=0, deleted=SOON)),
    "jobs cleaned up days later": (USUAL, export(AT - 3 * DAY, "Account", records=9_000_000, deleted=2 * DAY)),
    "the first fortnight of a recording": (USUAL, export(deleted=SOON), {"listings": listed(*(n * DAY for n in range(7)))}),
    "objects read on few days before": (every_day(*STOLEN, days=7), export(records=900_000, created_by_id=WAREHOUSE)),
    "an unknown user": (USUAL, export(created_by_id=None, records=900_000, deleted=SOON)),
    "an unknown object of a known user": (USUAL, export(AT, "Lead", records=900_000, object=None, created_by_id=WAREHOUSE)),
}  # fmt: skip


@pytest.mark.parametrize("what", NONE)
def test_what_is_ordinary_is_no_finding(tmp_path: Path, what: str) -> None:
    assert found(tmp_path, together(*NONE[what])) == []


def test_the_end_of_a_month_is_compared_with_those_before(tmp_path: Path) -> None:
    """Ten times as much as on other days; but not a hundred times."""
    ends = [export(AT - 30 * n * DAY, records=90_000, created_by_id=WAREHOUSE) for n in range(1, 2)]
    assert found(tmp_path, together(USUAL, *ends, export(records=95_000, created_by_id=WAREHOUSE))) == []
    assert kinds(found(tmp_path, together(USUAL, *ends, export(records=900_000, created_by_id=WAREHOUSE)))) == [
        "unusual export"
    ]


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (export(records=16_667), {"export_rows": 50_002}),
        (export(records=16_667), {"export_objects": 4}),
        (export(records=41_000, created_by_id=WAREHOUSE), {"export_times": 5.6}),
        (export(records=41_000, created_by_id=WAREHOUSE), {"export_rows": 50_001}),
    ],
)
def test_thresholds_are_settings(tmp_path: Path, given: Tables, settings: Row) -> None:
    """At the defaults it is reported just so, and at these just not."""
    file = plant(tmp_path / "w.duckdb", **NAMES | together(USUAL, given))
    assert kinds(check(file, Thresholds(), now=NOW)) == ["unusual export"]
    assert check(file, Thresholds(**settings), now=NOW) == []


def test_a_multiple_of_the_most_before_may_be_below_one(tmp_path: Path) -> None:
    most = export(AT - 20 * DAY, records=90_000, created_by_id=WAREHOUSE)
    file = plant(
        tmp_path / "w.duckdb", **NAMES | together(USUAL, most, export(records=41_000, created_by_id=WAREHOUSE))
    )
    assert check(file, Thresholds(), now=NOW) == []
    assert kinds(check(file, Thresholds(export_times=0.5), now=NOW)) == ["unusual export"]
