"""A real Postgres server for tests: a folder and a port of its own, an unprivileged user, and stopped by its process id.

`initdb` and `postgres` refuse to run as root, so root starts them as the user `postgres`, or as `nobody`. The server
ends with the process that started it, even if that is killed.
"""

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

PLACES: Final = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql")  # <place>/<version>/bin
SETTINGS: Final = {"fsync": "off", "shared_buffers": "64MB", "max_connections": "120", "unix_socket_directories": ""}
# Members of this role must give their password, all others need none.
HBA: Final = """\
host all +asks_password 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
names = count(1)


@dataclass
class Server:
    """A running server. `stop` and `start` it again to see what happens meanwhile: its data and its port stay."""

    programs: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    databases: list[str] = field(default_factory=list)

    def url(self, database: str = "postgres", user: str = "postgres", password: str = "unused") -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = "postgres", password: str = "unused") -> Any:
        """A connection in which each statement is its own transaction; times are UTC."""
        import psycopg2

        connection = psycopg2.connect(self.url(database, user, password), options="-ctimezone=UTC")
        connection.autocommit = True
        return connection

    def execute(self, sql: str, database: str = "postgres", user: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of one statement, or of the last of several."""
        connection = self.connect(database, user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def new_database(self, owner: str = "postgres") -> str:
        """An empty database."""
        name = f"db{next(names)}"
        self.execute(f"create database {name} owner {owner}")
        self.databases.append(name)
        return name

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        given = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-h", "127.0.0.1", *given]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                _unprivileged([*command, "-p", str(self.port)]), stdout=log, stderr=log, cwd=self.folder
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Ends all sessions at once, and waits until the server is gone."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # "fast shutdown"
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)  # "immediate shutdown", which also ends its children
                self.process.wait(30)


@contextmanager
def postgres_server(folder: Path | None = None) -> Iterator[Server]:
    """A new server with one superuser, `postgres`, who needs no password. Skips the test where Postgres is missing, or
    fails it if the environment variable CI is set."""
    programs = _programs()
    made = Path(tempfile.mkdtemp(prefix="postgres_", dir=folder))
    server = Server(programs, made, _free_port())
    try:
        if os.geteuid() == 0:
            made.chmod(0o755)
            os.chown(made, pwd.getpwnam(_server_user()).pw_uid, -1)
        initdb = [str(programs / "initdb"), "-D", str(made / "data"), "-U", "postgres", "--auth=trust"]
        run = subprocess.run(
            _unprivileged([*initdb, "--locale=C.UTF-8", "--encoding=UTF8", "--no-sync", "--no-instructions"]),
            capture_output=True, text=True, check=False, cwd=made,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        (made / "data" / "pg_hba.conf").write_text(HBA)
        server.start()
        server.execute("create role asks_password nologin")
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.stop()
        shutil.rmtree(made, ignore_errors=True)


def missing_engine(what: str) -> None:
    """Skips a test for which this machine lacks an engine. In CI, where all are installed, it fails."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


def _programs() -> Path:
    found = shutil.which("postgres")
    places = [Path(found).parent] if found else []
    for place in map(Path, PLACES):
        places += sorted(place.glob("*/bin"), reverse=True)
    for programs in places:
        if (programs / "initdb").exists() and (programs / "postgres").exists():
            return programs
    missing_engine("Postgres is not installed: apt-get install postgresql")
    raise AssertionError


def _unprivileged(command: list[str]) -> list[str]:
    """The command, run by a user who is not root, and ended when this process ends."""
    if not (setpriv := shutil.which("setpriv")):  # not on macOS
        if os.geteuid() == 0:
            missing_engine("Postgres refuses to run as root, and there is no setpriv.")
        return command
    if os.geteuid() == 0:
        user = pwd.getpwnam(_server_user())
        return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=QUIT", "--", *command]  # fmt: skip
    return [setpriv, "--pdeathsig=QUIT", "--", *command]


def _server_user() -> str:
    """Who runs the server."""
    if os.geteuid():
        return getpass.getuser()
    with suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return "nobody"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
