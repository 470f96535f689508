"""All listings of a run, read side by side; those that were read to their end are recorded, whatever became of the
others."""

import copy
import logging
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import pyarrow as pa

from pipelines.errors import AccessDenied, RecorderError
from pipelines.org_log import for_same_org
from pipelines.recording.feeds import FEEDS, INGEST, Feed
from pipelines.recording.history import History
from pipelines.recording.merges import Rows
from pipelines.recording.snapshot import Snapshot, completed, shown_of_another_feed, take_snapshot
from pipelines.salesforce.job_pages import Page
from pipelines.salesforce.org import Org

logger = logging.getLogger(__name__)

NOTHING_RECORDED: Final = re.compile(r"\bNothing was (?:changed|written|recorded)\b")
LEAVE_OUT: Final = 'To record only /{path}, set feeds = ["{name}"] under [{section}].'


@dataclass(frozen=True)
class Listings:
    """The complete listings of a run, at least one, and why others are not complete."""

    snapshots: tuple[Snapshot, ...]  # in the order of FEEDS
    failures: Mapping[Feed, RecorderError]

    @property
    def first(self) -> Snapshot:
        """The listing whose row also says what else the run did."""
        return self.snapshots[0]

    @property
    def org(self) -> Org:
        return self.first.org

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """What the run was to list, completely or not."""
        listed = {snapshot.feed for snapshot in self.snapshots} | self.failures.keys()
        return tuple(feed for feed in FEEDS.values() if feed in listed)

    @property
    def listed_as_loads(self) -> tuple[datetime, pa.ChunkedArray] | None:
        """When INGEST was listed, and what it showed; None if it is not among the complete ones."""
        return next(((one.started_at, one.shown.all_ids) for one in self.snapshots if one.feed == INGEST), None)

    @property
    def jobs(self) -> int:
        """Records shown, each once."""
        return sum(snapshot.jobs for snapshot in self.snapshots)

    @property
    def shown_ids(self) -> pa.ChunkedArray:
        """The ids of all jobs that were shown with a usable key."""
        return pa.chunked_array([ids for snapshot in self.snapshots for ids in snapshot.shown.ids], pa.string())

    @property
    def failure(self) -> RecorderError | None:
        """The error that the run ends with, after everything else is recorded; it names the feed."""
        for feed, error in self.failures.items():
            named = copy.copy(error)
            recorded = " and ".join(f"/{snapshot.feed.path}" for snapshot in self.snapshots)
            message = NOTHING_RECORDED.sub("Nothing of it was recorded", error.message)
            named.message = f"{recorded} is recorded, but /{feed.path} could not be listed: {message}"
            named.remedy = NOTHING_RECORDED.sub("Nothing of it was recorded", error.remedy)
            if isinstance(error, AccessDenied):
                section = self.org.credentials.settings_section
                leave_out = LEAVE_OUT.format(path=self.first.feed.path, name=self.first.feed.name, section=section)
                named.remedy = f"{named.remedy} {leave_out}".strip()
            named.args = (named.message,)
            return named
        return None


class _Spool:
    """Rows of a listing on their way to dlt, in a file without a name."""

    def __init__(self, folder: str) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by ListedRows
        self._batches: list[Rows] = []

    def add(self, batch: Rows) -> None:
        with pa.ipc.new_stream(self._file, batch.rows.schema) as stream:
            stream.write_table(batch.rows)
        self._batches.append(Rows(batch.table, batch.rows.schema.empty_table(), batch.listed_at))

    def extend(self, batches: Iterable[Rows]) -> None:
        for batch in batches:
            self.add(batch)

    def rows(self) -> Iterator[Rows]:
        """The rows, in the order in which they were added."""
        self._file.seek(0)
        for batch in self._batches:
            with pa.ipc.open_stream(self._file) as stream:
                yield Rows(batch.table, stream.read_all(), batch.listed_at)

    def close(self) -> None:
        self._file.close()


