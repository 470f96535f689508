"""Processes that hold DuckDB files open, for the tests that need one."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another Python process that has printed its first line; killed at the end if still running."""
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout
        assert running.stdout.readline()
        yield running
    finally:
        running.kill()
        running.communicate()


@contextmanager
def holding(file: Path, *, read_only: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a DuckDB file open."""
    code = """
        import duckdb, sys
        connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "True")
        print("held", flush=True)
        sys.stdin.read()
    """
    with process(code, file, read_only) as holder:
        yield holder
