"""A damaged primary database is never published, and the message gives the command that restores it."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from harm import BLOCK, damaged_parts, flip, used_blocks
from processes import holding
from recorders import Recorder
from small_disks import fill, make_room, mounted

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError, RecorderError, unwrap_error
from pipelines.warehouse.copies import copies, keep_copy
from pipelines.warehouse.damage import FIRST_BLOCK, UNREADABLE, damaged_part

HOUR = timedelta(hours=1)


@pytest.fixture
def grown(org: DemoOrg, recorder_of: Callable[..., Recorder]) -> Recorder:
    """A recorder with some jobs, three listings and a change that the next load brings in; its folder has an odd
    name."""
    recorder = recorder_of(org, 'it\'s a "home" $HOME')
    for _ in range(50):
        org.add_job(state="InProgress")
    for _ in range(3):
        recorder.load()
        org.advance(HOUR)
    for job in list(org.jobs)[::2]:
        org.move_job(job, "JobComplete")
    org.requests.clear()
    return recorder


def refusal(recorder: Recorder) -> RecorderError:
    """The error in which a load ends; also checks that nothing was published."""
    was = recorder.warehouse.read_bytes() if recorder.warehouse.exists() else None
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the kind is looked at here
        recorder.load()
    found = unwrap_error(raised.value)
    assert isinstance(found, ConfigError), raised.value
    assert "Nothing is lost" not in str(found)
    assert (recorder.warehouse.read_bytes() if recorder.warehouse.exists() else None) == was
    return found


def paste_command(said: str) -> None:
    """Runs the command that a message ends with, in a shell."""
    command = re.search(r"load again: (.+)$", said, re.MULTILINE)
    assert command, said
    subprocess.run(["sh", "-ec", command[1]], check=True)


def test_damage_is_never_published_and_the_command_restores_the_file(org: DemoOrg, grown: Recorder) -> None:
    """Wherever it is: found before the listing, or in the middle of the merge."""
    listed, parts = set(), set()
    for part in damaged_parts(grown.primary_file):
        org.requests.clear()
        said = str(refusal(grown))
        assert part in said
        listed.add(bool(org.requests))
        parts.add(part)
        paste_command(said)
        assert grown.primary_file.read_bytes() == grown.warehouse.read_bytes()
    assert listed == {True, False}
    assert parts >= {UNREADABLE, "the table salesforce.query_jobs", "the table salesforce.query_job_states"}
    grown.load()
    assert grown.rows("select state, count(*) from query_jobs group by all order by all") == [
        ("InProgress", 25),
        ("JobComplete", 25),
    ]


@pytest.mark.slow
def test_damage_in_old_blocks_that_no_load_reads_is_found(grown: Recorder) -> None:
    with duckdb.connect(grown.primary_file) as connection:
        connection.execute("create table main.old as select md5(n::varchar) as text from range(100_000) as t(n)")
    grown.load()
    was = grown.primary_file.read_bytes()
    for start in list(used_blocks(grown.primary_file)):
        grown.primary_file.write_bytes(was)
        flip(grown.primary_file, start + 100)
        if damaged_part(grown.primary_file) == "the table main.old":
            break
    said = str(refusal(grown))
    assert "is damaged: the table main.old. It was not published." in said
    paste_command(said)
    grown.load()


@pytest.mark.slow
def test_damage_met_during_the_load_is_reported_in_the_same_words(org: DemoOrg, grown: Recorder) -> None:
    """There, dlt's merge ends in a StopIteration without a message."""
    was = grown.primary_file.read_bytes()
    for start in list(used_blocks(grown.primary_file)):
        grown.primary_file.write_bytes(was)
        flip(grown.primary_file, start + 100)
        if damaged_part(grown.primary_file) == "the table salesforce.query_jobs":
            break
    run = grown.run()

    assert run.returncode == 78, run
    assert f"{grown.primary_file} is damaged: the table salesforce.query_jobs" in run.stderr
    assert re.search("StopIteration|Nothing is lost|Traceback", run.stderr) is None
    assert len(run.stderr.splitlines()) == 1
    assert org.requests
    doctor = grown.run("doctor")
    assert doctor.returncode == 78
    assert "is damaged: the table salesforce.query_jobs" in doctor.stdout
    paste_command(run.stderr)
    assert grown.run().returncode == 0


@pytest.mark.slow
def test_if_the_published_copy_was_changed_the_daily_one_restores(grown: Recorder) -> None:
    """The copy in the way is moved, and nothing that was moved there before is overwritten."""
    (daily,) = copies(grown.warehouse)
    with duckdb.connect(grown.warehouse) as writer:
        writer.execute("delete from salesforce.query_jobs")
    (earlier := grown.warehouse.with_name("warehouse.duckdb.old")).write_text("mine")
    os.truncate(grown.primary_file, 5000)
    said = str(refusal(grown))
    assert str(daily.name) in said
    paste_command(said)
    assert grown.primary_file.read_bytes() == daily.read_bytes()
    grown.load()
    assert len(grown.states()) == 50
    assert earlier.read_text() == "mine"
    assert grown.warehouse.with_name("warehouse.duckdb.old+").exists()


