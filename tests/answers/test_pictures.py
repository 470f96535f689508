"""What report and notebook say: the numbers of each picture, checked by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from picture_rows import MONTH, everything, job, selection
from planted import DAY, HOUR, NOW, plant

from pipelines.answers import pictures
from pipelines.answers.charts import styled
from pipelines.answers.check import Thresholds, check


def test_failures_are_shown_with_reason_and_number(tmp_path: Path) -> None:
    """Those of the last week first; including a job without a reason."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[
            *(job(NOW - n * DAY, object="Lead", state="Failed") for n in (1, 2, 20)),
            job(NOW - DAY, object="Order", state="Aborted"),
            job(NOW - DAY),
        ],
        job_details=[{"id": f"750{n:012}AAA", "error_message": "InvalidBatch : No such field"} for n in (1, 2, 3)],
        listings=MONTH,
    )
    picture = pictures.failures(selection(file))

    assert [
        (row["object"], row["outcome"], row["reason"], row["jobs"], row["last 7 days"]) for row in picture.table
    ] == [
        ("Lead", "failed", "InvalidBatch: No such field", 3, 2),
        ("Order", "aborted", "not known", 1, 1),
    ]
    assert "4 jobs" in picture.summary
    assert (
        "3 of them in the last 7 days, most often query of Lead (V2Query) by 005A: failed 2 times (reason: "
        in picture.summary
    )
    assert "InvalidBatch: No such field" in picture.summary


def test_a_load_that_lost_every_record_has_the_same_reason_in_table_chart_and_check(tmp_path: Path) -> None:
    """Its own answer names none, but its records do: that for which most of them failed."""
    load = {"operation": "upsert", "job_type": "Classic", "state": "Closed", "object": "Invoice__c", "id": "750A"}
    counts = {"id": "750A", "number_records_processed": 5, "number_records_failed": 5, "listed_state": "Closed"}
    errors = [
        {"id": "750A", "level": "record", "reason": code, "error_code": code, "fields": "Name", "records": records}
        for code, records in (("DUPLICATE_VALUE", 1), ("REQUIRED_FIELD_MISSING", 4))
    ]
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[job(NOW - DAY, **load)],
        job_details=[counts],
        record_errors=errors,
        listings=MONTH,
    )
    reason = "REQUIRED_FIELD_MISSING on Name"
    picture = pictures.failures(selection(file))
    (finding,) = check(file, Thresholds(), now=NOW)

    assert [(row["outcome"], row["reason"]) for row in picture.table] == [("every record failed", reason)]
    assert [row["reason"] for row in picture.numbers["reasons"]] == [reason]
    assert reason in finding.message


def test_streaks_are_ongoing_or_have_ended(tmp_path: Path) -> None:
    """Two failures in a row do not count."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[
            *(job(NOW - n * DAY, object="Lead", state="Failed") for n in range(1, 6)),
            *(job(NOW - n * DAY, object="Order", state="Failed") for n in range(3, 7)),
            *(job(NOW - n * DAY, object="Account", state="Failed") for n in range(3, 5)),
            job(NOW - DAY, object="Order"),
        ],
        listings=MONTH,
    )
    picture = pictures.streaks(selection(file))

    assert [(row["what"], row["failures"], row["until"]) for row in picture.table] == [
        ("query of Lead (V2Query) · 005A", 5, "still failing"),
        ("query of Order (V2Query) · 005A", 4, NOW - DAY),
    ]
    assert "query of Lead (V2Query) by 005A has failed 5 times in a row since 2026-11-11 06:00 UTC." in picture.summary
    assert "1 streak of three or more failures ended with a job that did not fail." in picture.summary


@pytest.mark.slow
def test_unknown_values_are_shown_as_a_question_mark(tmp_path: Path) -> None:
    """Jobs without an operation, an object or a user are in every sum and chart, and break none."""
    nothing = {"operation": None, "object": None, "created_by_id": None, "job_type": None}
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[
            *(job(NOW - n * DAY, **nothing, state="Failed") for n in range(1, 6)),
            *(job(NOW - n * DAY, object=None, created_by_id=None) for n in range(8, 20)),
            job(NOW - 3 * DAY, **nothing, state="InProgress"),
        ],
        listings=MONTH,
    )
    found = {picture.name: picture for picture in everything(file)}

    assert "18 jobs from" in found["volume"].summary
    assert "12 queries, 6 jobs of an unknown kind." in found["volume"].summary
    assert found["failures"].table[0]["user"] == "?"
    assert "? of ? (?) by ? has failed 5 times in a row" in found["streaks"].summary
    assert "query of ? (V2Query)" in found["durations"].summary
    assert "of an unknown kind, in the hour from" in found["at_once"].summary
    for picture in found.values():
        assert "None" not in picture.summary
        if picture.draw:
            styled(picture.draw(800)).to_dict()
    messages = [finding.message for finding in check(file, Thresholds(), now=NOW)]
    assert any(message.startswith("? of ? (?) by ? has failed 5 times") for message in messages)
    assert any("1 ? job of ? on ? is still InProgress" in message for message in messages)


def test_days_before_a_hole_are_compared_with_a_warning(tmp_path: Path) -> None:
    """Jobs that appeared and vanished in it are in neither number; a percentage would be meaningless."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[job(NOW - n * DAY) for n in range(1, 30)],
        listings=[{"started_at": NOW - n * DAY} for n in (0, 1, 13, 14, 15, 22, 29)],
    )
    words = pictures.volume(selection(file)).summary

    assert "in the 7 before 7 (covered: 7 and 2 of 7 days)." in words


