"""Rows for `planted.plant` for which the right findings are known."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from planted import DAY, HOUR, NOW, plant

from pipelines.answers.check import Finding, Thresholds, check

SECOND, WEEK = timedelta(seconds=1), 7 * DAY
NAMES = {
    "users": [{"id": "005A", "name": "Ada Lovelace"}, {"id": "005B", "name": "Data Warehouse"}],
    "orgs": [{"name": "Acme"}],
}
LOAD = {"job_type": "Classic", "operation": "insert", "object": "Lead", "created_by_id": "005B", "state": "Closed"}
Row = dict[str, Any]
Tables = dict[str, list[Row]]


def found(tmp_path: Path, tables: Tables) -> list[Finding]:
    """What `check` finds in a warehouse of these rows."""
    file = plant(tmp_path / f"{len(list(tmp_path.iterdir()))}.duckdb", **NAMES | tables)
    return check(file, Thresholds(), now=NOW)


def job_id(number: int) -> str:
    """Ids as `plant` numbers them."""
    return f"750{number:012}AAA"


def listed(*ages: timedelta, **columns: Any) -> list[Row]:
    return [{"started_at": NOW - age, **columns} for age in ages]


def hole(age: timedelta) -> Tables:
    """No load for two weeks or so, followed by a listing of this age."""
    return {"listings": listed(20 * DAY, age, 3 * DAY, timedelta(0))}


def failing(nights: int) -> Tables:
    series = {"object": "Lead", "created_by_id": "005B"}
    jobs = [series | {"created_date": NOW - 5 * HOUR - n * DAY, "state": "Failed"} for n in range(nights)]
    error = "InvalidBatch : InvalidBatch : Field name not found : Legacy__c"
    details = [{"id": job_id(1), "error_message": error}]
    return {"query_jobs": [*jobs, series | {"created_date": NOW - 40 * DAY}], "job_details": details}


def lost(*failed: int) -> Tables:
    """Closed loads of 1,251 records each, which ended a day ago."""
    load = LOAD | {"created_date": NOW - 9 * DAY, "system_modstamp": NOW - DAY}
    counts = [{"number_records_processed": 1_251, "number_records_failed": count} for count in failed]
    return {
        "query_jobs": [load] * len(failed),
        "job_details": [{"id": job_id(n), **c} for n, c in enumerate(counts, 1)],
    }


def unfinished(age: timedelta) -> Tables:
    job = {"object": "Case", "created_by_id": "005B", "created_date": NOW - age, "state": "InProgress"}
    return {"query_jobs": [job]}


def crowd(count: int, age: timedelta = 2 * HOUR) -> Tables:
    """This many V2 query jobs, of an allowance of 100."""
    orders = {"object": "Order", "created_by_id": "005B", "created_date": NOW - age}
    return {
        "query_jobs": [orders] * (count - 20) + [{"created_date": NOW - age}] * 20,
        "org_limits": [limit("DailyBulkV2QueryJobs", 0, 100, asked_at=NOW - age)],
    }


def limit(name: str, used: int, most: int, **columns: Any) -> Row:
    return {"listing_id": "listing 0", "limit_name": name, "max": most, "remaining": most - used, **columns}


def batches(used: int, age: timedelta = timedelta(0)) -> Tables:
    return {"org_limits": [limit("DailyBulkApiBatches", used, 15_000, app="Order Sync", asked_at=NOW - age)]}


def calls(used: int) -> Tables:
    return {"listings": [{"api_usage": used, "api_usage_max": 15_000}, {"api_usage": 7, "api_usage_max": 15_000}]}


def sundays(count: int, days_ago: int = 1, **columns: Any) -> Tables:
    """This many jobs on that day, and some forty on the same weekday one to four weeks before."""
    at = NOW.replace(hour=12) - days_ago * DAY
    jobs = [{"created_date": at - week * WEEK} for week, n in enumerate((count, 40, 41, 39, 40)) for _ in range(n)]
    return {"query_jobs": [job | columns for job in jobs], "listings": listed(*(n * DAY for n in range(25)))}


def rejected(*ages: timedelta) -> Tables:
    return {"rejected_records": [{"reason": "no id", "last_observed_at": NOW - age} for age in ages]}


def unanswered(age: timedelta) -> Tables:
    """A job first seen finished this long ago, whose details could never be fetched since."""
    at = {"created_date": NOW - age, "system_modstamp": NOW - age, "observed_at": NOW - age}
    return {
        "query_jobs": [at],
        "job_details": [{"id": job_id(1), "outcome": "refused", "error": "HTTP 500 UNKNOWN: no"}],
    }
