"""Readers never block the loader, the loader never blocks readers; whoever holds the loader's own file is named."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from conftest import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.failures import Misconfigured
from pipelines.warehouse import read

HOUR = timedelta(hours=1)


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another Python process that has printed its first line; killed in the end if it still runs."""
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


@pytest.mark.parametrize("read_only", [True, False])
def test_jobs_that_lived_only_while_the_file_was_locked_are_kept(org: DemoOrg, recorder: Recorder, read_only) -> None:
    """The listing is made all the same, and the next load brings it in before it lists again."""
    stays = org.add_job()
    recorder.load()
    with holding(recorder.loader_file, read_only=read_only) as holder:
        org.advance(HOUR)
        short_lived = org.add_job()
        locked = recorder.run()
        assert locked.returncode == 75
        assert f"held by process {holder.pid}" in locked.stderr
        assert "The listing of 2 jobs is kept" in locked.stderr
        assert locked.stdout == ""
        assert len(recorder.rows("select * from listings")) == 1
    org.delete_job(short_lived)
    org.advance(HOUR)
    later = org.add_job()
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert "1 kept from before" in run.stdout
    assert set(recorder.states()) == {stays, short_lived, later}
    assert recorder.rows("select started_at from listings order by 1") == [(NOON,), (NOON + HOUR,), (NOON + 2 * HOUR,)]


def test_a_file_locked_for_several_runs_moves_no_time(org: DemoOrg, recorder: Recorder) -> None:
    """Each run keeps its listing; what was first seen in the first of them keeps that time."""
    old = org.add_job()
    recorder.load()
    with holding(recorder.loader_file):
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
    assert len(recorder.rows("select * from listings")) == 5


def test_a_stale_published_copy_moves_no_time_either(org: DemoOrg, recorder: Recorder) -> None:
    """While the file is locked the copy stands in for it. If it is behind, or somebody emptied it, the merge holds."""
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
    with holding(recorder.loader_file):
        assert recorder.run().returncode == 75
    org.advance(HOUR)
    assert recorder.run().returncode == 0
    after = recorder.everything()

    assert after["query_jobs"] == before["query_jobs"]
    assert after["query_job_states"] == before["query_job_states"]
    assert recorder.states() == {job: "InProgress", moved: "JobComplete"}


def test_the_very_first_run_may_meet_a_locked_file(org: DemoOrg, recorder: Recorder) -> None:
    """dlt's sync wipes its folder when the file has no dataset yet: what is kept there must be loaded before."""
    short_lived = org.add_job()
    with holding(recorder.loader_file):
        assert recorder.run().returncode == 75
    org.delete_job(short_lived)
    org.add_job()
    recorder.run()

    assert short_lived in recorder.states()
    assert len(recorder.states()) == 2


def test_the_loader_waits_for_a_file_that_is_let_go_in_time(org: DemoOrg, recorder: Recorder) -> None:
    """QUERY_JOBS__LOCK_WAIT seconds."""
    org.add_job()
    with holding(recorder.loader_file) as holder:
        load = recorder.start(QUERY_JOBS__LOCK_WAIT="30")
        time.sleep(1.5)
        assert load.poll() is None
        holder.kill()
        output, errors = load.communicate(timeout=60)

    assert load.returncode == 0, errors
    assert "kept from before" not in output


def test_a_file_let_go_while_the_listing_ran_is_loaded_at_once(org: DemoOrg, recorder: Recorder) -> None:
    """No second run is needed for it."""
    job = org.add_job()
    with holding(recorder.loader_file) as holder:

        def let_go(demo_org: DemoOrg, listing: str, page: int) -> None:
            holder.kill()
            holder.wait()

        org.before_answer = let_go
        run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert set(recorder.states()) == {job}


def test_nobody_takes_the_file_between_listing_and_load(org: DemoOrg, recorder: Recorder) -> None:
    """The loader holds it for the whole run."""
    refused = []

    def intrude(demo_org: DemoOrg, listing: str, page: int) -> None:
        code = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True)"
        intruder = subprocess.run(
            [sys.executable, "-c", code, str(recorder.loader_file)], capture_output=True, text=True, check=False
        )
        refused.append("Could not set lock" in intruder.stderr)

    org.add_job()
    org.before_answer = intrude
    assert recorder.run().returncode == 0
    assert refused == [True]


