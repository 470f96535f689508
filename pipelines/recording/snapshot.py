"""Reads one listing, from its first page to its last, and turns it into rows of the tables."""

import logging
import uuid
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.recording.changed_jobs import ChangedJobs
from pipelines.recording.changes import not_recorded_there, recorded_here
from pipelines.recording.feeds import Feed
from pipelines.recording.history import History
from pipelines.recording.merges import WATERMARK_OVERLAP, Rows
from pipelines.recording.missing_jobs import Comparison, compared, listed_again
from pipelines.recording.records import MAX_COLUMNS, MAX_NEW_FIELDS, NewFields, Rejected, jobs_to_arrow
from pipelines.recording.rejected_records import rejected_rows
from pipelines.recording.shown_jobs import ShownJobs
from pipelines.salesforce.job_pages import Page
from pipelines.salesforce.org import Org
from pipelines.tables import REJECTED_RECORDS, UNLISTED_JOBS

logger = logging.getLogger(__name__)

PAGES_AT_ONCE: Final = 20  # compared with the warehouse in one go: a comparison takes some milliseconds at any size
BYTES_AT_ONCE: Final = 32 * 2**20  # of pages; twenty real ones are a tenth of that
BYTES_KEPT: Final = 8 * 2**20  # of changed jobs, some 30,000, as only a first load has: limits memory


@dataclass(frozen=True)
class Snapshot:
    """One complete listing: when it was taken, what it showed, and how that differs from what was recorded before."""

    listing_id: str
    org: Org
    feed: Feed
    filters: dict[str, str]
    since: datetime | None  # start of the previous listing, less WATERMARK_OVERLAP
    started_at: datetime
    restarted_at: datetime | None
    finished_at: datetime
    calls: int
    api_usage: tuple[int, int] | None
    shown: ShownJobs
    jobs_left_out: int  # shown, but recorded by another feed
    left_ids: pa.ChunkedArray  # of these: this feed records what the other does not show, and has not recorded
    jobs_changed: int
    jobs_changed_late: int  # of these, with a system_modstamp from before `since`
    rejected: dict[str, Rejected]  # by hash
    missing: Comparison | None  # None: nothing was compared
    new_columns: dict[str, str]
    notes: tuple[str, ...]  # anomalies of the listing

    @property
    def jobs(self) -> int:
        """Records that it showed, except those that another feed records."""
        return self.shown.jobs - self.jobs_left_out

    @property
    def listed_at(self) -> datetime:
        """When what it showed was so: the start of the pass that came to its end."""
        return self.restarted_at or self.started_at

    @property
    def filters_text(self) -> str:
        """The filters as they are stored in the column `filters`."""
        return _as_text(self.filters)


def _as_text(filters: dict[str, str]) -> str:
    return orjson.dumps(filters, option=orjson.OPT_SORT_KEYS).decode()


def take_snapshot(  # noqa: PLR0917
    org: Org,
    feed: Feed,
    filters: dict[str, str],
    history: History,
    pages: Iterable[Page],
    others: Collection[Feed],
    leave: Callable[[Rows], None],
) -> Generator[Rows, None, Snapshot]:
    """Reads the pages of a listing (see `job_pages`) and yields what is new or different as rows of the tables, a few
    pages at a time. Load nothing until the generator has ended: only then is the listing known to be complete.

    Jobs that one of the `others`, the feeds listed at the same time, records count as shown, and fill no table; those
    that this feed records if the other does not show them in the end are passed to `leave`. What depends on the outcome
    of the others is not compared yet: see `completed`.

    Raises a RecorderError: see `job_pages`.
    """
    listing_id = str(uuid.uuid4())
    last_started_at = history.last_started_at(org.org_id, feed, _as_text(filters))
    since = last_started_at - WATERMARK_OVERLAP if last_started_at else None
    newest_began, newest_ended = history.newest_listing(org.org_id)
    org.check_clock(newest_ended)

    changes = ChangedJobs(history, feed, since)
    new_fields = NewFields(frozenset(history.columns(feed.jobs)), history.fields(feed), table=feed.jobs)
    rejected: dict[str, Rejected] = {}
    notes: list[str] = []
    shown, jobs_left_out = ShownJobs(), 0
    left_ids: list[pa.Array] = []
    started_at = org.clock
    restarted_at: datetime | None = None
    for page in pages:
        if page.number == 1 and not shown.pages:
            org.check_clock(newest_ended)
            # An org's clock that is a few seconds behind the newest listing must not put this one before it.
            started_at = max(page.started_at, newest_began or page.started_at)
        elif page.number == 1:
            # What was read before the locator was lost is kept, but does not count towards this listing.
            yield from _states(feed, changes, started_at)
            changes.count_from_zero()
            shown, jobs_left_out = ShownJobs(), 0
            restarted_at = page.started_at
        if page.odd:
            notes.append(page.odd)
            logger.warning("%s", page.odd)
        listed, unkeyed = jobs_to_arrow(page.records, org.org_id, new_fields)
        rejected |= {record.record_hash: record for record in unkeyed}
        shown.add(listed, unkeyed)
        ours, left = recorded_here(history, feed, listed, others)
        if left.num_rows:
            left_ids += left["id"].chunks
            leave(Rows(feed.jobs, left))
        jobs_left_out += listed.num_rows - ours.num_rows
        changes.add(ours)
        if page.last or page.number % PAGES_AT_ONCE == 0 or changes.bytes_to_compare > BYTES_AT_ONCE:
            yield from _states(feed, changes, started_at)
            if page.last or changes.bytes_kept > BYTES_KEPT:
                yield Rows(feed.jobs, changes.hand_over(), started_at)
        finished_at, calls, api_usage = page.read_at, page.calls, page.api_usage
    _warn_of_too_many(new_fields)

    if rejected:
        yield Rows(REJECTED_RECORDS, rejected_rows(rejected, history, org.org_id, listing_id, started_at))
    return Snapshot(
        listing_id=listing_id,
        org=org,
        feed=feed,
        filters=filters,
        since=since,
        started_at=started_at,
        restarted_at=restarted_at,
        finished_at=finished_at,
        calls=calls,
        api_usage=api_usage,
        shown=shown,
        jobs_left_out=jobs_left_out,
        left_ids=pa.chunked_array(left_ids, pa.string()),
        jobs_changed=changes.count,
        jobs_changed_late=changes.late,
        rejected=rejected,
        missing=None,
        new_columns=new_fields.new_owners,
        notes=tuple(notes),
    )


