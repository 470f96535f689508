"""A listing of an org's Bulk API jobs: page after page, to the end or not at all.

GET /services/data/vXX.X/jobs/query, for one - "Get Information About All Query Jobs",
Bulk API 2.0 and Bulk API Developer Guide,
https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/query_get_all_jobs.htm
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pipelines.errors import Failure, Misconfigured, TryLater, Unreadable
from pipelines.salesforce.api_errors import SalesforceError, explained
from pipelines.salesforce.org import Org
from pipelines.salesforce.transport import ANSWER_BYTES, PROXY_HINT

logger = logging.getLogger(__name__)

RESTARTS: Final = 2  # a lost locator starts the listing again, this often
# Where a listing stops being one. An org at its limits has some 70 pages of up to 1,000 jobs, of 0.6 KB each, to show;
# a hundred times that is no org's, and what is six hours old when it ends is a picture of no moment. Rows of more than
# 4 KB would also take DuckDB more memory than the loader's file has: their package would never load.
MAX_PAGES: Final = 10_000
MAX_EMPTY_PAGES: Final = 100  # in a row, with more to follow
MAX_BYTES: Final = 2**30
MAX_BYTES_PER_JOB: Final = 4 * 2**10, 2**25  # on the average, and beside that
MAX_SECONDS: Final = 6 * 3_600.0
LOCATOR_LENGTH: Final = 2_048  # characters; those that were recorded have some 30
Record = dict[str, Any]


class LocatorLost(Exception):
    """The org no longer knows the locator that its last page gave."""


@dataclass(frozen=True)
class Page:
    """Up to 1,000 records as the org gave them, in no promised order, and which listing they are of."""

    records: list[Any]
    number: int  # from 1
    started_at: datetime  # by the org's clock: the answer that opened this listing
    last: bool
    odd: str = ""  # what was not as documented about it, though it is no reason to stop


def job_pages(org: Org, path: str, filters: dict[str, str]) -> Iterator[Page]:
    """Every job that the org lists, page by page, until it says `done` and names no next page.

    Page number 1 can come again: then a locator was lost, and the listing started over. What the pages before
    showed was true, but they are not part of the listing that gets completed.
    Raises a Failure: no documented answer, `done: false` without a way on, a locator lost more than twice.
    """
    for restart in range(RESTARTS + 1):
        try:
            yield from _one_listing(org, path, filters, last_try=restart == RESTARTS)
            return
        except LocatorLost as lost:
            if restart == RESTARTS:
                raise TryLater(
                    f"The listing's locator was lost {RESTARTS + 1} times ({lost}). Nothing was changed.",
                    "Try again later.",
                ) from None
            logger.warning("The listing's locator was lost (%s): starting again from the first page.", lost)


def _one_listing(org: Org, path: str, filters: dict[str, str], last_try: bool) -> Iterator[Page]:
    locator: str | None = None
    was_done = noted = False
    seen: set[str] = set()
    started_at = org.clock
    began, read_before = time.monotonic(), org.bytes_read
    number = empty = jobs = 0
    while True:
        number += 1
        try:
            body = _page(org, path, filters, locator)
        except LocatorLost:
            if not (was_done and last_try):
                raise
            # In three tries the org did not know the locator that came with `done`: no page is left.
            yield Page(
                [],
                number,
                started_at,
                last=True,
                odd="listing: the last page named a next one, which the org does not know",
            )
            return
        if number == 1:
            started_at = org.clock
        records, done = _envelope(body, number)
        empty = 0 if records else empty + 1
        jobs += len(records)
        read = org.bytes_read - read_before
        if read > MAX_BYTES_PER_JOB[0] * jobs + MAX_BYTES_PER_JOB[1]:
            raise Unreadable(f"The listing is implausibly large: {read / 2**20:,.0f} MB for {jobs:,} jobs.", PROXY_HINT)
        # Done is a listing when a page says so and names no other: a page more can only add jobs. There is no early
        # stop at a known or an old job: "Job records are returned in an indeterminate order" (264.0 docs), so whatever
        # is new can be on the last page.
        following = _locator(body, number, done)
        was_done = done and following is not None
        last = following is None or (done and following in seen)  # which were read already
        odd = f"listing: page {number:,} was the last (done: true), but named a next one" if was_done else ""
        yield Page(records, number, started_at, last, "" if noted else odd)
        noted = noted or was_done
        if last or following is None:
            return
        locator = following
        if locator in seen:
            raise Failure(
                f"Page {number} of the listing names a locator that an earlier page named: it would go round for ever.",
                "Nothing was changed. Try again later.",
            )
        seen.add(locator)
        if (
            number >= MAX_PAGES
            or empty >= MAX_EMPTY_PAGES
            or read > MAX_BYTES
            or time.monotonic() - began > MAX_SECONDS
        ):
            raise Unreadable(
                f"The listing had not come to its end after {number:,} pages, the last {empty:,} of them empty, "
                f"{read / 2**20:,.0f} MB and {time.monotonic() - began:,.0f} s: no org's has as much to show.",
                PROXY_HINT,
            )


def first_page(org: Org, path: str, filters: dict[str, str]) -> Any:
    """The first answer of a listing, as it came. Raises a Failure."""
    return _page(org, path, filters, None)


def _page(org: Org, path: str, filters: dict[str, str], locator: str | None) -> Any:
    """One page of our own path on our own host, the filters repeated: whether a locator remembers them is open."""
    params = {**filters, "queryLocator": locator} if locator else filters
    try:
        return org.request(path, params, ANSWER_BYTES)
    except SalesforceError as error:
        # INVALID_QUERY_LOCATOR, QUERY_LOCATOR_EXPIRED, INVALID_QUERY_LOCATOR_FORMAT: KB 000384958. That the listing
        # answers so too is inferred; a 404 can only mean the locator, once the same path has answered before.
        if locator and ("LOCATOR" in error.code or error.status == 404):
            raise LocatorLost(error.code or f"HTTP {error.status}") from None
        if error.status == 400 and filters:
            sent = ", ".join(f"{name}={value}" for name, value in filters.items())
            raise Misconfigured(
                f"Salesforce refuses the listing with {sent}: HTTP 400 {error.code}: {error.said}",
                "Check the filters under [sources.salesforce] in .dlt/config.toml, or remove them.",
            ) from error
        raise explained(error, org.api_version) from error


def _envelope(body: Any, number: int) -> tuple[list[Any], bool]:
    problem = ""
    if not isinstance(body, dict):
        problem = f"it is a JSON {type(body).__name__}, not an object"
    elif not isinstance(body.get("records"), list):
        problem = "it has no list of records"
    elif not isinstance(body.get("done"), bool):
        problem = "its `done` is neither true nor false"
    if problem:
        raise Failure(
            f"Page {number} of the listing is not what Salesforce documents: {problem}. Nothing was changed.",
            "A proxy may answer instead of Salesforce, or api_version is one with another answer.",
        )
    return body["records"], body["done"]


def _locator(body: Record, number: int, done: bool) -> str | None:
    """The locator out of `nextRecordsUrl`, and nothing else of it; None where the listing ends.

    The documentation's own example names /jobs/ingest there: following the path would list other jobs.
    """
    url = body.get("nextRecordsUrl")
    if done and not url:
        return None
    locators = parse_qs(urlsplit(url).query).get("queryLocator", []) if isinstance(url, str) else []
    if len(locators) != 1 or len(locators[0]) > LOCATOR_LENGTH:
        says = "names a next page" if done else "says that more follows (done: false)"
        raise Failure(
            f"Page {number} of the listing {says}, but gives no queryLocator. "
            "Nothing was changed: a listing that ends early is no listing.",
            "Try again later.",
        )
    return locators[0]
