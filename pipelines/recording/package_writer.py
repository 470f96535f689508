"""Where a run of several orgs puts their rows."""

import shutil

import dlt
import duckdb
from dlt.extract import DltSource

from pipelines.config.settings import Settings
from pipelines.recording.kept_listings import keep
from pipelines.recording.merging import load_package, pipeline_into
from pipelines.warehouse.dlt_packages import PIPELINE, new_pipeline
from pipelines.warehouse.primary import PrimaryDatabase
from pipelines.warehouse.state_folder import StateFolder


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

    def write(self, source: DltSource) -> None:
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