def completed(
    snapshot: Snapshot, history: History, others: Iterable[Snapshot], left: Iterable[Rows]
) -> tuple[Snapshot, list[Rows]]:
    """What only the run's other complete listings can tell of this one, and the rows for that: which jobs that were
    `left` to another feed that did not show; and which absences begin and end. A job is gone once none shows it."""
    others = list(others)
    elsewhere = pa.chunked_array([ids for other in others for ids in other.shown.all_ids.chunks], pa.string())
    snapshot, rows = _with_those_left(snapshot, history, elsewhere, left)
    org_id, at = snapshot.org.org_id, snapshot.listed_at
    # A filtered listing proves nothing about jobs it does not show; those it shows do exist.
    if snapshot.filters:
        absences = listed_again(history, snapshot.feed, snapshot.shown, elsewhere, org_id, at)
    else:
        missing = compared(history, snapshot.feed, snapshot.shown, elsewhere, org_id, at)
        snapshot, absences = replace(snapshot, missing=missing), missing.rows if missing else None
    return snapshot, [*rows, *([Rows(UNLISTED_JOBS, absences)] if absences else [])]


def shown_of_another_feed(snapshot: Snapshot, feed: Feed, history: History) -> list[Rows]:
    """The rows that end absences of a feed of which the run has no complete listing: this one shows these jobs."""
    none = pa.chunked_array([], pa.string())
    absences = listed_again(history, feed, snapshot.shown, none, snapshot.org.org_id, snapshot.listed_at)
    return [Rows(UNLISTED_JOBS, absences)] if absences else []


def _with_those_left(
    snapshot: Snapshot, history: History, elsewhere: pa.ChunkedArray, left: Iterable[Rows]
) -> tuple[Snapshot, list[Rows]]:
    feed, started_at, ids = snapshot.feed, snapshot.started_at, snapshot.left_ids
    ids = ids.filter(pc.invert(pc.is_in(ids, value_set=elsewhere.combine_chunks()))).combine_chunks()
    if not len(ids):
        return snapshot, []
    changes = ChangedJobs(history, feed, snapshot.since)
    for jobs in _large_parts(left):
        ours = not_recorded_there(history, feed, jobs.filter(pc.is_in(jobs["id"], value_set=ids)))
        if ours.num_rows:
            changes.add(ours)
    rows = list(_states(feed, changes, started_at))
    rows.append(Rows(feed.jobs, changes.hand_over(), started_at))
    snapshot = replace(
        snapshot,
        jobs_left_out=snapshot.jobs_left_out - changes.count,
        jobs_changed=snapshot.jobs_changed + changes.count,
        jobs_changed_late=snapshot.jobs_changed_late + changes.late,
    )
    return snapshot, rows if changes.count else []


def _large_parts(pages: Iterable[Rows]) -> Iterator[pa.Table]:
    """The rows of several pages at a time."""
    part: list[pa.Table] = []
    for page in pages:
        part.append(page.rows)
        if len(part) == PAGES_AT_ONCE:
            yield pa.concat_tables(part, promote_options="default")
            part = []
    if part:
        yield pa.concat_tables(part, promote_options="default")


def _states(feed: Feed, changes: ChangedJobs, started_at: datetime) -> Generator[Rows]:
    states = changes.compare(started_at)
    if states:
        yield Rows(feed.states, states)


def _warn_of_too_many(new_fields: NewFields) -> None:
    if new_fields.too_many:
        logger.warning(
            "%d new fields of the listing are kept as JSON in %s.extra_fields: a run adds %d columns at most, and the "
            "table has %d at most.",
            new_fields.too_many, new_fields.table.name, MAX_NEW_FIELDS, MAX_COLUMNS,
        )  # fmt: skip
