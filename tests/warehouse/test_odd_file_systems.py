"""File systems without locks, and files that are mount points: exit code 78 with what to do, or it works."""

import errno
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from recorders import Recorder
from small_disks import mounted_alone

from pipelines.demo_org.org import DemoOrg

SOURCE = Path(__file__).with_name("no_locks.c")
CANNOT_BE_LOCKED = "is on a file system that does not support file locks"


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that makes the kernel report no locks."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if sys.platform != "linux" or not compiler:
        pytest.skip("A file system without locks is made by preloading C code: that needs Linux and a compiler.")
    library = tmp_path_factory.mktemp("shim") / "no_locks.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return str(library)


@pytest.fixture(params=["ENOLCK", "EOPNOTSUPP", "ENOLCK, but flock works", "EOPNOTSUPP, but flock works"])
def without_locks(request: pytest.FixtureRequest, shim: str, recorder: Recorder) -> dict[str, str]:
    """The environment of a process that cannot lock the recorder's files."""
    name, _, flock_works = request.param.partition(", ")
    return {
        "LD_PRELOAD": shim,
        "NO_LOCKS_UNDER": os.path.realpath(recorder.home),
        "NO_LOCKS_ERRNO": str(getattr(errno, name)),
        **({"NO_LOCKS_FLOCK": "1"} if flock_works else {}),
    }


@pytest.mark.slow
def test_files_that_cannot_be_locked(org: DemoOrg, recorder: Recorder, without_locks: dict[str, str]) -> None:
    """No load may continue without locks, neither the first nor a later one, and retrying does not help."""
    org.add_job()
    first = recorder.run(**without_locks)
    assert not recorder.primary_file.exists()
    recorder.load()
    before = recorder.everything()
    for run in (first, recorder.run(QUERY_JOBS__LOCK_WAIT="60", **without_locks)):
        assert run.returncode == 78, run.stderr
        assert f"{recorder.home} {CANNOT_BE_LOCKED}" in run.stderr
        assert len(run.stderr.splitlines()) == 1
    assert recorder.everything() == before


@pytest.mark.slow
def test_readers_report_missing_locks_too(org: DemoOrg, recorder: Recorder, without_locks: dict[str, str]) -> None:
    """DuckDB reads without a lock if a file system has none, but not if it has run out of them."""
    org.add_job()
    recorder.load()
    run = recorder.run("check", **without_locks)
    assert run.returncode == (78 if str(errno.ENOLCK) == without_locks["NO_LOCKS_ERRNO"] else 1), run.stderr
    assert (CANNOT_BE_LOCKED in run.stderr) == (run.returncode == 78)
    doctor = recorder.run("doctor", **without_locks)
    assert (CANNOT_BE_LOCKED in doctor.stdout) == (run.returncode == 78)
    demo = recorder.run("demo", "--days", "1", "--home", str(recorder.home / "demo"), **without_locks)
    assert demo.returncode == 78, demo.stderr
    assert CANNOT_BE_LOCKED in demo.stderr


@pytest.mark.slow
@pytest.mark.parametrize("without_locks", ["ENOLCK", "ENOLCK, but flock works"], indirect=True)
def test_a_warehouse_that_cannot_be_locked(org: DemoOrg, recorder: Recorder, without_locks, tmp_path: Path) -> None:
    """The jobs are recorded if the primary database can be locked; the copy is published if that needs no lock."""
    there = tmp_path / "there"
    there.mkdir()
    settings = {**without_locks, "NO_LOCKS_UNDER": str(there), "QUERY_JOBS__WAREHOUSE": str(there / "w.duckdb")}
    for number in (1, 2):
        org.add_job()
        run = recorder.run(**settings)
        assert run.returncode == (0 if "NO_LOCKS_FLOCK" in settings else 78), run.stderr
        assert (CANNOT_BE_LOCKED in run.stderr) == (run.returncode == 78)
        assert recorder.rows("select count(*) from query_jobs", recorder.primary_file) == [(number,)]


@pytest.mark.slow
def test_a_published_copy_that_is_a_mount_point(org: DemoOrg, recorder: Recorder) -> None:
    """A container's volume of a single file: the jobs are recorded, and the message says to mount the directory."""
    for number, before in enumerate(("nothing", "an empty file", "a copy"), 1):
        org.add_job()
        org.advance(timedelta(hours=1))
        if before == "a copy":
            shutil.copy(recorder.primary_file, recorder.warehouse)
        with mounted_alone(recorder.warehouse) as behind:
            content = behind.read_bytes()
            run = recorder.run()
            assert behind.read_bytes() == content
        assert run.returncode == 78, run.stderr
        assert f"{recorder.warehouse} could not be updated: it is a mount point" in run.stderr
        assert "Mount the directory" in run.stderr
        assert "Make room" not in run.stderr
        assert recorder.rows("select count(*) from query_jobs", recorder.primary_file) == [(number,)]
        assert not list(recorder.home.glob(".*.new"))
    assert recorder.run().returncode == 0


@pytest.mark.slow
def test_other_files_that_are_mount_points(org: DemoOrg, recorder: Recorder, tmp_path: Path) -> None:
    """An empty primary database cannot be filled, one with a history is written to; a page cannot be replaced."""
    org.add_job()
    with mounted_alone(recorder.primary_file):
        run = recorder.run()
    assert (run.returncode, "Mount the directory" in run.stderr) == (78, True), run.stderr
    recorder.load()
    with mounted_alone(recorder.primary_file):
        run = recorder.run()
        assert run.returncode == 0, run.stderr
    page = tmp_path / "page.html"
    with mounted_alone(page):
        run = recorder.run("report", "--output", str(page))
    assert (run.returncode, "a mount point" in run.stderr) == (78, True), run.stderr


def test_an_empty_file_in_place_of_the_primary_database_is_filled(org: DemoOrg, recorder: Recorder) -> None:
    """As `touch` creates it, to set owner and mode; beside a copy it may be what is left of a history."""
    org.add_job()
    recorder.primary_file.touch(0o640)
    assert recorder.run().returncode == 0
    assert recorder.primary_file.stat().st_mode & 0o777 == 0o640

    os.truncate(recorder.primary_file, 0)
    run = recorder.run()
    assert run.returncode == 78
    assert "newest good copy, then load again: cp" in run.stderr
    assert recorder.primary_file.stat().st_size == 0
