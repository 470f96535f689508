"""Reasons of records in failure_reasons, and whether the counts of loads add up: computed by hand."""

from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere

Row = dict[str, Any]
LOCKED = ("UNABLE_TO_LOCK_ROW", None, "unable to obtain exclusive access to this record", True)
MISSING = ("REQUIRED_FIELD_MISSING", "Name", "Required fields are missing: [Name]", False)
OWN_TEXT = ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "CloseDate", None, False)
NAMES = {"005A": "Ada Lovelace"}


@pytest.fixture(scope="module", params=range(2))
def planted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Row], list[Row]]:
    """Loads of both kinds and queries; details and reasons of some."""
    dice, jobs, details, errors = Random(request.param), {}, [], []
    for n in range(300):
        kind = dice.choice(("V2Ingest", "Classic", "V2Query"))
        job = {
            "id": f"750{n:012}AAA", "job_type": kind, "created_by_id": dice.choice(("005A", "005B")),
            "operation": "query" if kind == "V2Query" else dice.choice(("insert", "update")),
            "state": dice.choice(("Closed", "Aborted")) if kind == "Classic" else dice.choice(("JobComplete", "Failed")),
            "created_date": dice.choice((NOW - dice.randrange(40) * HOUR, None)), "system_modstamp": NOW - HOUR,
        }  # fmt: skip
        jobs[job["id"]] = job
        if dice.random() < 0.2:
            continue
        processed, failed = dice.choice((None, 10, 20)), dice.choice((None, 0, 10, 15))
        read = dice.choice((None, failed, 7))
        detail = {"id": job["id"], "number_records_processed": processed, "number_records_failed": failed,
                  "results_outcome": "read" if read else None, "records_unprocessed": dice.choice((None, 3))}  # fmt: skip
        details.append(detail)
        if not read or kind == "V2Query":
            continue
        first = dice.randint(1, read)
        reasons = dice.sample((LOCKED, MISSING, OWN_TEXT), 2)
        for (code, fields, message, retryable), records in zip(reasons, (first, read - first), strict=True):
            errors.append({
                "id": job["id"], "reason": code, "level": "record", "error_code": code, "fields": fields, "message": message,
                "records": records, "further_records": dice.choice((0, 2)), "rows_read": read, "rows_failed": failed,
                "complete": read == failed, "retryable": retryable, "read_at": NOW,
            })  # fmt: skip
        if kind == "Classic" and dice.random() < 0.5:
            errors.append(errors[-1] | {"reason": "batch", "level": "batch", "error_code": "InvalidBatch", "fields": None,
                                        "message": "Records not found", "records": None, "batches": 1, "retryable": False})  # fmt: skip
        errors.append(errors[-1] | {"reason": "job", "level": "job", "records": None, "batches": None})
    file = plant(
        tmp_path_factory.mktemp("reasons") / "w.duckdb",
        query_jobs=[job for job in jobs.values() if job["job_type"] != "V2Ingest"],
        ingest_jobs=[job for job in jobs.values() if job["job_type"] == "V2Ingest"],
        listings=[{}, {"feed": "ingest"}], job_details=details, record_errors=errors,
        users=[{"id": user, "name": name} for user, name in NAMES.items()],
    )  # fmt: skip
    by_id = {detail["id"]: detail for detail in details}
    return file, {job: row | by_id.get(job, {"details": None}) for job, row in jobs.items()}, errors


def test_reasons_of_records_stand_beside_those_of_jobs(planted: tuple[Path, dict[str, Row], list[Row]]) -> None:
    """Each with its loads and the records it cost; what ended a job is not counted twice."""
    file, jobs, errors = planted
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for error in errors:
        job = jobs[error["id"]]
        if error["level"] != "job" and (error["records"] or error.get("batches")):
            key = tuple(job[name] for name in ("operation", "created_by_id"))
            groups[
                (error["level"], *key, error["error_code"], error["fields"], error["message"], error["retryable"])
            ].append(error)
    expected = []
    for (level, operation, user, *reason), of in groups.items():
        known = [error["records"] for error in of if error["records"]]
        last = max(of, key=lambda error: ((jobs[error["id"]]["created_date"] or NOW - 999 * DAY), error["id"]))
        expected.append(
            (level, operation, user, NAMES.get(user, user), *reason, len(of), sum(known) if known else None, last["id"])
        )
    found = rows(
        file,
        "select level, operation, created_by_id, created_by, error_code, fields, error_template, retryable, jobs, "
        "records_failed, last_id from failure_reasons where level <> 'job'",
    )
    assert Counter(found) == Counter(expected)
    assert {row[0] for row in found} == {"record", "batch"}
    assert rows(file, "select distinct outcome, error, kind from failure_reasons where level <> 'job'") == [
        (None, None, "load")
    ]
    assert rows(file, "select sum(jobs) from failure_reasons where level = 'job'") == rows(
        file, "select count(*) from failures"
    )


def test_counts_add_up_or_say_how_not(planted: tuple[Path, dict[str, Row], list[Row]]) -> None:
    file, jobs, errors = planted
    read = {error["id"]: error["rows_read"] for error in errors}

    def verdict(job: Row) -> str:
        processed, failed = job["number_records_processed"], job["number_records_failed"]
        if processed is None or failed is None:
            return "counts unknown"
        if failed > processed:
            return "more failed than processed"
        rows_read = read.get(job["id"])
        if (rows_read or 0) == failed:
            return "adds up"
        if rows_read is None:
            return "reasons unknown"
        return "more reasons than failures" if rows_read > failed else "fewer reasons than failures"

    def succeeded(job: Row) -> int | None:
        processed, failed = job["number_records_processed"], job["number_records_failed"]
        return None if processed is None or failed is None else processed - failed

    expected = {
        job: (read.get(job), row["records_unprocessed"], succeeded(row), verdict(row))
        for job, row in jobs.items()
        if row["job_type"] != "V2Query" and "number_records_failed" in row
    }
    found = rows(file, "select id, rows_read, records_unprocessed, records_succeeded, verdict from record_counts")
    assert {job: tuple(rest) for job, *rest in found} == expected
    assert {verdict for *_, verdict in found} == {
        "adds up", "counts unknown", "more failed than processed", "reasons unknown", "fewer reasons than failures",
        "more reasons than failures",
    }  # fmt: skip
    done = {job for (job,) in rows(file, "select id from record_counts where looks_done")}
    lost = {job for (job,) in rows(file, "select id from jobs where outcome = 'every record failed' and kind = 'load'")}
    assert done == lost
    assert done


@pytest.mark.parametrize("view", ["failure_reasons", "record_counts"])
def test_the_readers_time_zone_does_not_matter(planted: tuple[Path, dict[str, Row], list[Row]], view: str) -> None:
    file, *_ = planted
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"from {view}"))


def test_a_load_of_which_all_failed_looks_done(tmp_path: Path) -> None:
    """4 of 4, as in a recorded answer: the state alone says nothing about success."""
    details = [{"id": "750A", "number_records_processed": 4, "number_records_failed": 4}]
    file = plant(
        tmp_path / "w.duckdb", ingest_jobs=[{"id": "750A"}], listings=[{"feed": "ingest"}], job_details=details
    )
    assert rows(file, "select org_id, looks_done, verdict from record_counts") == [(ORG, True, "reasons unknown")]
