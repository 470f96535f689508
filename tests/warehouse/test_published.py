"""The published copy: complete at any moment, for every reader, for as long as it is open."""

import signal
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from processes import process
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError
from pipelines.tables import TABLES
from pipelines.warehouse.reader import read


@pytest.mark.slow
def test_a_reader_keeps_its_copy_and_the_loader_continues(org: DemoOrg, recorder: Recorder) -> None:
    """A notebook left open overnight, read-only or not, sees what it opened; later readers see the new one."""
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


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["before the load", "after the load"])
def test_a_write_ahead_log_of_the_old_copy_never_meets_the_new_one(org: DemoOrg, recorder: Recorder, killed) -> None:
    """A program wrote into the published copy and was killed: the log is removed with the copy that it belongs to."""
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


@pytest.mark.slow
def test_a_log_of_a_replaced_copy_is_named_and_removed_by_the_next_load(org: DemoOrg, recorder: Recorder) -> None:
    """Opened, then replaced by a load, then written and killed: DuckDB refuses such a log, so it harms no data."""
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
    with pytest.raises(ConfigError, match=r"warehouse\.duckdb\.wal belongs to an older copy"):
        read("select 1", recorder.warehouse)
    recorder.load()

    assert read("select count(*) as jobs from query_jobs", recorder.warehouse).to_pylist() == [{"jobs": 1}]


@pytest.mark.slow
def test_an_unfinished_copy_is_never_visible(org: DemoOrg, recorder: Recorder) -> None:
    """Readers that keep opening the warehouse while it is published again and again never fail."""
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


def test_leftovers_of_a_killed_publication_are_removed(org: DemoOrg, recorder: Recorder) -> None:
    """An unfinished copy only takes up space."""
    left = recorder.home / ".warehouse.duckdb.4711.new"
    left.write_bytes(b"half")
    recorder.load()

    assert not left.exists()


def test_the_published_copy_has_a_format_that_older_versions_read(org: DemoOrg, recorder: Recorder) -> None:
    """DuckDB 1.4 and 1.5 read storage versions up to 68; a file made by 2.0 would have a newer one."""
    recorder.load()
    for file in (recorder.primary_file, recorder.warehouse):
        header = file.read_bytes()[:20]
        assert header[8:12] == b"DUCK"
        assert int.from_bytes(header[12:20], "little") <= 68


def test_reading_releases_the_file(org: DemoOrg, recorder: Recorder, tmp_path: Path) -> None:
    """What the notebook reads with: Arrow out, nothing kept open."""
    org.add_job()
    recorder.load()
    rows = read(
        "select id, created_date from query_jobs where state = $state", recorder.warehouse, {"state": "InProgress"}
    )

    assert rows["created_date"].to_pylist() == [NOON]
    duckdb.connect(recorder.warehouse).close()
    with pytest.raises(ConfigError, match="no warehouse"):
        read("select 1", tmp_path / "none.duckdb")


def test_every_table_and_column_is_there_after_the_first_load(org: DemoOrg, recorder: Recorder) -> None:
    """Even those without any data: the views read them, and so may people. Keys are never null."""
    recorder.load()
    described = recorder.rows(
        "select table_name, column_name, data_type, is_nullable from duckdb_columns() where schema_name = 'salesforce'"
    )
    there = {(table, column): (kind, nullable) for table, column, kind, nullable in described}
    for table in TABLES:
        for column in table.schema:
            kind, nullable = there[table.name, column.name]
            assert nullable == column.nullable, (table.name, column.name)
            assert kind in ("VARCHAR", "DOUBLE", "BIGINT", "BOOLEAN", "TIMESTAMP WITH TIME ZONE")


@pytest.mark.slow
def test_an_older_warehouse_gets_the_present_columns(org: DemoOrg, recorder: Recorder) -> None:
    """And tables that it did not have: the next load adds them, and keeps filling what dlt did not create."""
    org.add_job()
    recorder.load()
    with duckdb.connect(recorder.primary_file) as connection:
        connection.execute("drop view salesforce.durations_by_week; drop table salesforce.unlisted_jobs")
        for view in ("jobs", "failures", "failure_reasons", "failure_streaks", "outcomes_by_day"):
            connection.execute(f"drop view if exists salesforce.{view}")
        connection.execute("alter table salesforce.job_details drop column retries")
    (recorder.warehouse).write_bytes(recorder.primary_file.read_bytes())
    org.delete_job(next(iter(org.jobs)))
    org.add_job(state="Failed")
    org.advance(timedelta(hours=1))
    recorder.load()

    assert recorder.rows("select count(retries) from job_details") == [(0,)]
    assert recorder.rows("select count(*) from unlisted_jobs") == [(1,)]
    org.delete_job(next(iter(org.jobs)))
    org.advance(timedelta(hours=1))
    recorder.load()
    assert recorder.rows("select count(*) from unlisted_jobs") == [(2,)]
    assert recorder.rows("select count(*) from jobs") == [(2,)]
