"""What the tests share: a demo org over real HTTP, and a recorder with its own files and dlt home."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import isolated  # noqa: F401 - before anything of ours: the user's own settings are not those of the tests
import pytest
from demo_org_client import Client
from hypothesis import settings
from keys import make_certificate
from killed_at import Runs, runs
from recorders import KEYS, NOON, Recorder
from slow import pytest_addoption, pytest_collection_modifyitems  # noqa: F401 - hooks

from pipelines.config.dlt_context import use_project
from pipelines.config.project import PROJECT
from pipelines.config.settings import Settings
from pipelines.demo.command import FIRST_LOAD, LOAD_EVERY, UNTIL, credentials_for, demo_home
from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.recording.load import record

# The same examples in every run; `--hypothesis-profile=random` draws others, as `make test-all` does.
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.register_profile("random", derandomize=False, database=None, deadline=None, print_blob=True)
settings.load_profile("fixed")

# Processes started with a shell's `&` or nohup ignore Ctrl-C; so would each load that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Starts commands that are killed, or read, at a moment of their run."""
    with runs(tmp_path_factory.mktemp("runs")) as started:
        yield started


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
