"""The dlt source: one listing of an org's jobs, and what else a run asks of the org, become rows of tables.

What makes a replayed, doubled or late load harmless stands in the `source_filter`s below: dlt merges only staged
rows that pass them, so that no stored version is replaced by an older one and no `observed_at` ever moves.
"""

import itertools
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import dlt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from dlt.extract import DltResource

from pipelines import org_facts
from pipelines.credentials import SalesforceCredentials
from pipelines.failures import Failure, Misconfigured
from pipelines.known_jobs import KnownJobs
from pipelines.listing import Page, job_pages
from pipelines.records import NewFields, Rejected, jobs_to_arrow
from pipelines.salesforce import CURRENT_API_VERSION, Org
from pipelines.tables import (
    DATASET,
    JOB_DETAILS,
    LISTINGS,
    ORG_LIMITS,
    ORGS,
    QUERY_JOB_STATES,
    QUERY_JOBS,
    REJECTED_RECORDS,
    TIME,
    UNLISTED_JOBS,
    USERS,
    Table,
)

logger = logging.getLogger(__name__)

MARGIN: Final = timedelta(minutes=5)  # for changes that the org commits late, and for clocks that differ
NAMES_KEPT: Final = timedelta(days=7)  # before users and the org are asked for their names again
PAGES_PER_TABLE: Final = 20  # dlt's cost per yielded table is fixed, some 5 ms: twenty pages share it

STAGING: Final = f"{DATASET}_staging"  # where dlt stages a merge
# A version that the history has already stays as it is, with the time at which it was first observed.
# `min(system_modstamp)` keeps the look to the newest part of the table: 6 ms instead of 2.6 s at 30 million rows.
NOT_YET_OBSERVED: Final = f"""not exists (
    select 1 from (
        select org_id as o, id as i, system_modstamp as m, state as s
        from {DATASET}.query_job_states
        where system_modstamp >= (select min(system_modstamp) from {STAGING}.query_job_states)
    ) as stored
    where stored.o = org_id and stored.i = id and stored.m = system_modstamp and stored.s = state
)"""
# Nothing replaces a newer version, nor the same version observed earlier. `created_date` never changes, so it bounds the
# look, too; jobs whose createdDate could not be read are looked up on their own, and then among all.
_NEWER: Final = f"""not exists (
    select 1 from (
        select org_id as o, id as i, system_modstamp as m, state as s, observed_at as t
        from {DATASET}.query_jobs where created_date %s
    ) as stored
    where stored.o = org_id and stored.i = id
        and (stored.m > system_modstamp or (stored.m = system_modstamp and stored.s = state and stored.t < observed_at))
)"""
_OLDEST_STAGED: Final = f""">= (
    select case when count(*) = count(created_date) then min(created_date) else timestamptz '-infinity' end
    from {STAGING}.query_jobs
)"""
NOT_STALE: Final = f"{_NEWER % _OLDEST_STAGED} and {_NEWER % 'is null'}"
FIRST_STAYS_FIRST: Final = f"""not exists (
    select 1 from (select org_id as o, record_hash as h, first_observed_at as t from {DATASET}.rejected_records) as stored
    where stored.o = org_id and stored.h = record_hash and stored.t < first_observed_at
)"""


def merge_on(table: Table, source_filter: str | None = None, **dedup_sort: str) -> dict[str, Any]:
    """dlt's hints for a table. delete-insert with dedup_sort is the one strategy that neither doubles rows after a
    crash nor gets stuck on a job that is listed twice: of staged rows with one key, the first in that order stays."""
    columns = table.hints
    for column, order in dedup_sort.items():
        columns[column]["dedup_sort"] = order
    write = {"disposition": "merge", "strategy": "delete-insert"}
    return {
        "name": table.name,
        "primary_key": table.key,
        "columns": columns,
        "write_disposition": write | ({"source_filter": source_filter} if source_filter else {}),
        # A type that does not fit fails while it can still be refused, not when the package is already made.
        "schema_contract": {"tables": "evolve", "columns": "evolve", "data_type": "freeze"},
    }


