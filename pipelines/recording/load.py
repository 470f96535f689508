"""One run, from the lock on the loader's file to the published copy: what is kept when it ends at any moment."""

import logging
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
import pyarrow as pa
from dlt.common.schema.exceptions import DataValidationError
from dlt.load.exceptions import LoadClientJobFailed

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.dlt_context import active
from pipelines.config.settings import Settings
from pipelines.errors import Misconfigured, TryLater, causes
from pipelines.interrupts import signal_behind
from pipelines.recording.changes import KnownJobs
from pipelines.recording.error_templates import fill_templates
from pipelines.recording.job_details import Details, details_source
from pipelines.recording.kept_listings import (
    KeptListing,
    UnreadableListing,
    keep,
    keep_left_behind,
    keep_of_version_0_1_0,
    rows_of,
    waiting,
)
from pipelines.recording.org_join import join_orgs
from pipelines.recording.progress import Seen
from pipelines.recording.snapshot import Listing
from pipelines.recording.source import kept_rows, salesforce
from pipelines.tables import DATASET, LISTINGS, TABLES
from pipelines.warehouse.damage import damaged_part, is_damage
from pipelines.warehouse.dlt_packages import PIPELINE, interruptible, new_pipeline
from pipelines.warehouse.file_identity import (
    is_demo,
    new_identity,
    read_identity,
    refuse_demo,
    write_identity,
    write_moment,
)
from pipelines.warehouse.primary import HeldBy, LoaderFile, only_load, open_loader_file
from pipelines.warehouse.publish import check_begun, check_published, damaged, has_listing, open_published, publish
from pipelines.warehouse.schema import apply_views, complete_tables, stored_columns
from pipelines.warehouse.state_folder import StateFolder
from pipelines.warehouse.state_spans import refresh_spans

DOES_NOT_FIT = (
    DataValidationError,
    LoadClientJobFailed,
    pa.ArrowException,
    duckdb.DataError,
    duckdb.ConstraintException,
)  # what is kept, whenever it is tried
TEMPLATES_AGAIN: Final = timedelta(days=60)  # an earlier version may have loaded into the file since the last load

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What one run did, as the line that it prints."""

    listing: Listing
    resumed: int  # listings that earlier runs had to keep, and that this run loaded first
    seconds: float
    settings: Settings

    def __str__(self) -> str:
        done, usage = self.listing, self.listing.org.budget.usage
        parts = [
            f"{done.pages:,} {'page' if done.pages == 1 else 'pages'}",
            f"{done.jobs_listed:,} {'job' if done.jobs_listed == 1 else 'jobs'}",
            f"{done.jobs_changed:,} changed",
            f"filtered by {done.filters_text}" if done.filters else "",
            f"{len(done.rejected):,} rejected" if done.rejected else "",
            f"{done.details_asked:,} details" if done.details_asked else "",
            f"{done.details_left:,} details left" if done.details_left else "",
            f"{self.resumed:,} kept from before" if self.resumed else "",
            f"{usage[1] - usage[0]:,} of {usage[1]:,} API calls left" if usage else "",
            f"{self.seconds:.1f} s → {os.path.relpath(self.settings.warehouse)}",
        ]
        return " · ".join(part for part in parts if part)


def record(settings: Settings, credentials: SalesforceCredentials, seen: Seen = Seen()) -> Run:  # noqa: B008 - frozen
    """Lists the org's jobs, loads what changed, publishes the warehouse.

    Raises a Failure that says what to do; what could not be done now, the next run does.
    """
    with only_load(settings.loader_file):
        return record_under_lock(settings, credentials, seen)


def record_under_lock(settings: Settings, credentials: SalesforceCredentials, seen: Seen = Seen()) -> Run:  # noqa: B008
    """As `record`, for who holds the lock of the loader's file already."""
    began = time.monotonic()
    state = StateFolder(settings.loader_file)
    with state.in_use():
        active().data_dir = state.temporary  # nothing of dlt's goes into the user's home
        try:
            with ExitStack() as closing:
                listing, resumed = _record(settings, credentials, seen, state, closing)
        except Exception as error:
            part = _damaged_part(settings.loader_file, error)
            if part is None:
                raise
            raise damaged(settings.loader_file, settings.warehouse, part) from None
    return Run(listing, resumed, time.monotonic() - began, settings)


