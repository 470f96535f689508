"""What `make check` says about why records failed: new reasons, reasons that cost more than before, and results that
could not be read; and the reason in the findings about failures."""

from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from check_rows import NAMES, Tables, found, listed
from check_situations import kinds
from planted import DAY, HOUR, NOW, ORG, plant

from pipelines.answers.check import Finding, Thresholds, check

Reasons = dict[tuple[str | None, str | None, str | None], int]
LISTINGS = [*listed(*(n * DAY for n in range(60)), feed="ingest"), *listed(*(n * DAY for n in range(60)))]
OLD = ("DUPLICATES_DETECTED", None, "Use one of these records?")
NEW = ("REQUIRED_FIELD_MISSING", "Name,Id", "Required fields are missing: [Name, Id]")
LOCKED = ("UNABLE_TO_LOCK_ROW", None, "unable to obtain exclusive access to this record")


def nightly(nights: int, *lately: Reasons, usual: Reasons | None = None, **columns: Any) -> Tables:
    """A series of V2 loads of 1,000 records, one each night; their reasons, the last night's first."""
    tables: dict[str, list[Any]] = defaultdict(list)
    for n in range(nights):
        add(tables, 5 * HOUR + n * DAY, lately[n] if n < len(lately) else usual or {}, **columns)
    return tables


def add(tables: Tables, age: timedelta, reasons: Reasons, **columns: Any) -> str:
    """One more load; `details` overrides its counts."""
    details = {"number_records_processed": 1_000, "number_records_failed": sum(reasons.values())}
    if reasons:
        details |= {"results_outcome": "read", "results_attempts": 1}
    details |= columns.pop("details", {})
    load = f"7501{len(tables['ingest_jobs']):011}AAA"
    common = {
        "object": "Lead",
        "created_by_id": "005B",
        "created_date": NOW - age,
        "id": load,
        "observed_at": NOW - age,
    }
    tables["ingest_jobs"].append(common | columns)
    tables["job_details"].append({"id": load} | details)
    if details.get("results_outcome") == "read" or "first" in str(details.get("results_outcome")):
        tables["record_errors"] += [
            {
                "id": load, "reason": f"hash of {code}", "level": "record", "error_code": code, "fields": fields,
                "message": message, "records": records, "retryable": code == LOCKED[0], "read_at": NOW - age,
            }
            for (code, fields, message), records in reasons.items()
        ]  # fmt: skip
    return load


def judged(tmp_path: Path, tables: Tables, **settings: Any) -> list[Finding]:
    file = plant(tmp_path / f"{len(list(tmp_path.iterdir()))}.duckdb", **NAMES | {"listings": LISTINGS} | tables)
    return check(file, Thresholds(**settings), now=NOW)


SERIES = "insert of Lead (V2Ingest) by Data Warehouse"
NAMED = "REQUIRED_FIELD_MISSING on Name, Id: Required fields are missing: [Name, Id]."


def test_a_new_reason_is_told_with_its_numbers(tmp_path: Path) -> None:
    """Once, as long as it is younger than a week."""
    tables = nightly(40, {OLD: 20, NEW: 30}, {OLD: 20, NEW: 40}, usual={OLD: 20})
    (finding,) = judged(tmp_path, tables)

    assert finding.key == f"new reason/{ORG}/Lead/hash of REQUIRED_FIELD_MISSING"
    assert finding.message == (
        f"70 records of {SERIES} failed for a new reason, in 2 loads since 2026-11-15 01:00 UTC, the last on "
        f"2026-11-16 01:00 UTC: {NAMED}"
    )
    assert finding.remedy.startswith("Find out what changed")
    assert finding.ids == (tables["ingest_jobs"][0]["id"], tables["ingest_jobs"][1]["id"])
    assert {name: finding.numbers[name] for name in ("records", "jobs", "series", "error_code")} == {
        "records": 70, "jobs": 2, "series": 1, "error_code": "REQUIRED_FIELD_MISSING",
    }  # fmt: skip
    assert judged(tmp_path, tables, muted_findings=[finding.key]) == []
    assert judged(tmp_path, tables, new_reason_records=71) == []
    assert judged(tmp_path, nightly(40, *[{OLD: 20, NEW: 30}] * 8, usual={OLD: 20})) == []


@pytest.mark.parametrize(
    "tables",
    [
        nightly(40),
        nightly(40, usual={OLD: 20, NEW: 30}),
        nightly(40, {OLD: 20, NEW: 9}, usual={OLD: 20}),  # a handful
        nightly(1, {NEW: 30}),  # the first load of a series
        nightly(5, {NEW: 30}),
        nightly(40, *[{NEW: 30}] * 3, usual={OLD: 20}),  # the same cause under another code
        nightly(40, {NEW: 30}, usual={OLD: 20, NEW: 0}) | {"listings": listed(*(n * HOUR for n in range(100)))},
    ],
)
def test_what_is_no_news_is_not_told(tmp_path: Path, tables: Tables) -> None:
    """Nor is anything on a healthy day."""
    assert judged(tmp_path, tables) == []


