"""One run, from the lock on the loader's file to the published copy: what is kept when it ends at any moment."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.normalizers.naming import NamingConvention
from dlt.common.runtime import signals
from dlt.common.runtime.run_context import active
from dlt.common.storages import LoadStorage, NormalizeStorage, PackageStorage
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration, DuckDbCredentials

from pipelines.credentials import SalesforceCredentials
from pipelines.database_file import SESSION
from pipelines.failures import TryLater
from pipelines.job_details import Details, details_source
from pipelines.known_jobs import KnownJobs
from pipelines.listed_jobs import Listing
from pipelines.loader_file import HeldBy, only_load, open_loader_file
from pipelines.progress import Seen
from pipelines.settings import Settings
from pipelines.source import salesforce
from pipelines.state_spans import refresh_spans
from pipelines.tables import DATASET
from pipelines.warehouse import apply_views, check_begun, check_published, complete_tables, open_published, publish


@dataclass(frozen=True)
class Run:
    """What one run did, as the line that it prints."""

    listing: Listing
    resumed: int  # packages that earlier runs had to leave, and that this run loaded first
    seconds: float
    settings: Settings

    def __str__(self) -> str:
        done, usage = self.listing, self.listing.org.api_usage
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

    Raises a Failure that says what to do; whatever could not be done now, the next run makes good.
    """
    began = time.monotonic()
    done: list[Listing] = []
    with only_load(settings.loader_file), _temporary_files(settings), ExitStack() as closing:
        loader = _open(settings, closing)
        resumed = 0
        if isinstance(loader, HeldBy):
            pipeline = _pipeline(settings, str(settings.loader_file))
            # The copy stands in for the file, but knows nothing of listings that are kept already: then load all.
            known = KnownJobs(None if pipeline.has_pending_data else open_published(settings.warehouse, closing))
        else:
            pipeline = _pipeline(settings, loader)
            resumed = _load_pending(pipeline)
            if resumed:
                complete_tables(loader)  # what was kept may be the first that there is: it is compared with, too
            pipeline.sync_destination()
            known = KnownJobs(loader)

        # extract and normalize on their own: `run` would first ask for the file, and give up if it is held.
        jobs = salesforce(credentials, extras=settings.extras, known=known, on_page=seen.page, on_listed=done.append)
        pipeline.extract(jobs)
        _heeding_signals(pipeline.normalize)

        if isinstance(loader, HeldBy):
            loader = _open_at_last(settings, closing, loader, done[0])
            pipeline = _pipeline(settings, loader)
        _heeding_signals(pipeline.load)
        complete_tables(loader)
        details = Details(done[0], loader, settings.details_per_run, seen.details)
        if details.jobs:
            pipeline.extract(details_source(details))
            _heeding_signals(pipeline.normalize)
            _heeding_signals(pipeline.load)
        refresh_spans(loader, done[0].org.org_id)
        apply_views(loader)
        publish(loader, settings.loader_file, settings.warehouse)
    return Run(done[0], resumed, time.monotonic() - began, settings)


def _open(settings: Settings, closing: ExitStack) -> duckdb.DuckDBPyConnection | HeldBy:
    """The loader's file, ours from here to the end of the run; or who holds it."""
    check_begun(settings.loader_file, settings.warehouse)
    try:
        loader = closing.enter_context(open_loader_file(settings.loader_file, settings.lock_wait))
    except HeldBy as held:
        return held
    check_published(loader, settings.loader_file, settings.warehouse)
    return loader


