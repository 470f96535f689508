"""A recorder of a demo org, with its own files, for tests. (Not in conftest.py: there are two of that name.)"""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import isolated  # noqa: F401 - before anything of ours: the user's own settings are not those of the tests
import pytest

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.settings import read_credentials, read_settings
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import RecorderError, unwrap_error
from pipelines.recording.load import record
from pipelines.recording.run import Run

KEYS = "SOURCES__SALESFORCE__CREDENTIALS__"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday


@dataclass
class Recorder:
    """A recorder with the home `home` for the org `org`; it runs in this process or in a separate one."""

    home: Path
    org: DemoOrg

    @property
    def primary_file(self) -> Path:
        return self.home / "loader.duckdb"

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def state_folder(self) -> Path:
        return self.home / "loader.duckdb.state"

    def load(self, credentials: SalesforceCredentials | None = None) -> Run:
        """One run in this process."""
        return record(read_settings(), credentials or read_credentials())

    def failure(self) -> RecorderError:
        """The error in which a run ends that has no kept listings to load. Also checks that it changed no row,
        published nothing, and left nothing half done."""
        before = self._written()
        with pytest.raises(Exception) as raised:  # noqa: PT011 - the kind is what the caller looks at
            self.load()
        found = unwrap_error(raised.value)
        assert found, raised.value
        assert self._written() == before
        return found

    def _written(self) -> dict[str, Any]:
        """The files of both databases with their modification times; of the primary database, which a run may open or
        create, the rows of all tables that have some instead."""
        mine = [self.primary_file.with_name(f"{self.primary_file.name}{end}") for end in ("", ".lock", ".state")]
        files = {path.name: path.stat().st_mtime_ns for path in self.home.glob("*.duckdb*") if path not in mine}
        if not self.primary_file.exists():
            return files
        with duckdb.connect(self.primary_file, read_only=True) as primary:
            tables = primary.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
            rows = {name: primary.execute(f"from {name} order by all").fetchall() for (name,) in tables}
            return files | {name: found for name, found in rows.items() if found}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pipelines.query_jobs", *arguments]

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """One run of the command line, in a separate process."""
        return subprocess.run(
            self.command(*(arguments or ("load",))),
            env=os.environ | environment,
            cwd=cwd or self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A run in the background, in a separate process; the caller waits for it, or kills it."""
        return subprocess.Popen(
            self.command(*(arguments or ("load",))),
            env=os.environ | environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, sql: str, file: Path | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query on the published warehouse, or on another file; times are UTC."""
        with duckdb.connect(file or self.warehouse, read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET search_path = 'salesforce'")
            return connection.execute(sql).fetchall()

    def states(self) -> dict[str, str]:
        """id -> state, from the current rows."""
        return dict(self.rows("select id, state from query_jobs"))

    def history(self, job_id: str) -> list[str]:
        """The states of one job, in the order in which they were observed."""
        return [
            state
            for (state,) in self.rows(
                f"select state from query_job_states where id = '{job_id}' order by observed_at, system_modstamp"
            )
        ]

    def details(
        self, columns: str = "outcome, number_records_processed, number_records_failed"
    ) -> dict[str, list[Any]]:
        """id -> columns of job_details."""
        return {job: list(rest) for job, *rest in self.rows(f"select id, {columns} from job_details")}

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the tables that only a load may change."""
        tables = ("query_jobs", "query_job_states", "unlisted_jobs", "job_details", "rejected_records", "listings")
        return {table: self.rows(f"select * from {table} order by all") for table in tables}