def test_a_second_load_leaves_at_once(org: DemoOrg, recorder: Recorder) -> None:
    """And says which process is at it."""
    org.add_job()
    second: list[subprocess.CompletedProcess[str]] = []
    org.before_answer = lambda demo_org, listing, page: second.append(recorder.run()) if not second else None
    first = recorder.start(QUERY_JOBS__LOCK_WAIT="30")
    _, errors = first.communicate(timeout=60)

    assert first.returncode == 0, errors
    assert second[0].returncode == 75
    assert f"Another load is running into loader.duckdb (process {first.pid})" in second[0].stderr
    assert len(recorder.rows("select * from listings")) == 1


def test_a_reader_keeps_its_copy_and_the_loader_goes_on(org: DemoOrg, recorder: Recorder) -> None:
    """A notebook left open overnight, read-only or not, sees what it opened; who opens later sees the new one."""
    org.add_job()
    recorder.load()
    for read_only in (True, False):
        with duckdb.connect(recorder.warehouse, read_only=read_only) as reader:
            before = reader.execute("select count(*) from salesforce.query_jobs").fetchall()
            org.add_job()
            run = recorder.run()
            assert run.returncode == 0, run.stderr
            assert reader.execute("select count(*) from salesforce.query_jobs").fetchall() == before
    assert len(recorder.states()) == 3


@pytest.mark.parametrize("killed", ["before the load", "after the load"])
def test_a_write_ahead_log_of_the_old_copy_never_meets_the_new_one(org: DemoOrg, recorder: Recorder, killed) -> None:
    """Somebody wrote into the published copy and was killed: the log goes with the copy that it belongs to."""
    org.add_job()
    recorder.load()
    code = """
        import duckdb, sys
        connection = duckdb.connect(sys.argv[1])
        connection.execute("create table mine as select 1 as one")
        print("written", flush=True)
        sys.stdin.read()
    """
    wal = Path(f"{recorder.warehouse}.wal")
    with process(code, recorder.warehouse) as writer:
        assert wal.exists()
        if killed == "before the load":
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            assert wal.exists()
        org.add_job()
        assert recorder.run().returncode == 0
    assert not wal.exists()

    assert len(recorder.states()) == 2
    with pytest.raises(duckdb.CatalogException):
        recorder.rows("select * from mine")


def test_a_log_written_after_a_newer_copy_was_published_is_named_and_goes_with_the_next_load(
    org: DemoOrg, recorder: Recorder
) -> None:
    """Opened, then a load, then written and killed: DuckDB refuses such a log, so it harms no data."""
    org.add_job()
    recorder.load()
    code = """
        import duckdb, sys
        connection = duckdb.connect(sys.argv[1])
        print("opened", flush=True)
        sys.stdin.readline()
        connection.execute("create table mine as select 1 as one")
        print("written", flush=True)
        sys.stdin.read()
    """
    with process(code, recorder.warehouse) as writer:
        recorder.load()
        assert writer.stdin
        assert writer.stdout
        print("go", file=writer.stdin, flush=True)
        assert writer.stdout.readline() == "written\n"
    with pytest.raises(Misconfigured, match=r"warehouse\.duckdb\.wal belongs to an older copy"):
        read("select 1", recorder.warehouse)
    recorder.load()

    assert read("select count(*) as jobs from query_jobs", recorder.warehouse).to_pylist() == [{"jobs": 1}]


def test_a_copy_that_is_half_made_is_never_visible(org: DemoOrg, recorder: Recorder) -> None:
    """Readers that open the warehouse as fast as they can, while it is published again and again, never fail."""
    for _ in range(300):
        org.add_job(state="JobComplete")
    recorder.load()
    code = """
        import duckdb, sys
        print("reading", flush=True)
        for n in range(100000):
            with duckdb.connect(sys.argv[1], read_only=True) as connection:
                (jobs,) = connection.execute("select count(*) from salesforce.query_jobs").fetchone()
                (lists,) = connection.execute("select count(*) from salesforce.listings").fetchone()
                assert jobs >= 300 and lists >= 1
    """
    with process(code, recorder.warehouse) as reader:
        for _ in range(8):
            org.add_job()
            recorder.load()
        assert reader.poll() is None
    assert len(recorder.states()) == 308
    assert not list(recorder.home.glob(".*.new"))


