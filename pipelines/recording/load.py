"""One run, from locking the primary database to publishing the copy, safe to stop at any moment; of one org, and the
steps that `fleet.py` shares for several."""

import logging
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import dlt
import duckdb

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.dlt_context import active
from pipelines.config.settings import Settings
from pipelines.errors import TemporaryError, exception_chain
from pipelines.interrupts import causing_signal
from pipelines.plural import counted
from pipelines.recording.configured_names import note_configured_names, note_in_listing
from pipelines.recording.error_templates import fill_templates
from pipelines.recording.feed_join import fill_from_details, join_feeds
from pipelines.recording.history import History
from pipelines.recording.job_details import Details, DetailsOutcome
from pipelines.recording.job_results import JobResults, ResultsOutcome
from pipelines.recording.kept_listings import keep, keep_left_behind, waiting
from pipelines.recording.listings import Listings
from pipelines.recording.merging import load_kept, load_package, pipeline_into
from pipelines.recording.org_join import join_orgs
from pipelines.recording.org_metadata import Metadata
from pipelines.recording.primary_identity import identify, identity_while_held
from pipelines.recording.progress import NO_PROGRESS, ProgressCallbacks
from pipelines.recording.run import Run
from pipelines.recording.side_by_side import Work, alone
from pipelines.recording.source import Detailed, detailed_rows, salesforce
from pipelines.salesforce.org import Org
from pipelines.warehouse.contents import has_listing
from pipelines.warehouse.damage import damaged_part, is_damage
from pipelines.warehouse.dlt_packages import PIPELINE, new_pipeline
from pipelines.warehouse.file_identity import write_moment
from pipelines.warehouse.primary import DatabaseLocked, PrimaryDatabase, exclusive_load, open_primary
from pipelines.warehouse.publish import open_published, publish
from pipelines.warehouse.publishing_guards import check_begun, check_published
from pipelines.warehouse.restoring import damaged
from pipelines.warehouse.schema import apply_views, complete_tables
from pipelines.warehouse.state_folder import StateFolder
from pipelines.warehouse.state_spans import refresh_spans

TEMPLATES_AGAIN: Final = timedelta(days=60)  # an earlier version may have written to the file since the last load

logger = logging.getLogger(__name__)


def record(settings: Settings, credentials: SalesforceCredentials, progress: ProgressCallbacks = NO_PROGRESS) -> Run:
    """Lists the org's jobs, loads what changed, publishes the warehouse.

    Raises a RecorderError that says what to do; the next run catches up on whatever this one could not do. If only some
    of the listings could be read, these are recorded and published, and `Run.failure` is the error to end with.
    """
    with exclusive_load(settings.primary_file):
        return record_under_lock(settings, credentials, progress)


def record_under_lock(
    settings: Settings, credentials: SalesforceCredentials, progress: ProgressCallbacks = NO_PROGRESS
) -> Run:
    """Like `record`, for a caller that already holds the lock of the primary database."""
    began = time.monotonic()
    with run_of(settings) as (state, closing):
        found = _record(settings, credentials, progress, state, closing)
    return Run(*found, time.monotonic() - began, settings)


@contextmanager
def run_of(settings: Settings) -> Iterator[tuple[StateFolder, ExitStack]]:
    """The folder of a run, and a stack on which it opens the primary database. Raises ConfigError if that turns out to
    be damaged."""
    state = StateFolder(settings.primary_file)
    with state.in_use():
        active().data_dir = state.temporary  # so that dlt writes nothing to the user's home
        try:
            with ExitStack() as closing:
                yield state, closing
        except Exception as error:
            part = _damaged_part(settings.primary_file, error)
            if part is None:
                raise
            raise damaged(settings.primary_file, settings.warehouse, part) from None


def _damaged_part(primary_file: Path, error: Exception) -> str | None:
    """Which part of the primary database is damaged, if the error looks like damage. The file is closed by now."""
    if is_damage(error) and not causing_signal(exception_chain(error)):
        with suppress(OSError, duckdb.Error):  # the file cannot be examined now: report the error itself
            return damaged_part(primary_file)
    return None


def _record(
    settings: Settings,
    credentials: SalesforceCredentials,
    progress: ProgressCallbacks,
    state: StateFolder,
    closing: ExitStack,
) -> tuple[Listings, Metadata, DetailsOutcome | None, ResultsOutcome | None, int]:
    """Lists and loads; returns what was recorded, and how many kept listings were loaded first."""

    def extracted(pipeline: dlt.Pipeline, history: History) -> tuple[Listings, Metadata]:
        done: list[tuple[Listings, Metadata]] = []
        jobs = salesforce(
            credentials,
            feeds=list(settings.feeds),
            fetch_org_metadata=settings.fetch_org_metadata,
            clock_tolerance_hours=settings.clock_tolerance_hours,
            history=history,
            on_page=progress.page,
            on_listed=lambda listings, metadata: done.append((listings, metadata)),
        )
        pipeline.extract(jobs)  # not `run`, which would open the file first, and fail if it is locked
        return done[0]

    primary = open_or_locked(settings, closing)
    if isinstance(primary, DatabaseLocked):
        identity, published = stand_in(state, settings, closing)
        working = state.working_folder(identity)
        listings, metadata = extracted(new_pipeline(str(settings.primary_file), working), History(published))
        keep(working / PIPELINE, state, identity)
        shutil.rmtree(working)
        primary = retry_open(settings, closing, f"The listing of {counted(listings.jobs, 'job')} is kept")
        identity, resumed = load_waiting(primary, state, settings)
        resumed -= 1  # the one just made
        check_loaded(primary, listings)
        pipeline, working = pipeline_into(primary, state, identity)
    else:
        identity, resumed = load_waiting(primary, state, settings)
        pipeline, working = pipeline_into(primary, state, identity)
        listings, metadata = extracted(pipeline, History(primary.connection))
        load_package(pipeline)
    settle(primary, [listings], resumed)
    detailed = alone(ask_for_details(listings, metadata, settings, primary.connection, progress))
    if detailed:
        pipeline.extract(detailed_rows([detailed]))
        load_package(pipeline)
    shutil.rmtree(working)
    note_names(primary, {"": listings.org}, (), [listings])
    finish(primary, settings)
    outcomes = (detailed.details.outcome, detailed.results.outcome) if detailed else (None, None)
    return listings, metadata, *outcomes, resumed


