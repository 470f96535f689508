"""One run, from locking the primary database to publishing the copy, safe to stop at any moment."""

import os
import shutil
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import dlt
import duckdb

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.dlt_context import active
from pipelines.config.settings import Settings
from pipelines.errors import RecorderError, TemporaryError, exception_chain
from pipelines.interrupts import causing_signal
from pipelines.recording.error_templates import fill_templates
from pipelines.recording.feed_join import fill_from_details, join_feeds
from pipelines.recording.history import History
from pipelines.recording.job_details import Details, DetailsOutcome
from pipelines.recording.job_results import JobResults, ResultsOutcome
from pipelines.recording.kept_listings import keep, keep_left_behind, waiting
from pipelines.recording.listing_row import all_notes
from pipelines.recording.listings import Listings
from pipelines.recording.merging import load_kept, load_package, pipeline_into
from pipelines.recording.org_join import join_orgs
from pipelines.recording.org_metadata import Metadata
from pipelines.recording.primary_identity import identify, identity_while_held
from pipelines.recording.progress import NO_PROGRESS, ProgressCallbacks
from pipelines.recording.snapshot import Snapshot
from pipelines.recording.source import details_source, salesforce
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


@dataclass(frozen=True)
class Run:
    """What one run did; as text, the line that it prints."""

    listings: Listings
    metadata: Metadata
    details: DetailsOutcome | None  # None: no job was waiting for details
    results: ResultsOutcome | None  # None: the results of no load were waiting to be read
    resumed: int  # kept listings of earlier runs, which this run loaded first
    seconds: float
    settings: Settings

    @property
    def snapshot(self) -> Snapshot:
        """The first listing: of /jobs/query, if that is recorded and was complete."""
        return self.listings.first

    @property
    def jobs_changed(self) -> int:
        """Jobs that are new or different, of all listings."""
        return sum(snapshot.jobs_changed for snapshot in self.listings.snapshots)

    @property
    def failure(self) -> RecorderError | None:
        """The error to end with, if a listing failed while another one was recorded."""
        return self.listings.failure

    @property
    def notes(self) -> tuple[str, ...]:
        """As the first row of `listings` has them."""
        return all_notes(self.listings, self.metadata, self.details, self.results)

    def __str__(self) -> str:
        snapshots, filters = self.listings.snapshots, self.snapshot.filters
        pages, jobs = sum(one.shown.pages for one in snapshots), sum(one.jobs for one in snapshots)
        changed, rejected = self.jobs_changed, sum(len(one.rejected) for one in snapshots)
        usage, details = self.snapshot.org.budget.usage, self.details or DetailsOutcome(asked=0, left=0)
        results = self.results or ResultsOutcome(read=0, left=0)
        parts = [
            f"{pages:,} {'page' if pages == 1 else 'pages'}",
            f"{jobs:,} {'job' if jobs == 1 else 'jobs'}",
            f"{changed:,} changed",
            f"/{self.snapshot.feed.path} filtered by {self.snapshot.filters_text}" if filters else "",
            f"{rejected:,} rejected" if rejected else "",
            f"{details.asked:,} details" if details.asked else "",
            f"{details.left:,} details left" if details.left else "",
            f"{results.read:,} failed loads read" if results.read else "",
            f"{results.left:,} failed loads left" if results.left else "",
            f"{self.resumed:,} kept from before" if self.resumed else "",
            f"{usage[1] - usage[0]:,} of {usage[1]:,} API calls left" if usage else "",
            f"{self.seconds:.1f} s → {os.path.relpath(self.settings.warehouse)}",
        ]
        return " · ".join(part for part in parts if part)


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
    state = StateFolder(settings.primary_file)
    with state.in_use():
        active().data_dir = state.temporary  # so that dlt writes nothing to the user's home
        try:
            with ExitStack() as closing:
                found = _record(settings, credentials, progress, state, closing)
        except Exception as error:
            part = _damaged_part(settings.primary_file, error)
            if part is None:
                raise
            raise damaged(settings.primary_file, settings.warehouse, part) from None
    return Run(*found, time.monotonic() - began, settings)


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

    primary = _open(settings, closing)
    if isinstance(primary, DatabaseLocked):
        identity = identity_while_held(state, settings)
        keep_left_behind(state)
        # The published copy stands in for the file, but lacks the listings that are still waiting: then load all jobs.
        history = History(None if waiting(state) else open_published(settings.warehouse, identity, closing))
        working = state.working_folder(identity)
        listings, metadata = extracted(new_pipeline(str(settings.primary_file), working), history)
        keep(working / PIPELINE, state, identity)
        shutil.rmtree(working)
        primary = _retry_open(settings, closing, primary, listings)
        identity = identify(primary, state, settings)
        resumed = load_kept(primary, state, identity) - 1  # not counting the one just made
        if not has_listing(primary.connection, listings.first.listing_id):
            raise TemporaryError(
                f"{settings.primary_file.name} was replaced by another file while it was locked. The listing of "
                f"{listings.jobs:,} jobs is kept for the earlier file.",
                "The next load records into the file that is there now.",
            )
        pipeline, working = pipeline_into(primary, state, identity)
    else:
        identity = identify(primary, state, settings)
        keep_left_behind(state)
        resumed = load_kept(primary, state, identity)
        pipeline, working = pipeline_into(primary, state, identity)
        listings, metadata = extracted(pipeline, History(primary.connection))
        load_package(pipeline)
    complete_tables(primary.connection)
    join_orgs(primary.connection)
    join_feeds(primary.connection, listings.loads_since)
    fill_templates(primary.connection, None if resumed else listings.org.clock - TEMPLATES_AGAIN)
    details = Details(listings, primary.connection, settings.details_per_run, progress.details)
    results = JobResults(
        listings.org, primary.connection, wanted=settings.record_errors, keep_messages=settings.record_error_messages
    )
    if details.jobs or results.jobs:
        pipeline.extract(details_source(details, results, listings, metadata))
        load_package(pipeline)
    shutil.rmtree(working)
    fill_from_details(primary.connection)
    refresh_spans(primary.connection, listings.org.org_id)
    apply_views(primary.connection)
    if settings.moment:
        write_moment(primary.connection, settings.moment)
    publish(primary, settings.warehouse, settings.keep_copies)
    return listings, metadata, details.outcome, results.outcome, resumed


def _open(settings: Settings, closing: ExitStack) -> PrimaryDatabase | DatabaseLocked:
    """The primary database, open until the end of the run; or, if another process has locked it, which one."""
    check_begun(settings.primary_file, settings.warehouse)
    try:
        primary = closing.enter_context(open_primary(settings.primary_file, settings.lock_wait, demo=settings.demo))
    except DatabaseLocked as held:
        return held
    check_published(primary.connection, settings.primary_file, settings.warehouse)
    return primary


def _retry_open(settings: Settings, closing: ExitStack, held: DatabaseLocked, listings: Listings) -> PrimaryDatabase:
    """Tries to open the file again, now that the listing is safe on disk: the lock may have been released."""
    try:
        primary = closing.enter_context(open_primary(settings.primary_file, wait=0))
    except DatabaseLocked:
        raise TemporaryError(
            f"{held.message} The listing of {listings.jobs:,} jobs is kept; the next load brings it in first.",
            held.remedy,
        ) from None
    check_published(primary.connection, settings.primary_file, settings.warehouse)
    return primary
