"""What the tests of forwarding share: real engines to forward to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from forwarder import Forwarder
from lake_forwarder import LakeForwarder
from postgres_server import Server, postgres_server
from s3_server import S3Server, s3_server
from varied_warehouse import odd_warehouse

from pipelines.config.settings import Settings
from pipelines.warehouse.file_identity import write_identity
from pipelines.warehouse.schema import complete_tables


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A Postgres server, for the whole session; each test makes a database of its own in it."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def forwarder_of(tmp_path: Path, postgres: Server) -> Callable[..., Forwarder]:
    """Makes recorders that forward into one database."""
    database = postgres.new_database()

    def make(name: str = "home", **given: object) -> Forwarder:
        return Forwarder(tmp_path / name, postgres, database, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A published copy with one listing of one job."""
    file = tmp_path / "small.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute("set TimeZone = 'UTC'; create schema salesforce")
        complete_tables(connection)
        connection.execute(
            "insert into salesforce.query_jobs by name select 'org' as org_id, 'job' as id, 'Open' as state, "
            "timestamptz '2026-11-01' as system_modstamp, timestamptz '2026-11-01' as observed_at;"
            "insert into salesforce.listings by name select 'one' as listing_id, 'org' as org_id, 'query' as feed, "
            "timestamptz '2026-11-01' as started_at, timestamptz '2026-11-01' as finished_at, '{}' as filters"
        )
        write_identity(connection, "small-file")
    return file


@pytest.fixture
def some(small: Path) -> Path:
    """That, with two thousand more jobs, their states and users, and a hundred listings."""
    with duckdb.connect(small) as connection:
        connection.execute(
            "set TimeZone = 'UTC'; set search_path = 'salesforce'; create temp table n as from range(2000) as t(n)"
        )
        at = "timestamptz '2026-11-02' + n * interval 1 minute"
        for table, columns in {
            "query_jobs": f"'Open' as state, {at} as system_modstamp, {at} as observed_at, 'job' || n as id",
            "query_job_states": f"'Open' as state, {at} as system_modstamp, {at} as observed_at, 'job' || n as id",
            "users": f"'user' || n as id, 'User ' || n as name, {at} as asked_at",
            "job_details": f"'job' || n as id, {at} as asked_at, 'done' as outcome, 1 as attempts, 'Open' as listed_state, {at} as listed_modstamp, n as retries",
            "listings": f"'listing' || n as listing_id, 'query' as feed, {at} as started_at, {at} as finished_at, '{{}}' as filters",
        }.items():
            which = "where n < 100" if table == "listings" else ""
            connection.execute(f"insert into {table} by name select 'org' as org_id, {columns} from n {which}")
    return small


@pytest.fixture
def forwarder(forwarder_of: Callable[..., Forwarder], filled: Settings) -> Forwarder:
    """A recorder that has published two weeks of the demo org."""
    made = forwarder_of()
    made.publish(filled.warehouse)
    return made


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A published copy with rows in all tables, and nulls in all columns that can have them."""
    file = odd_warehouse(tmp_path / "odd.duckdb", seed=3)
    with duckdb.connect(file) as connection:
        write_identity(connection, "odd-file")
    return file


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server that answers as S3, for the whole session; each test makes a bucket of its own in it."""
    with s3_server() as server:
        yield server


@pytest.fixture
def lake_of(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., LakeForwarder]:
    """Makes recorders that forward into one lake: in a folder whose name no pattern may interpret, or on S3."""
    bucket: dict[str, object] = {}

    def make(name: str = "home", *, on_s3: bool = False, **given: object) -> LakeForwarder:
        if not on_s3:
            return LakeForwarder(tmp_path / name, **({"url": str(tmp_path / "a=1 lake['x]")} | given))  # type: ignore[arg-type]
        server: S3Server = request.getfixturevalue("s3")
        if not bucket:
            bucket.update(url=f"s3://{server.new_bucket()}/jobs", files=server.files, more=server.environment)
        return LakeForwarder(tmp_path / name, **(bucket | given))  # type: ignore[arg-type]

    return make