class ListedRows:
    """What complete listings have to load, until it is closed; it can be read again. It is in files, because the rows
    of a listing count only once it is complete, and a first listing can be larger than memory allows."""

    def __init__(self, spools: Iterable[_Spool]) -> None:
        self._spools = tuple(spools)

    def __iter__(self) -> Iterator[Rows]:
        return (rows for spool in self._spools for rows in spool.rows())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for spool in self._spools:
            spool.close()


class _Stopped(Exception):
    """Another listing ended with an error that ends the run."""


def take_snapshots(
    org: Org,
    filters: Mapping[Feed, dict[str, str]],
    histories: Mapping[Feed, History],
    pages: Callable[[Feed], Iterator[Page]],
    folder: str,
) -> tuple[Listings, ListedRows]:
    """Takes a snapshot of each feed in `filters` from its `pages`, all at the same time; returns those that are
    complete, and their rows, which are in files in the `folder`.

    Raises the first RecorderError if none is. `histories` are used by one thread each.
    """
    stop = threading.Event()
    spools, left = ({feed: _Spool(folder) for feed in filters} for _ in range(2))

    def listed(feed: Feed) -> Snapshot | RecorderError:
        def until_stopped() -> Iterator[Page]:
            for page in pages(feed):
                if stop.is_set():
                    raise _Stopped
                yield page

        others = filters.keys() - {feed}
        snapshot = take_snapshot(org, feed, filters[feed], histories[feed], until_stopped(), others, left[feed].add)
        try:
            while True:
                spools[feed].add(next(snapshot))
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]
        except RecorderError as failure:
            logger.info("/%s could not be listed", feed.path, exc_info=failure)
            failure.__cause__ = failure.__traceback__ = None  # it lives on: its frames would keep the database open
            return failure
        except BaseException:
            stop.set()
            raise

    first, *others = filters
    org.org_id  # noqa: B018 - signs in once, before the threads need it
    org.check_clock()  # of the sign-in
    # The first listing is read by this thread, which signals can interrupt.
    pool = ThreadPoolExecutor(max(1, len(others)), "listing")
    try:
        outcomes = [pool.submit(for_same_org(listed), feed) for feed in others]
        ended = {first: listed(first)} | {
            feed: outcome.result() for feed, outcome in zip(others, outcomes, strict=True)
        }
    except _Stopped:
        pool.shutdown()
        raise next(error for error in (outcome.exception() for outcome in outcomes) if error) from None
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    failures = {feed: outcome for feed, outcome in ended.items() if isinstance(outcome, RecorderError)}
    snapshots = tuple(outcome for outcome in ended.values() if isinstance(outcome, Snapshot))
    if not snapshots:
        raise failures[first]
    for feed in failures:
        spools[feed].close()
    whole = _completed(snapshots, filters, histories, spools, left)
    for spool in left.values():
        spool.close()
    return Listings(whole, failures), ListedRows(spools[snapshot.feed] for snapshot in whole)


def _completed(
    snapshots: Sequence[Snapshot],
    filters: Mapping[Feed, dict[str, str]],
    histories: Mapping[Feed, History],
    spools: Mapping[Feed, _Spool],
    left: Mapping[Feed, _Spool],
) -> tuple[Snapshot, ...]:
    """The complete listings of a run with what only all of them together can tell; its rows are added to `spools`."""
    whole = []
    for snapshot in snapshots:
        feed, others = snapshot.feed, [one for one in snapshots if one is not snapshot]
        # A filter of the other listing says which of the jobs left to it are wanted.
        unwanted = any(filters[other] for other in filters if other != feed)
        complete, rows = completed(snapshot, histories[feed], others, () if unwanted else left[feed].rows())
        whole.append(complete)
        spools[feed].extend(rows)
    one = snapshots[0]
    for feed in set(FEEDS.values()) - {snapshot.feed for snapshot in snapshots}:
        spools[one.feed].extend(shown_of_another_feed(one, feed, histories[one.feed]))
    return tuple(whole)
