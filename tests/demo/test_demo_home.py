"""What `demo` removes, it knows for a demo's: by what the file holds. Everything else stays as it is."""

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
    """What a demo in this home says, that touches nothing."""
    before = everything(home)
    with pytest.raises(kind) as raised, cleared(demo_settings(home), DEMO_ORG):
        pass
    assert everything(home) == before
    assert raised.value.remedy
    assert len(str(raised.value).splitlines()) == 2
    return str(raised.value)


def replaced(home: Path) -> None:
    """A demo may begin in this home; no earlier one is left in it."""
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
        {"demo": False},  # an org of one's own, with the id that the demo org has
        {"demo": None, "org": OTHER_ORG},  # a real history of version 0.1.0
        {"org": OTHER_ORG},
        {"also": INSERT.format("query_jobs", "query_jobs")},
        {"also": INSERT.format("listings", "listings")},
        {"also": f'create schema mine; create table mine."my notes" as select \'{OTHER_ORG}\' as "ORG_ID"'},
        {"demo": None, "also": "create table notes as select 'mine' as note"},
    ],
    ids=str,
)
def test_what_no_demo_made_stays(home: Path, primary_file: Path, made, only: str | None, marked: bool) -> None:
    """A recording, or the copy of one that was published there; a marker that a demo left says nothing of it."""
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
def test_a_demo_s_files_are_replaced_and_no_others(home: Path, primary_file: Path, only: str | None) -> None:
    """Also those that are left of it; what lies beside them is somebody's."""
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


def test_a_demo_of_version_0_1_0_is_replaced_where_its_marker_is(home: Path, primary_file: Path) -> None:
    """It gave its files no identity; without the marker it could be anybody's."""
    recording(primary_file, demo=None)
    refused(home)
    (home / MARKER_OF_0_1_0).touch()
    replaced(home)

    assert not (home / MARKER_OF_0_1_0).exists()


def test_the_state_folder_of_another_recording_stays(home: Path, primary_file: Path) -> None:
    """Its primary database may have been moved away; what waits there is not in it."""
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


def test_what_others_put_into_the_state_folder_stays(home: Path, primary_file: Path) -> None:
    """Only what a recorder makes there goes."""
    recording(primary_file)
    state = StateFolder(primary_file)
    state.path.mkdir()
    state.note_identity("demo-1")
    (state.path / "mine.txt").write_text("mine")
    with cleared(demo_settings(home), DEMO_ORG):
        assert [path.name for path in state.path.iterdir()] == ["mine.txt"]


def test_one_demo_or_load_at_a_time(home: Path, primary_file: Path) -> None:
    """The second leaves at once, and says which process is at it."""
    recording(primary_file)
    with exclusive_load(primary_file):
        said = refused(home, TemporaryError)
    assert f"PID {os.getpid()}" in said
    assert "--home" in said


@pytest.mark.parametrize("read_only", [True, False])
def test_who_holds_the_primary_database_is_named(home: Path, primary_file: Path, read_only: bool) -> None:
    """A notebook that has it open; once it is closed, the demo can be made again."""
    recording(primary_file)
    with exclusive_load(primary_file):
        pass
    (home / "query_jobs.duckdb.lock").write_text(str(os.getpid()))
    with holding(primary_file, read_only=read_only) as holder:
        assert f"PID {holder.pid}" in refused(home, TemporaryError)
    replaced(home)


def test_readers_of_the_published_copy_stand_in_nobody_s_way(home: Path, primary_file: Path) -> None:
    """Who writes into it does, and is named."""
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
def test_what_cannot_be_read_is_named_and_stays(
    home: Path, primary_file: Path, name: str, break_it: Callable[[Path], object], said: str
) -> None:
    """Even beside a state folder that knew it for a demo's: another file may have taken its place."""
    recording(primary_file)
    state = StateFolder(primary_file)
    state.path.mkdir()
    state.note_identity("demo-1")
    break_it(home / name)
    message = refused(home)

    assert str(home / name) in message
    assert said in message


def test_what_a_killed_demo_leaves_is_replaced(home: Path, primary_file: Path) -> None:
    """Empty and half made files; a log that is part of the file, or that it has outlived."""
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


def test_a_log_that_may_be_of_another_file_stays(home: Path, primary_file: Path) -> None:
    """Beside a demo's file, or beside none; rows of another org in a log that is the file's own are seen as well."""
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
    assert "another org" in refused(home)


def test_symbolic_links_stay(home: Path, primary_file: Path, tmp_path: Path) -> None:
    """To the home, and to the files in it: what they lead to is looked at, and is removed if it is a demo's."""
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


def test_homes_that_cannot_be_used(tmp_path: Path) -> None:
    """A file, a place below one, a name that DuckDB misreads or the system refuses, a link that leads to itself."""
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
