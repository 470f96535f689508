"""The primary database and the published copy may have any name, even one that DuckDB would confuse with our schema."""

from pathlib import Path

import duckdb
import pytest
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.warehouse.reader import read

NAMES = (
    "salesforce.prod.duckdb", "salesforce.duckdb", "Salesforce", ".salesforce.duckdb", "salesforce_staging.x.duckdb",
    "memory.duckdb", "main.duckdb", "system.x", "temp", "recorder.duckdb", "it's.duckdb", 'a "b" [c] *.duckdb',
    "œuvre 日本.duckdb",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_both_files_may_have_any_name(org: DemoOrg, recorder: Recorder, name: str) -> None:
    """First and second load, our commands, and the queries of people who open the copy themselves."""
    first = org.add_job(state="InProgress")
    (recorder.home / "loader").mkdir()
    files = {
        "DESTINATION__DUCKDB__CREDENTIALS": str(recorder.home / "loader" / name),
        "QUERY_JOBS__WAREHOUSE": str(recorder.home / name),
    }
    assert recorder.run("load", **files).returncode == 0
    org.move_job(first, "JobComplete")
    second = org.add_job()
    for command in (("load",), ("report",), ("check",)):
        run = recorder.run(*command, **files)
        assert (run.returncode in (0, 1), run.stderr) == (True, ""), command  # 1: by this machine's clock all is old
    warehouse = recorder.home / name

    assert {row["id"] for row in read("from salesforce.jobs", warehouse).to_pylist()} == {first, second}
    with duckdb.connect(warehouse, read_only=True) as people:
        (database,) = people.execute("select current_database()").fetchone() or ("",)
        counts = [(2,)]
        assert (
            people.execute(
                f'select count(*) from "{database.replace(chr(34), 2 * chr(34))}".salesforce.jobs'
            ).fetchall()
            == counts
        )
        if database.lower() == "salesforce":
            people.execute("use salesforce.salesforce")
            assert people.execute("select count(*) from jobs").fetchall() == counts
        else:
            assert people.execute("select count(*) from salesforce.jobs").fetchall() == counts
    with duckdb.connect() as people:
        people.execute("attach '{}' as recorded (read_only)".format(str(warehouse).replace("'", "''")))
        assert people.execute("select count(*) from recorded.salesforce.jobs").fetchall() == counts


@pytest.mark.slow
@pytest.mark.parametrize("key", ["QUERY_JOBS__WAREHOUSE", "DESTINATION__DUCKDB__CREDENTIALS"])
def test_an_empty_file_is_filled(org: DemoOrg, recorder: Recorder, key: str) -> None:
    """`touch` sets a file's owner and mode before it has any content; these are kept."""
    job = org.add_job()
    file = recorder.home / "touched.duckdb"
    file.touch()
    file.chmod(0o640)
    before = recorder.run("check", **{key: str(file)})
    assert before.returncode == 78, before.stderr
    run = recorder.run("load", "--quiet", **{key: str(file)})

    assert (run.returncode, run.stderr) == (0, "")
    assert recorder.rows("select id from query_jobs", file) == [(job,)]
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_database_of_another_kind_is_not_opened_by_an_extension(recorder: Recorder, tmp_path: Path) -> None:
    """DuckDB would download the extension that reads SQLite files."""
    import sqlite3

    file = tmp_path / "notes.db"
    with sqlite3.connect(file) as notes:
        notes.execute("create table notes (text)")
    run = recorder.run("check", "--warehouse", str(file))

    assert run.returncode == 78
    assert "not a valid DuckDB database file" in run.stderr


TOO_LONG = "n" * 300


@pytest.mark.parametrize("key", ["QUERY_JOBS__WAREHOUSE", "DESTINATION__DUCKDB__CREDENTIALS"])
def test_a_name_that_is_too_long_is_named_by_its_setting(recorder: Recorder, key: str) -> None:
    run = recorder.run("load", **{key: str(recorder.home / TOO_LONG)})

    assert run.returncode == 78
    assert f"(variable {key}) is too long for the file system: {recorder.home}" in run.stderr
    assert len(run.stderr) < 1_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--warehouse", TOO_LONG],
        ["report", "--pngs", TOO_LONG],
        ["load"],  # a name that is just short enough itself, but not with what is put before and after it
    ],
)
def test_other_names_that_are_too_long(recorder: Recorder, arguments: list[str]) -> None:
    settings = {"DESTINATION__DUCKDB__CREDENTIALS": str(recorder.home / ("n" * 249))} if len(arguments) == 1 else {}
    if not settings:
        recorder.load()
    run = recorder.run(*arguments, **settings)

    assert run.returncode == 78
    assert "A path is too long for the file system: " in run.stderr