def _pipeline(settings: Settings, file: duckdb.DuckDBPyConnection | str) -> dlt.Pipeline:
    held = isinstance(file, str)  # then dlt only extracts and normalizes
    destination = dlt.destinations.duckdb(file if held else DuckDbCredentials(file, pragmas=[SESSION]))
    look_up = destination.capabilities
    known: dict[type[Any] | None, DestinationCapabilitiesContext] = {}

    def capabilities(
        config: DuckDbClientConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        kind = type(naming) if naming else None
        if kind not in known:
            known[kind] = look_up(config, naming)
        return known[kind].copy()

    # What DuckDB can do, dlt looks up in all settings at every step and for every table: 0.1 s a run, a tenth of one
    # that finds little.
    destination.capabilities = capabilities  # type: ignore[method-assign]
    pipeline = dlt.pipeline(settings.pipeline, destination=destination, dataset_name=DATASET)
    working = Path(pipeline.working_dir)
    _tidy(working)
    _begin_anew(working)
    return pipeline


def _tidy(working: Path) -> None:
    """Removes from dlt's home what the runs before have left and no run needs: folders of all packages ever loaded, and
    what had come of listings that broke off. At a load an hour it would grow by a gigabyte a year."""
    left = [
        *working.glob(f"load/{LoadStorage.LOADED_FOLDER}/*"),
        *working.glob(f"load/{LoadStorage.NEW_PACKAGES_FOLDER}/*"),
    ]
    left += [path for path in working.glob("normalize/*/") if path.name != NormalizeStorage.EXTRACTED_FOLDER]
    # dlt removes a listing as it was extracted once it is normalized. Killed meanwhile, it leaves a part of it, and
    # would choke on that in every later run.
    normalized = working / "load" / LoadStorage.NORMALIZED_FOLDER
    extracted = working.glob(f"normalize/{NormalizeStorage.EXTRACTED_FOLDER}/*")
    left += [package for package in extracted if (normalized / package.name).exists()]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _temporary_files(settings: Settings) -> Iterator[None]:
    """Has temporary files made in dlt's home. dlt writes each merge's SQL as one, and moves it into the package: from
    another file system that is a copy, and half of one, left by kill -9, keeps the package from ever being loaded."""
    place = Path(active().data_dir) / "temporary" / settings.pipeline
    shutil.rmtree(place, ignore_errors=True)  # left by a load that was killed
    place.mkdir(parents=True)
    before, tempfile.tempdir = tempfile.tempdir, str(place)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(place, ignore_errors=True)


def _load_pending(pipeline: dlt.Pipeline) -> int:
    """Loads the packages that earlier runs had to leave: before anything is listed, because `run` would drop the
    new listing instead, and before the sync, which wipes them when the file is new. Says how many there were."""
    if not pipeline.has_pending_data:
        return 0
    _heeding_signals(pipeline.normalize)
    packages = len(pipeline.list_normalized_load_packages())
    if packages:
        _heeding_signals(pipeline.load)
    return packages


def _begin_anew(working: Path) -> None:
    """Has dlt load packages that were begun from their beginning: the file in which they were staged may have been
    replaced since, by the published copy. Nothing gets in twice: see the filters in `source.py`."""
    for package in (working / "load" / LoadStorage.NORMALIZED_FOLDER).glob("*/"):
        applied = package / PackageStorage.APPLIED_SCHEMA_UPDATES_FILE_NAME
        if not applied.exists():
            continue
        for state in (PackageStorage.STARTED_JOBS_FOLDER, PackageStorage.COMPLETED_JOBS_FOLDER):
            for job in (package / state).iterdir():
                job.rename(package / PackageStorage.NEW_JOBS_FOLDER / job.name)
        for merge in (package / PackageStorage.NEW_JOBS_FOLDER).glob("*.sql"):  # dlt writes it again
            merge.unlink()
        for transition in (package / PackageStorage.PENDING_TRANSITIONS_FOLDER).glob("*"):
            transition.unlink()
        # No change is told beforehand: dlt looks into the file itself for what that lacks.
        (package / PackageStorage.SCHEMA_UPDATES_FILE_NAME).write_text("{}")
        applied.unlink()  # last: if this is killed before, the next run does it again


def _heeding_signals(step: Callable[[], object]) -> None:
    """Runs a step of dlt's, which brings to an end what it is at when Ctrl-C or SIGTERM comes. One that comes late in
    the step dlt would forget, and the run would go on."""
    with signals.intercepted_signals():
        step()
        signals.raise_if_signalled()


def _open_at_last(settings: Settings, closing: ExitStack, held: HeldBy, listing: Listing) -> duckdb.DuckDBPyConnection:
    """The file again, now that the listing is safe in dlt's folder: whoever held it may have let go."""
    try:
        loader = closing.enter_context(open_loader_file(settings.loader_file, wait=0))
    except HeldBy:
        raise TryLater(
            f"{held.message} The listing of {listing.jobs_listed:,} jobs is kept; the next load brings it in first.",
            held.remedy,
        ) from None
    check_published(loader, settings.loader_file, settings.warehouse)
    return loader
