"""Where a run of several orgs puts their rows."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

import dlt
import duckdb
from dlt.extract import DltSource

from pipelines.columns import Table
from pipelines.config.settings import Settings
from pipelines.recording.kept_listings import keep
from pipelines.recording.merging import forget, load_package, pipeline_into
from pipelines.recording.orgs_of_run import is_the_orgs
from pipelines.recording.source import Detailed, Listed, detailed_rows, listed_rows
from pipelines.warehouse.dlt_packages import PIPELINE, new_pipeline
from pipelines.warehouse.primary import PrimaryDatabase
from pipelines.warehouse.state_folder import StateFolder

T = TypeVar("T")


class PackageWriter:
    """Loads rows into the primary database, or keeps them while it is locked (`primary` is None). `history` is what
    listings are compared with."""

    def __init__(
        self,
        settings: Settings,
        state: StateFolder,
        identity: str,
        primary: PrimaryDatabase | None,
        history: duckdb.DuckDBPyConnection | None,
    ) -> None:
        self.settings, self.state, self.identity, self.primary, self.history = (
            settings,
            state,
            identity,
            primary,
            history,
        )
        self._pipeline: dlt.Pipeline | None = None

    def write_listings(self, listed: Sequence[tuple[str, Listed]], tables: Iterable[Table]) -> dict[str, Exception]:
        """Writes what has changed in these orgs, and returns why those failed of which it could not be written.

        Kept listings are packages of their own, so that none can hinder another."""
        with ExitStack() as files:
            for _, one in listed:
                files.enter_context(one.changed)
            groups = [listed] if self.primary else [[one] for one in listed]
            sources = partial(listed_rows, tables=tables)
            failures = {name: error for group in groups for name, error in self._written(group, sources).items()}
        if self.primary and failures:
            failed = [one.listings.snapshots for name, one in listed if name in failures]
            forget(self.primary.connection, [snapshot.listing_id for snapshots in failed for snapshot in snapshots])
        return failures

    def write_details(self, detailed: Sequence[tuple[str, Detailed]]) -> dict[str, Exception]:
        """The same of their jobs' details."""
        return self._written(detailed, detailed_rows) if detailed else {}

    def _written(
        self, parts: Sequence[tuple[str, T]], source_of: Callable[[Sequence[T]], DltSource]
    ) -> dict[str, Exception]:
        """One package for all takes dlt hardly longer than one for each. If one does not fit, each is loaded by
        itself."""
        try:
            self._write(source_of([part for _, part in parts]))
            return {}
        except Exception as error:
            if not is_the_orgs(error):
                raise
            self.renew()
            if len(parts) == 1:
                return {parts[0][0]: error}
        return {name: error for one in parts for name, error in self._written([one], source_of).items()}

    def _write(self, source: DltSource) -> None:
        if self.primary:
            if self._pipeline is None:
                self._pipeline, _ = pipeline_into(self.primary, self.state, self.identity)
            self._pipeline.extract(source)
            load_package(self._pipeline)
            return
        working = self.state.working_folder(self.identity)
        new_pipeline(str(self.settings.primary_file), working).extract(source)
        keep(working / PIPELINE, self.state, self.identity)
        shutil.rmtree(working)

    def renew(self) -> None:
        """Begins with an empty working folder: what an org's failure has left in it stays for the next run."""
        self._pipeline = None