def _damaged_part(loader_file: Path, error: Exception) -> str | None:
    """What of the loader's file, which is closed by now, is damaged, where an error looks like it."""
    if is_damage(error) and not signal_behind(causes(error)):
        with suppress(OSError, duckdb.Error):  # it cannot be looked into now: the error itself is all that is known
            return damaged_part(loader_file)
    return None


def _record(
    settings: Settings, credentials: SalesforceCredentials, seen: Seen, state: StateFolder, closing: ExitStack
) -> tuple[Listing, int]:
    """The listing that was made and loaded, and how many that were kept before were loaded first."""

    def extracted(pipeline: dlt.Pipeline, known: KnownJobs) -> Listing:
        done: list[Listing] = []
        jobs = salesforce(
            credentials,
            extras=settings.extras,
            clock_tolerance_hours=settings.clock_tolerance_hours,
            known=known,
            on_page=seen.page,
            on_listed=done.append,
        )
        pipeline.extract(jobs)  # not `run`, which would first ask for the file, and give up if it is held
        return done[0]

    loader = _open(settings, closing)
    if isinstance(loader, HeldBy):
        identity = _identity_while_held(state, settings)
        keep_left_behind(state)
        # The copy stands in for the file, but knows nothing of listings that are kept already: then load all.
        known = KnownJobs(None if waiting(state) else open_published(settings.warehouse, identity, closing))
        working = state.working_folder(identity)
        listing = extracted(new_pipeline(str(settings.loader_file), working), known)
        keep(working / PIPELINE, state, identity)
        shutil.rmtree(working)
        loader = _open_at_last(settings, closing, loader, listing)
        identity = _identify(loader, state, settings)
        resumed = _load_kept(loader, state, identity) - 1  # without the one that was just made
        if not has_listing(loader.connection, listing.listing_id):
            raise TryLater(
                f"{settings.loader_file.name} was replaced by another file while it was locked. The listing of "
                f"{listing.jobs_listed:,} jobs is kept for the earlier file.",
                "The next load records into the file that is there now.",
            )
        pipeline, working = _pipeline(loader, state, identity)
    else:
        identity = _identify(loader, state, settings)
        keep_left_behind(state)
        resumed = _load_kept(loader, state, identity)
        pipeline, working = _pipeline(loader, state, identity)
        listing = extracted(pipeline, KnownJobs(loader.connection))
        _load(pipeline)
    complete_tables(loader.connection)
    join_orgs(loader.connection)
    fill_templates(loader.connection, None if resumed else listing.org.clock - TEMPLATES_AGAIN)
    details = Details(listing, loader.connection, settings.details_per_run, seen.details)
    if details.jobs:
        pipeline.extract(details_source(details))
        _load(pipeline)
    shutil.rmtree(working)
    refresh_spans(loader.connection, listing.org.org_id)
    apply_views(loader.connection)
    if settings.moment:
        write_moment(loader.connection, settings.moment)
    publish(loader, settings.warehouse, settings.keep_copies)
    return listing, resumed


def _pipeline(loader: LoaderFile, state: StateFolder, identity: str) -> tuple[dlt.Pipeline, Path]:
    """dlt's pipeline into the loader's file, with the state and the schema that are stored there, and its folder."""
    working = state.working_folder(identity)
    pipeline = new_pipeline(loader.connection, working)
    pipeline.sync_destination()
    return pipeline, working


def _open(settings: Settings, closing: ExitStack) -> LoaderFile | HeldBy:
    """The loader's file, ours from here to the end of the run; or who holds it."""
    check_begun(settings.loader_file, settings.warehouse)
    try:
        loader = closing.enter_context(open_loader_file(settings.loader_file, settings.lock_wait, demo=settings.demo))
    except HeldBy as held:
        return held
    check_published(loader.connection, settings.loader_file, settings.warehouse)
    return loader


def _bring_up_to_date(loader: duckdb.DuckDBPyConnection) -> None:
    """Gives what an earlier version recorded, or kept, this version's columns and ids: it is compared with next."""
    if stored_columns(loader, LISTINGS):
        complete_tables(loader)
        join_orgs(loader)


