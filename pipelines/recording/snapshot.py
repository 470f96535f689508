"""One listing on its way into the warehouse: what its pages show becomes rows, some pages at a time."""

import itertools
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import Failure, Misconfigured
from pipelines.recording.changes import CURRENT, POSITION, KnownJobs
from pipelines.recording.org_metadata import USER_ID
from pipelines.recording.records import MAX_COLUMNS, MAX_NEW_FIELDS, NewFields, Rejected, as_json, jobs_to_arrow
from pipelines.salesforce.job_pages import Page, job_pages
from pipelines.salesforce.org import Org
from pipelines.tables import (
    JOB_DETAILS,
    LISTINGS,
    ORGS,
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
        self.states: deque[pa.Table] = deque()
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
        self.jobs_shown = 0  # records with a key, also those of a listing that had to start again
        self.changed: list[pa.Table] = []  # rows of `query_jobs` that dlt has not got yet
        self.shown: list[pa.Table] = []  # ids of all that was shown since the first of these
        self.handed_over: list[pa.ChunkedArray] = []  # ids of those that dlt has got, for each time
        self._count_from_zero()

    def _count_from_zero(self) -> None:
        self.pages = self.jobs_listed = self.jobs_changed = self.jobs_changed_late = 0
        self.creators: dict[Any, datetime | None] = {}  # created_by_id -> creation of their newest job
        self.counted_from = self.jobs_shown  # what was shown before is no part of the listing that gets completed
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
                self._compare(tables)
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
                self._compare(tables)
                tables, size = [], 0
                if page.last or sum(t.nbytes for t in self.changed) > BYTES_KEPT:
                    yield from self._changed_jobs()
        if self.new_fields.too_many:
            logger.warning(
                "%d new fields of the listing are kept as JSON in query_jobs.more_fields: a run adds %d columns at "
                "most, and the table has %d at most.",
                self.new_fields.too_many,
                MAX_NEW_FIELDS,
                MAX_COLUMNS,
            )
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
        positions = pa.array(range(self.jobs_shown, self.jobs_shown + listed.num_rows), pa.int64())
        self.jobs_shown += listed.num_rows
        listed = listed.append_column(POSITION, positions)
        self.ids += listed["id"].chunks
        self.shown.append(listed.select(["id", POSITION]))
        return listed

    def _compare(self, pages: list[pa.Table]) -> None:
        """Keeps what is new or different; the rows of `query_job_states` dlt may have at once."""
        if not pages:
            return
        jobs, states = self.known.changes(
            pa.concat_tables(pages, promote_options="default"), self.started_at, self.handed_over
        )
        if states.num_rows:
            self.states.append(states)
        if jobs.num_rows:
            self.changed.append(jobs)
        elif not self.changed:
            self.shown = []

    def _changed_jobs(self) -> Iterator[pa.Table]:
        """What was kept, but of a job that was shown twice the later row alone: system_modstamp does not tell which
        that is, and dlt would take either. What was shown last may be what is stored."""
        if not self.changed:
            return
        jobs = pa.concat_tables(self.changed, promote_options="default")
        shown = pa.concat_tables(self.shown)
        self.changed, self.shown = [], []
        if pc.count_distinct(shown["id"]).as_py() < shown.num_rows:
            last = shown.group_by("id").aggregate([(POSITION, "max")])
            jobs = jobs.filter(pc.is_in(jobs[POSITION], value_set=last[f"{POSITION}_max"]))
        if self.handed_over:  # a job may have been among those before: dlt keeps the row that is current for longer
            later = pa.scalar(timedelta(microseconds=len(self.handed_over)), pa.duration("us"))
            at = jobs.schema.get_field_index(CURRENT)
            jobs = jobs.set_column(at, jobs.schema.field(at), pc.add(jobs[CURRENT], later))
        self.handed_over.append(jobs["id"])
        counted = pc.greater_equal(jobs[POSITION], self.counted_from)
        self.jobs_changed += pc.sum(counted).as_py() or 0
        if self.since:
            late = pc.and_(counted, pc.less(jobs["system_modstamp"], pa.scalar(self.since, TIME)))
            self.jobs_changed_late += pc.sum(late).as_py() or 0
        if jobs.num_rows:
            yield jobs.drop_columns(POSITION)

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
            rows = self.known.listed_again(ids, self.org.org_id, at)
        elif found := self.known.compared(ids, self.creators, self.org.org_id, at):
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
            "The jobs are recorded, but not all of %s: %s (To stop asking: %s under [query_jobs].)",
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
            "jobs_expected": self.jobs_expected,
            "jobs_lost": self.jobs_lost,
            "reduced_since": self.reduced_since,
            "creators": len(self.creators),
            "only_creator_id": self._only_creator(),
            "listed_by_id": self._listed_by(),
            "rejected": len(self.rejected),
            "filters": self.filters_text,
            "api_version": self.org.api_version,
            "api_usage": used,
            "api_usage_max": allowed,
            "calls_after": self.org.calls - self.calls,
            "details_asked": self.details_asked,
            "details_left": self.details_left,
            "details_stopped": self.details_stopped,
            "new_columns": as_json(self.new_fields.new_owners) if self.new_fields.new_owners else None,
            "notes": "\n".join(self.notes) or None,
        }
        return pa.Table.from_pylist([values], schema=LISTINGS.schema)

    def _only_creator(self) -> str | None:
        """The one user who created all that was shown. A record without a creator may be anybody's."""
        creators = self.creators.keys() | {rejected.created_by_id for rejected in self.rejected.values()}
        return creators.pop() if len(creators) == 1 else None

    def _listed_by(self) -> str | None:
        """The user whose access listed the jobs: by the sign-in, or by the username that it gave, which is one user's
        in all of Salesforce, whatever its case."""
        user_id, username = self.listed_by
        if USER_ID.fullmatch(user_id):
            return user_id
        users = (self.known.stored(USERS, self.org.org_id) if username else {}) | self.users
        found = [user for user, row in users.items() if (row.get("username") or "").lower() == username.lower()]
        return found[0] if username and len(found) == 1 else None

    def rejected_rows(self) -> Iterator[pa.Table]:
        if not self.rejected:
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