@pytest.mark.parametrize("days", [0, 3, 6])
def test_an_upgrade_finds_no_news_in_the_failures_that_were_always_there(tmp_path: Path, days: int) -> None:
    """The first version that reads reasons reads those of the last week; months of failures before had none read. All
    kinds of jobs are recorded, Classic ones for months."""
    tables: dict[str, list[Any]] = defaultdict(list)
    for n in range(60):
        unread = n > 7 + days
        details = {"results_outcome": None, "results_attempts": None} if unread else {}
        add(tables, 5 * HOUR + n * DAY, {OLD: 20, NEW: 300}, details=details)
        add(tables, 6 * HOUR + n * DAY, {LOCKED: 200} if n % 6 == 0 else {}, object="Case", details=details)
    assert judged(tmp_path, tables) == []


def test_what_is_told_as_failing_has_no_news(tmp_path: Path) -> None:
    """Three loads in a row lost every record, for a reason of which another load lost some."""
    lost = {NEW: 1_000}
    tables = nightly(40, lost, lost, lost, {OLD: 20, NEW: 30}, usual={OLD: 20})
    (finding,) = judged(tmp_path, tables)

    assert finding.kind == "failing"
    assert finding.message.endswith(
        f". Salesforce shows the last one as JobComplete, but every record failed. Reason: {NAMED}"
    )


def test_a_load_that_lost_every_record_is_told_with_the_reason(tmp_path: Path) -> None:
    """Its reason is new, but that is the same event."""
    (finding,) = judged(tmp_path, nightly(40, {NEW: 1_000}, usual={OLD: 20}))

    assert finding.kind == "closed but failed"
    assert finding.message == (
        "1 insert job of Data Warehouse on Lead shows as JobComplete, but all 1,000 records failed; it ended "
        f"by 2026-11-16 01:00 UTC. Reason: {NAMED}"
    )
    assert "Setup" in finding.remedy
    (finding,) = judged(tmp_path, nightly(40, {NEW: 600, OLD: 400}, usual={OLD: 20}))
    assert finding.message.endswith(f" UTC. Most often (600 of 1,000 records): {NAMED}")


def test_without_results_a_lost_load_is_told_as_before(tmp_path: Path) -> None:
    """Setup is the only place that knows."""
    tables = nightly(40, usual={OLD: 20})
    add(tables, HOUR, {NEW: 1_000}, object="Case", details={"results_outcome": None})
    (finding,) = judged(tmp_path, tables)

    assert finding.message.endswith(" UTC.")
    assert finding.remedy.startswith("Salesforce keeps the errors for seven days")


def test_a_series_that_loses_most_records_is_told_once_with_the_reason(tmp_path: Path) -> None:
    """And not as a reason that is new or has grown."""
    (finding,) = judged(tmp_path, nightly(40, *[{NEW: 800, OLD: 20}] * 7, usual={OLD: 20}))

    assert finding.kind == "record failures"
    assert finding.message.endswith(f"; most often: {NAMED}")


def test_failed_jobs_without_an_error_are_explained_by_their_records(tmp_path: Path) -> None:
    """Every other one ends as Failed."""
    tables: dict[str, list[Any]] = defaultdict(list)
    for n in range(40):
        add(tables, 5 * HOUR + n * DAY / 2, {LOCKED: 300}, state="JobComplete" if n % 2 else "Failed")
    (finding,) = judged(tmp_path, tables)

    assert finding.kind == "failure rate"
    assert finding.message.endswith(
        "; each time: UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record."
    )


# A reason that grew


def test_a_reason_that_grew_is_told_with_the_weeks_before(tmp_path: Path) -> None:
    """As a share of what was processed."""
    (finding,) = judged(tmp_path, nightly(40, *[{LOCKED: 60}] * 5, usual={LOCKED: 10}))

    assert finding.key == f"grown reason/{ORG}/Lead/hash of UNABLE_TO_LOCK_ROW"
    assert finding.message == (
        f"320 of 7,000 records (4.6 %) of {SERIES} failed in the last 7 days for one reason, but at most 70 (1 %) in "
        "each of the 4 weeks before: UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record."
    )
    assert "sending these records again may succeed" in finding.remedy
    assert len(finding.ids) == 7
    assert finding.numbers["highest_percent_before"] == 1


