"""`demo` only removes what it recognizes as a demo's by its content. Everything else is left alone."""

import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from processes import holding
from recordings import DEMO_ORG, everything, recording

from pipelines.demo.command import demo_settings
from pipelines.demo.home import MARKER_OF_0_1_0, cleared
from pipelines.errors import ConfigError, RecorderError, TemporaryError
from pipelines.warehouse.file_identity import new_identity
from pipelines.warehouse.primary import exclusive_load
from pipelines.warehouse.state_folder import StateFolder

OTHER_ORG = "00D5g000004VJ7PEAW"


def refused(home: Path, kind: type[RecorderError] = ConfigError) -> str:
    """The error of a demo in this home, which touches nothing."""
    before = everything(home)
    with pytest.raises(kind) as raised, cleared(demo_settings(home), DEMO_ORG):
        pass
    assert everything(home) == before
    assert raised.value.remedy
    assert len(str(raised.value).splitlines()) == 2
    return str(raised.value)


def replaced(home: Path) -> None:
    """A demo may begin in this home; nothing of an earlier one is left in it."""
    settings = demo_settings(home)
    with cleared(settings, DEMO_ORG):
        for file in (settings.primary_file, settings.warehouse):
            assert not file.exists()
            assert not file.with_name(f"{file.name}.wal").exists()
        assert not StateFolder(settings.primary_file).path.exists()
        with pytest.raises(TemporaryError, match="Another load"), exclusive_load(settings.primary_file):
            pass


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "demo"


@pytest.fixture
def primary_file(home: Path) -> Path:
    return home / "query_jobs.duckdb"


INSERT = f"insert into salesforce.{{}} by name select '{OTHER_ORG}' as org_id, * exclude (org_id) from salesforce.{{}}"


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("only", ["query_jobs.duckdb", "warehouse.duckdb", None])
@pytest.mark.parametrize(
    "made",
    [
        {"demo": False, "org": OTHER_ORG},  # a real history
        {"demo": False},  # a real org that happens to have the demo org's id
        {"demo": None, "org": OTHER_ORG},  # a real history of version 0.1.0
        {"org": OTHER_ORG},
        {"also": INSERT.format("query_jobs", "query_jobs")},
        {"also": INSERT.format("listings", "listings")},
        {"also": f'create schema mine; create table mine."my notes" as select \'{OTHER_ORG}\' as "ORG_ID"'},
        {"demo": None, "also": "create table notes as select 'mine' as note"},
    ],
    ids=str,
)
def test_files_that_no_demo_made_stay(home: Path, primary_file: Path, made, only: str | None, marked: bool) -> None:
    """A recording, or its published copy; a demo's marker says nothing about it."""
    recording(primary_file, **made)
    for file in home.iterdir():
        if only and file.name != only:
            file.unlink()
    if marked:
        (home / MARKER_OF_0_1_0).touch()
    (home / "dlt").mkdir()
    (home / "dlt" / "mine.txt").write_text("mine")
    said = refused(home)

    assert str(home / (only or "query_jobs.duckdb")) in said
    assert "--home" in said


@pytest.mark.parametrize("only", ["query_jobs.duckdb", "warehouse.duckdb", None])
def test_a_demos_files_are_replaced_and_no_others(home: Path, primary_file: Path, only: str | None) -> None:
    """Even incomplete ones; what else is there belongs to the user."""
    recording(primary_file)
    for file in home.iterdir():
        if only and file.name != only:
            file.unlink()
    mine = [home / name for name in ("dlt/mine", "warehouse.duckdb.copies/2026-01-01.duckdb", "notes.duckdb", "x.wal")]
    for file in mine:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    replaced(home)

    assert all(file.read_text() == "mine" for file in mine)


def test_a_demo_of_version_0_1_0_is_replaced_if_its_marker_exists(home: Path, primary_file: Path) -> None:
    """It gave its files no identity; without the marker they could be anyone's."""
    recording(primary_file, demo=None)
    refused(home)
    (home / MARKER_OF_0_1_0).touch()
    replaced(home)

    assert not (home / MARKER_OF_0_1_0).exists()


def test_the_state_folder_of_another_recording_stays(home: Path, primary_file: Path) -> None:
    """Its primary database may have been moved away, and what waits there is not in it."""
    home.mkdir()
    state = StateFolder(primary_file)
    state.path.mkdir()
    state.note_identity(new_identity())
    assert str(state.path) in refused(home)

    state.note_identity(new_identity(demo=True))
    kept = state.kept / "000001-1.1"
    kept.mkdir(parents=True)
    for meta in ('{"file": "mine"}', '{"file": "demo-1", "orgs": ["00D"]}', "", "[]"):
        (kept / "kept.json").write_text(meta)
        assert str(state.path) in refused(home)
    (kept / "kept.json").write_text(f'{{"file": "demo-1", "orgs": ["{DEMO_ORG}"]}}')
    (state.work / "0b5c.1").mkdir(parents=True)
    assert str(state.path) in refused(home)

    (state.work / "0b5c.1").rename(state.work / "demo-1.1")
    replaced(home)


def test_other_files_in_the_state_folder_stay(home: Path, primary_file: Path) -> None:
    """Only what a recorder creates there is removed."""
    recording(primary_file)
    state = StateFolder(primary_file)
    state.path.mkdir()
    state.note_identity("demo-1")
    (state.path / "mine.txt").write_text("mine")
    with cleared(demo_settings(home), DEMO_ORG):
        assert [path.name for path in state.path.iterdir()] == ["mine.txt"]


def test_one_demo_or_load_at_a_time(home: Path, primary_file: Path) -> None:
    """The second exits immediately, and names the process that is running."""
    recording(primary_file)
    with exclusive_load(primary_file):
        said = refused(home, TemporaryError)
    assert f"PID {os.getpid()}" in said
    assert "--home" in said


