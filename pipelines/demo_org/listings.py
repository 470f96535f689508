"""The two job listings: who is in them, in which order, and what a query locator stands for.

SOURCE: https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/query_get_all_jobs.htm
and get_all_jobs.htm: at most 1,000 jobs a page, "in an indeterminate order".
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pipelines.demo_org.ids import salesforce_id
from pipelines.demo_org.records import Job

Order = Literal["shuffled", "newest", "oldest"]
Filters = tuple[tuple[str, str], ...]  # sorted (parameter, value) pairs

# SOURCE: https://help.salesforce.com/s/articleView?id=000384958 (INVALID_QUERY_LOCATOR)
LOCATOR_LIFE = timedelta(days=2)
OPEN_LISTINGS = 64  # kept at once; the oldest goes first, so that a long life of the server stays small


@dataclass
class Listing:
    """One walk through a listing, begun by a request without a locator.

    `keys` holds the jobs and their order as they were at the first page, once for each set of filters asked for.
    """

    locator: str  # 18 characters; a queryLocator is this, a hyphen and an offset
    surface: str  # "query" or "ingest"
    filters: Filters  # of the first request
    opened: datetime
    number: int
    keys: dict[Filters, list[str]] = field(default_factory=dict)


class OpenListings:
    """The listings begun and not yet forgotten, by locator."""

    def __init__(self) -> None:
        self._count = 0
        self._open: dict[str, Listing] = {}

    def begin(self, surface: str, filters: Filters, now: datetime) -> Listing:
        """Begin a listing, and forget the ones whose locators have expired."""
        self._count += 1
        listing = Listing(salesforce_id("01g", self._count), surface, filters, now, self._count)
        self._open[listing.locator] = listing
        for other in list(self._open.values()):
            if now - other.opened > LOCATOR_LIFE or len(self._open) > OPEN_LISTINGS:
                del self._open[other.locator]
        return listing

    def find(self, query_locator: str, now: datetime) -> tuple[Listing, int] | None:
        """Return the listing and the offset that a queryLocator stands for; None: unknown, malformed or expired."""
        locator, _, offset = query_locator.rpartition("-")
        listing = self._open.get(locator)
        if listing is None or not (offset.isascii() and offset.isdigit()) or now - listing.opened > LOCATOR_LIFE:
            return None
        return listing, int(offset)

    def lose(self) -> None:
        """Forget every listing: its locators are invalid from now on."""
        self._open.clear()


def in_order(keys: Iterable[str], order: Order, seed: int) -> list[str]:
    """Put keys, oldest first, into the order of a listing.

    "shuffled" is by a hash of the key: no order at all to the reader, and yet a job keeps its place among the
    others when jobs come and go in between.
    """
    if order == "shuffled":
        start = seed & 0xFFFFFFFF
        return sorted(keys, key=lambda key: zlib.crc32(key.encode(), start))
    oldest_first = list(keys)
    return oldest_first[::-1] if order == "newest" else oldest_first


def rotated(keys: list[str], number: int) -> list[str]:
    """Begin the number-th listing elsewhere than the one before: an indeterminate order is not a stable one."""
    start = number * 7919 % len(keys) if keys else 0  # 7919: a prime, so that starts are spread out
    return keys[start:] + keys[:start]


def matching(filters: Filters, pk_chunking: set[str]) -> Callable[[str, Job], bool]:
    """Return the test that a job (its key and record) passes when it belongs into a listing with these filters.

    concurrencyMode is documented as for future use; here it filters.
    """
    asked = dict(filters)
    job_type, mode = asked.get("jobType"), asked.get("concurrencyMode", "").lower()
    chunked = asked.get("isPkChunkingEnabled")

    def belongs(key: str, job: Job) -> bool:
        return (
            (job_type is None or job.get("jobType") == job_type)
            and (not mode or str(job.get("concurrencyMode")).lower() == mode)
            and (chunked is None or (key in pk_chunking) == (chunked == "true"))
        )

    return belongs
