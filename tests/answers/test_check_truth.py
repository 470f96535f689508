"""What `make check` says is true: the culprit, the time, the org; and jobs without a readable date are reported,
too."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from check_rows import LOAD, found, job_id, limit, listed
from planted import DAY, HOUR, NOW, ORG, plant, rows

from pipelines.answers.check import Thresholds, check

SANDBOX = "00DDm0000002000MAA"


def counted(used: int, age: timedelta, **columns: Any) -> dict[str, Any]:
    return limit("DailyBulkV2QueryJobs", used, 100, asked_at=NOW - age, **columns)


def test_the_allowance_was_used_up_by_the_jobs_of_these_24_hours(tmp_path: Path) -> None:
    """By the org's counter, which includes jobs that no listing showed: the day's fullest 24 hours of recorded jobs are
    different ones, with another user's jobs."""
    tables = {
        "query_jobs": [
            *({"created_date": NOW - 26 * HOUR} for _ in range(40)),
            *({"created_date": NOW - HOUR, "created_by_id": "005B"} for _ in range(45)),
        ],
        "org_limits": [counted(95, 5 * HOUR), counted(50, HOUR / 10, listing_id="listing 1")],
    }
    (finding,) = found(tmp_path, tables)

    assert finding.message == (
        "95 of 100 V2 query jobs (95 %) were created in the 24 hours up to 2026-11-16 01:00 UTC; of the 40 that are "
        "recorded, most by: Ada Lovelace on Account 40."
    )


def test_the_24_hours_of_a_snapshot_end_with_it(tmp_path: Path) -> None:
    """And not with its hour: a burst just after its first minute would be in no window of whole hours."""
    at = 5 * HOUR - timedelta(minutes=7)
    tables = {
        "query_jobs": [
            *({"created_date": NOW - at - DAY + timedelta(minutes=2), "created_by_id": "005B"} for _ in range(70)),
            *({"created_date": NOW - at - HOUR} for _ in range(15)),
            *({"created_date": NOW - at + timedelta(minutes=2)} for _ in range(9)),  # after it
        ],
        "org_limits": [counted(86, at)],
    }
    (finding,) = found(tmp_path, tables)

    assert "up to 2026-11-16 01:07 UTC; of the 85 that are recorded" in finding.message
    assert finding.message.endswith("most by: Data Warehouse on Account 70, Ada Lovelace on Account 15.")


@pytest.mark.parametrize(
    ("age", "asked", "said"),
    [
        (43 * HOUR, 21 * HOUR, None),  # fetched at 22 hours of age: its state since then is unknown
        (43 * HOUR, 19 * HOUR, "after 24 hours, when it was last asked: 2026-11-15 11:00 UTC."),
        (62 * HOUR, 30 * HOUR, "after 32 hours, when it was last asked: 2026-11-15 00:00 UTC."),
    ],
)
def test_a_closed_load_is_unfinished_as_of_its_last_answer(tmp_path: Path, age, asked, said: str | None) -> None:
    """It may have ended since: its details are fetched less often than the listing."""
    details = [{"id": job_id(1), "provisional": True, "asked_at": NOW - asked}]
    findings = found(tmp_path, {"query_jobs": [LOAD | {"created_date": NOW - age}], "job_details": details})

    start = "1 insert job of Data Warehouse on Lead was Closed with batches to come "
    assert [finding.message for finding in findings] == ([start + said] if said else [])


@pytest.mark.parametrize("outcome", ["gone", "refused"])
def test_a_load_without_a_current_answer_is_not_called_waiting(tmp_path: Path, outcome: str) -> None:
    """An earlier answer about its batches is kept in the row, but from an unknown time."""
    details = [{"id": job_id(1), "provisional": True, "outcome": outcome}]
    tables = {"query_jobs": [LOAD | {"created_date": NOW - 3 * DAY}], "job_details": details}

    assert found(tmp_path, tables) == []


