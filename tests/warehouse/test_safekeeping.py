"""Recorded history is never overwritten, mixed with another record, or silently restarted."""

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta

import duckdb
import pytest
from dlt.destinations.job_client_impl import SqlLoadJob
from processes import holding
from recorders import NOON, Recorder

from pipelines.columns import TEXT, Column
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.job_tables import QUERY_JOBS
from pipelines.warehouse import schema

HOUR = timedelta(hours=1)


def test_a_lost_primary_database_is_not_restarted_from_scratch(org: DemoOrg, recorder: Recorder) -> None:
    """Its published copy may be all that is left: the run stops, and gives the command that restores, whatever log a
    killed load has left."""
    job = org.add_job()
    recorder.load()
    log = recorder.home / "loader.duckdb.wal"
    with duckdb.connect(recorder.primary_file, config={"checkpoint_threshold": "1GB"}) as primary:
        primary.execute("create table left_behind as select 1")
        left = log.read_bytes()
    recorder.primary_file.unlink()
    log.write_bytes(left)
    org.delete_job(job)
    org.requests.clear()
    run = recorder.run()

    assert run.returncode == 78
    (command,) = re.findall(r"then load again: (cp [^;]+)", run.stderr)
    assert not org.requests
    assert recorder.states() == {job: "InProgress"}
    subprocess.run(command, shell=True, check=True)
    assert not log.exists()
    run = recorder.run()
    assert run.returncode == 0, run.stderr
    assert recorder.states() == {job: "InProgress"}


@pytest.mark.slow
def test_a_log_that_does_not_belong_to_the_restored_copy_is_named(org: DemoOrg, recorder: Recorder) -> None:
    """A killed load left it; the copy put in the file's place is an older one."""
    recorder.load()
    backup = recorder.warehouse.read_bytes()
    org.add_job()
    recorder.load()
    log = recorder.home / "loader.duckdb.wal"
    with duckdb.connect(recorder.primary_file, config={"checkpoint_threshold": "1GB"}) as primary:
        primary.execute("checkpoint; create table left_behind as select 1")
        left = log.read_bytes()
    recorder.primary_file.write_bytes(backup)
    log.write_bytes(left)
    run = recorder.run()
    assert run.returncode == 78
    assert "remove loader.duckdb.wal and load again" in run.stderr

    log.unlink()
    recorder.warehouse.write_bytes(backup)
    assert recorder.run().returncode == 0


def test_an_older_primary_database_does_not_replace_a_newer_copy(org: DemoOrg, recorder: Recorder) -> None:
    """It would change the time at which later jobs were first observed."""
    recorder.load()
    older = recorder.primary_file.read_bytes()
    org.advance(HOUR)
    job = org.add_job()
    recorder.load()
    recorder.primary_file.write_bytes(older)
    org.advance(HOUR)
    run = recorder.run()

    assert run.returncode == 78
    assert f"2026-11-02 13:00 UTC that the primary database {recorder.primary_file} lacks" in run.stderr
    assert recorder.rows("select id, observed_at from query_jobs") == [(job, NOON + HOUR)]


@pytest.mark.slow
def test_an_older_primary_database_that_is_released_late_does_not_either(org: DemoOrg, recorder: Recorder) -> None:
    """It was locked when the run began, and is only seen after the listing. The listing is kept, for the right file."""
    recorder.load()
    older = recorder.primary_file.read_bytes()
    org.advance(HOUR)
    job = org.add_job()
    recorder.load()
    newer = recorder.primary_file.read_bytes()
    recorder.primary_file.write_bytes(older)
    org.advance(HOUR)
    late = org.add_job()
    with holding(recorder.primary_file) as holder:

        def let_go(demo_org: DemoOrg, listing: str, page: int) -> None:
            holder.kill()
            holder.wait()

        org.before_answer = let_go
        run = recorder.run()

    assert run.returncode == 78, run.stderr
    assert f"2026-11-02 13:00 UTC that the primary database {recorder.primary_file} lacks" in run.stderr
    assert recorder.rows("select id, observed_at from query_jobs") == [(job, NOON + HOUR)]
    recorder.primary_file.write_bytes(newer)
    org.delete_job(late)
    org.advance(HOUR)
    assert recorder.run().returncode == 0
    assert dict(recorder.rows("select id, observed_at from query_jobs")) == {job: NOON + HOUR, late: NOON + 2 * HOUR}


@pytest.mark.slow
@pytest.mark.parametrize("begun", [True, False])
def test_a_file_that_is_not_our_warehouse_is_not_replaced(org: DemoOrg, recorder: Recorder, tmp_path, begun) -> None:
    """Neither a user's database nor anything else, in the first run and later."""
    if begun:
        recorder.load()
    database, text = tmp_path / "sales.duckdb", tmp_path / "notes.txt"
    with duckdb.connect(database) as connection:
        connection.execute("create table years_of_sales as select 1 as one")
    text.write_text("my notes")
    for file in (database, text):
        before = file.read_bytes()
        run = recorder.run(QUERY_JOBS__WAREHOUSE=str(file))
        assert run.returncode == 78, run.stderr
        assert file.name in run.stderr
        assert file.read_bytes() == before