def ask_for_details(
    listings: Listings,
    metadata: Metadata,
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    progress: ProgressCallbacks,
) -> Work[Detailed | None]:
    """Fetches the details of one org's jobs, and why records of its loads failed; None if nothing is to be asked."""
    details = Details(listings, connection, settings.details_per_run, progress.details)
    results = JobResults(
        listings.org, connection, wanted=settings.record_errors, keep_messages=settings.record_error_messages
    )
    if not details.jobs and not results.jobs:
        return None
    answers = yield details.answers
    results.consider(answers)
    read = yield results.read
    return Detailed(listings, metadata, details, answers, results, read)


def settle(primary: PrimaryDatabase, listed: Sequence[Listings], resumed: int) -> None:
    """Brings together what these listings of all orgs, and the kept ones, have loaded."""
    complete_tables(primary.connection)
    join_orgs(primary.connection)
    join_feeds(primary.connection, {listings.org.org_id: listings.listed_as_loads for listings in listed})
    since = min(listings.org.clock for listings in listed) - TEMPLATES_AGAIN
    fill_templates(primary.connection, None if resumed else since)


def note_names(
    primary: PrimaryDatabase, signed_in: Mapping[str, Org], names: Collection[str], listed: Sequence[Listings]
) -> None:
    """Keeps what the settings call each org; notes, and warns of, those that they no longer name."""
    orgs = {name: (org.org_id, org.session.instance_url) for name, org in signed_in.items()}
    left = note_configured_names(primary.connection, orgs, names, max(listings.org.clock for listings in listed))
    if left:
        note_in_listing(primary.connection, listed[0].first.listing_id, left)
    for line in left:
        logger.warning("%s", line)


def finish(primary: PrimaryDatabase, settings: Settings) -> None:
    """Brings up to date what is derived, and publishes."""
    fill_from_details(primary.connection)
    refresh_spans(primary.connection)
    apply_views(primary.connection)
    if settings.moment:
        write_moment(primary.connection, settings.moment)
    publish(primary, settings.warehouse, settings.keep_copies)


def open_or_locked(
    settings: Settings, closing: ExitStack, wait: float | None = None
) -> PrimaryDatabase | DatabaseLocked:
    """The primary database, open until the end of the run; or, if another process still has it locked after `wait`
    seconds (by default, those of the settings), which one."""
    check_begun(settings.primary_file, settings.warehouse)
    wait = settings.lock_wait if wait is None else wait
    try:
        primary = closing.enter_context(open_primary(settings.primary_file, wait, demo=settings.demo))
    except DatabaseLocked as held:
        return held
    check_published(primary.connection, settings.primary_file, settings.warehouse)
    return primary


def retry_open(settings: Settings, closing: ExitStack, kept: str) -> PrimaryDatabase:
    """Tries to open the file again, now that the listing is safe on disk: the lock may have been released."""
    primary = open_or_locked(settings, closing, wait=0)
    if isinstance(primary, DatabaseLocked):
        raise TemporaryError(f"{primary.message} {kept}; the next load brings it in first.", primary.remedy)
    return primary


def stand_in(
    state: StateFolder, settings: Settings, closing: ExitStack
) -> tuple[str, duckdb.DuckDBPyConnection | None]:
    """The identity of a locked file, and what stands in for it: the published copy. That lacks the listings that are
    still waiting: if there are any, None, which loads all jobs."""
    identity = identity_while_held(state, settings)
    keep_left_behind(state)
    return identity, None if waiting(state) else open_published(settings.warehouse, identity, closing)


def load_waiting(primary: PrimaryDatabase, state: StateFolder, settings: Settings) -> tuple[str, int]:
    """The identity of the primary database, and how many waiting listings have been loaded into it."""
    identity = identify(primary, state, settings)
    keep_left_behind(state)
    return identity, load_kept(primary, state, identity)


def check_loaded(primary: PrimaryDatabase, listings: Listings) -> None:
    """Raises TemporaryError if a listing that was made while the file was locked is not in it now."""
    if not has_listing(primary.connection, listings.first.listing_id):
        raise TemporaryError(
            f"The listing of {counted(listings.jobs, 'job')}, made while {primary.path.name} was locked, could not be "
            "loaded into it: the warning says where it is kept, and why.",
            "The next load lists the jobs again.",
        )
