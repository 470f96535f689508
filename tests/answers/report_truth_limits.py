"""How close an org came to its limits, computed independently: in plain Python, from the planted rows."""

from bisect import bisect_left
from collections import Counter
from datetime import datetime
from typing import Any

from report_truth import DAY, HOUR, Numbers, OrgTruth


def peaks(org: OrgTruth) -> list[Numbers]:
    """For each hour shown: the most V2 query jobs in any 24 hours that end in it, and the limit at that time."""
    snapshots = [row for row in org.limits if row["limit_name"] == "DailyBulkV2QueryJobs"]
    moments = sorted([*org.v2_created, *(at + DAY for at in org.v2_created)])
    newest = max([*org.ends, *(row["asked_at"] for row in org.limits)])
    found, hour = [], org.start
    while hour < org.end and hour <= newest:
        inside = [row for row in snapshots if hour <= row["asked_at"] < hour + HOUR]
        # Where the number can be greatest: at a job's creation, when one of the day before drops out, or carried over.
        ends = [hour, *moments[bisect_left(moments, hour) : bisect_left(moments, hour + HOUR)]]
        recorded, at = max((org.count_v2(end), end) for end in ends)
        counted, counted_at = max(
            ((row["max"] - row["remaining"], row["asked_at"]) for row in inside), default=(None, at)
        )
        known = [row for row in snapshots if row["asked_at"] < hour + HOUR]
        allowance = max(known, key=lambda row: row["asked_at"])["max"] if known else None
        used, at = max((recorded, at), (counted, counted_at), key=lambda one: one[0]) if inside else (recorded, at)
        if recorded or inside:
            found.append({
                "hour": hour, "used": used, "counted": counted, "allowance": allowance, "peak_at": at,
                "share_percent": 100 * used / allowance if allowance else None,
            })  # fmt: skip
        hour += HOUR
    return found


def rank(row: Numbers) -> tuple[Any, ...]:
    """The peak of any period is the row for which this is greatest."""
    return -1 if row["share_percent"] is None else row["share_percent"], row["used"], row["hour"]


def allowance(org: OrgTruth) -> tuple[Numbers, list[Numbers]]:
    rows = peaks(org)
    by_day: dict[Any, Numbers] = {}
    for row in sorted(rows, key=rank):
        by_day[row["hour"].date()] = row
    peak = max(rows, key=rank, default={})
    numbers = {f"peak_{name}": peak.get(name) for name in ("used", "allowance", "share_percent", "counted")}
    numbers["peak_at"] = peak.get("peak_at")
    numbers["peak_recorded"] = len(org.v2(peak["peak_at"])) if peak else None
    high = sum((row["share_percent"] or 0) >= 80 for row in by_day.values())
    numbers["days_from_80_percent"] = high if peak.get("allowance") else None
    unknown = sum(row["allowance"] is None for row in by_day.values())
    numbers["days_without_allowance"] = unknown if peak.get("allowance") else None
    numbers["ahead"] = ahead(org)  # no other limit is planted
    return numbers, [] if not peak.get("used") else [
        {"day": day, "most in 24 hours": row["used"], "allowance": row["allowance"]}
        for day, row in sorted(by_day.items())
    ]


def users(org: OrgTruth) -> tuple[Numbers, list[Numbers]]:
    peak = max(peaks(org), key=rank, default=None)
    jobs = org.v2(peak["peak_at"]) if peak else []
    by_user = Counter((job["created_by_id"], job["object"]) for job in jobs)
    rows = [
        {
            "user": org.users.get(user, user) or "?", "object": object_ or "?", "query jobs": number,
            "% of the allowance": 100 * number / peak["allowance"] if peak and peak["allowance"] else None,
        }
        for (user, object_), number in by_user.items()
    ]  # fmt: skip
    first: Numbers = max(rows, key=lambda row: row["query jobs"], default={})
    return {
        "peak_used": peak and peak["used"],
        "peak_recorded": len(jobs) if peak else None,
        "peak_not_recorded": peak["used"] - len(jobs) if peak else None,
        "peak_at": peak and peak["peak_at"],
        "most_by_user": first.get("user"),
        "most_by_object": first.get("object"),
        "most_by_jobs": first.get("query jobs"),
        "most_by_share_percent": first.get("% of the allowance"),
    }, rows


def limits(org: OrgTruth) -> tuple[Numbers, list[Numbers]]:
    seen: list[tuple[str, str, int, int, datetime]] = [
        (row["limit_name"], row["app"], row["max"] - row["remaining"], row["max"], row["asked_at"])
        for row in org.limits
        if row["limit_name"] != "DailyBulkV2QueryJobs" and row["max"]
    ]
    seen += [
        ("DailyApiRequests", "", row["api_usage"], row["api_usage_max"], row["finished_at"])
        for row in org.listings
        if row.get("api_usage_max")
    ]
    best: dict[Any, Numbers] = {}
    for name, app, used, most, at in sorted(seen, key=lambda one: (one[2] / one[3], one[2], one[4])):
        if used > 0 and org.start <= at < org.end:
            best[name, app] = {"limit": name, "app": app, "used": used, "max": most, "percent": 100 * used / most,
                               "at": at}  # fmt: skip
    rows = sorted(best.values(), key=lambda row: (-row["percent"], row["limit"], row["app"]))
    first: Numbers = rows[0] if rows else {}
    names = ("limit", "app", "used", "max", "percent", "at")
    return {"limits": len(rows), "ahead": [], **{f"nearest_{name}": first.get(name) for name in names}}, [
        {**row, "reached on, if its peaks keep growing": None} for row in rows
    ]


def ahead(org: OrgTruth) -> list[Numbers]:
    """When the whole org's limit is reached: the line through the peaks of its last eight weeks, by least squares."""
    rows = [row for row in org.limits if not row["app"] and row["max"]]
    assert {row["limit_name"] for row in rows} <= {"DailyBulkV2QueryJobs"}
    newest = max(rows, key=lambda row: row["asked_at"], default={"max": 0})
    peaks: dict[int, int] = {}
    for row in rows:
        week = -((newest["asked_at"] - row["asked_at"]) // (7 * DAY))
        if week > -8:
            peaks[week] = max(peaks.get(week, 0), row["max"] - row["remaining"])
    if len(peaks) < 3:
        return []
    middle, mean = sum(peaks) / len(peaks), sum(peaks.values()) / len(peaks)
    slope = sum((week - middle) * (used - mean) for week, used in peaks.items()) / sum(
        (week - middle) ** 2 for week in peaks
    )
    if slope <= 0 or (days := max(7 * (newest["max"] - peaks[0]) / slope, 0)) > 730:
        return []
    reached = (newest["asked_at"] + int(days) * DAY).date()
    return [{"limit": newest["limit_name"], "weeks": len(peaks), "reached_on": reached}]