def _open_at_last(settings: Settings, closing: ExitStack, held: HeldBy, listing: Listing) -> LoaderFile:
    """The file again, now that the listing is safe beside it: whoever held it may have let go."""
    try:
        loader = closing.enter_context(open_loader_file(settings.loader_file, wait=0))
    except HeldBy:
        raise TryLater(
            f"{held.message} The listing of {listing.jobs_listed:,} jobs is kept; the next load brings it in first.",
            held.remedy,
        ) from None
    check_published(loader.connection, settings.loader_file, settings.warehouse)
    return loader


def _identity_while_held(state: StateFolder, settings: Settings) -> str:
    """The identity of a file that cannot be opened. Where none is known, it gets this one when it is next opened."""
    identity = state.identity
    if not identity or state.is_provisional:
        identity = identity or state.note_identity(new_identity(demo=settings.demo), provisional=True)
        keep_of_version_0_1_0(state, identity)
    return identity


def _identify(loader: LoaderFile, state: StateFolder, settings: Settings) -> str:
    """The identity of the loader's file; one that a version before identities made gets its own."""
    identity = read_identity(loader.connection)
    if identity is None:
        adopted = state.identity if state.is_provisional and _may_be_of(loader, waiting(state)) else None
        identity = state.note_identity(adopted or new_identity(demo=settings.demo), provisional=True)
        keep_of_version_0_1_0(state, identity)
        write_identity(loader.connection, identity)
    if not settings.demo:
        refuse_demo(identity, loader.path)
    elif not is_demo(identity):
        raise Misconfigured(
            f"{loader.path} is no recording of the demo org: it has taken the place of the demo's file.",
            "Move it back to where it belongs, and begin the demo again.",
        )
    if state.is_provisional and state.identity != identity:  # the folder beside the file was lost, then the file held
        known = _known_orgs(loader)
        for kept in waiting(state):
            if kept.identity == state.identity and kept.orgs & known:
                kept.give_to(identity)
    return state.note_identity(identity)


def _may_be_of(loader: LoaderFile, kept: list[KeptListing]) -> bool:
    """Whether listings that were kept while a file without an identity was held can be of this one: they show an org
    that it knows, or it knows none."""
    known = _known_orgs(loader)
    return not known or not kept or any(known & listing.orgs for listing in kept)


def _known_orgs(loader: LoaderFile) -> set[str]:
    if not stored_columns(loader.connection, LISTINGS):
        return set()
    return {org for (org,) in loader.connection.execute(f"select distinct org_id from {DATASET}.listings").fetchall()}


def _load(pipeline: dlt.Pipeline) -> None:
    interruptible(pipeline.normalize)
    interruptible(pipeline.load)


def _load_kept(loader: LoaderFile, state: StateFolder, identity: str) -> int:
    """Loads the listings that are kept for this file, oldest first, before anything is listed; says how many."""
    loaded = 0
    _bring_up_to_date(loader.connection)
    for kept in waiting(state):
        if kept.meta and kept.identity != identity:
            logger.warning("%s is a listing kept for another loader's file; it stays there.", kept.folder)
            continue
        try:
            _load_one(loader, state, kept)
            loaded += 1
        except Exception as error:
            unfit = next((one for one in causes(error) if isinstance(one, (UnreadableListing, *DOES_NOT_FIT))), None)
            if unfit is None or signal_behind(causes(error)):
                raise
            there = kept.set_aside(state)
            said = str(unfit).splitlines()[0][:300]
            logger.warning("A kept listing could not be loaded, and was moved to %s: %s", there, said)
    if loaded:
        _bring_up_to_date(loader.connection)
    return loaded


def _load_one(loader: LoaderFile, state: StateFolder, kept: KeptListing) -> None:
    tables = kept.tables()
    working = state.temporary / "kept"  # not in `work`: it is there already, should this be killed
    pipeline = new_pipeline(loader.connection, working)
    pipeline.sync_destination()
    pipeline.extract(kept_rows({table: rows_of(tables[table.name], table) for table in TABLES if table.name in tables}))
    _load(pipeline)
    kept.remove()
    shutil.rmtree(working)
