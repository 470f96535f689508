"""The demo: its own files, the very code of a load, and an end that says what it was for."""

import os
import re
import subprocess
from pathlib import Path

import duckdb
import pytest
from conftest import Recorder


def test_the_demo_shows_what_the_org_forgot(recorder: Recorder, tmp_path: Path) -> None:
    """Nine days: the org has lost the first two, the warehouse has not; then the commands to try, which work."""
    home = tmp_path / "demo"
    run = recorder.run("demo", "--days", "9", "--home", str(home))

    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "The last of 19 loads said:" in run.stdout
    jobs = re.search(r"\n  jobs +([\d,]+) +([\d,]+)\n", run.stdout)
    assert jobs
    remembered, known = (int(number.replace(",", "")) for number in jobs.groups())
    assert known > remembered + 500
    assert recorder.rows("select count(*) from query_jobs", home / "warehouse.duckdb") == [(known,)]
    nights = re.search(r"the Lead extract failed +(\d+) +(\d+)\n", run.stdout)
    assert nights
    assert nights.groups() == ("7", "9")
    (command,) = re.findall(r"^  (\S*python -c .*)$", run.stdout, re.MULTILINE)
    shown = subprocess.run(command, shell=True, cwd=recorder.home, capture_output=True, text=True, check=False)
    assert "Lead" in shown.stdout, shown.stderr


def test_the_demo_touches_nothing_of_the_users(recorder: Recorder, tmp_path: Path) -> None:
    """Neither files nor dlt home, and no setting of theirs is obeyed."""
    before = sorted(recorder.home.rglob("*"))
    settings = {
        "SOURCES__SALESFORCE__JOB_TYPE": "Classic",
        "JOB_TYPE": "Classic",
        "SOURCES__SALESFORCE__CREDENTIALS__SF_CLI_ORG": "mine",
    }
    run = recorder.run("demo", "--days", "1", "--home", str(tmp_path / "demo"), **settings)

    assert run.returncode == 0, run.stderr
    assert sorted(recorder.home.rglob("*")) == before
    assert recorder.rows("select distinct filters from listings", tmp_path / "demo" / "warehouse.duckdb") == [("{}",)]


def test_the_demo_can_be_made_again(recorder: Recorder, tmp_path: Path) -> None:
    """Over the files of the one before, while somebody looks at them."""
    for _ in range(2):
        run = recorder.run("demo", "--days", "1", "--home", str(tmp_path / "demo"))
        assert run.returncode == 0, run.stderr
        reader = duckdb.connect(tmp_path / "demo" / "warehouse.duckdb", read_only=True)
    assert reader.execute("select count(*) from salesforce.listings").fetchall() == [(3,)]
    reader.close()
    assert os.listdir(tmp_path / "demo")


def test_a_demo_that_was_killed_stands_in_nobodys_way(recorder: Recorder, tmp_path: Path) -> None:
    """Its loader's file has a log that belongs to no other."""
    home = tmp_path / "demo"
    recorder.run("demo", "--days", "1", "--home", str(home))
    with duckdb.connect(home / "query_jobs.duckdb") as loader:
        loader.execute("set wal_autocheckpoint = '1GB'; set checkpoint_threshold = '1GB'; create table x as select 1")
        (home / "kept.wal").write_bytes((home / "query_jobs.duckdb.wal").read_bytes())
    (home / "kept.wal").rename(home / "query_jobs.duckdb.wal")
    run = recorder.run("demo", "--days", "1", "--home", str(home))

    assert run.returncode == 0, run.stderr
    assert "but none from" not in run.stdout


def test_a_demo_replaces_no_recording(recorder: Recorder) -> None:
    """Its files have the names of a recording's."""
    (recorder.home / "query_jobs.duckdb").write_text("history")
    run = recorder.run("demo", "--days", "1", "--home", str(recorder.home))

    assert run.returncode == 78
    assert "whether it is a demo's cannot be told" in run.stderr
    assert (recorder.home / "query_jobs.duckdb").read_text() == "history"


@pytest.mark.parametrize("days", ["0", "-1", "many", "99999999"])
def test_a_number_of_days_that_is_none_is_refused(recorder: Recorder, days: str) -> None:
    """Before anything is removed."""
    run = recorder.run("demo", "--days", days)

    assert run.returncode == 2
    assert "is no number of days from 1 to 36,500" in run.stderr
