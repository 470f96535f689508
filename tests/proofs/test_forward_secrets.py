"""No password, key or URL of a destination in what `forward` prints, logs or leaves, wherever it is killed and whatever
fails: with --verbose, as JSON, and with all libraries' logs at DEBUG."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from leaks import files, forms
from planted import plant
from postgres_server import Server, postgres_server
from recorders import Recorder
from s3_server import S3Server, s3_server
from small_disks import fill, make_room, mounted
from watched import TellTale, Watched, planted_org, watch

from pipelines.demo_org.server import serving
from pipelines.warehouse.file_identity import write_identity

# Characters that URLs, JSON, TOML, the shell and SQL each escape differently.
PASSWORD = 'Pl4nted/Db P4ss="q&?%41@\\n'
BUCKET_KEY = "pl4ntedBucketKey/+0123456789="
OF_URL = "pl4ntedKeyOfTheClientCertificate"
CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        server.execute(f"create role planted login in role asks_password password '{PASSWORD}'")
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def org() -> Iterator[TellTale]:
    with serving(demo_org := planted_org()):
        yield demo_org


@pytest.fixture
def watched(org: TellTale, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """With a published copy; its settings name no destination yet."""
    found = watch(recorder, org, monkeypatch)
    found.secrets_beside = {
        "database's password": forms(PASSWORD) | forms(quote(PASSWORD, safe="")),
        "bucket's key": forms(BUCKET_KEY),
        "key in a database's URL": forms(OF_URL),
    }
    publish(recorder.warehouse, jobs=3)
    return found


def publish(file: Path, jobs: int) -> None:
    plant(file, query_jobs=[{"object": f"Object{number}"} for number in range(jobs)], alone=True)
    with duckdb.connect(file) as connection:
        write_identity(connection, "planted-file")


def to_postgres(watched: Watched, server: Server, *, password: str = PASSWORD, owner: str = "planted") -> str:
    """Returns the database."""
    database = server.new_database(owner)
    url = server.url(database, "planted", quote(password, safe=""))
    watched.environment |= {"FORWARD__DESTINATION": "postgres", CREDENTIALS: f"{url}?sslpassword={OF_URL}"}
    return database


def to_bucket(watched: Watched, server: S3Server, table_format: str = "") -> None:
    watched.environment |= {
        "FORWARD__DESTINATION": "filesystem",
        "DESTINATION__FILESYSTEM__BUCKET_URL": f"s3://{server.new_bucket()}/jobs",
        **server.environment,
        "DESTINATION__FILESYSTEM__CREDENTIALS__AWS_SECRET_ACCESS_KEY": BUCKET_KEY,
        **({"FORWARD__TABLE_FORMAT": table_format} if table_format else {}),
    }


LOUD = ("--verbose", "--log-format", "json")


@pytest.mark.slow
def test_no_forward_into_a_database_leaks(watched: Watched, postgres: Server) -> None:
    """In all its modes; then what it left there is searched, too."""
    database = to_postgres(watched, postgres)
    for options in (("--dry-run",), ("--init",), (), ("--full",), ("--take-over",)):
        watched.run("forward", *options, *LOUD, code=0)
    watched.run("doctor", "--verbose", code=78)
    tables = postgres.execute("select schemaname, tablename from pg_tables where schemaname ~ 'salesforce'", database)
    assert len(tables) > 10
    rows = [str(postgres.execute('select * from "{}"."{}"'.format(*name), database)) for name in tables]
    watched.said += [("the destination", "\n".join(rows).encode())]

    assert watched.leaks() == []


def refused(watched: Watched, server: Server) -> None:
    to_postgres(watched, server, password=PASSWORD + "x")
    watched.secrets_beside["database's password"] |= forms(PASSWORD + "x")


def unreachable(watched: Watched, server: Server) -> None:
    to_postgres(watched, server)
    watched.environment[CREDENTIALS] = re.sub(r":\d+/", ":9/", watched.environment[CREDENTIALS])


def unknown_host(watched: Watched, server: Server) -> None:
    to_postgres(watched, server)
    watched.environment[CREDENTIALS] = watched.environment[CREDENTIALS].replace("127.0.0.1", "no-such-host.invalid")


def missing_database(watched: Watched, server: Server) -> None:
    database = to_postgres(watched, server)
    watched.environment[CREDENTIALS] = watched.environment[CREDENTIALS].replace(f"/{database}?", "/missing?")


def without_rights(watched: Watched, server: Server) -> None:
    to_postgres(watched, server, owner="postgres")


def in_the_way(watched: Watched, server: Server) -> None:
    to_postgres(watched, server)
    watched.folder.joinpath("loader.duckdb.sent").touch()


def of_another_table(watched: Watched, server: Server) -> None:
    """The staged rows are refused by a table that others have created."""
    database = to_postgres(watched, server)
    server.execute("create schema salesforce authorization planted", database)
    server.execute("set role planted; create table salesforce.query_jobs (id integer)", database)


FAILURES: dict[str, tuple[Callable[[Watched, Server], None], int]] = {
    "a refused password": (refused, 77),
    "no server": (unreachable, 75),
    "no such host": (unknown_host, 75),
    "no such database": (missing_database, 78),
    "no right to create": (without_rights, 77),
    "a file in the way": (in_the_way, 78),
    "another table": (of_another_table, 70),
}


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
def test_no_failing_forward_leaks(watched: Watched, postgres: Server, failure: str) -> None:
    """Nor does `doctor`, which tries the same."""
    prepare, code = FAILURES[failure]
    prepare(watched, postgres)
    watched.environment["PGCONNECT_TIMEOUT"] = "3"
    watched.run("forward", *LOUD, code=code)
    watched.run("forward", "--quiet", code=code, loud=False)
    watched.run("doctor", *LOUD, code=78)

    assert watched.leaks() == []


# Each as a user might write it; the password must not be shown in parts, either.
PARTS = ("Pl4nted", "Passw0rdOfTheDatabase")
BROKEN = (
    "postgresql://planted:{0}/{1}@127.0.0.1:5432/db",
    "postgresql://planted:{0}@{1}@127.0.0.1:5432/db",
    "postgresql://planted:{0}#{1}@127.0.0.1:5432/db",
    "postgresql://planted:{0}?{1}@127.0.0.1:5432/db",
    "postgresql://planted:{0}:{1}@127.0.0.1:x/db",
    "postgresql://planted:{0}%zz{1}@127.0.0.1:9/db",
    "postgresql://planted:{0} {1}@127.0.0.1:9/db",
    "postgresql://planted:{0}[{1}@127.0.0.1:9/db",
    "postgres:/planted:{0}{1}@127.0.0.1:9/db",
    "mysql://planted:{0}{1}@127.0.0.1:9/db",
    "host=127.0.0.1 port=9 user=planted password={0}{1} dbname=db",
    '{{"host": "127.0.0.1", "port": 9, "username": "planted", "password": "{0}{1}", "database": "db"}}',
    '{{"host": "127.0.0.1", "port": "{0}", "username": "planted", "password": "{1}", "database": "db"}}',
    "{0}{1}",
    "postgresql://planted:{0}{1}@127.0.0.1:9/db?connect_timeout={0}{1}",
    "postgresql://planted:{0}{1}@127.0.0.1:9/db?password={0}{1}",
    "postgresql://127.0.0.1:9/db?user=planted&password={0}{1}",
    "postgresql://planted:{0}{1}@127.0.0.1:9/db?{0}={1}",
    "postgresql://planted:{0}{1}@[127.0.0.1:9/db",
)


@pytest.mark.slow
@pytest.mark.parametrize("url", BROKEN)
def test_no_broken_url_leaks_a_part_of_its_password(watched: Watched, url: str) -> None:
    watched.environment |= {"FORWARD__DESTINATION": "postgres", CREDENTIALS: url.format(*PARTS)}
    said = "".join(
        watched.run(*command, code=None) for command in (("forward", *LOUD), ("forward",), ("doctor", "--verbose"))
    )
    assert [part for part in PARTS if part in said] == []
    kept = {name: content for name, content in files(watched.folder) if any(p.encode() in content for p in PARTS)}
    assert list(kept) == []


@pytest.mark.slow
@pytest.mark.parametrize("table_format", ["", "delta"])
def test_no_forward_into_a_bucket_leaks(
    watched: Watched, s3: S3Server, table_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all its modes; then with a bucket that is not there, and with no server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    to_bucket(watched, s3, table_format)
    for options in (("--dry-run",), ("--init",), (), ("--full",)):
        watched.run("forward", *options, *LOUD, code=0)
    url = watched.environment["DESTINATION__FILESYSTEM__BUCKET_URL"]
    content = [s3.files.cat_file(path) for path in s3.files.find(url) if not path.endswith(".parquet")]
    assert any(b"create or replace view" in text.lower() for text in content)
    watched.said += [("the bucket", text) for text in content]
    watched.run("doctor", *LOUD, code=78)
    watched.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = "s3://no-such-bucket/jobs"
    watched.run("forward", *LOUD, code=78)
    if not table_format:
        watched.environment["DESTINATION__FILESYSTEM__CREDENTIALS__ENDPOINT_URL"] = "http://127.0.0.1:9"
        watched.run("forward", *LOUD, code=75)

    assert watched.leaks() == []


@pytest.mark.slow
def test_no_forward_on_a_full_disk_leaks(watched: Watched, postgres: Server, tmp_path: Path) -> None:
    """Beside the primary database, where the working folder is."""
    to_postgres(watched, postgres)
    with mounted(watched.folder / "disk") as disk:
        file = disk / "loader.duckdb"
        watched.environment |= {"DESTINATION__DUCKDB__CREDENTIALS": str(file)}
        publish(disk / "warehouse.duckdb", jobs=3)
        for room in (0, 64 * 1024, 1024 * 1024):
            fill(disk, leaving=room)
            watched.run("forward", *LOUD, code=70)
        make_room(disk)

        assert watched.leaks() == []


@pytest.mark.slow
def test_no_killed_forward_leaves_a_secret(watched: Watched, postgres: Server) -> None:
    """Its working folder stays until the next one, with what dlt notes of a run there, such as settings."""
    database = to_postgres(watched, postgres)
    del watched.environment[CREDENTIALS]
    keys = {"host": "127.0.0.1", "database": database, "username": "planted", "password": PASSWORD}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    section = "destination.postgres.credentials"
    file = watched.folder / ".dlt" / "secrets.toml"
    file.write_text(f'[{section}]\nport = {postgres.port}\n{text}[{section}.query]\nsslpassword = "{OF_URL}"\n')
    publish(watched.recorder.warehouse, jobs=2_000)
    for stage in ("*", "normalize/**/*.parquet", "load/normalized/**/*.parquet", "trace.pickle"):
        running = watched.start("forward", loud=False)
        until = time.monotonic() + 60
        while not [
            file for sent in watched.folder.glob("loader.duckdb.sent/*") for file in (sent / "work").glob(f"*/{stage}")
        ]:
            assert running.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        running.kill()
        watched.finish(running, -signal.SIGKILL)
        assert watched.leaks() == []
    watched.run("forward", code=0)
    assert postgres.execute("select count(*) from salesforce.query_jobs", database) == [(2_000,)]