def test_a_job_without_a_readable_date_is_unfinished_since_it_was_first_seen(tmp_path: Path) -> None:
    """Its age is not known, but not zero."""
    job = {"created_date": None, "state": "Open", "job_type": "Classic", "operation": "insert", "created_by_id": "005B"}
    seen = {"system_modstamp": NOW - 40 * DAY, "observed_at": NOW - 40 * DAY}
    (finding,) = found(tmp_path, {"query_jobs": [job | seen]})

    assert finding.message == "1 insert job of Data Warehouse on Account is still Open, after 40.0 days."


@pytest.mark.parametrize("created", [NOW - 8 * DAY, None])
def test_a_load_that_lost_all_records_is_reported_by_its_end(tmp_path: Path, created) -> None:
    """It may have been open for more than a week: the file with the reasons is kept for a week after its end."""
    counts = [{"id": job_id(1), "number_records_processed": 10, "number_records_failed": 10}]
    for age, is_reported in ((DAY, True), (7 * DAY + HOUR, False)):
        ended = {"created_date": created, "system_modstamp": NOW - age, "observed_at": NOW - age}
        findings = found(tmp_path, {"query_jobs": [LOAD | ended], "job_details": counts})
        assert [finding.kind for finding in findings] == ["closed but failed"] * is_reported
        assert not findings or findings[0].message.endswith("; it ended by 2026-11-15 06:00 UTC.")


def test_orgs_with_the_same_name_are_distinguished(tmp_path: Path) -> None:
    """A sandbox has the name of its production org; a unique name gets no id."""
    orgs = [
        {"name": "Acme"},
        {"org_id": SANDBOX, "name": "Acme", "is_sandbox": True},
        {"org_id": "00DX", "name": "Umbrella"},
    ]
    listings = [row | {"org_id": org["org_id"]} for org in ({"org_id": ORG}, *orgs[1:]) for row in listed(2 * DAY)]
    file = plant(tmp_path / "w.duckdb", orgs=orgs, listings=listings)
    findings = check(file, Thresholds(), now=NOW)

    assert [finding.org for finding in findings] == [f"Acme ({ORG})", f"Acme (sandbox {SANDBOX})", "Umbrella"]
    assert rows(file, "select distinct name from orgs order by 1") == [("Acme",), ("Umbrella",)]


def test_messages_use_the_singular_for_one(tmp_path: Path) -> None:
    """One job, one record; and several jobs with batches to come."""
    one = [limit("DailyBulkV2QueryJobs", 1, 1)]
    (finding,) = found(tmp_path, {"query_jobs": [{"created_date": NOW - HOUR}], "org_limits": one})
    assert finding.message.startswith("1 of 1 V2 query jobs (100 %) was created in the 24 hours up to ")
    counts = [{"id": job_id(1), "number_records_processed": 1, "number_records_failed": 1}]
    (finding,) = found(tmp_path, {"query_jobs": [LOAD], "job_details": counts})
    assert " shows as Closed, but the only record failed; " in finding.message
    old = [LOAD | {"created_date": NOW - 2 * DAY}] * 2
    provisional = [{"id": job_id(n), "provisional": True, "asked_at": NOW} for n in (1, 2)]
    (finding,) = found(tmp_path, {"query_jobs": old, "job_details": provisional})
    assert (
        " were Closed with batches to come, the oldest after 48 hours, when they were last asked: " in finding.message
    )


def test_a_query_that_lost_all_records_is_shown_in_its_actual_state(tmp_path: Path) -> None:
    """V2 jobs are never Closed."""
    for jobs, said in ((1, "shows as JobComplete, but"), (3, "shows the last one as JobComplete, but")):
        counts = [
            {"id": job_id(n), "number_records_processed": 5, "number_records_failed": 5} for n in range(1, jobs + 1)
        ]
        queries = [{"created_date": NOW - n * HOUR} for n in range(1, jobs + 1)]
        (finding,) = found(tmp_path, {"query_jobs": queries, "job_details": counts})
        assert said in finding.message
