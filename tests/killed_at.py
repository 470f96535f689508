"""Runs of the command line that are killed, as `kill -9` does, at a chosen moment: before or after their n-th request or
SQL statement, or before their n-th change of a file or folder.

`python killed_at.py` waits for such runs, one JSON object a line, with everything imported, and forks a process for
each: `Runs` is its client.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

KILLS = int(os.environ.get("KILLS", "10"))
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}


@dataclass(frozen=True)
class Ended:
    """How a run ended; `trail` has the moments that it came to. If it was killed, the last one is that of its death."""

    returncode: int
    stdout: str
    stderr: str
    trail: list[str]


class Runs:
    """Starts runs, one after the other."""

    def __init__(self, folder: Path, process: "subprocess.Popen[str]") -> None:
        self.folder, self.process = folder, process

    def run(
        self,
        *arguments: str,
        moment: int | str = 0,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """One run, killed at this moment, counted from 1, or at the first one that matches this pattern; 0: at none."""
        files = [self.folder / name for name in ("stdout", "stderr", "trail")]
        asked = {
            "arguments": arguments, "moment": moment, "cwd": str(cwd or self.folder), "files": list(map(str, files)),
            "environment": dict(os.environ | (environment or {})),
        }  # fmt: skip
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        output, errors, trail = (file.read_text() for file in files)
        return Ended(code, output, errors, trail.splitlines())


@contextmanager
def runs(folder: Path) -> Iterator[Runs]:
    """What starts runs, with files of its own in this folder."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Runs(folder, process)
        finally:
            process.kill()


def some_of(moments: int, part: int, parts: int) -> list[int]:
    """KILLS of the moments of one part, or all if that is more: all parts together have every moment once. A few are
    drawn at random, the same ones each time, and others for another `part`."""
    mine = list(range(1 + part, moments + 1, parts))
    return sorted(random.Random(part).sample(mine, min(KILLS, len(mine))))


@contextmanager
def noting(moment: int, moments: int, at: str) -> Iterator[None]:
    """Adds to an error of this block at which moment the run before it was killed."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"after a kill at moment {moment} of some {moments}: {at}")
        raise


# --- in the process that runs ---


class Moments:
    """Notes each moment, and ends the process at the deadly one."""

    def __init__(self, deadly: int | str, trail: str) -> None:
        self.deadly, self.numbers = deadly, count(1)
        self.trail = os.open(trail, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)

    def passes(self, what: str) -> None:
        number, what = next(self.numbers), " ".join(what.split())[:900]
        os.write(self.trail, f"{what}\n".encode("utf-8", "backslashreplace"))
        if number == self.deadly or (isinstance(self.deadly, str) and re.search(self.deadly, what)):
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """A method with a moment before it, and one after it."""

        def call(self_: Any, *given: Any, **options: Any) -> Any:
            what = f"{kind} {real.__name__} {next(iter(given), '')}"
            self.passes(f"before {what}")
            result = real(self_, *given, **options)
            self.passes(f"after {what}")
            return result

        return call

    def count_files(self) -> None:
        def hook(event: str, given: tuple[Any, ...]) -> None:
            writes = event == "open" and isinstance(given[2], int) and given[2] & WRITES
            if (writes or event in CHANGES) and "__pycache__" not in (path := str(given[0])):
                self.passes(f"before {event} {path} {given[1] if event == 'os.rename' else ''}")

        sys.addaudithook(hook)

    def count_duckdb(self) -> None:
        """Each statement of a script, too."""
        from duckdb import DuckDBPyConnection as Connection

        execute = self.around("duckdb", Connection.execute)
        one_by_one = Connection.extract_statements

        def each(connection: Any, query: Any, *given: Any, **options: Any) -> Any:
            if given or options or not isinstance(query, str) or query.count(";") <= 1:
                return execute(connection, query, *given, **options)
            result = connection
            for statement in one_by_one(connection, query):
                self.passes(f"before duckdb {statement.query}")
                result = real(connection, statement)
            self.passes(f"after duckdb {query}")
            return result

        real = Connection.execute
        Connection.execute = each
        for name in ("executemany", "sql", "query", "begin", "commit", "rollback", "checkpoint"):
            setattr(Connection, name, self.around("duckdb", getattr(Connection, name)))

    def count_postgres(self) -> None:
        import adbc_driver_manager.dbapi as adbc
        import psycopg2
        from psycopg2.extensions import connection, cursor

        def counting(base: Any, *names: str) -> type:
            return type("Counting", (base,), {name: self.around("postgres", getattr(base, name)) for name in names})

        connect = psycopg2.connect
        its_cursor = counting(cursor, "execute", "executemany", "copy_expert")
        its_connection = counting(connection, "commit", "rollback")
        psycopg2.connect = lambda *given, **options: connect(
            *given, **{"cursor_factory": its_cursor, "connection_factory": its_connection} | options
        )
        for kind, names in ((adbc.Cursor, ("execute", "adbc_ingest")), (adbc.Connection, ("commit", "rollback"))):
            for name in names:
                setattr(kind, name, self.around("postgres", getattr(kind, name)))

    def count_requests(self) -> None:
        """A moment before each goes out, and one when the answer to it has come."""
        from http.client import HTTPConnection

        endheaders, getresponse = HTTPConnection.endheaders, HTTPConnection.getresponse

        def ask(connection: Any, *given: Any, **options: Any) -> Any:
            self.passes("before request")
            return endheaders(connection, *given, **options)

        def answered(connection: Any, *given: Any, **options: Any) -> Any:
            answer = getresponse(connection, *given, **options)
            self.passes("after request")
            return answer

        HTTPConnection.endheaders, HTTPConnection.getresponse = ask, answered  # type: ignore[method-assign]


def _run(asked: dict[str, Any]) -> None:
    output, errors, trail = asked["files"]
    for stream, file in ((1, output), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["cwd"])
    moments = Moments(asked["moment"], trail)
    for counted in (moments.count_duckdb, moments.count_postgres, moments.count_requests, moments.count_files):
        counted()
    from pipelines.query_jobs import _leave, main

    _leave(main(list(asked["arguments"])))


def _serve(lines: Iterator[str]) -> None:
    from pipelines.config.dlt_variables import set_aside

    set_aside()
    for name in IMPORTED:
        __import__(name)
    for line in lines:
        if (child := os.fork()) == 0:
            try:
                _run(json.loads(line))
            finally:
                os._exit(99)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


IMPORTED: Sequence[str] = (
    "pipelines.query_jobs", "pipelines.recording.fleet", "pipelines.forwarding.command", "pipelines.alerts.notify",
    "apprise", "psycopg2", "adbc_driver_manager.dbapi", "dlt.destinations.impl.postgres.postgres",
    "dlt.destinations.impl.duckdb.duck", "dlt.destinations.impl.filesystem.filesystem",
)  # fmt: skip

if __name__ == "__main__":
    _serve(iter(sys.stdin.readline, ""))