@pytest.mark.slow
def test_a_changed_copy_is_named_if_it_is_all_that_is_left(grown: Recorder) -> None:
    shutil.rmtree(copies(grown.warehouse)[0].parent)
    with duckdb.connect(grown.warehouse) as writer:
        writer.execute("create table mine as select 1 as one")
    os.truncate(grown.primary_file, 5000)
    said = str(refusal(grown))
    assert "was modified after it was published" in said
    paste_command(said)
    grown.load()
    assert len(grown.states()) == 50

    shutil.rmtree(copies(grown.warehouse)[0].parent)
    grown.warehouse.write_bytes(b"")
    os.truncate(grown.primary_file, 5000)
    assert "No good copy of it was found" in str(refusal(grown))


@pytest.mark.slow
def test_a_copy_that_was_moved_with_its_project_is_usable(grown: Recorder) -> None:
    """Then it has another inode and another time."""
    moved = grown.home.with_name("moved")
    shutil.copytree(grown.home, moved, copy_function=shutil.copyfile)
    shutil.rmtree(grown.home)
    shutil.move(moved, grown.home)
    os.truncate(grown.primary_file, 5000)
    paste_command(str(refusal(grown)))
    assert grown.primary_file.read_bytes() == grown.warehouse.read_bytes()
    grown.load()


@pytest.mark.slow
def test_an_emptied_file_is_not_restarted_from_scratch(org: DemoOrg, grown: Recorder) -> None:
    """With or without a copy beside it."""
    os.truncate(grown.primary_file, 0)
    said = str(refusal(grown))
    assert "is empty" in said
    paste_command(said)
    grown.load()
    assert len(grown.states()) == 50

    grown.warehouse.unlink()
    os.truncate(grown.primary_file, 0)
    org.requests.clear()
    said = str(refusal(grown))
    assert not org.requests
    assert "is empty, but jobs were recorded in it" in said
    paste_command(said)  # from the daily copy
    grown.load()
    assert len(grown.states()) == 50

    grown.warehouse.unlink()
    grown.primary_file.unlink()
    grown.load()
    assert len(grown.rows("select 1 from listings")) == 1


@pytest.mark.slow
def test_only_copies_with_the_same_identity_are_offered(org: DemoOrg, grown: Recorder) -> None:
    """Whether the state folder is lost or garbled, or a daily copy is another recorder's."""
    for harm in ("lost", "garbled"):
        if harm == "lost":
            shutil.rmtree(grown.state_folder)
        else:
            (grown.state_folder / "published.json").write_bytes(b'{"fingerprint": 5, "contents": \xff')
        os.truncate(grown.primary_file, 5000)
        paste_command(str(refusal(grown)))
        assert grown.primary_file.read_bytes() == grown.warehouse.read_bytes()
        grown.load()
    (daily,) = copies(grown.warehouse)
    with duckdb.connect(daily) as writer:
        writer.execute("create or replace macro main.recorder_identity() as 'another'")
    grown.warehouse.unlink()
    os.truncate(grown.primary_file, 5000)
    assert "No good copy of it was found" in str(refusal(grown))


@pytest.mark.slow
def test_a_damaged_published_copy_is_replaced_by_an_intact_one(org: DemoOrg, grown: Recorder) -> None:
    """What was published is remembered: readers of a damaged copy get a message, and the next load publishes."""
    for start in list(used_blocks(grown.warehouse)):
        flip(grown.warehouse, start + 100)
    assert damaged_part(grown.warehouse)
    grown.load()
    assert damaged_part(grown.warehouse) is None
    for start in list(used_blocks(grown.warehouse)):
        flip(grown.warehouse, start + 100)
    for command in (["check"], ["report", "--output", "-"], ["doctor"]):
        run = grown.run(*command)
        assert "Traceback" not in run.stderr
        assert "Nothing is lost" not in run.stderr
        assert "warehouse.duckdb" in run.stdout + run.stderr
        assert run.returncode == 78 or command == ["doctor"], run
    for harm in (lambda: flip(grown.warehouse, 0), lambda: os.truncate(grown.warehouse, FIRST_BLOCK + BLOCK)):
        harm()  # what it contains can no longer be determined
        said = str(refusal(grown))
        assert "cannot be read" in said
        assert "move it away" in said
    grown.warehouse.unlink()
    grown.load()


@pytest.mark.slow
def test_earlier_copies_are_not_removed_for_a_damaged_file(
    org: DemoOrg, recorder_of: Callable[..., Recorder], tmp_path: Path
) -> None:
    """They may be needed to restore it."""
    with mounted(tmp_path / "disk") as disk:
        recorder = recorder_of(org, str(disk / "home"))
        org.add_job()
        recorder.load()
        for day in range(1, 4):
            assert keep_copy(recorder.warehouse, recorder.warehouse, 7, datetime(2026, 1, day, tzinfo=UTC)) is None
        there = copies(recorder.warehouse)
        was = recorder.primary_file.read_bytes()
        for start in used_blocks(recorder.primary_file):
            recorder.primary_file.write_bytes(was)
            flip(recorder.primary_file, start + 100)
            if "state_spans" in str(damaged_part(recorder.primary_file)):
                break
        fill(disk, 12 * 2**20)
        refusal(recorder)
        assert copies(recorder.warehouse) == there
        make_room(disk)
        recorder.primary_file.write_bytes(was)
        fill(disk, 12 * 2**20)
        recorder.load()
        assert len(copies(recorder.warehouse)) < len(there)


@pytest.mark.slow
def test_damage_is_named_while_another_program_writes_into_the_copy(grown: Recorder) -> None:
    """Then a daily copy is the newest reliable one."""
    os.truncate(grown.primary_file, 5000)
    with holding(grown.warehouse):
        said = str(refusal(grown))
    assert copies(grown.warehouse)[0].name in said