class Listing:
    """One listing on its way into the warehouse: what it has shown so far, as rows of the tables."""

    def __init__(self, org: Org, filters: dict[str, str], known: KnownJobs, on_page: Callable[[Page], None]) -> None:
        self.org = org
        self.filters = filters
        self.filters_text = orjson.dumps(filters, option=orjson.OPT_SORT_KEYS).decode()
        self.known = known
        self.on_page = on_page
        self.listing_id = str(uuid.uuid4())
        self.finished = False
        self.states: deque[pa.Table] = deque()
        self.rejected: dict[str, Rejected] = {}
        self.new_fields = NewFields(frozenset(known.columns(QUERY_JOBS)))
        self.since: datetime | None = None
        self.restarted_at: datetime | None = None
        self.jobs_unlisted: int | None = None
        self.details_asked: int | None = None
        self.details_left: int | None = None
        self.notes: list[str] = []
        self.outstanding = {UNLISTED_JOBS.name}  # tables whose rows the row of `listings` waits for
        self._count_from_zero()

    def _count_from_zero(self) -> None:
        self.pages = self.jobs_listed = self.jobs_changed = self.jobs_changed_late = 0
        self.creators: set[Any] = set()
        self.ids: list[pa.ChunkedArray] = []

    def job_tables(self, marks: dict[str, datetime], modified: Any) -> Iterator[pa.Table]:
        """The changed rows of `query_jobs`, some pages at a time; the other tables' rows gather beside."""
        key = f"{self.org.org_id} {self.filters_text}"
        self.since = marks.get(key)
        tables: list[pa.Table] = []
        for page in job_pages(self.org, self.filters):
            if page.number == 1 and not self.pages:
                self.started_at = page.started_at
                marks[key] = page.started_at - MARGIN
                # The mark is where the listing started, not the newest stamp it shows; dlt's own row filter is off
                # from here on, because it would drop late, unmoved and newly visible stamps.
                modified.advance(marks[key])
            elif page.number == 1:
                # What was shown before the locator was lost is kept, but it is no part of the listing that is counted.
                yield from self._changed(tables)
                tables = []
                self._count_from_zero()
                self.restarted_at = page.started_at
            self.pages = page.number
            self.jobs_listed += len(page.records)
            self.on_page(page)
            tables.append(self._read(page.records))
            if page.last or page.number % PAGES_PER_TABLE == 0:
                yield from self._changed(tables)
                tables = []
        if self.new_fields.too_many:
            logger.warning(
                "The listing brought %d new fields at once: they are kept as JSON in query_jobs.more_fields.",
                self.new_fields.too_many,
            )
        self.finished_at, self.calls, self.api_usage = self.org.clock, self.org.calls, self.org.api_usage
        self.finished = True

    def _read(self, records: list[Any]) -> pa.Table:
        """A page as Arrow at once: its thousand records need not wait in memory for those of the next pages."""
        listed, rejected = jobs_to_arrow(records, self.org.org_id, self.new_fields)
        self.rejected |= {r.record_hash: r for r in rejected}
        self.creators.update(listed["created_by_id"].unique().to_pylist())
        self.ids.append(listed["id"])
        return listed

    def _changed(self, pages: list[pa.Table]) -> Iterator[pa.Table]:
        if not pages:
            return
        listed = pa.concat_tables(pages, promote_options="default")
        jobs, states = self.known.changes(listed, self.started_at)
        self.jobs_changed += jobs.num_rows
        if self.since:
            late = pc.less(jobs["system_modstamp"], pa.scalar(self.since, TIME))
            self.jobs_changed_late += pc.sum(late).as_py() or 0
        if states.num_rows or self.must_create(QUERY_JOB_STATES):
            self.states.append(states)
        if jobs.num_rows or self.must_create(QUERY_JOBS):
            yield jobs

    def until_finished(self) -> Iterator[None]:
        """None for as long as the listing runs: dlt takes that as "ask me later" and goes on with `query_jobs`."""
        for polls in itertools.count():
            if self.finished:
                return
            if polls > 100 and not self.pages:
                raise Misconfigured("The resources of the source `salesforce` need `query_jobs` in the same run.")
            yield None

    def must_create(self, table: Table) -> bool:
        """An empty first listing still creates the tables, for the views that read them."""
        return not self.known.has(table)

    def unlisted_rows(self) -> Iterator[pa.Table]:
        """The rows of `unlisted_jobs`. A filtered listing says nothing about the jobs that it does not show."""
        rows = None
        if not self.filters and self.ids:
            rows = self.known.unlisted(
                pa.chunked_array(self.ids), self.org.org_id, self.restarted_at or self.started_at
            )
        if rows is not None:
            self.jobs_unlisted = rows["listed_again_at"].null_count
        if rows or self.must_create(UNLISTED_JOBS):
            yield UNLISTED_JOBS.schema.empty_table() if rows is None else rows
        self.outstanding.discard(UNLISTED_JOBS.name)

    def asked(self, table: Table, ask: Callable[[], pa.Table | None]) -> Iterator[pa.Table]:
        """The rows of a table that are asked for besides: what goes wrong there costs a note, never the listing."""
        rows = None
        try:
            rows = ask()
        except Failure as failure:
            self.note(table.name, failure.message)
        if rows or self.must_create(table):
            yield table.schema.empty_table() if rows is None else rows
        self.outstanding.discard(table.name)

    def new_creators(self) -> set[str]:
        """The ids of listed creators whose names are not known, or were asked for long ago."""
        known = self.known.asked(USERS, self.org.org_id, self.started_at - NAMES_KEPT)
        return {creator for creator in self.creators if creator} - known

    def org_is_known(self) -> bool:
        """Whether the org's name was asked for lately."""
        return bool(self.known.asked(ORGS, self.org.org_id, self.started_at - NAMES_KEPT))

    def note(self, what: str, why: str) -> None:
        """Keeps in `listings`, and warns of, what could not be found out besides the jobs."""
        self.notes.append(f"{what}: {why}")
        setting = "details_per_run = 0" if what == JOB_DETAILS.name else "extras = false"
        logger.warning(
            "The jobs are recorded, but not all of %s: %s (If that is to stay so: %s under [query_jobs].)",
            what, why, setting,
        )  # fmt: skip

    def row(self) -> pa.Table:
        """The row of `listings`: the proof that this listing was read to its end."""
        used, allowed = self.api_usage or (None, None)
        values = {
            "listing_id": self.listing_id,
            "org_id": self.org.org_id,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "restarted_at": self.restarted_at,
            "since": self.since,
            "pages": self.pages,
            "calls": self.calls,
            "jobs_listed": self.jobs_listed,
            "jobs_changed": self.jobs_changed,
            "jobs_changed_late": self.jobs_changed_late,
            "jobs_unlisted": self.jobs_unlisted,
            "creators": len(self.creators),
            "rejected": len(self.rejected),
            "filters": self.filters_text,
            "api_version": self.org.api_version,
            "api_usage": used,
            "api_usage_max": allowed,
            "calls_after": self.org.calls - self.calls,
            "details_asked": self.details_asked,
            "details_left": self.details_left,
            "notes": "\n".join(self.notes) or None,
        }
        return pa.Table.from_pylist([values], schema=LISTINGS.schema)

    def rejected_rows(self) -> Iterator[pa.Table]:
        if not self.rejected and not self.must_create(REJECTED_RECORDS):
            return
        before = self.known.rejections(self.org.org_id)
        rows = []
        for rejected in self.rejected.values():
            first_id, first_at = before.get(rejected.record_hash, (self.listing_id, self.started_at))
            rows.append(
                {
                    "org_id": self.org.org_id,
                    "record_hash": rejected.record_hash,
                    "reason": rejected.reason,
                    "record": rejected.record,
                    "first_listing_id": first_id,
                    "first_observed_at": first_at,
                    "last_listing_id": self.listing_id,
                    "last_observed_at": self.started_at,
                }
            )
        yield pa.Table.from_pylist(rows, schema=REJECTED_RECORDS.schema)