def test_left_overs_of_a_killed_publication_are_removed(org: DemoOrg, recorder: Recorder) -> None:
    """A copy that was never finished takes room, and nothing else."""
    left = recorder.home / ".warehouse.duckdb.4711.new"
    left.write_bytes(b"half")
    recorder.load()

    assert not left.exists()


def test_the_published_copy_is_of_a_format_that_older_versions_read(org: DemoOrg, recorder: Recorder) -> None:
    """DuckDB 1.4 and 1.5 read storage versions up to 68; a file made by 2.0 would have a newer one."""
    recorder.load()
    for file in (recorder.loader_file, recorder.warehouse):
        header = file.read_bytes()[:20]
        assert header[8:12] == b"DUCK"
        assert int.from_bytes(header[12:20], "little") <= 68


@pytest.mark.parametrize(
    ("break_it", "code", "said"),
    [
        (lambda home: (home / "loader.duckdb").write_text("no database" * 999), 78, "cannot be opened"),
        (lambda home: (home / "warehouse.duckdb").mkdir(), 78, "warehouse.duckdb is: a new history"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_named(org: DemoOrg, recorder: Recorder, break_it, code, said) -> None:
    """With what to change, and without a traceback."""
    break_it(recorder.home)
    run = recorder.run()

    assert run.returncode == code
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_loader_and_warehouse_must_differ(org: DemoOrg, recorder: Recorder) -> None:
    """Or readers would block the loader."""
    run = recorder.run(QUERY_JOBS__WAREHOUSE=str(recorder.loader_file))

    assert run.returncode == 78
    assert "same file" in run.stderr


def test_reading_lets_go_of_the_file(org: DemoOrg, recorder: Recorder, tmp_path: Path) -> None:
    """What the notebook reads with: Arrow out, nothing held."""
    org.add_job()
    recorder.load()
    rows = read(
        "select id, created_date from query_jobs where state = $state", recorder.warehouse, {"state": "InProgress"}
    )

    assert rows["created_date"].to_pylist() == [NOON]
    duckdb.connect(recorder.warehouse).close()
    with pytest.raises(Misconfigured, match="no warehouse"):
        read("select 1", tmp_path / "none.duckdb")


def test_kill_9_at_any_moment_costs_nothing(org: DemoOrg, recorder: Recorder, record_property: Callable) -> None:
    """Killed at random moments of loads; one quiet load later the warehouse equals the truth, without doubles."""
    import random

    dice = random.Random(20261102)
    org.page_size = 40
    history: dict[tuple[str, str, str], object] = {}

    def note() -> None:
        for job in org.jobs.values():
            history.setdefault((job["id"], job["systemModstamp"], job["state"]), org.now)

    for _ in range(100):
        org.add_job()
    assert recorder.run().returncode == 0
    note()
    before = dict(recorder.rows("select id || state, observed_at from query_job_states"))
    kills = 0
    for _ in range(int(os.environ.get("KILLS", "14"))):
        org.advance(HOUR)
        for job in dice.sample(sorted(org.jobs), 30):
            org.move_job(job, dice.choice(["InProgress", "JobComplete", "Failed"]), stamp=dice.random() < 0.8)
        for _ in range(10):
            org.add_job()
        note()
        load = recorder.start()
        time.sleep(0.6 + dice.random() * 1.6)
        kills += load.poll() is None
        load.kill()
        load.communicate()
    org.advance(HOUR)
    final = recorder.run()

    assert final.returncode == 0, final.stderr
    assert recorder.states() == {job: record["state"] for job, record in org.jobs.items()}
    doubles = "select 1 from query_job_states group by org_id, id, system_modstamp, state having count(*) > 1"
    assert recorder.rows(doubles) == []
    assert recorder.rows("select 1 from listings group by listing_id having count(*) > 1") == []
    stored = recorder.rows(
        "select id, strftime(system_modstamp, '%Y-%m-%dT%H:%M:%S.000+0000'), state from query_job_states"
    )
    assert set(stored) <= set(history)
    now = dict(recorder.rows("select id || state, min(observed_at) from query_job_states group by 1"))
    assert before.items() <= now.items()
    record_property("kills", kills)
    assert kills >= 3
