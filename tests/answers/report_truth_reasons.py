"""Why records failed, and who used batches, computed independently: in plain Python, from the planted rows."""

from collections import Counter, defaultdict
from typing import Any

from planted import kind
from report_truth import DAY, WEEK, WRONG, Numbers, OrgTruth, at_midnight, series


def reasons(org: OrgTruth) -> tuple[Numbers, list[Numbers]]:
    loads = {
        job["id"]: (job, at)
        for job in org.jobs
        if kind(job["operation"]) == "load" and (at := org.began(job)) and org.start <= at < org.end
    }
    errors = [row for row in org.errors if row["id"] in loads]
    end = min(org.end, org.as_of)
    by_series: dict[Any, list[tuple[Numbers, Numbers, Any]]] = defaultdict(list)
    for error in errors:
        job, at = loads[error["id"]]
        by_series[*series(job), error["reason"]].append((error, job, at))
    rows = []
    for alike in by_series.values():
        error, job, _ = alike[0]
        rows.append({
            "reason": name(error), "user": org.by_user(job), "operation": job["operation"] or "?",
            "object": job["object"] or "?", "type": job["job_type"] or "?",
            "records": sum(one["records"] for one, *_ in alike),
            "last 7 days": sum(one["records"] for one, _, at in alike if at > end - WEEK), "loads": len(alike),
            "first on": min(at for *_, at in alike).date(), "last on": max(at for *_, at in alike).date(),
            "send again?": "may succeed" if error["retryable"] else "",
        })  # fmt: skip
    records = sum(row["records"] for row in rows)
    failed = sum(org.details.get(load, {}).get("number_records_failed") or 0 for load in loads)
    first = min(
        (row for row in rows if row["last 7 days"]),
        key=lambda row: (-row["last 7 days"], -row["records"], row["reason"], row["user"], row["object"]),
        default={},
    )
    return {
        "records": records, "records_failed": max(failed, records), "records_unknown": max(failed, records) - records,
        "reasons": len({row["reason"] for row in errors}), "jobs": len({row["id"] for row in errors}),
        "records_retryable": sum(row["records"] for row in errors if row["retryable"]),
        "since": org.since, "until": org.until, "records_last_7_days": sum(row["last 7 days"] for row in rows),
        "most_often_in_7_days": first.get("last 7 days"),
        **{f"most_often_{part}": first.get(part) for part in ("reason", "user", "operation", "object", "type")},
    }, rows  # fmt: skip


def name(error: Numbers) -> str:
    code, fields, message = error["error_code"], error["fields"], error["message"]
    if not code:
        return "a reason without a code"
    return code + (f" on {fields.replace(',', ', ')}" if fields else "") + (f": {message}" if message else "")


def batches(org: OrgTruth) -> tuple[Numbers, list[Numbers]]:
    """All planted jobs are of /jobs/query, of which Classic ones take batches."""
    taken: dict[Any, list[int | None]] = defaultdict(list)
    days: Counter[Any] = Counter()
    for job in org.shown():
        if job["job_type"] == "Classic":
            count = org.details.get(job["id"], {}).get("number_batches_total")
            taken[job["created_by_id"], org.by_user(job)].append(count)
            midnight = at_midnight(job["created_date"].date())
            if org.share(midnight, midnight + DAY) == 100:
                days[job["created_date"].date()] += count or 0
    rows = [
        {
            "user": user, "batches": sum(one or 0 for one in counts), "of Classic jobs": sum(one or 0 for one in counts),
            "of V2 loads, at least": 0, "jobs": len(counts), "jobs counted": sum(one is not None for one in counts),
        }
        for (_, user), counts in taken.items()
    ]  # fmt: skip
    first = min(rows, key=lambda row: (-row["batches"], -row["jobs"], row["user"]), default={})
    day, most = max(days.items(), key=lambda one: (one[1], one[0]), default=(None, 0))
    return {
        "batches": sum(row["batches"] for row in rows), "load_batches": 0, "jobs": sum(row["jobs"] for row in rows),
        "jobs_not_counted": sum(row["jobs"] - row["jobs counted"] for row in rows),
        "since": org.since, "until": org.until, "most_by_user": first.get("user"),
        "most_by_batches": first.get("batches"), "busiest_day": day if most else None,
        "busiest_day_batches": most or None, "allowed": None,
    }, rows if any(row["batches"] for row in rows) else []  # fmt: skip


def reason_of(org: OrgTruth, job: Numbers) -> tuple[Any, str | None]:
    """Why a job failed: its own error, else the reason of most of its records, else only the outcome is known. What is
    the same for the same reason, and the reason in words."""
    details = org.details.get(job["id"], {})
    if error := details.get("error_message"):
        return ("job", details["error_template"]), error.replace(" : ", ": ")
    if of_records := [row for row in org.errors if row["id"] == job["id"]]:
        main = min(of_records, key=lambda row: (-row["records"], row["reason"]))
        return ("record", main["reason"]), name(main)
    return ("none", org.outcome(job)), None


def main_reasons(org: OrgTruth) -> list[Numbers]:
    """Why jobs failed, whoever created them."""
    alike: dict[Any, list[tuple[Numbers, str]]] = defaultdict(list)
    for job in org.jobs:
        outcome = org.outcome(job)
        if outcome not in WRONG or not job["created_date"] or job["created_date"] >= org.end:
            continue
        key, said = reason_of(org, job)
        alike[key].append((job, said or f"{outcome}: no reason known"))
    end = min(org.end, org.as_of)
    found = []
    for jobs in alike.values():
        shown = [job for job, _ in jobs if job["created_date"] >= org.start]
        if shown:
            found.append({
                "reason": max(jobs, key=lambda one: (one[0]["created_date"], one[0]["id"]))[1], "jobs": len(shown),
                "last_7_days": sum(job["created_date"] > end - WEEK for job in shown),
                "since": min(job["created_date"] for job, _ in jobs),
            })  # fmt: skip
    return sorted(found, key=lambda row: (-row["last_7_days"], -row["jobs"], row["since"], row["reason"]))
