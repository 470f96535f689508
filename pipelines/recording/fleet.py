"""One run that records several orgs into one primary database, with one publish at its end.

What waits for the network waits side by side, and the main thread loads (`side_by_side.py`). One
org's failure costs that org; a failure of the file ends the run. After a signal, what was recorded is still published.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, TypeVar

import duckdb

from pipelines.config.orgs import ConfiguredOrg
from pipelines.config.settings import Settings
from pipelines.errors import TemporaryError, exception_chain
from pipelines.interrupts import Interrupted, causing_signal, set_aside_signal
from pipelines.org_log import for_org
from pipelines.recording.feeds import FEEDS, Feed
from pipelines.recording.fleet_run import FleetRun, Recorded
from pipelines.recording.history import History
from pipelines.recording.listings import Listings, take_snapshots
from pipelines.recording.load import (
    ask_for_details,
    check_loaded,
    finish,
    load_waiting,
    note_names,
    open_or_locked,
    retry_open,
    run_of,
    settle,
    stand_in,
)
from pipelines.recording.merges import Rows
from pipelines.recording.org_metadata import Metadata, Remembered, ask_for_metadata
from pipelines.recording.orgs_of_run import OrgsOfRun, is_the_orgs
from pipelines.recording.package_writer import PackageWriter
from pipelines.recording.progress import NO_PROGRESS, ProgressCallbacks
from pipelines.recording.read_ahead import read_ahead
from pipelines.recording.side_by_side import Work, side_by_side
from pipelines.recording.source import METADATA, Listed
from pipelines.warehouse.primary import DatabaseLocked, PrimaryDatabase, exclusive_load
from pipelines.warehouse.state_folder import StateFolder

T = TypeVar("T")

logger = logging.getLogger(__name__)


def record_fleet(
    settings: Settings,
    orgs: Sequence[ConfiguredOrg],
    names: Iterable[str],
) -> FleetRun:
    """Records these orgs; `names` are those of all orgs in the settings.

    Raises a RecorderError if none can be recorded: two names are one org, or the file cannot be used."""
    with exclusive_load(settings.primary_file):
        return record_fleet_under_lock(settings, orgs, names)


def record_fleet_under_lock(
    settings: Settings,
    orgs: Sequence[ConfiguredOrg],
    names: Iterable[str],
    progress: ProgressCallbacks = NO_PROGRESS,
) -> FleetRun:
    """Like `record_fleet`, for a caller that already holds the lock of the primary database."""
    began = time.monotonic()
    with run_of(settings) as (state, closing):
        run = _Fleet(settings, orgs, tuple(names), progress, state, closing).record()
    run.seconds = time.monotonic() - began
    return run


class _Fleet:
    """One run."""

    def __init__(  # noqa: PLR0917
        self,
        settings: Settings,
        orgs: Sequence[ConfiguredOrg],
        names: tuple[str, ...],
        progress: ProgressCallbacks,
        state: StateFolder,
        closing: ExitStack,
    ) -> None:
        self.settings, self.names, self.progress, self.state, self.closing = settings, names, progress, state, closing
        self.run = FleetRun(settings, tuple(one.name for one in orgs))
        self.configured = {one.name: one for one in orgs}
        self.orgs = OrgsOfRun(orgs, settings.clock_tolerance_hours)
        self.tables = METADATA if settings.fetch_org_metadata else ()
        self.claims: dict[Feed, dict[str, str]] = {feed: {} for feed in FEEDS.values()}
        self.stop = threading.Event()
        self.primary: PrimaryDatabase | None = None
        self.writer: PackageWriter

    def record(self) -> FleetRun:
        held = open_or_locked(self.settings, self.closing)
        if isinstance(held, DatabaseLocked):
            identity, published = stand_in(self.state, self.settings, self.closing)
            self.writer = PackageWriter(self.settings, self.state, identity, None, published)
        else:
            self._use(held)
        try:
            self._list_all()
        except BaseException as error:
            self._stop_for(error)
        if isinstance(held, DatabaseLocked) and self.run.recorded:
            names = ", ".join(name for name in self.run.names if name in self.run.recorded)
            try:
                self._use(retry_open(self.settings, self.closing, f"The listings of {names} are kept"))
            except TemporaryError as still_held:
                self.run.stopped = self.run.stopped or still_held
                return self.run
        if self.run.recorded and self.primary:
            self._publish(self.primary)
        return self.run

    def _use(self, primary: PrimaryDatabase) -> None:
        self.primary = primary
        identity, self.run.resumed = load_waiting(primary, self.state, self.settings)
        self.writer = PackageWriter(self.settings, self.state, identity, primary, primary.connection)
        for name, one in list(self.run.recorded.items()):  # made while the file was locked
            try:
                check_loaded(primary, one.listings)
                self.run.resumed -= 1
            except TemporaryError as error:
                self._failed(name, error)
                del self.run.recorded[name]

    def _publish(self, primary: PrimaryDatabase) -> None:
        listed = [one.listings for one in self.run.recorded.values()]
        settle(primary, listed, self.run.resumed)
        if not self.run.stopped:
            try:
                self._add_details(primary)
            except BaseException as error:
                self._stop_for(error)
        note_names(primary, self.orgs.signed_in, self.names, listed)
        finish(primary, self.settings)

    def _add_details(self, primary: PrimaryDatabase) -> None:
        recorded = dict(self.run.recorded)
        given = self.settings, primary.connection, self.progress
        asks = {name: partial(ask_for_details, one.listings, one.metadata, *given) for name, one in recorded.items()}
        for ended in self._each(lambda name: asks[name](), asks):
            failures = self.writer.write_details([(name, one) for name, one in ended if one])
            for name, one in ended:
                if name in failures:
                    self._failed(name, failures[name])
                elif one:
                    recorded[name].details, recorded[name].results = one.details.outcome, one.results.outcome

    def _stop_for(self, error: BaseException) -> None:
        """After a signal, what is recorded is published before the run ends. Raises any other error."""
        self.stop.set()
        number = causing_signal(exception_chain(error))
        if not number or not self.run.recorded:
            raise error
        set_aside_signal()
        self.run.stopped = Interrupted(number)
        if self.primary:
            with suppress(duckdb.Error):  # no transaction is open
                self.primary.connection.execute("rollback")

    def _each(self, work: Callable[[str], Work[T]], names: Iterable[str]) -> Iterator[list[tuple[str, T]]]:
        """Does this for each of these orgs, side by side; yields what succeeded, by those that ended together."""
        try:
            for ended in side_by_side({name: partial(work, name) for name in names}):
                done: list[tuple[str, T]] = []
                for name, outcome in ended:
                    if not isinstance(outcome, Exception):
                        done.append((name, outcome))
                    elif is_the_orgs(outcome):
                        self._failed(name, outcome)
                    else:
                        raise outcome
                if done:
                    yield done
        except BaseException:
            self.stop.set()
            raise

    def _failed(self, name: str, error: Exception) -> None:
        with for_org(name):
            logger.info("This org could not be recorded", exc_info=error)
        for one in exception_chain(error):
            one.__traceback__ = None  # it lives on: its frames would keep the database open
        self.run.failures[name] = error
        self.writer.renew()

    def _list_all(self) -> None:
        late = self.orgs.sign_in()
        for name, error in self.orgs.failures.items():
            self._failed(name, error)
        for listed in self._each(lambda name: self._listing(name, late.get(name)), [*self.orgs.signed_in, *late]):
            self._load(listed)

    def _listing(self, name: str, late: Future[str] | None) -> Work[Listed]:
        """Lists one org, and finds what has changed."""
        if late:
            yield late.result
            self.orgs.claim(name)
        org, source = self.orgs.orgs[name], self.configured[name].source
        filters = {FEEDS[feed]: FEEDS[feed].filters(source) for feed in self.configured[name].feeds}
        files = yield partial(read_ahead, org, filters, self.progress.page, self.stop)
        histories = {feed: History(self.writer.history, self.claims[feed]) for feed in filters}
        folder = str(self.state.temporary)
        listings, changed = take_snapshots(org, filters, histories, lambda feed: files[feed].pages(), folder)
        for snapshot in listings.snapshots:
            self.claims[snapshot.feed] |= snapshot.new_columns
        remembered = Remembered(histories[listings.first.feed], listings)
        rows, metadata = yield partial(_metadata, listings, remembered, self.tables)
        return Listed(listings, changed, metadata, rows)

    def _load(self, listed: list[tuple[str, Listed]]) -> None:
        failures = self.writer.write_listings(listed, self.tables)
        for name, one in listed:
            if name in failures:
                self._failed(name, failures[name])
                continue
            self.run.recorded[name] = Recorded(one.listings, one.metadata)
            with for_org(name):
                logger.info("the listing is recorded")


def _metadata(listings: Listings, recorded: Remembered, tables: Any) -> tuple[list[Rows], Metadata]:
    asking, rows = ask_for_metadata(listings, recorded, tables), []
    while True:
        try:
            rows.append(next(asking))
        except StopIteration as ended:
            return rows, ended.value
