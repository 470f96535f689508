"""A disk that fills up at any moment of a load, or a file that may not grow: nothing is lost, and the message says
why."""

import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from planted import spans_by_hand
from recorders import Recorder
from small_disks import FILLER, fill, make_room, mounted

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import RecorderError, disk_full_error
from pipelines.tables import TABLES
from pipelines.warehouse.primary import open_primary

KB = 1024
SIZES = int(os.environ.get("DISK_SIZES", "0"))
# Generated anew in each run: replaced by sequence numbers, and not compared by value.
OWN = {"listing_id", "first_listing_id", "last_listing_id"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk") as small:
        yield small


@pytest.fixture
def grown(
    org: DemoOrg, recorder_of: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Recorder]:
    """Makes a recorder at a path, after one load, with an org that has changed since."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")

    def make(home: Path) -> Recorder:
        recorder = recorder_of(org, home)  # an absolute name replaces tmp_path
        monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
        monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
        org.page_size = 50
        org.add_raw({"object": "Account"})
        types = ("V2Query", "V2Ingest", "V2Query", "Classic", "V2Ingest", "V2Query")
        jobs = [
            org.add_job(state="JobComplete" if n % 2 else "InProgress", retries=n, jobType=types[n % 6])
            for n in range(120)
        ]
        recorder.load()
        org.advance(timedelta(hours=1))
        for n, job in enumerate(jobs[::3]):
            org.move_job(job, "Failed", stamp=bool(n % 2), errorMessage="Timeout")
        for job in jobs[1::20]:
            org.delete_job(job)
        for n in range(60):
            org.add_job(state="JobComplete", numberRecordsProcessed=1, jobType=types[n % 6])
        failed = org.add_job(jobType="V2Ingest", state="JobComplete")
        org.fail_records(failed, [("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access:--", {"Name": "Anna"})])
        return recorder

    return make


def sizes(chosen: list[int], up_to: int) -> list[int]:
    """Bytes: the chosen kilobytes, or DISK_SIZES different sizes."""
    return [kilobytes * KB for kilobytes in ([n * up_to // SIZES for n in range(SIZES)] if SIZES else chosen)]


def recorded(recorder: Recorder, file: Path | None = None) -> dict[str, list[Any]]:
    """All rows of all tables, without generated values and without the listings themselves."""
    tables = {}
    for table in TABLES:
        if table.name not in ("listings", "org_limits"):
            columns = ", ".join(name for name in table.schema.names if name not in OWN)
            tables[table.name] = recorder.rows(f"select {columns} from {table.name} order by all", file)
    return tables


def check_failed(run: subprocess.CompletedProcess[str], said: str) -> None:
    """In one message: what is wrong and what to do; no traceback, and nothing of dlt's."""
    assert run.returncode == 70, run
    assert re.search(said, run.stderr), run.stderr
    assert "again" in run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def check_made_good(recorder: Recorder, wanted: dict[str, list[Any]]) -> None:
    """After one more load, everything is as if nothing had happened, and nothing is left behind."""
    recorder.load()
    assert recorded(recorder) == wanted
    spans = sorted(recorder.rows("select * from state_spans"), key=str)
    by_hand = [
        span
        for feed in ("query", "ingest")
        for span in spans_by_hand(recorder.rows(f"select * from {feed}_job_states"), feed=feed)
    ]
    assert spans == sorted(by_hand, key=str)
    assert recorder.rows("select 1 from listings group by listing_id having count(*) > 1") == []
    kept = {".dlt", "loader.duckdb", "loader.duckdb.lock", "loader.duckdb.state", "warehouse.duckdb"}
    kept |= {".warehouse.duckdb.lock", "warehouse.duckdb.copies"}
    (recorder.home / "warehouse.duckdb.copies").mkdir(exist_ok=True)  # the oldest are removed if there is no space
    assert {path.name for path in recorder.home.iterdir()} == kept


def put_back(home: Path, was: Path) -> None:
    shutil.rmtree(home)
    shutil.copytree(was, home)


FULL = r"ERROR: The disk is full\.|could not be updated: No space left on device\."


@pytest.mark.slow
def test_a_disk_that_fills_up_during_a_load_costs_only_that_load(
    disk: Path, grown: Callable[..., Recorder], tmp_path
) -> None:
    """While pages are written, packages made and merged, details fetched, spans and views updated, the copy
    published."""
    recorder = grown(disk / "home")
    was = shutil.copytree(recorder.home, tmp_path / "was")
    old = recorded(recorder)
    recorder.load()
    wanted = recorded(recorder)
    outcomes = set()
    for size in sizes([0, 350, 1200, 4000], 9000):
        put_back(recorder.home, was)
        fill(disk, size)
        run = recorder.run(cwd=tmp_path)
        if run.returncode:
            check_failed(run, FULL)
            assert recorded(recorder) == old  # the published copy is the old one, intact
            if (recorder.home / "loader.duckdb.wal").exists():  # and the next load continues from it
                check_failed(recorder.run(cwd=tmp_path), FULL)
        else:
            assert recorded(recorder) == wanted
        outcomes.add(run.stderr[:20])
        make_room(disk)
        check_made_good(recorder, wanted)
    assert len(outcomes) >= 2  # before the copy, and while it was made


@pytest.mark.slow
def test_a_first_load_onto_a_full_disk_does_not_block_the_next(
    disk: Path, org: DemoOrg, recorder_of: Callable[..., Recorder], tmp_path: Path
) -> None:
    """The primary database appears complete or not at all; with enough space, the same load records everything."""
    jobs = {org.add_job() for _ in range(20)}
    recorder = recorder_of(org, disk / "home")
    was = shutil.copytree(recorder.home, tmp_path / "was")
    for size in sizes([8, 1500], 6000):
        put_back(recorder.home, was)
        fill(disk, size)
        run = recorder.run(cwd=tmp_path)
        if run.returncode:
            check_failed(run, FULL)
            assert not recorder.warehouse.exists()
        make_room(disk)
        recorder.load()
        assert recorder.states().keys() == jobs
        assert recorder.rows("select count(*) from query_job_states") == [(len(jobs),)]
        assert not list(recorder.home.glob(".*.new"))


def test_a_primary_database_appears_complete_or_not_at_all(disk: Path) -> None:
    """At eight sizes: nothing is left of one that could not be created."""
    made, failed = set(), []
    for blocks in range(8):
        fill(disk, blocks * 256 * KB)
        file = disk / f"{blocks}.duckdb"
        try:
            open_primary(file, 0).close()
        except (duckdb.Error, RecorderError) as error:
            failed.append(error)
        assert {path.name for path in disk.iterdir()} - made <= {FILLER, file.name}
        made |= {file.name} if file.exists() else set()
        make_room(disk)
    assert 0 < len(made) < 8
    assert all(isinstance(error, RecorderError) or disk_full_error(error) for error in failed)


@pytest.mark.slow
def test_a_file_size_limit_is_distinguished_from_a_full_disk(grown: Callable[..., Recorder], tmp_path: Path) -> None:
    """`ulimit -f` of the load's user: for the pages, the log of the primary database, its checkpoint, the copy."""
    recorder = grown(tmp_path / "home")
    was = shutil.copytree(recorder.home, tmp_path / "was")
    old = recorded(recorder)
    recorder.load()
    wanted = recorded(recorder)
    for size in sizes([4, 40, 4000], 7000):
        put_back(recorder.home, was)
        run = subprocess.run(
            recorder.command("load"), capture_output=True, text=True, timeout=120, check=False,
            preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        )  # fmt: skip
        if run.returncode:
            check_failed(run, r"File size limit reached[^\n]*ulimit -f|could not be updated: File too large\.")
            assert recorded(recorder) == old
        check_made_good(recorder, wanted)


def test_temporary_files_are_on_the_same_disk_as_their_destination(org: DemoOrg, recorder: Recorder) -> None:
    """A full /tmp blocks nothing; those of a killed load are removed."""
    before = tempfile.gettempdir()
    left = recorder.state_folder / "temporary" / "query_jobs.0.sql"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    used = set()
    org.before_answer = lambda org, listing, page: used.add((Path(tempfile.gettempdir()), left.exists()))
    org.add_job()
    recorder.load()

    assert used == {(left.parent, False)}
    assert tempfile.gettempdir() == before
    assert len(recorder.states()) == 1
