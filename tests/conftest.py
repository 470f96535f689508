"""What the tests share: a demo org over real HTTP, and a recorder with its own files and dlt home."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import isolated  # noqa: F401 - before anything of ours: the user's own settings are not those of the tests
import pytest
from demo_org_client import Client
from hypothesis import settings
from keys import make_certificate
from slow import pytest_addoption, pytest_collection_modifyitems  # noqa: F401 - hooks

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.dlt_context import use_project
from pipelines.config.project import PROJECT
from pipelines.config.settings import Settings, read_credentials, read_settings
from pipelines.demo.command import FIRST_LOAD, LOAD_EVERY, UNTIL, credentials_for, demo_home
from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import RecorderError, unwrap_error
from pipelines.recording.load import record
from pipelines.recording.run import Run

KEYS = "SOURCES__SALESFORCE__CREDENTIALS__"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday

# The same examples in every run; `--hypothesis-profile=random` draws others, as `make test-all` does.
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.register_profile("random", derandomize=False, database=None, deadline=None, print_blob=True)
settings.load_profile("fixed")

# Processes started with a shell's `&` or nohup ignore Ctrl-C; so would each load that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
        create, all tables with their rows instead."""
        mine = [self.primary_file.with_name(f"{self.primary_file.name}{end}") for end in ("", ".lock", ".state")]
        files = {path.name: path.stat().st_mtime_ns for path in self.home.glob("*.duckdb*") if path not in mine}
        if not self.primary_file.exists():
            return files
        with duckdb.connect(self.primary_file, read_only=True) as primary:
            tables = primary.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
            return files | {name: primary.execute(f"from {name} order by all").fetchall() for (name,) in tables}

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


@pytest.fixture
def org() -> Iterator[DemoOrg]:
    demo_org = DemoOrg(now=NOON)
    with serving(demo_org):
        yield demo_org


@pytest.fixture
def client(org: DemoOrg) -> Iterator[Client]:
    """A client of the demo org that knows nothing about the pipeline."""
    asking = Client(org)
    with asking.http:
        yield asking


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a certificate for 127.0.0.1 and of its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def recorder_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recorder]:
    """Makes a recorder for an org, and points dlt's configuration at it: nothing of the user's is read or written."""

    def make(org: DemoOrg, name: str = "home") -> Recorder:
        home = tmp_path / name
        (home / ".dlt").mkdir(parents=True, exist_ok=True)
        (home / ".dlt" / "config.toml").write_text((PROJECT / ".dlt" / "config.toml").read_text())
        settings = {
            "DLT_PROJECT_DIR": str(home),
            "DLT_DATA_DIR": str(home / "dlt"),
            "DESTINATION__DUCKDB__CREDENTIALS": str(home / "loader.duckdb"),
            "QUERY_JOBS__LOCK_WAIT": "0",
            "QUERY_JOBS__CLOCK_TOLERANCE_HOURS": "0",  # a test's org has a simulated clock
            # Most tests are about one listing; recording/test_two_feeds.py, test_job_details.py, test_record_errors.py
            # and test_org_metadata.py switch on more.
            "SOURCES__SALESFORCE__FEEDS": '["query"]',
            "QUERY_JOBS__DETAILS_PER_RUN": "0",
            "QUERY_JOBS__RECORD_ERRORS": "false",
            "QUERY_JOBS__FETCH_ORG_METADATA": "false",
            "RUNTIME__REQUEST_BACKOFF_FACTOR": "0.01",
            "SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL": org.instance_url,
            "SOURCES__SALESFORCE__CREDENTIALS__CLIENT_ID": org.client_id,
            "SOURCES__SALESFORCE__CREDENTIALS__CLIENT_SECRET": org.client_secret,
        }
        for key, value in settings.items():
            monkeypatch.setenv(key, value)
        use_project()
        return Recorder(home, org)

    return make


@pytest.fixture
def recorder(org: DemoOrg, recorder_of: Callable[..., Recorder]) -> Recorder:
    return recorder_of(org)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Files of fourteen simulated days of the demo org with all its problems, a nine-day outage, and a job without a
    readable date. Read-only: all tests share them."""
    org = DemoOrg(now=UNTIL - timedelta(days=14))
    with demo_home(tmp_path_factory.mktemp("filled")) as settings, serving(org):
        live(org, until=UNTIL)
        org.add_job(createdDate="<datetime>", systemModstamp=org.now, state="Open", jobType="Classic", operation=...)
        org.advance(FIRST_LOAD)
        for pause in (LOAD_EVERY, LOAD_EVERY, timedelta(days=9), timedelta(days=2), LOAD_EVERY):
            record(settings, credentials_for(org))
            org.advance(pause)
        org.advance(UNTIL - org.now)
        record(settings, credentials_for(org))
    return settings


@pytest.fixture
def give(recorder: Recorder, monkeypatch: pytest.MonkeyPatch):
    """Sets the sign-in keys in the environment, and no others."""

    def set_keys(**keys: str) -> None:
        for name in [name for name in os.environ if name.startswith(KEYS)]:
            monkeypatch.delenv(name)
        for key, value in keys.items():
            monkeypatch.setenv(KEYS + key.upper(), value)

    return set_keys
