"""Three warehouses for which the report's numbers can be computed by hand: rows for `planted.plant`."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from planted import DAY, DEFAULTS, HOUR, NOW, ORG

Tables = dict[str, list[dict[str, Any]]]
TWIN = "00DTw0000001000MAA"
MINUTE = timedelta(minutes=1)
TEMPLATES = {"Timeout after 300 s": "Timeout after # s", "Timeout after 301 s": "Timeout after # s"}
V2_LIMIT, API_LIMIT = "DailyBulkV2QueryJobs", "DailyApiRequests"


def ordinary() -> Tables:
    """Forty days of an org with a listing every twelve hours, each with the limits; nothing is wrong except
    failures."""
    dice, tables = Random(1), _empty()
    for n in range(81):
        _listing(tables, NOW - n * 12 * HOUR, used=dice.randrange(20, 80))
    for _ in range(900):
        _job(tables, dice, NOW - timedelta(seconds=dice.randrange(40 * 86_400)))
    for n in range(1, 6):  # still failing, of a series of its own
        _job(tables, dice, NOW - n * DAY, object="Case", state="Failed", operation="query", job_type="V2Query")
    _reasons(tables, dice, 30)
    tables["users"] = [{"id": "005A", "name": "Amara Osei"}, {"id": "005B", "name": "Order Sync"}]
    return _complete(tables)


def with_holes() -> Tables:
    """Difficult cases: holes, restarted listings, a raised limit, absences, partial batches, namesakes, jobs that were
    counted but never seen, and impossible dates."""
    dice, tables = Random(2), _empty()
    allowed = 300
    for n in [*range(0, 12), *range(30, 33), *range(48, 80)]:  # none for nine days, and for eight
        at = NOW - n * 12 * HOUR - dice.randrange(3_000) * timedelta(seconds=1)
        restarted = at + 7 * MINUTE if n % 5 == 1 else None
        _listing(tables, at, restarted, allowed=1_000 if n < 6 else allowed, used=dice.randrange(20, 290))
    for _ in range(700):
        _job(tables, dice, NOW - timedelta(seconds=dice.randrange(39 * 86_400)))
    for n in range(60):  # one burst, within an hour and across its end
        _job(tables, dice, NOW - 3 * DAY + n * MINUTE, created_by_id="005B", object="Order", job_type="V2Query",
             operation="query")  # fmt: skip
    for n in range(8):  # two messages, neither the most frequent, but together they are
        error = f"Timeout after {300 + n % 2} s"
        _job(tables, dice, NOW - 2 * DAY + n * HOUR, error, state="Failed", object="Lead", created_by_id="005A",
             job_type="V2Query", operation="query")  # fmt: skip
    for n in range(5):
        _job(tables, dice, NOW - 3 * DAY + n * HOUR, "InvalidBatch : No such field", state="Failed", object="Case",
             created_by_id="005B", job_type="V2Query", operation="query")  # fmt: skip
    for processed, failed, batches, lost in (
        (0, 0, 3, 1),
        (0, 0, 3, 3),
        (100, 100, 1, 0),
        (100, 1, 1, 0),
        (0, 0, 0, 0),
    ):
        _job(tables, dice, NOW - 4 * DAY + batches * HOUR, state="Closed", operation="insert", job_type="Classic")
        tables["job_details"].append({
            "id": tables["query_jobs"][-1]["id"], "number_records_processed": processed, "number_records_failed": failed,
            "number_batches_total": batches, "number_batches_failed": lost,
        })  # fmt: skip
    for created in (datetime(1970, 1, 1, tzinfo=NOW.tzinfo), datetime(2999, 1, 1, tzinfo=NOW.tzinfo)):
        _job(tables, dice, created, system_modstamp=NOW - 5 * DAY, state="JobComplete", object="Task")
    for n in range(5):  # three deleted, two seen again
        gone = tables["query_jobs"][-20 - n]
        tables["unlisted_jobs"].append({
            "id": gone["id"], "state": gone["state"], "last_listed_at": gone["observed_at"],
            "unlisted_at": tables["listings"][n]["started_at"],
            "listed_again_at": tables["listings"][0]["started_at"] if n in (1, 2) else None,
        })  # fmt: skip
    _reasons(tables, dice, 5)
    tables["users"] = [
        {"id": "005A", "name": "Integration User", "username": "a@example.com"},
        {"id": "005B", "name": "Integration User", "username": "b@example.com"},
        {"id": "005C", "name": "Nightly"},
    ]
    return _complete(tables)


def twins() -> Tables:
    """Two orgs with the same name; one is always filtered, so it proves nothing and has no coverage."""
    dice, tables = Random(3), _empty()
    for n in range(20):
        _listing(tables, NOW - n * DAY, used=dice.randrange(50), org_id=ORG)
        _listing(tables, NOW - n * DAY - 2 * HOUR, filters='{"jobType": "Classic"}', used=0, org_id=TWIN)
    for _ in range(200):
        _job(tables, dice, NOW - timedelta(seconds=dice.randrange(20 * 86_400)), org_id=ORG)
        _job(tables, dice, NOW - timedelta(seconds=dice.randrange(20 * 86_400)), org_id=TWIN, job_type="Classic")
    tables["orgs"] = [{"org_id": org_id, "name": "Acme", "asked_at": NOW} for org_id in (ORG, TWIN)]
    return _complete(tables)


def _empty() -> Tables:
    return {
        "query_jobs": [],
        "listings": [],
        "org_limits": [],
        "job_details": [],
        "record_errors": [],
        "unlisted_jobs": [],
        "users": [],
        "orgs": [],
    }


def _complete(tables: Tables) -> Tables:
    return {name: [{"org_id": ORG, **DEFAULTS.get(name, {}), **row} for row in rows] for name, rows in tables.items()}


def _listing(
    tables: Tables, at: datetime, restarted_at: datetime | None = None, *, used: int, allowed: int = 100, **fields: Any
) -> None:
    """With the org's limits a minute later."""
    end = (restarted_at or at) + 3 * MINUTE
    listing = f"listing {len(tables['listings'])}"
    tables["listings"].append({
        "listing_id": listing, "started_at": at, "restarted_at": restarted_at, "finished_at": end,
        "api_usage": 100 * used, "api_usage_max": 15_000, **fields,
    })  # fmt: skip
    mine = {"listing_id": listing, "asked_at": end + MINUTE, "app": "", "org_id": fields.get("org_id", ORG)}
    tables["org_limits"] += [
        {**mine, "limit_name": V2_LIMIT, "max": allowed, "remaining": allowed - used},
        {**mine, "limit_name": API_LIMIT, "app": "ERP", "max": 500, "remaining": 500 - used},
    ]


