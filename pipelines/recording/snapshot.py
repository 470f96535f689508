"""One listing on its way into the warehouse: what its pages show becomes rows, some pages at a time."""

import itertools
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import pyarrow as pa

from pipelines.errors import Failure, Misconfigured
from pipelines.recording.changed_jobs import ChangedJobs
from pipelines.recording.known_jobs import KnownJobs
from pipelines.recording.missing_jobs import compared, listed_again
from pipelines.recording.records import MAX_COLUMNS, MAX_NEW_FIELDS, NewFields, Rejected, jobs_to_arrow
from pipelines.salesforce.job_pages import Page, job_pages
from pipelines.salesforce.org import Org
from pipelines.tables import JOB_DETAILS, QUERY_JOBS, UNLISTED_JOBS, USERS, Table

logger = logging.getLogger(__name__)

MARGIN: Final = timedelta(minutes=5)  # for changes that the org commits late, and for clocks that differ
PAGES_AT_ONCE: Final = 20  # are compared with the warehouse: a comparison costs some milliseconds, whatever its size
BYTES_AT_ONCE: Final = 32 * 2**20  # of pages, of which twenty real ones are a tenth
BYTES_KEPT: Final = 8 * 2**20  # of changed jobs, some 30,000, which only a first load has: more would cost it memory


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
        self.changes = ChangedJobs(known)
        self.rejected: dict[str, Rejected] = {}
        self.new_fields = NewFields(frozenset(known.columns(QUERY_JOBS)), known.fields())
        self.since: datetime | None = None
        self.restarted_at: datetime | None = None
        self.jobs_unlisted: int | None = None
        self.jobs_expected: int | None = None
        self.jobs_lost: int | None = None
        self.reduced_since: datetime | None = None
        self.details_asked: int | None = None
        self.details_left: int | None = None
        self.details_stopped: str | None = None
        self.notes: list[str] = []
        self.users: dict[str, dict[str, Any]] = {}  # id -> row of those that were asked for
        self.outstanding = {UNLISTED_JOBS.name}  # tables whose rows the row of `listings` waits for
        self._count_from_zero()

    def _count_from_zero(self) -> None:
        self.pages = self.jobs_listed = 0
        self.changes.count_from_zero()  # what was shown before is no part of the listing that gets completed
        self.creators: dict[Any, datetime | None] = {}  # created_by_id -> creation of their newest job
        self.ids: list[pa.Array] = []
        self.keyless: set[str] = set()  # ids of records that have no key

    def job_tables(self, modified: Any) -> Iterator[pa.Table]:
        """The changed rows of `query_jobs`, at once unless they are many; the other tables' rows gather beside."""
        org_id = self.org.org_id
        last_started_at = self.known.last_started_at(org_id, self.filters_text)
        self.since = last_started_at - MARGIN if last_started_at else None
        newest_began, newest_ended = self.known.newest_listing(org_id)
        self.org.check_clock(newest_ended)
        tables: list[pa.Table] = []
        size = 0  # of these, in bytes
        for page in job_pages(self.org, self.filters):
            if page.number == 1 and not self.pages:
                self.org.check_clock(newest_ended)
                # A clock that is some seconds behind the newest listing must not put this one before it.
                self.started_at = max(page.started_at, newest_began or page.started_at)
                # The mark is where the listing started, not the newest stamp it shows; dlt's own row filter is off
                # from here on, because it would drop late, unmoved and newly visible stamps.
                modified.advance(page.started_at - MARGIN)
            elif page.number == 1:
                # What was shown before the locator was lost is kept, but it is no part of the listing that is counted.
                self.changes.compare(tables, self.started_at)
                tables, size = [], 0
                self._count_from_zero()
                self.restarted_at = page.started_at
            self.pages = page.number
            self.jobs_listed += len(page.records)
            self.on_page(page)
            if page.odd:
                self.notes.append(page.odd)
                logger.warning("%s", page.odd)
            tables.append(self._read(page.records))
            size += tables[-1].nbytes
            if page.last or page.number % PAGES_AT_ONCE == 0 or size > BYTES_AT_ONCE:
                self.changes.compare(tables, self.started_at)
                tables, size = [], 0
                if page.last or self.changes.nbytes > BYTES_KEPT:
                    yield from self.changes.hand_over(self.since)
        _warn_of_too_many(self.new_fields)
        self.finished_at, self.calls, self.api_usage = self.org.clock, self.org.calls, self.org.budget.usage
        self.listed_by = self.org.user
        self.finished = True

    def _read(self, records: list[Any]) -> pa.Table:
        """A page as Arrow at once: its thousand records need not wait in memory for those of the next pages."""
        listed, rejected = jobs_to_arrow(records, self.org.org_id, self.new_fields)
        self.rejected |= {r.record_hash: r for r in rejected}
        self.keyless |= {r.job_id for r in rejected if r.job_id}
        newest = listed.group_by("created_by_id").aggregate([("created_date", "max")]).to_pydict()
        for creator, created in zip(newest["created_by_id"], newest["created_date_max"], strict=True):
            known = self.creators.get(creator)
            self.creators[creator] = max(created, known) if created and known else created or known
        self.ids += listed["id"].chunks
        return self.changes.numbered(listed)

    @property
    def jobs_changed(self) -> int:
        """How many of the listed jobs are new or different."""
        return self.changes.count

    @property
    def jobs_changed_late(self) -> int:
        """How many of these have a system_modstamp from before `since`."""
        return self.changes.late

    def until_finished(self) -> Iterator[None]:
        """None for as long as the listing runs: dlt takes that as "ask me later" and goes on with `query_jobs`."""
        for polls in itertools.count():
            if self.finished:
                return
            if polls > 100 and not self.pages:
                raise Misconfigured("The resources of the source `salesforce` need `query_jobs` in the same run.")
            yield None

    def unlisted_rows(self) -> Iterator[pa.Table]:
        """The rows of `unlisted_jobs`. A filtered listing says nothing about the jobs that it does not show; those that
        it does show are there."""
        # A record without a key shows its job all the same.
        ids = pa.chunked_array([*self.ids, pa.array(self.keyless, pa.string())])
        at = self.restarted_at or self.started_at
        rows = None
        if self.filters:
            rows = listed_again(self.known, ids, self.org.org_id, at)
        elif found := compared(self.known, ids, self.creators, self.org.org_id, at):
            rows = found.rows
            self.jobs_unlisted = rows["listed_again_at"].null_count
            self.jobs_expected, self.jobs_lost = found.jobs_expected, found.jobs_lost
            self.reduced_since = found.reduced_since
        if rows:
            yield rows
        self.outstanding.discard(UNLISTED_JOBS.name)

    def asked(self, table: Table, ask: Callable[[], pa.Table | None]) -> Iterator[pa.Table]:
        """The rows of a table that are asked for besides: what goes wrong there costs a note, never the listing."""
        rows = None
        try:
            rows = ask()
        except Failure as failure:
            self.note(table.name, failure.message)
        if rows:
            if table == USERS:
                self.users = {row["id"]: row for row in rows.to_pylist()}
            yield rows
        self.outstanding.discard(table.name)

    def note(self, what: str, why: str) -> None:
        """Keeps in `listings`, and warns of, what could not be found out besides the jobs."""
        self.notes.append(f"{what}: {why}")
        setting = "details_per_run = 0" if what == JOB_DETAILS.name else "fetch_org_metadata = false"
        logger.warning(
            "The jobs are recorded, but not all of %s: %s (To stop asking: %s under [query_jobs].)",
            what, why, setting,
        )  # fmt: skip


def _warn_of_too_many(new_fields: NewFields) -> None:
    if new_fields.too_many:
        logger.warning(
            "%d new fields of the listing are kept as JSON in query_jobs.extra_fields: a run adds %d columns at "
            "most, and the table has %d at most.",
            new_fields.too_many, MAX_NEW_FIELDS, MAX_COLUMNS,
        )  # fmt: skip
