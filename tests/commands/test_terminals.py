"""What the command line does with a terminal, pipe or keyboard at the other end."""

import os
import pty
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg


def test_a_terminal_without_our_characters_causes_no_error(org: DemoOrg, recorder: Recorder) -> None:
    """The line is printed as far as possible."""
    run = recorder.run(PYTHONIOENCODING="ascii")

    assert run.returncode == 0
    assert "0 changed ? 15" in run.stdout or "0 changed ? 14" in run.stdout


def test_a_terminal_sees_progress(org: DemoOrg, recorder: Recorder) -> None:
    """Pages, jobs and the rate, on stderr, cleared at the end of the run."""
    org.page_size = 10
    for _ in range(45):
        org.add_job()
    org.before_answer = lambda demo_org, listing, page: time.sleep(0.15)
    terminal, stderr = pty.openpty()
    load = subprocess.Popen(
        recorder.command("load"),
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=os.environ | {"TERM": "xterm"},
        cwd=recorder.home,
    )
    os.close(stderr)
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    output, _ = load.communicate(timeout=60)
    os.close(terminal)

    assert load.returncode == 0
    assert re.search(r"Listing: \d pages · \d+ jobs · [\d,]+ jobs/s", shown.decode())
    assert output.decode().startswith("5 pages · 45 jobs")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_that_cannot_be_written_is_an_error(recorder: Recorder) -> None:
    """The disk behind the redirection is full: the jobs are recorded, but the exit code must say so."""
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(recorder.command("load"), stdout=full, stderr=subprocess.PIPE, timeout=120, check=False)

    assert run.returncode == 70
    assert recorder.rows("select count(*) from listings") == [(1,)]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "code"), [(["load"], 0), (["check", "--json"], 1), (["check"], 1)])
def test_a_reader_that_has_closed_the_pipe_changes_nothing(
    org: DemoOrg, recorder: Recorder, command: list[str], code: int
) -> None:
    """`… | head -1`, or an output that was closed beforehand; the check finds a listing that is weeks old."""
    recorder.load()
    shell = " ".join(map(shlex.quote, recorder.command(*command)))
    for redirection in ("| true", ">&-"):
        script = f"set -o pipefail; {shell} {redirection}"
        run = subprocess.run(["bash", "-c", script], cwd=recorder.home, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (code, ""), redirection


@pytest.mark.parametrize("modules", [1, 100, 300, 500, 700])
def test_ctrl_c_while_modules_are_imported_leaves_no_traceback(recorder: Recorder, modules: int) -> None:
    """After so many of them, from the first that our code imports on: before that, Python is still making itself."""
    python, *rest = recorder.command("load")
    with subprocess.Popen(
        [python, "-X", "importtime", *rest],
        env=os.environ | {"SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL": "http://127.0.0.1:9"},
        cwd=recorder.home,
        stderr=subprocess.PIPE,
        text=True,
    ) as load:
        assert load.stderr
        assert any("dlt_variables" in line for line in load.stderr)
        for _ in range(modules):
            assert load.stderr.readline().startswith("import time:")
        load.send_signal(signal.SIGINT)
        errors = load.stderr.read()

    assert load.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in errors