def _job(tables: Tables, dice: Random, created: datetime, error: str | None = None, **fields: Any) -> None:
    """Random, except for what is given; shown by the first listing after its end, or by the last of all."""
    number = len(tables["query_jobs"]) + 1
    ends = created + timedelta(seconds=dice.randrange(1, 30_000))
    states = ["JobComplete"] * 12 + ["Failed", "Aborted", "InProgress"]
    row = {
        "org_id": ORG, "id": f"750{number:012}AAA", "created_date": created, "system_modstamp": ends,
        "operation": dice.choice(["query", "query", "queryAll", "insert"]), "object": dice.choice(["Account", "Order", None]),
        "created_by_id": dice.choice(["005A", "005B", "005C"]), "job_type": dice.choice(["V2Query", "V2Query", "Classic"]),
        "state": dice.choice(states), "api_version": 68.0, **fields,
    }  # fmt: skip
    starts = sorted(
        listing.get("restarted_at") or listing["started_at"]
        for listing in tables["listings"]
        if listing.get("org_id", ORG) == row["org_id"]
    )
    row["observed_at"] = next((at for at in starts if at >= row["system_modstamp"]), starts[-1])
    if row["system_modstamp"] > row["observed_at"]:  # still running
        row |= {"system_modstamp": min(created, row["observed_at"]), "state": fields.get("state", "InProgress")}
    tables["query_jobs"].append(row)
    if error or row["state"] == "Failed":
        error = error or dice.choice(["InvalidBatch : No such field", "Timeout after 300 s"])
        tables["job_details"].append({
            "org_id": row["org_id"], "id": row["id"], "error_message": error,
            "error_template": TEMPLATES.get(error, error),
        })  # fmt: skip


REASONS = (
    ("UNABLE_TO_LOCK_ROW", None, "unable to obtain exclusive access to this record"),
    ("REQUIRED_FIELD_MISSING", "Name,Phone", "Required fields are missing: [Name, Phone]"),
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Priority", None),
    (None, None, None),
)


def _reasons(tables: Tables, dice: Random, days: int) -> None:
    """Finished loads of the last days lose records; why is known of some, and of these not of all records."""
    detailed = {row["id"] for row in tables["job_details"]}
    for job in tables["query_jobs"]:
        if job["operation"] != "insert" or job["state"] != "JobComplete" or job["id"] in detailed:
            continue
        if not NOW - days * DAY < job["created_date"] < NOW or dice.random() < 0.3:
            continue
        failed = {reason: dice.randrange(1, 40) for reason in dice.sample(REASONS, dice.randrange(3))}
        is_read = dice.random() < 0.8
        tables["job_details"].append({
            "id": job["id"], "number_records_processed": 10_000 * dice.randrange(1, 4),
            "number_records_failed": sum(failed.values()) + (5 if failed and dice.random() < 0.3 else 0),
            "number_batches_total": dice.randrange(1, 9) if job["job_type"] == "Classic" else None,
            "results_outcome": "read" if is_read and failed else None,
        })  # fmt: skip
        tables["record_errors"] += [
            {
                "id": job["id"], "reason": f"reason {REASONS.index(reason)}", "level": "record", "error_code": reason[0],
                "fields": reason[1], "message": reason[2], "records": records, "retryable": reason == REASONS[0],
                "read_at": NOW,
            }
            for reason, records in failed.items()
            if is_read
        ]  # fmt: skip


WAREHOUSES = {"ordinary": ordinary, "with holes": with_holes, "twins": twins}
