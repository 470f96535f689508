"""A page reads a single warehouse, whatever happens to the file meanwhile: a publish, a signal."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from picture_rows import MONTH, job, selection
from planted import NOW, plant
from recorders import Recorder

from pipelines.answers import pictures
from pipelines.answers.check import Thresholds, check
from pipelines.warehouse.reader import opened


@pytest.mark.slow
def test_a_publish_between_two_queries_does_not_change_the_page(tmp_path: Path) -> None:
    """What is open stays the same; later readers see the new one, even in the same process."""
    file = plant(tmp_path / "w.duckdb", query_jobs=[job(NOW, state="Failed")], listings=MONTH)
    newer = plant(tmp_path / "new.duckdb", query_jobs=[job(NOW, state="Failed") for _ in range(9)], listings=MONTH)
    chosen = selection(file)
    before = [picture.summary for picture in pictures.pictures(chosen)], check(file, Thresholds(), now=NOW)
    with opened(file) as warehouse:
        held = pictures.pictures(replace(chosen, warehouse=warehouse))
        words = [next(held).summary]
        newer.replace(file)
        words += [picture.summary for picture in held]
        assert (words, check(warehouse, Thresholds(), now=NOW)) == before
        assert pictures.volume(chosen).summary != before[0][0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["load", "doctor", "check", "report"])
def test_a_signal_while_duckdb_works(recorder: Recorder, command: str, number: int) -> None:
    """During a long query on the copy, and while a load or the doctor checks whether it is one of ours."""
    recorder.load()
    with duckdb.connect(recorder.warehouse) as copy:
        columns = [
            name for (name,) in copy.execute("select name from pragma_table_info('salesforce.listings')").fetchall()
        ]
        slow = "(with recursive t(n) as (select 1 union all select n + 1 from t where n < 400000) select max(n) > 0 from t)"
        copy.execute("alter table salesforce.listings rename to kept")
        copy.execute(
            f"create view salesforce.listings as select {', '.join(columns)} from salesforce.kept where {slow}"
        )
    before = recorder.warehouse.read_bytes()
    run = recorder.start(command)
    while run.poll() is None and not _has_open(run.pid, recorder.warehouse):
        time.sleep(0.02)
    time.sleep(0.5)  # between opening the file and the query on it
    run.send_signal(number)
    _, errors = run.communicate(timeout=120)

    assert run.returncode == 128 + number, errors
    assert "picks up where this one stopped" in errors
    assert len(errors.splitlines()) == 1
    assert recorder.warehouse.read_bytes() == before


def _has_open(pid: int, file: Path) -> bool:
    """Whether a process has the file open."""
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(descriptor) == str(file):
                return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(recorder: Recorder, closed: str) -> None:
    """Each command works, and no message ends up in a file that was opened in a stream's place."""
    for command in ("load", "doctor", "check", "report"):
        shell = f"exec {' '.join(recorder.command(command))} {closed}"
        run = subprocess.run(["sh", "-c", shell], cwd=recorder.home, capture_output=True, text=True, check=False)
        assert run.returncode == recorder.run(command).returncode, (command, run.stdout, run.stderr)
        assert "Traceback" not in run.stderr
    assert recorder.rows("select count(*) from listings") == [(2,)]