@pytest.mark.slow
def test_a_listing_kept_for_one_file_is_never_loaded_into_another(org: DemoOrg, recorder: Recorder) -> None:
    """Two warehouses of one user, with one dlt home between them."""
    theirs = {
        "DESTINATION__DUCKDB__CREDENTIALS": str(recorder.home / "other.duckdb"),
        "QUERY_JOBS__WAREHOUSE": str(recorder.home / "other_warehouse.duckdb"),
    }
    job = org.add_job()
    with serving(sandbox := DemoOrg(now=NOON, seed=7)):
        theirs["SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL"] = sandbox.instance_url
        other = sandbox.add_job()
        with holding(recorder.primary_file):
            assert recorder.run().returncode == 75
            run = recorder.run(**theirs)
            assert run.returncode == 0, run.stderr
    org.delete_job(job)
    assert recorder.run().returncode == 0

    assert set(recorder.states()) == {job}
    assert recorder.rows("select id from query_jobs", recorder.home / "other_warehouse.duckdb") == [(other,)]


@pytest.mark.slow
def test_a_job_without_a_readable_created_date_keeps_its_first_observation(org: DemoOrg, recorder: Recorder) -> None:
    """Across runs with a locked file, next to a job that has a date."""
    recorder.load()
    org.add_job(createdDate="<datetime>", systemModstamp=NOON)
    org.add_job()
    with holding(recorder.primary_file):
        for _ in range(2):
            org.advance(HOUR)
            assert recorder.run().returncode == 75
    org.advance(HOUR)
    assert recorder.run().returncode == 0

    assert recorder.rows("select distinct observed_at from query_jobs") == [(NOON + HOUR,)]
    assert recorder.rows("select distinct observed_at from query_job_states") == [(NOON + HOUR,)]


@pytest.mark.slow
def test_a_state_that_came_back_while_the_file_was_locked_is_the_current_one(org: DemoOrg, recorder: Recorder) -> None:
    """Each run with a locked file keeps everything it lists, because it cannot know what is kept already."""
    job = org.add_job(state="InProgress")
    recorder.load()
    with holding(recorder.primary_file):
        for state in ("Odd", "InProgress"):
            org.advance(HOUR)
            org.move_job(job, state, stamp=False)
            assert recorder.run().returncode == 75
    org.delete_job(job)
    assert recorder.run().returncode == 0

    assert recorder.states() == {job: "InProgress"}


@pytest.mark.slow
def test_a_column_without_any_values_does_no_harm(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """A newer version may define columns for which a quiet run brings no row."""
    org.add_job()
    recorder.load()
    tomorrow = replace(QUERY_JOBS, columns=(*QUERY_JOBS.columns, Column("of_tomorrow", TEXT, "What comes tomorrow")))
    monkeypatch.setattr(schema, "TABLES", (tomorrow,))
    recorder.load()
    assert len(recorder.rows("select * from listings")) == 2

    org.add_job(ofTomorrow="here")
    recorder.load()
    assert recorder.rows(
        "select comment from duckdb_columns() where column_name = 'of_tomorrow' and schema_name = 'salesforce'"
    ) == [("What comes tomorrow",)]


@pytest.mark.slow
def test_a_field_may_have_any_name(org: DemoOrg, recorder: Recorder) -> None:
    """Even names in our own SQL; and the next run finds nothing new."""
    names = ("position", "listed", "l", "s", "select", 'quo"te', "größe", "rowid", "foo__bar", "changed", "%s", "{x}")
    org.add_job(**dict.fromkeys(names, "3"))
    recorder.load()
    org.add_job(**dict.fromkeys(names, "4"))
    recorder.load()
    org.advance(HOUR)

    assert recorder.load().snapshot.jobs_changed == 0
    assert recorder.rows("select position, listed from query_jobs order by 1") == [("3", "3"), ("4", "4")]


@pytest.mark.slow
def test_a_package_half_loaded_into_a_lost_file_is_loaded_from_the_start(
    org: DemoOrg, recorder: Recorder, monkeypatch
) -> None:
    """Staged, then interrupted; then the primary database is restored from the copy, which has none of it."""
    stays = org.add_job()
    recorder.load()
    org.advance(HOUR)
    short_lived = org.add_job()

    def crash(self: SqlLoadJob) -> None:
        raise RuntimeError("a machine that fails")

    with monkeypatch.context() as broken:
        broken.setattr(SqlLoadJob, "run", crash)
        with pytest.raises(Exception, match="a machine that fails"):
            recorder.load()
    shutil.copyfile(recorder.warehouse, recorder.primary_file)
    org.delete_job(short_lived)
    org.advance(HOUR)
    recorder.load()

    assert set(recorder.states()) == {stays, short_lived}
