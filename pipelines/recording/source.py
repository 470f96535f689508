"""The dlt sources of a run: the listings of the org's jobs, the details of single jobs, and what earlier runs kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.extract import DltResource

from pipelines.columns import Table
from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.defaults import BUDGET_PERCENT, CURRENT_API_VERSION
from pipelines.job_tables import JOB_BATCHES, JOB_DETAILS, RECORD_ERRORS
from pipelines.recording.feeds import FEEDS, Feed
from pipelines.recording.history import History
from pipelines.recording.job_details import Details
from pipelines.recording.job_results import JobResults
from pipelines.recording.listing_row import listing_rows
from pipelines.recording.listings import ListedRows, Listings, take_snapshots
from pipelines.recording.merges import Rows, incremental_resource, resources
from pipelines.recording.org_metadata import Metadata, ask_for_metadata
from pipelines.salesforce.job_pages import Page, job_pages
from pipelines.salesforce.org import Org
from pipelines.tables import LISTINGS, ORG_LIMITS, ORGS, REJECTED_RECORDS, UNLISTED_JOBS, USERS

METADATA: Final = (USERS, ORGS, ORG_LIMITS)  # left out if they are not wanted: to dlt, even empty tables cost time


@dataclass(frozen=True)
class Listed:
    """What is to be loaded of an org whose listings have been read."""

    listings: Listings
    changed: ListedRows
    metadata: Metadata
    metadata_rows: Sequence[Rows]


@dataclass(frozen=True)
class Detailed:
    """What is to be loaded of the details of an org's jobs, and of why records of its loads failed."""

    listings: Listings
    metadata: Metadata
    details: Details
    answers: pa.Table
    results: JobResults
    read: Mapping[str, pa.Table]


@dlt.source(name="salesforce", section="salesforce")
def salesforce(  # noqa: PLR0917 - dlt fills these from the configuration
    credentials: SalesforceCredentials = dlt.secrets.value,
    api_version: str = CURRENT_API_VERSION,
    feeds: list[str] | None = None,
    job_type: str | None = None,
    is_pk_chunking_enabled: bool | None = None,
    concurrency_mode: str | None = None,
    api_budget_percent: float = BUDGET_PERCENT,
    fetch_org_metadata: bool = True,
    clock_tolerance_hours: float = 24.0,
    history: History | None = None,
    on_page: Callable[[Feed, Page], None] = lambda feed, page: None,
    on_listed: Callable[[Listings, Metadata], None] = lambda listings, metadata: None,
) -> tuple[DltResource, ...]:
    """The Bulk API jobs that an org lists now, and what has changed since they were last recorded.

    Settings come from `[sources.salesforce]`; unset filters are not sent. `feeds` are the listings to read, all of
    FEEDS unless given. `history` is what the warehouse has: without it, all jobs are loaded, and the merge preserves
    what is stored. `fetch_org_metadata` also fetches users, org and limits. `on_page` is called for each page, by
    several threads, `on_listed` once all listings have ended: one that could not be read is left out, and in
    `Listings.failures`.
    The resources belong together: `listings` alone would record a complete listing without its jobs.
    """
    settings: dict[str, Any] = {
        "job_type": job_type,
        "is_pk_chunking_enabled": is_pk_chunking_enabled,
        "concurrency_mode": concurrency_mode,
    }
    metadata_tables = METADATA if fetch_org_metadata else ()
    org = Org(credentials, api_version, api_budget_percent, clock_tolerance_hours)
    recorded = history or History()
    listed = [feed for name, feed in FEEDS.items() if feeds is None or name in feeds]
    filters = {feed: feed.filters(settings) for feed in listed}

    def pages(feed: Feed) -> Iterator[Page]:
        for page in job_pages(org, feed.path, filters[feed]):
            on_page(feed, page)
            yield page

    @dlt.resource(name="snapshots", selected=False)
    def rows() -> Iterator[Rows]:
        histories = {feed: History(recorded.connection) for feed in listed}
        folder = dlt.current.pipeline().working_dir  # on the disk that dlt's own files are on
        listings, changed = take_snapshots(org, filters, histories, pages, folder)
        with changed:
            yield from changed
        metadata = yield from ask_for_metadata(listings, recorded, metadata_tables)
        yield Rows(LISTINGS, listing_rows(listings, metadata))
        on_listed(listings, metadata)

    return _resources_of(rows, listed, metadata_tables)


@dlt.source(name="salesforce", section="salesforce")
def listed_rows(listed: Sequence[Listed], tables: Iterable[Table]) -> tuple[DltResource, ...]:
    """What `salesforce` loads, of orgs whose listings have been read; `tables` are those of METADATA that have rows."""

    @dlt.resource(name="snapshots", selected=False)
    def rows() -> Iterator[Rows]:
        for one in listed:
            yield from one.changed
            yield from one.metadata_rows
            yield Rows(LISTINGS, listing_rows(one.listings, one.metadata))

    feeds = [feed for feed in FEEDS.values() if any(feed in one.listings.feeds for one in listed)]
    return _resources_of(rows, feeds, tables)


def _resources_of(rows: DltResource, feeds: Iterable[Feed], metadata: Iterable[Table]) -> tuple[DltResource, ...]:
    tables = (*(feed.states for feed in feeds), REJECTED_RECORDS, UNLISTED_JOBS, *metadata, LISTINGS)
    return *(incremental_resource(rows, feed) for feed in feeds), *resources(rows, tables)


@dlt.source(name="salesforce", section="salesforce")
def detailed_rows(detailed: Sequence[Detailed]) -> tuple[DltResource, ...]:
    """The details of these orgs' jobs; why the records of loads failed, those whose details were just fetched included;
    and the listings' rows again, now with what became of that. One package: each takes dlt as long as a small
    listing."""

    @dlt.resource(name="details", selected=False)
    def rows() -> Iterator[Rows]:
        for one in detailed:
            answers, read = one.answers, one.read
            # Of a load that was read, its row with how that went.
            again = pc.is_in(answers["id"], value_set=read[JOB_DETAILS.name]["id"].combine_chunks())
            yield Rows(JOB_DETAILS, pa.concat_tables([answers.filter(pc.invert(again)), read[JOB_DETAILS.name]]))
            yield Rows(RECORD_ERRORS, read[RECORD_ERRORS.name])
            yield Rows(JOB_BATCHES, read[JOB_BATCHES.name])
            yield Rows(LISTINGS, listing_rows(one.listings, one.metadata, one.details.outcome, one.results.outcome))

    return resources(rows, (JOB_DETAILS, RECORD_ERRORS, JOB_BATCHES, LISTINGS))


@dlt.source(name="salesforce", section="salesforce")
def kept_rows(tables: Mapping[Table, Iterable[pa.Table]]) -> tuple[DltResource, ...]:
    """Rows that an earlier run extracted and kept, by table; they merge exactly as they would have then."""

    @dlt.resource(name="kept", selected=False)
    def rows() -> Iterator[Rows]:
        for table, parts in tables.items():
            for part in parts:
                yield Rows(table, part)

    return resources(rows, tables)