def test_the_allowance_and_who_uses_it_up(tmp_path: Path) -> None:
    """In the busiest 24 hours; Classic jobs do not count."""
    yesterday = NOW - DAY
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[
            *(job(yesterday + n * timedelta(minutes=5), object="Order", created_by_id="005B") for n in range(85)),
            *(job(yesterday + n * HOUR) for n in range(5)),
            *(job(yesterday, job_type="Classic", object="Lead") for _ in range(50)),
        ],
        org_limits=[
            {
                "listing_id": "listing 0",
                "limit_name": "DailyBulkV2QueryJobs",
                "max": 100,
                "remaining": 8,
                "asked_at": NOW,
            },
            {"listing_id": "listing 0", "limit_name": "DailyApiRequests", "app": "ERP", "max": 50, "remaining": 20},
        ],
        users=[{"id": "005B", "name": "Order Sync"}],
        listings=MONTH,
    )
    chosen = selection(file)
    allowance, users, limits = pictures.allowance(chosen), pictures.users(chosen), pictures.limits(chosen)

    assert "Peak: 92 of 100 V2 query jobs (92 %) in the 24 hours up to" in allowance.summary
    assert (
        "up to 2026-11-16 06:00 UTC, by the org's own count; 88 of these are recorded. 1 day reached 80 %; of 1 day, the allowance is not known."
        in allowance.summary
    )
    assert [(row["user"], row["object"], row["query jobs"]) for row in users.table] == [
        ("Order Sync", "Order", 84),
        ("005A", "Account", 4),
    ]
    assert "88 V2 query jobs were recorded, most by Order Sync on Order: 84 (84 % of the allowance)." in users.summary
    assert [row["limit"] for row in limits.table] == ["DailyApiRequests"]
    assert "DailyApiRequests (ERP) came closest: 30 of 50 (60 %)" in limits.summary


def test_without_limits_the_allowance_is_unknown(tmp_path: Path) -> None:
    """The chart is still drawn, without the line."""
    picture = pictures.allowance(selection(plant(tmp_path / "w.duckdb", query_jobs=[job(NOW - DAY)])))

    assert "allowance is not known: fetch_org_metadata is off" in picture.summary
    assert picture.draw is not None
    picture.draw(800).to_dict()


def test_how_many_ran_at_once(tmp_path: Path) -> None:
    """Three that overlap, and a separate load."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[
            *(job(NOW - DAY + timedelta(minutes=3 * n)) for n in range(3)),
            job(NOW - 2 * DAY, operation="insert", job_type="Classic", state="Closed"),
        ],
        listings=MONTH,
    )
    words = pictures.at_once(selection(file)).summary

    assert "At most 3 queries, in the hour from 2026-11-15 06:00 UTC." in words
    assert "At most 1 load, in the hour from" in words


def test_durations_are_compared_by_whole_weeks(tmp_path: Path) -> None:
    """From the first week to the last complete one: the current one, of Monday the 16th, is left out."""
    lengths = {20: 10, 13: 12, 6: 30, 0: 500}  # days ago -> minutes
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[
            job(NOW - days * DAY - HOUR * (days == 0), system_modstamp=NOW - days * DAY + timedelta(minutes=minutes))
            for days, minutes in lengths.items()
        ],
        listings=MONTH,
    )
    picture = pictures.durations(selection(file))

    assert picture.summary.endswith(": query of Account (V2Query) 10.0 → 30.0.")
    assert [row["median, minutes"] for row in picture.table] == [10.0, 12.0, 30.0]


def test_the_week_is_an_average_of_hours_that_are_covered(tmp_path: Path) -> None:
    """The first of two Saturdays is before the record is complete: the other one's jobs are not halved."""
    saturday = NOW - 2 * DAY + 2 * HOUR
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[*(job(saturday + timedelta(minutes=n)) for n in range(4)), job(saturday - 7 * DAY - 2 * HOUR)],
        listings=[{"started_at": NOW - n * HOUR} for n in range(0, 48, 6)],
    )
    picture = pictures.week(selection(file))

    assert "The busiest hour is Saturday, 08:00 UTC, with 4.0." in picture.summary


def test_holes_and_unseen_jobs_are_shown(tmp_path: Path) -> None:
    """Each listing covers the seven days before it."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[job(NOW - 25 * DAY), job(NOW - DAY)],
        listings=[{"started_at": NOW - n * DAY} for n in (0, 1, 2, 20)],
    )
    chosen = selection(file)
    picture = pictures.coverage(chosen)

    assert (
        "4 complete listings, at most 24 hours apart outside the gaps; the last started 2026-11-16 06:00 UTC."
        in picture.summary
    )
    assert "A gap of 11.0 days from 2026-10-27 06:00 UTC to 2026-11-07 06:00 UTC" in picture.summary
    assert chosen.span.unknown == [
        {"start": datetime(2026, 10, 18, tzinfo=UTC), "end": datetime(2026, 10, 20, 6, tzinfo=UTC)},
        {"start": datetime(2026, 10, 27, 6, tzinfo=UTC), "end": datetime(2026, 11, 7, 6, tzinfo=UTC)},
    ]


@pytest.mark.parametrize(
    "tables", [{}, {"listings": [{"filters": '{"jobType": "Classic"}'}]}, {"query_jobs": [{"created_date": None}]}]
)
def test_with_nothing_to_show_every_picture_says_so(tmp_path: Path, tables: dict[str, Any]) -> None:
    """No jobs; no listing that proves coverage; a job without a readable date."""
    for picture in everything(plant(tmp_path / "w.duckdb", **tables)):
        assert picture.summary.strip(), picture.name
        if picture.name != "coverage":
            assert picture.draw is None, picture.name
