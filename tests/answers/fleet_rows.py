"""Several orgs to plant in one file."""

from datetime import timedelta
from typing import Any

from planted import DAY, NOW

STUCK = {"state": "InProgress", "created_date": NOW - 3 * DAY}


def daily(org: str, newest: timedelta = timedelta(0), every: timedelta = DAY) -> list[dict[str, Any]]:
    """Complete listings of an org, the newest this old."""
    return [
        {"org_id": org, "listing_id": f"{org} {n}", "started_at": NOW - newest - n * every, "jobs_listed": 1}
        for n in range(20)
    ]


def org_ids(count: int) -> list[str]:
    return [f"00DDm{n:010}MAA" for n in range(1, count + 1)]
