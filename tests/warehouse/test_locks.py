"""Readers never block the loader, nor the loader readers; a process that locks the primary database is named."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from permissions import bound_by_permissions
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.warehouse.damage import BLOCK_SIZES, FIRST_BLOCK
from pipelines.warehouse.file_locks import holder, note_holder, open_lock

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"17x" + bytes(1_000_000)])
def test_whatever_a_lock_file_has_in_it(tmp_path: Path, content: bytes) -> None:
    """It may be damaged: the lock is on the file, and its text for messages only."""
    (file := tmp_path / "lock").write_bytes(content)
    with open_lock(file) as lock:
        assert holder(lock) == f"PID {17 if content.startswith(b'17') else 'unknown'}"
        note_holder(lock)
        assert holder(lock) == f"PID {os.getpid()}"
        assert file.read_text() == str(os.getpid())


def test_a_damaged_published_copy_does_not_stand_in_for_a_locked_file(org: DemoOrg, recorder: Recorder) -> None:
    """All jobs are listed as new, and kept."""
    jobs = {org.add_job() for _ in range(3)}
    recorder.load()
    content = bytearray(recorder.warehouse.read_bytes())
    for at in range(FIRST_BLOCK + 100, len(content), BLOCK_SIZES[-1]):
        content[at] ^= 4
    recorder.warehouse.write_bytes(content)
    org.advance(HOUR)
    with holding(recorder.primary_file):
        locked = recorder.run()
    assert (locked.returncode, "The listing of 3 jobs is kept" in locked.stderr) == (75, True), locked.stderr
    recorder.load()
    assert set(recorder.states()) == jobs
    assert len(recorder.rows("select 1 from listings")) == 3
    assert recorder.rows("select distinct observed_at from query_jobs") == [(NOON,)]


@pytest.mark.slow
def test_neither_does_one_that_cannot_be_read(org: DemoOrg, recorder: Recorder) -> None:
    org.add_job()
    org.add_job()
    recorder.load()
    recorder.warehouse.chmod(0)
    with holding(recorder.primary_file):
        locked = subprocess.run(
            recorder.command("load"), cwd=recorder.home, preexec_fn=bound_by_permissions, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
    assert (locked.returncode, "The listing of 2 jobs is kept" in locked.stderr) == (75, True), locked.stderr


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [True, False])
def test_jobs_that_existed_only_while_the_file_was_locked_are_kept(org: DemoOrg, recorder: Recorder, read_only) -> None:
    """The listing is still made, and the next load brings it in before it lists again."""
    stays = org.add_job()
    recorder.load()
    with holding(recorder.primary_file, read_only=read_only) as holder:
        org.advance(HOUR)
        short_lived = org.add_job()
        locked = recorder.run()
        assert locked.returncode == 75
        assert f"locked by PID {holder.pid}" in locked.stderr
        assert "The listing of 2 jobs is kept" in locked.stderr
        assert locked.stdout == ""
        assert len(recorder.rows("select * from listings")) == 1
    org.delete_job(short_lived)
    org.advance(HOUR)
    later = org.add_job()
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert "1 kept listing loaded" in run.stdout
    assert set(recorder.states()) == {stays, short_lived, later}
    assert recorder.rows("select started_at from listings order by 1") == [(NOON,), (NOON + HOUR,), (NOON + 2 * HOUR,)]


@pytest.mark.slow
def test_a_file_locked_for_several_runs_changes_no_time(org: DemoOrg, recorder: Recorder) -> None:
    """Each run keeps its listing; records first seen in the first one keep that time, with a key or without."""
    old = org.add_job()
    recorder.load()
    org.add_raw({"id": "750", "state": "Open"})
    with holding(recorder.primary_file):
        seen = {}
        for hour in (1, 2, 3):
            org.advance(HOUR)
            seen[org.add_job()] = NOON + hour * HOUR
            org.move_job(old, f"State{hour}")
            assert recorder.run().returncode == 75
    org.advance(HOUR)
    assert recorder.run().returncode == 0

    assert dict(recorder.rows(f"select id, observed_at from query_jobs where id <> '{old}'")) == seen
    assert recorder.history(old) == ["InProgress", "State1", "State2", "State3"]
    assert recorder.states()[old] == "State3"
    assert recorder.rows("select first_observed_at, last_observed_at from rejected_records") == [
        (NOON + HOUR, NOON + 4 * HOUR)
    ]
    assert len(recorder.rows("select * from listings")) == 5


@pytest.mark.slow
def test_a_stale_published_copy_changes_no_time_either(org: DemoOrg, recorder: Recorder) -> None:
    """While the file is locked, the copy stands in for it. If it is out of date or was emptied, the merge still
    holds."""
    job, moved = org.add_job(), org.add_job()
    recorder.load()
    org.advance(HOUR)
    org.move_job(moved, "JobComplete")
    recorder.load()
    before = recorder.everything()
    with duckdb.connect(recorder.warehouse) as copy:
        copy.execute("delete from salesforce.query_jobs")
        copy.execute("delete from salesforce.query_job_states")
    org.advance(HOUR)
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    org.advance(HOUR)
    assert recorder.run().returncode == 0
    after = recorder.everything()

    assert after["query_jobs"] == before["query_jobs"]
    assert after["query_job_states"] == before["query_job_states"]
    assert recorder.states() == {job: "InProgress", moved: "JobComplete"}


@pytest.mark.slow
def test_the_very_first_run_may_find_the_file_locked(org: DemoOrg, recorder: Recorder) -> None:
    """dlt's sync wipes its folder if the file has no dataset yet: whatever is kept there must be loaded before."""
    short_lived = org.add_job()
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    org.delete_job(short_lived)
    org.add_job()
    recorder.run()

    assert short_lived in recorder.states()
    assert len(recorder.states()) == 2


