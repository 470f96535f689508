"""Paths that may not be written are named, with what to do; whatever can still be recorded is."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from permissions import bound_by_permissions
from recorders import Recorder
from small_disks import mounted, remount

from pipelines.demo_org.org import DemoOrg


def run(recorder: Recorder, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One run of the command line by a user subject to permission bits."""
    return subprocess.run(
        recorder.command(*(arguments or ("load",))), cwd=recorder.home.parent,
        capture_output=True, text=True, timeout=120, check=False, preexec_fn=bound_by_permissions,
    )  # fmt: skip


@pytest.fixture
def closed() -> Iterator[list[Path]]:
    """Paths that a test made read-only; their mode is restored, so that they can be removed."""
    paths: list[Path] = []
    yield paths
    for path in paths:
        if path.exists():
            path.chmod(0o755)


def close(path: Path, closed: list[Path]) -> None:
    path.chmod(0o555 if path.is_dir() else 0o444)
    closed.append(path)


def check_told(ended: subprocess.CompletedProcess[str], *said: str) -> None:
    """78, in one line, without a traceback."""
    assert ended.returncode == 78, ended
    assert all(text.lower() in ended.stderr.lower() for text in said), ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def begun(org: DemoOrg, recorder: Recorder) -> Recorder:
    """One load, of one job; an hour later there is another."""
    org.add_job()
    recorder.load()
    org.advance(timedelta(hours=1))
    org.add_job()
    return recorder


def test_a_first_load_needs_a_directory_to_write_to(org: DemoOrg, recorder: Recorder, closed) -> None:
    """Without one, no request is sent to the org."""
    close(recorder.home, closed)
    check_told(run(recorder), str(recorder.primary_file), "Permission denied", "DESTINATION__DUCKDB__CREDENTIALS")

    assert not org.requests


@pytest.mark.parametrize("what", ["loader.duckdb", "", "loader.duckdb.state"])
def test_read_only_paths_of_a_load_are_named(begun: Recorder, closed, what: str) -> None:
    """The primary database, its directory, the folder beside it; once that is fixed, the next load catches up."""
    before = begun.everything()
    close(begun.home / what, closed)
    check_told(run(begun), str(begun.home / what), "Let this user")
    assert begun.everything() == before

    for path in closed:
        path.chmod(0o755)
    begun.load()
    assert len(begun.states()) == 2


@pytest.mark.slow
def test_if_only_the_copy_cannot_be_published_the_jobs_are_recorded(begun: Recorder, closed, monkeypatch) -> None:
    """Its directory is read-only; the old copy stays, and the next load publishes again."""
    shared = begun.home / "shared"
    shared.mkdir()
    monkeypatch.setenv("QUERY_JOBS__WAREHOUSE", str(shared / "warehouse.duckdb"))
    (begun.warehouse).rename(shared / "warehouse.duckdb")
    close(shared, closed)
    check_told(run(begun), "The jobs are recorded in loader.duckdb", "Permission denied", "Let this user")
    assert len(begun.rows("select * from query_jobs", begun.primary_file)) == 2
    assert len(begun.rows("select * from query_jobs", shared / "warehouse.duckdb")) == 1

    shared.chmod(0o755)
    begun.load()
    assert len(begun.rows("select * from query_jobs", shared / "warehouse.duckdb")) == 2


@pytest.mark.slow
def test_a_read_only_copy_is_replaced_and_read(begun: Recorder, closed) -> None:
    """Replacing a file takes write access to its directory; `check` works in a read-only one."""
    begun.warehouse.chmod(0o444)
    assert run(begun).returncode == 0
    assert len(begun.states()) == 2

    begun.warehouse.chmod(0o444)
    close(begun.home, closed)
    looked = run(begun, "check")
    assert looked.returncode in (0, 1), looked
    assert looked.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "name", "said"),
    [
        ("DESTINATION__DUCKDB__CREDENTIALS", "loader.duckdb", "Cannot write in the directory of the primary database"),
        ("QUERY_JOBS__WAREHOUSE", "warehouse.duckdb", "The jobs are recorded in loader.duckdb"),
    ],
)
def test_a_read_only_file_system_is_reported(
    org: DemoOrg,
    recorder: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    name: str,
    said: str,
) -> None:
    """As a disk becomes after an error, or when it is remounted."""
    with mounted(tmp_path / "disk") as disk:
        monkeypatch.setenv(setting, str(disk / name))
        org.add_job()
        recorder.load()
        org.add_job()
        remount(disk, "ro")
        check_told(run(recorder), str(disk), "Read-only file system", "Let this user", said)

        remount(disk, "rw")
        recorder.load()
        file = disk / name if name == "warehouse.duckdb" else recorder.warehouse
        assert len(recorder.rows("select * from query_jobs", file)) == 2
