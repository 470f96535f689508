"""Loads with failed records, their results as the demo org answers them, and what a recorder made of these."""

from typing import Any

import pytest
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

MISSING = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"


def record_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switches on what most tests do without."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')


def load_of(org: DemoOrg, failed: int = 1, state: str = "JobComplete", **fields: Any) -> str:
    """A V2 load that ended now, of which so many records failed."""
    fields = {"jobType": "V2Ingest", "operation": "insert", "numberRecordsProcessed": failed, **fields}
    return org.add_job(state=state, numberRecordsFailed=failed, **fields)


def classic_load_of(org: DemoOrg, failed: int = 1, failed_batches: int = 0, **fields: Any) -> str:
    batches = {
        "numberBatchesTotal": 3,
        "numberBatchesCompleted": 3 - failed_batches,
        "numberBatchesFailed": failed_batches,
    }
    fields = {"jobType": "Classic", "operation": "insert", "state": "Closed", **batches, **fields}
    return org.add_job(numberRecordsProcessed=10, numberRecordsFailed=failed, **fields)


def answer(
    org: DemoOrg, path: str, body: bytes | str | object, status: int = 200, times: int = 1, **headers: str
) -> None:
    """The next answers to requests for this path."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    org.fail_next(status, body, path=f"{path}$", headers=named, times=times)


def failed_results(*errors: str, delimiter: str = ",", end: str = "\n") -> str:
    rows = [["sf__Id", "sf__Error", "Name"], *(["", error, "Anna"] for error in errors)]
    return "".join(delimiter.join(f'"{cell}"' for cell in row) + end for row in rows)


def counts(recorder: Recorder) -> dict[str, dict[str | None, int | None]]:
    """id -> code -> records."""
    found: dict[str, dict[str | None, int | None]] = {}
    for job, code, records in recorder.rows("select id, error_code, records from record_errors"):
        found.setdefault(job, {})[code] = records
    return found


def outcomes(recorder: Recorder, columns: str = "results_outcome") -> dict[str, Any]:
    rows = recorder.rows(f"select id, {columns} from job_details")
    return {job: rest[0] if len(rest) == 1 else tuple(rest) for job, *rest in rows}


def result_calls(org: DemoOrg) -> list[str]:
    """The last parts of the paths of requests for results, with their job."""
    paths = [request.path for request in org.requests]
    return [
        path.split("/jobs/ingest/" if "ingest" in path else "/job/")[1]
        for path in paths
        if path.endswith(("Results", "records", "/batch", "/result"))
    ]