@pytest.mark.parametrize("read_only", [True, False])
def test_a_process_that_locks_the_primary_database_is_named(home: Path, primary_file: Path, read_only: bool) -> None:
    """A notebook that has it open; once it is closed, the demo can be run again."""
    recording(primary_file)
    with exclusive_load(primary_file):
        pass
    (home / "query_jobs.duckdb.lock").write_text(str(os.getpid()))
    with holding(primary_file, read_only=read_only) as holder:
        assert f"PID {holder.pid}" in refused(home, TemporaryError)
    replaced(home)


def test_readers_of_the_published_copy_do_not_block_a_demo(home: Path, primary_file: Path) -> None:
    """A writer does, and is named."""
    recording(primary_file)
    (home / "query_jobs.duckdb.lock").write_text(str(os.getpid()))
    with holding(home / "warehouse.duckdb") as writer:
        assert f"PID {writer.pid}" in refused(home, TemporaryError)
    with holding(home / "warehouse.duckdb", read_only=True):
        replaced(home)


def break_header(file: Path) -> None:
    with file.open("r+b") as raw:
        raw.write(b"\0" * 12_288)


@pytest.mark.parametrize("name", ["query_jobs.duckdb", "warehouse.duckdb"])
@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (break_header, "rm -f"),
        (lambda file: os.truncate(file, 20_000), "rm -f"),
        (lambda file: file.write_text("a history of my own"), "rm -f"),
        (lambda file: (file.unlink(), file.mkdir()), "a directory"),
        (lambda file: (file.unlink(), os.mkfifo(file)), "a FIFO"),
    ],
    ids=["header", "truncated", "text", "directory", "fifo"],
)
def test_unreadable_files_are_named_and_stay(
    home: Path, primary_file: Path, name: str, break_it: Callable[[Path], object], said: str
) -> None:
    """Even beside a state folder that says it is a demo's: another file may have taken its place."""
    recording(primary_file)
    state = StateFolder(primary_file)
    state.path.mkdir()
    state.note_identity("demo-1")
    break_it(home / name)
    message = refused(home)

    assert str(home / name) in message
    assert said in message


def test_leftovers_of_a_killed_demo_are_replaced(home: Path, primary_file: Path) -> None:
    """Empty and unfinished files; a log that is part of the file, or that the file has outlived."""
    home.mkdir()
    (home / "query_jobs.duckdb").touch()
    (home / ".query_jobs.duckdb.1.new").write_text("half")
    replaced(home)

    home.joinpath("warehouse.duckdb").touch()
    recording(primary_file, copy=False)
    with duckdb.connect(primary_file) as primary:
        primary.execute("set wal_autocheckpoint = '1GB'; create table x as select 1")
        log, file = (path.read_bytes() for path in (home / "query_jobs.duckdb.wal", primary_file))
    outlived = primary_file.read_bytes()
    for content in (file, outlived):
        primary_file.write_bytes(content)
        (home / "query_jobs.duckdb.wal").write_bytes(log)
        replaced(home)


def test_a_log_that_may_belong_to_another_file_stays(home: Path, primary_file: Path) -> None:
    """Beside a demo's file, or without one; rows of another org are also noticed in a log that belongs to the file."""
    real = recording(home / "mine" / "query_jobs.duckdb", demo=False, org=OTHER_ORG, alone=True)
    with duckdb.connect(real) as connection:
        connection.execute("set wal_autocheckpoint = '1GB'; create table x as select 1")
        log = (home / "mine" / "query_jobs.duckdb.wal").read_bytes()
    (home / "query_jobs.duckdb.wal").write_bytes(log)
    assert "query_jobs.duckdb.wal" in refused(home)
    recording(primary_file)
    (home / "query_jobs.duckdb.wal").write_bytes(log)
    assert "query_jobs.duckdb.wal" in refused(home)

    (home / "query_jobs.duckdb.wal").unlink()
    with duckdb.connect(primary_file) as connection:
        connection.execute("set wal_autocheckpoint = '1GB'").execute(INSERT.format("listings", "listings"))
        log, file = (path.read_bytes() for path in (home / "query_jobs.duckdb.wal", primary_file))
    primary_file.write_bytes(file)
    (home / "query_jobs.duckdb.wal").write_bytes(log)
    assert "an org other than the demo's" in refused(home)


def test_symbolic_links_stay(home: Path, primary_file: Path, tmp_path: Path) -> None:
    """To the home, and to the files in it: their targets are examined, and removed if they are a demo's."""
    elsewhere = tmp_path / "elsewhere"
    real = recording(elsewhere / "query_jobs.duckdb", demo=False, org=OTHER_ORG)
    home.mkdir()
    primary_file.symlink_to(real)
    refused(home)
    refused(elsewhere)

    for file in elsewhere.iterdir():
        file.unlink()
    recording(real)
    with cleared(demo_settings(home), DEMO_ORG):
        assert primary_file.is_symlink()
        assert not real.exists()
    (home / "warehouse.duckdb").symlink_to(primary_file)
    assert "the same file" in refused(home)


def test_unusable_homes_are_refused(tmp_path: Path) -> None:
    """A file, a path below one, a name that DuckDB misreads or the system refuses, a link to itself."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "file/below", "why?", "back\\slash", "caf\udce9", "x" * 300, "loop", "loop/below"):
        home = tmp_path / name
        with pytest.raises(ConfigError, match="--home") as raised, cleared(demo_settings(home), DEMO_ORG):
            pass
        assert str(home) in raised.value.message
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]
    with cleared(demo_settings(tmp_path / "new" / "one"), DEMO_ORG):
        assert (tmp_path / "new" / "one").is_dir()
