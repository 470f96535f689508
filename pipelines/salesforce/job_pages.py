"""A listing of an org's Bulk API jobs: all pages, or an error.

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

from pipelines.errors import ConfigError, InvalidResponse, RecorderError, TemporaryError, sanitize
from pipelines.salesforce.api_errors import SalesforceError, explained
from pipelines.salesforce.org import Org
from pipelines.salesforce.transport import ANSWER_BYTES, PROXY_HINT

logger = logging.getLogger(__name__)

RESTARTS: Final = 2  # how often a listing starts again after its locator was lost
# Beyond these, something is wrong. An org at its limits lists some 70 pages of up to 1,000 jobs of 0.6 KB each; no org
# has a hundred times as many, and a listing that takes more than six hours shows no single moment. Rows above 4 KB
# would also exceed DuckDB's memory limit for the primary database, so that the package could never load.
MAX_PAGES: Final = 10_000
MAX_EMPTY_PAGES: Final = 100  # in a row, with more to follow
MAX_BYTES: Final = 2**30
MAX_BYTES_PER_JOB: Final = 4 * 2**10, 2**25  # on average, and in addition
MAX_SECONDS: Final = 6 * 3_600.0
LOCATOR_LENGTH: Final = 2_048  # characters; real ones have about 30
Record = dict[str, Any]


class LocatorLost(Exception):
    """The org no longer accepts the locator of its last page."""


@dataclass(frozen=True)
class Page:
    """Up to 1,000 records as the org sent them, in no particular order, and the listing they belong to."""

    records: list[Any]
    number: int  # from 1
    started_at: datetime  # by the org's clock: the first response of this listing
    last: bool
    read_at: datetime  # by the org's clock
    calls: int  # of the thread that reads the listing, up to this page
    api_usage: tuple[int, int] | None  # calls used and allowed, as the org reported them
    odd: str = ""  # what about it is not as documented, if that is no reason to stop


def job_pages(org: Org, path: str, filters: dict[str, str]) -> Iterator[Page]:
    """Every job that the org lists, page by page, until a page says `done` and names no next page.

    Page number 1 can come again: if a locator is lost, the listing starts over. What the earlier pages showed was true,
    but they do not belong to the listing that is completed.
    Raises a RecorderError: an undocumented response, `done: false` without a locator, a locator lost more than twice.
    """
    for restart in range(RESTARTS + 1):
        try:
            yield from _one_listing(org, path, filters, last_try=restart == RESTARTS)
            return
        except LocatorLost as lost:
            if restart == RESTARTS:
                raise TemporaryError(
                    f"The listing's locator was lost {RESTARTS + 1} times ({lost}). Nothing was changed.",
                    "Try again later.",
                ) from None
            logger.warning("Salesforce lost the listing's locator (%s); starting again from the first page.", lost)


def _one_listing(org: Org, path: str, filters: dict[str, str], last_try: bool) -> Iterator[Page]:
    locator: str | None = None
    was_done = noted = False
    seen: set[str] = set()
    started_at = org.clock
    began, read_before = time.monotonic(), org.here.bytes_read
    number = empty = jobs = 0
    while True:
        number += 1
        try:
            body = _page(org, path, filters, locator)
        except LocatorLost:
            if not (was_done and last_try):
                raise
            # The org rejected the locator that came with `done` three times: there is no further page.
            yield Page(
                [],
                number,
                started_at,
                True,
                *_so_far(org),
                odd="listing: the last page named a next one, which the org rejects",
            )
            return
        if number == 1:
            started_at = org.clock
        records, done = _envelope(body, number)
        empty = 0 if records else empty + 1
        jobs += len(records)
        read = org.here.bytes_read - read_before
        if read > MAX_BYTES_PER_JOB[0] * jobs + MAX_BYTES_PER_JOB[1]:
            raise InvalidResponse(
                f"The listing is implausibly large: {read / 2**20:,.0f} MB for {jobs:,} jobs.", PROXY_HINT
            )
        # A listing is complete when a page says so and names no next page: reading one more can only add jobs. There is
        # no early stop at a known or old job: "Job records are returned in an indeterminate order" (264.0 docs), so new
        # jobs can be on the last page.
        following = _locator(body, number, done)
        was_done = done and following is not None
        last = following is None or (done and following in seen)  # that page was read already
        odd = f"listing: page {number:,} was the last (done: true), but named a next one" if was_done else ""
        yield Page(records, number, started_at, last, *_so_far(org), "" if noted else odd)
        noted = noted or was_done
        if last or following is None:
            return
        locator = following
        if locator in seen:
            raise RecorderError(
                f"Pagination loop: page {number} of the listing repeats an earlier queryLocator.",
                "Nothing was changed. Try again later.",
            )
        seen.add(locator)
        if (
            number >= MAX_PAGES
            or empty >= MAX_EMPTY_PAGES
            or read > MAX_BYTES
            or time.monotonic() - began > MAX_SECONDS
        ):
            raise InvalidResponse(
                f"The listing has no plausible end: {number:,} pages, the last {empty:,} of them empty, "
                f"{read / 2**20:,.0f} MB and {time.monotonic() - began:,.0f} s so far.",
                PROXY_HINT,
            )


def _so_far(org: Org) -> tuple[datetime, int, tuple[int, int] | None]:
    return org.clock, org.here.calls, org.budget.usage


def first_page(org: Org, path: str, filters: dict[str, str]) -> Any:
    """The first page of a listing, unchecked. Raises a RecorderError."""
    return _page(org, path, filters, None)


def _page(org: Org, path: str, filters: dict[str, str], locator: str | None) -> Any:
    """One page, always from our own path and host, with the filters: whether a locator implies them is undocumented."""
    params = {**filters, "queryLocator": locator} if locator else filters
    try:
        return org.request(path, params, ANSWER_BYTES)
    except SalesforceError as error:
        # INVALID_QUERY_LOCATOR, QUERY_LOCATOR_EXPIRED, INVALID_QUERY_LOCATOR_FORMAT: KB 000384958. That the listing
        # uses them too is inferred; a 404 can only mean the locator, since the path itself has worked before.
        if locator and ("LOCATOR" in error.code or error.status == 404):
            raise LocatorLost(error.code or f"HTTP {error.status}") from None
        if error.status == 400 and filters and not error.foreign:
            sent = sanitize(", ".join(f"{name}={value}" for name, value in filters.items()))
            raise ConfigError(
                f"Salesforce rejects the listing's filters {sent}: HTTP 400 {error.code}: {error.text}",
                f"Check the filters under [{org.credentials.settings_section}] in .dlt/config.toml, or remove them.",
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
        raise RecorderError(
            f"Page {number} of the listing is not what Salesforce documents: {problem}. Nothing was changed.",
            "Perhaps a proxy answered instead of Salesforce, or this api_version answers differently.",
        )
    return body["records"], body["done"]


def _locator(body: Record, number: int, done: bool) -> str | None:
    """The locator from `nextRecordsUrl`; None at the end of the listing.

    Nothing else of that URL is used: the documentation's example names /jobs/ingest, which lists other jobs.
    """
    url = body.get("nextRecordsUrl")
    if done and not url:
        return None
    locators = parse_qs(urlsplit(url).query).get("queryLocator", []) if isinstance(url, str) else []
    if len(locators) != 1 or len(locators[0]) > LOCATOR_LENGTH:
        says = "names a next page" if done else "says that more follows (done: false)"
        raise RecorderError(
            f"Page {number} of the listing {says}, but has no queryLocator. "
            "Nothing was changed: incomplete listings are not stored.",
            "Try again later.",
        )
    return locators[0]