@dlt.source(name="salesforce", section="salesforce")
def salesforce(  # noqa: PLR0917 - dlt fills these from the configuration
    credentials: SalesforceCredentials = dlt.secrets.value,
    api_version: str = CURRENT_API_VERSION,
    job_type: str | None = None,
    is_pk_chunking_enabled: bool | None = None,
    concurrency_mode: str | None = None,
    api_budget_percent: float = 90.0,
    extras: bool = True,
    known: KnownJobs | None = None,
    on_page: Callable[[Page], None] | None = None,
    on_listed: Callable[[Listing], None] | None = None,
) -> tuple[DltResource, ...]:
    """The Bulk API jobs that an org lists now, and what changed among them since they were last recorded.

    Settings come from `[sources.salesforce]`; unset filters are not sent. `known` is a look into the warehouse:
    without one, all jobs are loaded, and the merge keeps what is stored. `extras` asks for users, org and limits, too.
    `on_page` hears of every page, `on_listed` of the completed listing. The resources belong together.
    """
    filters = {
        "jobType": job_type,
        "isPkChunkingEnabled": None if is_pk_chunking_enabled is None else str(is_pk_chunking_enabled).lower(),
        "concurrencyMode": concurrency_mode,
    }
    sent = {name: value for name, value in filters.items() if value}
    org = Org(credentials, api_version, api_budget_percent)
    listing = Listing(org, sent, known or KnownJobs(), on_page or (lambda page: None))

    @dlt.resource(**merge_on(QUERY_JOBS, NOT_STALE, system_modstamp="desc"))
    def query_jobs(
        modified: dlt.sources.incremental[datetime] = dlt.sources.incremental("system_modstamp"),  # noqa: B008
    ) -> Iterator[pa.Table]:
        yield from listing.job_tables(dlt.current.resource_state().setdefault("marks", {}), modified)

    @dlt.resource(**merge_on(QUERY_JOB_STATES, NOT_YET_OBSERVED, observed_at="asc"))
    def query_job_states() -> Iterator[pa.Table | None]:
        for _ in listing.until_finished():
            yield listing.states.popleft() if listing.states else None
        yield from listing.states

    @dlt.resource(**merge_on(REJECTED_RECORDS, FIRST_STAYS_FIRST))
    def rejected_records() -> Iterator[pa.Table | None]:
        yield from listing.until_finished()
        yield from listing.rejected_rows()

    @dlt.resource(**merge_on(UNLISTED_JOBS))
    def unlisted_jobs() -> Iterator[pa.Table | None]:
        yield from listing.until_finished()
        yield from listing.unlisted_rows()

    def asked(table: Table, ask: Callable[[], pa.Table | None]) -> DltResource:
        @dlt.resource(**merge_on(table))
        def rows() -> Iterator[pa.Table | None]:
            yield from listing.until_finished()
            yield from listing.asked(table, ask)

        listing.outstanding.add(table.name)
        return rows

    def names() -> pa.Table | None:
        creators = listing.new_creators()
        return org_facts.users(org, creators) if creators else None

    facts: dict[Table, Callable[[], pa.Table | None]] = {
        USERS: names,
        ORGS: lambda: None if listing.org_is_known() else org_facts.orgs(org),
        ORG_LIMITS: lambda: org_facts.org_limits(org, listing.listing_id),
    }
    # A table that nothing is asked for is made all the same, for the views that read it; `job_details.py` fills its own
    # once the jobs are loaded. To dlt a resource costs time though it yields nothing: what is there already is left out.
    nothing = [table for table in (JOB_DETAILS, *(() if extras else facts)) if listing.must_create(table)]
    besides = [asked(table, lambda: None) for table in nothing]
    besides += [asked(table, ask) for table, ask in facts.items() if extras]

    @dlt.resource(**merge_on(LISTINGS))
    def listings() -> Iterator[pa.Table | None]:
        yield from listing.until_finished()
        while listing.outstanding:  # its counts and notes are not all there yet
            yield None
        yield listing.row()
        if on_listed:
            on_listed(listing)

    return query_jobs, query_job_states, rejected_records, unlisted_jobs, *besides, listings