@pytest.mark.parametrize(
    ("lately", "usual", "settings", "is_told"),
    [
        ([{LOCKED: 60}] * 5, {LOCKED: 10}, {"grown_times": 3.8}, False),
        ([{LOCKED: 60}] * 5, {LOCKED: 10}, {"grown_records": 321}, False),
        ([{LOCKED: 15}] * 7, {LOCKED: 2}, {}, True),
        ([{LOCKED: 14}] * 7, {LOCKED: 2}, {}, False),  # 98 records
        ([{LOCKED: 400}], {LOCKED: 10}, {}, False),  # a single bad file
        ([{LOCKED: 60}] * 5 + [{}] * 9 + [{LOCKED: 60}] * 5, {LOCKED: 10}, {}, False),  # as in a week before
        ([{LOCKED: 60}] * 5 + [{}] * 31, {LOCKED: 60}, {}, True),  # back after four weeks
    ],
)
def test_growth_has_thresholds(tmp_path: Path, lately: Any, usual: Reasons, settings: Any, is_told: bool) -> None:
    """A floor, the weeks before, and more than one load."""
    findings = judged(tmp_path, nightly(60, *lately, usual=usual), **settings)

    assert kinds(findings) == ["grown reason"] * is_told


def test_more_records_are_not_more_of_a_share(tmp_path: Path) -> None:
    """Ten times the records were loaded, and ten times as many failed."""
    tables: dict[str, list[Any]] = defaultdict(list)
    for n in range(40):
        times = 10 if n < 7 else 1
        add(tables, 5 * HOUR + n * DAY, {LOCKED: 20 * times}, details={"number_records_processed": 1_000 * times})
    assert judged(tmp_path, tables) == []


def test_one_reason_in_two_series_on_an_object_is_one_finding(tmp_path: Path) -> None:
    """A new rule of the object refuses inserts and updates."""
    tables = nightly(40, {NEW: 30})
    for n in range(40):
        add(tables, 4 * HOUR + n * DAY, {} if n else {NEW: 50}, operation="update")
    (finding,) = judged(tmp_path, tables)

    assert finding.message.startswith(
        f"80 records of update of Lead (V2Ingest) by Data Warehouse, and of {SERIES}, failed for a new reason, in 2 loads "
    )
    assert len(finding.ids) == 2


# Results that cannot be read

FAILED = {"number_records_processed": 1_000, "number_records_failed": 40}


def unread(outcome: str | None, error: str | None, *ages: timedelta, **columns: Any) -> Tables:
    tables: dict[str, list[Any]] = defaultdict(list)
    for age in ages:
        add(
            tables,
            age,
            {},
            details=FAILED | {"results_outcome": outcome, "results_error": error, "results_attempts": 1},
        )
    return tables


NO = "HTTP 403 INSUFFICIENT_ACCESS: insufficient access rights on object id"
BROKE = "No answer from Salesforce."


@pytest.mark.parametrize(
    ("outcome", "error", "key", "said", "remedy"),
    [
        ("refused", NO, "refused/HTTP 403 INSUFFICIENT_ACCESS", f" 80 records failed: Salesforce refuses to show why: {NO}", "mute"),
        ("unreadable", BROKE, "unreadable", f" 80 records failed: why could not be read: {BROKE}", "mute"),
        (None, BROKE, "not yet", f" 80 records failed: why could not be read for 71 hours: {BROKE}", "tries again"),
        ("first 15 of 40", None, "incomplete", " 80 records failed: only the first 30 failed records could be read.", "2026-11-20"),
    ],
)  # fmt: skip
def test_results_that_could_not_be_read_are_told_by_cause(tmp_path: Path, outcome, error, key, said, remedy) -> None:
    """With the number of loads, and until when Salesforce itself knows."""
    (finding,) = judged(tmp_path, unread(outcome, error, 2 * DAY, 71 * HOUR))

    assert finding.key == f"unread results/{ORG}/{key}"
    assert finding.message == f"2 loads of the last 7 days, of Data Warehouse, in which{said}"
    assert "Salesforce forgets the first of them 2026-11-20 07:00 UTC." in finding.remedy
    assert remedy in finding.remedy
    assert len(finding.ids) == finding.numbers["jobs"] == 2


def test_results_of_a_week_ago_or_of_today_are_not_told(tmp_path: Path) -> None:
    """The former are forgotten; the latter are read by the next load."""
    assert judged(tmp_path, unread("refused", NO, 8 * DAY)) == []
    assert judged(tmp_path, unread(None, BROKE, 20 * HOUR)) == []
    assert judged(tmp_path, unread(None, None, 3 * DAY)) == []  # not asked: record_errors may be off
    assert kinds(judged(tmp_path, unread("refused", NO, HOUR))) == ["unread results"]


def test_without_other_findings_new_tables_change_nothing(tmp_path: Path) -> None:
    """A file of queries alone."""
    assert found(tmp_path, {"query_jobs": [{}]}) == []
