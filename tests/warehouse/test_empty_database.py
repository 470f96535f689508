"""A new primary database has every table and view, whether these were made for it or copied from an earlier one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from harm import flip
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse import empty_database
from pipelines.warehouse.empty_database import create_database
from pipelines.warehouse.file_identity import read_identity
from pipelines.warehouse.schema import apply_views, complete_tables, views

EVERYTHING = """
select schema_name, table_name as name, sql, comment from duckdb_tables() where not internal
union all
select schema_name, view_name, sql, comment from duckdb_views() where not internal
union all
select schema_name, table_name || '.' || column_name, data_type, comment from duckdb_columns() where not internal
union all
select schema_name, function_name, macro_definition, comment from duckdb_functions()
where not internal and function_name <> 'recorder_identity'
order by all
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the file to copy from is kept: a new one, and so without one."""
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "derived"))
    folder = Path(empty_database._kept_file().parent)
    folder.mkdir(parents=True)
    return folder


def created(path: Path, identity: str = "me") -> list[Any]:
    path.touch()
    create_database(path, identity)
    with duckdb.connect(path, read_only=True) as connection:
        assert read_identity(connection) == identity
        assert not any(connection.sql(f"from {DATASET}.{table.name}").fetchall() for table in TABLES)
        return connection.execute(EVERYTHING).fetchall()


def test_the_second_is_a_copy_and_equals_the_first(tmp_path: Path, kept: Path) -> None:
    first = created(tmp_path / "first.duckdb")
    (file,) = kept.iterdir()
    written = file.stat()
    assert {name for _, name, *_ in first} >= {*views(), *(table.name for table in TABLES)}

    assert created(tmp_path / "second.duckdb", "another") == first
    assert [file] == [*kept.iterdir()]
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_nothing_is_left_to_do_for_a_first_load(org: DemoOrg, recorder: Recorder) -> None:
    org.add_job()
    recorder.load()
    with duckdb.connect(recorder.primary_file, config={"access_mode": "READ_WRITE"}) as primary:
        before = primary.execute(EVERYTHING).fetchall()
        complete_tables(primary)
        apply_views(primary)
        assert primary.execute(EVERYTHING).fetchall() == before


@pytest.mark.parametrize("what", ["a byte", "the end", "all"])
def test_a_damaged_one_is_made_again(tmp_path: Path, kept: Path, what: str) -> None:
    first = created(tmp_path / "first.duckdb")
    (file,) = kept.iterdir()
    if what == "a byte":
        for at in range(4_096 * 3, file.stat().st_size, 4_096):
            flip(file, at)
    else:
        os.truncate(file, file.stat().st_size // 2 if what == "the end" else 0)

    assert created(tmp_path / "second.duckdb") == first
    assert created(tmp_path / "third.duckdb") == first
    with duckdb.connect(file, read_only=True) as connection:
        assert connection.execute(EVERYTHING).fetchall() == first


@pytest.mark.parametrize("whose", ["another program", "this recorder"])
def test_another_database_under_its_name_is_not_copied(tmp_path: Path, kept: Path, whose: str) -> None:
    """It would be the primary database from then on, with whatever tables and rows it has."""
    first = created(tmp_path / "first.duckdb")
    (file,) = kept.iterdir()
    file.unlink()
    if whose == "this recorder":
        file.write_bytes((tmp_path / "first.duckdb").read_bytes())
    else:
        with duckdb.connect(file) as foreign:
            foreign.execute("create table invoices as select 1 as id")

    assert created(tmp_path / "second.duckdb", "another") == first
    with duckdb.connect(file, read_only=True) as connection:
        assert connection.execute(EVERYTHING).fetchall() == first
        assert read_identity(connection) is None


def test_those_of_other_versions_are_removed_and_parts_of_one(tmp_path: Path, kept: Path) -> None:
    (kept / "empty_database.0123456789abcdef.duckdb").touch()
    (kept / f".{empty_database._kept_file().name}.123.new").touch()
    bytecode = {"empty_database.cpython-311.pyc", "another.pyc"}
    for name in bytecode:
        (kept / name).touch()
    created(tmp_path / "first.duckdb")

    assert {file.name for file in kept.iterdir()} == {empty_database._kept_file().name} | bytecode


@pytest.mark.parametrize("why", ["no folder", "a file in its place"])
def test_where_none_can_be_kept_each_is_made(tmp_path: Path, kept: Path, why: str) -> None:
    kept.rmdir()
    if why == "a file in its place":
        kept.touch()

    assert created(tmp_path / "first.duckdb") == created(tmp_path / "second.duckdb")
    assert [file.name for file in tmp_path.iterdir() if "new" in file.name] == []


def test_two_at_once(tmp_path: Path, kept: Path) -> None:
    """Which both find none."""
    code = (
        "import sys; from pathlib import Path; from pipelines.warehouse.empty_database import create_database\n"
        "Path(sys.argv[1]).touch(); create_database(Path(sys.argv[1]), 'me')"
    )
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(sys.pycache_prefix)}
    files = [tmp_path / f"{number}.duckdb" for number in range(3)]
    running = [subprocess.Popen([sys.executable, "-c", code, str(file)], env=environment) for file in files]

    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len({tuple(map(str, created(tmp_path / f"again{number}.duckdb"))) for number in range(2)}) == 1
    assert [file.name for file in kept.glob("*.duckdb")] == [empty_database._kept_file().name]
