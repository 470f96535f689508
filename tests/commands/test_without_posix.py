"""Reading without what only POSIX has, as on Windows: such modules cannot be imported, such functions do not exist."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from planted import plant

# Other packages are imported first: they exist for Windows, too, but not for a POSIX system without these modules.
CODE = """
    import os, runpy, signal, subprocess, sys
    import altair, dlt, duckdb, jinja2, orjson, pyarrow.parquet, requests, rich.progress, tempfile, vl_convert
    import dlt.destinations, dlt.sources.helpers.requests, dlt.destinations.impl.duckdb.configuration
    import concurrent.futures.thread, multiprocessing.resource_tracker
    for name in ("fcntl", "resource", "pwd", "grp", "termios", "syslog"):
        sys.modules[name] = None  # importing it raises ImportError
    for name in ("chown", "fork", "geteuid", "getuid", "getegid", "mkfifo", "statvfs", "O_NONBLOCK", "O_NOCTTY"):
        delattr(os, name)
    for name in ("SIGPIPE", "SIGHUP", "SIGALRM", "SIGUSR1"):
        delattr(signal, name)
    sys.argv = ["query_jobs.py", *sys.argv[1:]]
    runpy.run_module("pipelines.query_jobs", run_name="__main__")
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(CODE), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["load", "--help"]])
def test_help_needs_no_posix(command: list[str], tmp_path: Path) -> None:
    said = run(tmp_path, *command)
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.slow
def test_check_and_report_need_no_posix(tmp_path: Path) -> None:
    file = plant(tmp_path / "warehouse.duckdb", query_jobs=[{}], listings=[{}])
    checked = run(tmp_path, "check", "--json", "--warehouse", str(file))
    assert checked.returncode in (0, 1), checked
    assert checked.stdout.startswith("{")
    for _ in range(2):  # the second one replaces an existing page
        reported = run(tmp_path, "report", "--warehouse", str(file), "--output", "page.html", "--numbers", "-")
        assert (reported.returncode, reported.stderr) == (0, ""), reported
    assert (tmp_path / "page.html").read_text().startswith("<!")
