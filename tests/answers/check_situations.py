"""Situations for which the right findings are known: rows for `planted.plant`."""

from datetime import datetime, timedelta
from typing import Any

from check_rows import LOAD, Row, Tables, job_id, listed
from planted import DAY, HOUR, NOW

from pipelines.answers.check import Finding

HOURLY = listed(*(n * HOUR for n in range(15 * 24)))
DAILY = listed(*(n * DAY for n in range(40)))
EXTRACT = {"object": "Lead", "created_by_id": "005B"}


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


# Failure rates


def rate(failed: int, jobs: int, pause: timedelta = HOUR, **columns: Any) -> Tables:
    """A series of which this many jobs fail, evenly spread, with the error of each."""
    states = ["Failed" if n * failed // jobs != (n + 1) * failed // jobs else "JobComplete" for n in range(jobs)]
    rows = [
        EXTRACT | {"created_date": NOW - (n + 1) * pause, "state": state} | columns for n, state in enumerate(states)
    ]
    errors = [
        {"id": job_id(n), "error_message": f"Timeout : Took {n} s", "error_template": "Took ? s"}
        for n, state in enumerate(states, 1)
        if state == "Failed"
    ]
    return {"query_jobs": rows, "job_details": errors, "listings": DAILY}


def losing(failed: int, nights: int, records: int = 10_000) -> Tables:
    jobs = [LOAD | {"created_date": NOW - 4 * HOUR - n * DAY} for n in range(nights)]
    counts = {"number_records_processed": records, "number_records_failed": failed}
    return {
        "query_jobs": jobs, "listings": DAILY, "job_details": [{"id": job_id(n), **counts} for n in range(1, nights + 1)],
    }  # fmt: skip


# Days with known and unknown numbers of jobs


def of_days(*counts: int, **columns: Any) -> list[Row]:
    """This many jobs yesterday, the day before, and so on, spread over each day; some this morning."""
    morning = [columns | {"created_date": NOW - n * HOUR / 4} for n in range(1, 20)]
    return morning + [
        columns | {"created_date": NOW.replace(hour=0) - n * DAY - (k + 1) * DAY / (count + 1)}
        for n, count in enumerate(counts)
        for k in range(count)
    ]


# Missing runs


def runs(*times: datetime, **columns: Any) -> list[Row]:
    return [EXTRACT | columns | {"created_date": at} for at in times if at <= NOW]


def nightly(since: int, until: int, hour: float = 2, **columns: Any) -> list[Row]:
    """One in each of these nights, counted back from today."""
    return runs(*(NOW.replace(hour=0) + hour * HOUR - n * DAY for n in range(until, since)), **columns)
