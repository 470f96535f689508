"""`GET .../limits`, and the share of it that every answer carries in a header.

SOURCE: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_limits.htm and
headers_api_usage.htm; tests/fixtures/l_32_limits_v49plus_doc.json. Numbers of connected apps stand beside Max
and Remaining, under the app's name.
"""

from __future__ import annotations

from typing import Any

from pipelines.demo_org.org import DemoOrg

DAILY_BATCHES = 15_000
QUERY_STORAGE_MB = 976_562  # 1 TB
APP_CALLS = 10_000  # what the org grants each named app


def limits(org: DemoOrg, version: float) -> dict[str, Any]:
    """Return the limits by name. Remaining goes below zero when more was used than allowed."""
    now = org.now
    batches = _limit(DAILY_BATCHES, org.usage.batches(now))
    apps = {app: _limit(APP_CALLS, calls) for app, calls in org.usage.app_calls(now).items()}
    named: dict[str, Any] = {
        "ActiveScratchOrgs": _limit(3, 0),
        "DailyApiRequests": {
            **_limit(org.daily_api_requests, org.usage.calls(now)),
            "Ant Migration Tool": _limit(0, 0),
            "Dataloader Bulk": _limit(0, 0),
            **apps,
        },
        "DailyAsyncApexExecutions": _limit(250_000, 1_380),
        # renamed in v49. SOURCE: resources_limits.htm
        "DailyBulkApiBatches" if version >= 49 else "DailyBulkApiRequests": batches,
        "DataStorageMB": _limit(10_240, 6_931),
        "FileStorageMB": _limit(20_480, 1_204),
        "HourlyTimeBasedWorkflow": _limit(1_000, 0),
        "PermissionSets": {**_limit(1_500, 61), "CreateCustom": _limit(1_000, 58)},
        "PrivateConnectOutboundCalloutHourlyLimitMB": _limit(0, 0),
    }
    if version >= 47:  # the version that brought Bulk API 2.0 queries
        used = org.usage.query_jobs(now)
        named["DailyBulkV2QueryFileStorageMB"] = _limit(QUERY_STORAGE_MB, used * 35)  # 35 MB each: our choice
        named["DailyBulkV2QueryJobs"] = _limit(org.daily_query_jobs, used)
    return dict(sorted(named.items()))


def spent(org: DemoOrg) -> bool:
    """Return whether the calls of the last 24 hours have used up the allowance."""
    return org.usage.calls(org.now) >= org.daily_api_requests


def usage_header(org: DemoOrg) -> str:
    """Return the value of Sforce-Limit-Info, such as api-usage=18/5000.

    The calling app's own share follows if it has one: `; per-app-api-usage=17/250(appName=Some App)`.
    """
    total = f"api-usage={org.usage.calls(org.now)}/{org.daily_api_requests}"
    app = org.connected_app
    if app is None:
        return total
    return f"{total}; per-app-api-usage={org.usage.app_calls(org.now).get(app, 0)}/{APP_CALLS}(appName={app})"


def _limit(maximum: int, used: int) -> dict[str, int]:
    return {"Max": maximum, "Remaining": maximum - used}
