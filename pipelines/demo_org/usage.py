"""What counts towards the org's allowances, over rolling windows of 24 hours of the org's clock."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from datetime import datetime

DAY = 86_400  # seconds


class Usage:
    """Calls of the API and created query jobs, in the last 24 hours.

    API calls are kept by the minute: Salesforce promises its numbers to within five minutes only.
    SOURCE: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_limits.htm
    """

    def __init__(self) -> None:
        self._calls: Counter[int] = Counter()
        self._app_calls: dict[str, Counter[int]] = {}
        self._query_jobs: list[float] = []
        self._batches: list[float] = []

    def count_calls(self, now: datetime, calls: int = 1, app: str | None = None) -> None:
        """Count calls of the API; those of a named app count for the org and for the app."""
        minute = int(now.timestamp()) // 60
        self._calls[minute] += calls
        if app is not None:
            self._app_calls.setdefault(app, Counter())[minute] += calls

    def count_query_job(self, created: datetime) -> None:
        """Count a Bulk API 2.0 query job; deleting it later gives nothing back."""
        insort(self._query_jobs, created.timestamp())

    def count_batch(self, created: datetime) -> None:
        """Count a batch of a Classic job or of a Bulk API 2.0 ingest job."""
        insort(self._batches, created.timestamp())

    def calls(self, now: datetime) -> int:
        """Return the calls of the last 24 hours."""
        return _last_day(self._calls, now)

    def app_calls(self, now: datetime) -> dict[str, int]:
        """Return the calls of the last 24 hours of each named app."""
        return {app: _last_day(calls, now) for app, calls in self._app_calls.items()}

    def query_jobs(self, now: datetime) -> int:
        """Return the Bulk API 2.0 query jobs created in the last 24 hours, deleted ones included."""
        return _within(self._query_jobs, now)

    def batches(self, now: datetime) -> int:
        """Return the batches of the last 24 hours."""
        return _within(self._batches, now)


def _within(moments: list[float], now: datetime) -> int:
    end = now.timestamp()
    return bisect_right(moments, end) - bisect_right(moments, end - DAY)


def _last_day(calls: Counter[int], now: datetime) -> int:
    end = int(now.timestamp()) // 60
    for minute in [minute for minute in calls if minute <= end - DAY // 60]:
        del calls[minute]
    return sum(count for minute, count in calls.items() if minute <= end)