def test_the_loader_waits_for_a_file_that_is_released_in_time(org: DemoOrg, recorder: Recorder) -> None:
    """QUERY_JOBS__LOCK_WAIT seconds."""
    org.add_job()
    with holding(recorder.primary_file) as holder:
        load = recorder.start(QUERY_JOBS__LOCK_WAIT="30")
        time.sleep(1.5)
        assert load.poll() is None
        holder.kill()
        output, errors = load.communicate(timeout=60)

    assert load.returncode == 0, errors
    assert "kept listing" not in output


def test_a_file_released_during_the_listing_is_loaded_immediately(org: DemoOrg, recorder: Recorder) -> None:
    """It does not take a second run."""
    job = org.add_job()
    with holding(recorder.primary_file) as holder:

        def let_go(demo_org: DemoOrg, listing: str, page: int) -> None:
            holder.kill()
            holder.wait()

        org.before_answer = let_go
        run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert set(recorder.states()) == {job}


@pytest.mark.slow
def test_no_other_process_can_lock_the_file_between_listing_and_load(org: DemoOrg, recorder: Recorder) -> None:
    """The loader keeps it locked for the whole run."""
    refused = []

    def intrude(demo_org: DemoOrg, listing: str, page: int) -> None:
        code = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True)"
        intruder = subprocess.run(
            [sys.executable, "-c", code, str(recorder.primary_file)], capture_output=True, text=True, check=False
        )
        refused.append("Could not set lock" in intruder.stderr)

    org.add_job()
    org.before_answer = intrude
    assert recorder.run().returncode == 0
    assert refused == [True]


def test_a_second_load_exits_immediately(org: DemoOrg, recorder: Recorder) -> None:
    """And names the process that is running."""
    org.add_job()
    second: list[subprocess.CompletedProcess[str]] = []
    org.before_answer = lambda demo_org, listing, page: second.append(recorder.run()) if not second else None
    first = recorder.start(QUERY_JOBS__LOCK_WAIT="30")
    _, errors = first.communicate(timeout=60)

    assert first.returncode == 0, errors
    assert second[0].returncode == 75
    assert f"Another load into loader.duckdb is already running (PID {first.pid})" in second[0].stderr
    assert len(recorder.rows("select * from listings")) == 1


@pytest.mark.parametrize(
    ("break_it", "code", "said"),
    [
        (lambda home: (home / "loader.duckdb").write_text("no database" * 999), 78, "cannot be opened"),
        (lambda home: (home / "warehouse.duckdb").mkdir(), 78, "warehouse.duckdb, which is a directory"),
    ],
)  # fmt: skip
def test_unusable_files_are_named(org: DemoOrg, recorder: Recorder, break_it, code, said) -> None:
    """With what to change, and without a traceback."""
    break_it(recorder.home)
    run = recorder.run()

    assert run.returncode == code
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_loader_and_warehouse_must_differ(org: DemoOrg, recorder: Recorder) -> None:
    """Or readers would block the loader."""
    run = recorder.run(QUERY_JOBS__WAREHOUSE=str(recorder.primary_file))

    assert run.returncode == 78
    assert "same file" in run.stderr
