"""The demo: files of its own, the same code as a load, and a summary of what it was for."""

import itertools
import json
import os
import re
import shlex
import subprocess
import time
from bisect import bisect_right
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from recorders import Recorder


@pytest.mark.slow
def test_the_demo_shows_what_the_org_forgot(recorder: Recorder, tmp_path: Path) -> None:
    """Nine days: the org has lost the first two, the warehouse has not; then the commands to try, which work."""
    home = tmp_path / "it's $HOME" / 'my "demo"'
    run = recorder.run("demo", "--days", "9", "--home", str(home))

    assert run.returncode == 0, run.stderr
    assert run.stderr == ""  # that the org refuses the results of one load is for `check` to say
    assert "The last of 19 loads printed:" in run.stdout
    jobs = re.search(r"\n  jobs +([\d,]+) +([\d,]+)\n", run.stdout)
    assert jobs
    remembered, known = (int(number.replace(",", "")) for number in jobs.groups())
    assert known > remembered + 500
    assert recorder.rows("select count(*) from listed_jobs", home / "warehouse.duckdb") == [(known,)]
    nights = re.search(r"the Lead extract failed +(\d+) +(\d+)\n", run.stdout)
    assert nights
    assert nights.groups() == ("7", "9")
    check_numbers(recorder, run.stdout, home / "warehouse.duckdb")
    for target in ("report", "check", "notebook"):  # of this demo, also where an org is recorded
        assert f"\n  make {target} WAREHOUSE={shlex.quote(str(home / 'warehouse.duckdb'))}\n" in run.stdout
    (command,) = re.findall(r"^  (\S*python -c .*)$", run.stdout, re.MULTILINE)
    shown = subprocess.run(command, shell=True, cwd=recorder.home, capture_output=True, text=True, check=False)
    assert "Lead" in shown.stdout, shown.stderr

    check = recorder.run("check", "--json", "--warehouse", str(home / "warehouse.duckdb"))
    checked = json.loads(check.stdout)
    assert checked["demo"]
    assert not any(
        "last complete listing" in finding["message"] for finding in checked["findings"]
    )  # its clock stands still
    mine = {"QUERY_JOBS__WAREHOUSE": str(home / "warehouse.duckdb")}
    assert "This is the demo; its clock stopped" in recorder.run("check", **mine).stdout
    mine["DESTINATION__DUCKDB__CREDENTIALS"] = str(home / "query_jobs.duckdb")
    before = [(home / name).read_bytes() for name in ("query_jobs.duckdb", "warehouse.duckdb")]
    for command in ("load", "doctor"):
        run = recorder.run(command, **mine)
        assert run.returncode == 78
        assert "is a recording of the demo org" in run.stdout + run.stderr
    assert [(home / name).read_bytes() for name in ("query_jobs.duckdb", "warehouse.duckdb")] == before


def check_reasons(shown: dict[str, str], errors: list[tuple[str, int]]) -> None:
    records: Counter[str] = Counter()
    for code, count in errors:
        records[code] += count
    assert shown["records that failed in loads"] == f"{records.total():,}"
    ((code, count),) = records.most_common(1)
    assert shown[f"of these, {code}"] == f"{count:,}"


def check_numbers(recorder: Recorder, output: str, warehouse: Path) -> None:
    """Each number that a demo prints about its warehouse matches the tables, and the report."""

    def rows(sql: str) -> list[Any]:
        return [row[0] if len(row) == 1 else row for row in recorder.rows(sql, warehouse)]

    shown = {line[:49].strip(): line[67:].strip() for line in output.splitlines() if line.startswith("  ")}
    columns = "id, state, created_date, object, created_by_id"
    loads = {row[0]: row[1:] for row in rows(f"select {columns} from ingest_jobs")}
    jobs = loads | {row[0]: row[1:] for row in rows(f"select {columns} from query_jobs")}
    assert shown["jobs"] == f"{len(jobs):,}"
    assert shown["of these, V2 loads"] == f"{len(loads):,}"
    assert shown["oldest job created on"] == f"{min(created for _, created, *_ in jobs.values()):%Y-%m-%d}"
    assert shown["failed jobs"] == f"{sum(state == 'Failed' for state, *_ in jobs.values())}"
    versions = rows(
        "select id, observed_at, system_modstamp, state, 'query' from query_job_states union all "
        "select id, observed_at, system_modstamp, state, 'ingest' from ingest_job_states order by 1, 2, 3"
    )
    since = {(feed, start): since for feed, start, since in rows("select feed, started_at, since from listings")}
    changes = [
        after for before, after in itertools.pairwise(versions) if before[0] == after[0] and before[3] != after[3]
    ]
    assert shown["state changes"] == f"{len(changes):,}"
    late = [change for change in changes if (cursor := since[change[4], change[1]]) and change[2] < cursor]
    assert shown["of those, missed by a systemModstamp cursor"] == f"{len(late)}"
    lost = rows(
        "select id from job_details where number_records_failed > 0 and number_records_failed >= number_records_processed "
        "and not coalesce(provisional, false)"
    )
    lost = [job for job in lost if jobs[job][0] in ("Closed", "JobComplete")]
    assert shown["loads shown as done, but every record failed"] == f"{len(lost)}"
    check_reasons(shown, rows("select error_code, records from record_errors where records > 0"))
    early = [
        (job, at) for job, at in rows("select id, unlisted_at from unlisted_jobs where listed_again_at is null")
        if at < jobs[job][1] + timedelta(hours=168)
    ]  # fmt: skip
    assert shown["jobs deleted before the org would forget them"] == f"{len(early)}"
    counts = rows(
        "select asked_at, max - remaining from org_limits where limit_name = 'DailyBulkV2QueryJobs' and app = ''"
    )
    v2 = sorted(rows("select created_date from query_jobs where job_type = 'V2Query'"))

    def recorded(at: datetime) -> int:
        return bisect_right(v2, at) - bisect_right(v2, at - timedelta(hours=24))

    ends = [(recorded(at), at) for at in v2] + [(number, at) for at, number in counts]
    most, end = max(ends)
    assert shown["most query jobs in 24 hours, of 1,000 allowed"] == f"{most:,}"
    assert shown["of those, recorded"] == f"{recorded(end):,}"
    by_user = Counter(
        rows(
            "select created_by_id, object from query_jobs where job_type = 'V2Query' "
            f"and created_date <= '{end}' and created_date > timestamptz '{end}' - interval 24 hours"
        )
    )
    (((user, _), number),) = by_user.most_common(1)
    (name,) = rows(f"select name from users where id = '{user}'")
    assert shown["of these, most by one user"] == f"{number:,} by {name}"
    days = re.search(r"read on (\d+) of 10 calendar days, about ([\d,]+) query jobs were missed", output)
    assert days
    last = {at.date(): (at, number) for at, number in sorted(counts)}
    alone: list[datetime] = []
    missed = 0
    for at, number in last.values():
        if not alone or at - alone[-1] >= timedelta(hours=23, minutes=55):
            alone.append(at)
            missed += max(number - recorded(at), 0)
    assert days.groups() == (f"{len(alone)}", f"{missed:,}")
    numbers = warehouse.with_name("numbers.json")
    report = recorder.run("report", "--warehouse", str(warehouse), "--numbers", str(numbers))
    assert report.returncode == 0, report.stderr
    peak = json.loads(numbers.read_text())["orgs"][0]["pictures"]["allowance"]["numbers"]
    assert (peak["peak_used"], peak["peak_recorded"]) == (most, recorded(end))


@pytest.mark.slow
def test_the_demo_does_not_touch_the_users_files(recorder: Recorder, tmp_path: Path) -> None:
    """Neither files nor dlt home; and it ignores the user's settings."""
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


@pytest.mark.slow
def test_the_demo_can_be_run_again(recorder: Recorder, tmp_path: Path) -> None:
    """Over the files of the one before, while a reader has them open."""
    for _ in range(2):
        run = recorder.run("demo", "--days", "1", "--home", str(tmp_path / "demo"))
        assert run.returncode == 0, run.stderr
        reader = duckdb.connect(tmp_path / "demo" / "warehouse.duckdb", read_only=True)
    feeds = reader.execute("select feed, count(*) from salesforce.listings group by feed order by feed").fetchall()
    assert feeds == [("ingest", 3), ("query", 3)]
    reader.close()
    assert os.listdir(tmp_path / "demo")


@pytest.mark.slow
def test_a_demo_that_was_killed_does_not_block_the_next(recorder: Recorder, tmp_path: Path) -> None:
    """Its primary database has a log that belongs to no other file."""
    home = tmp_path / "demo"
    recorder.run("demo", "--days", "1", "--home", str(home))
    with duckdb.connect(home / "query_jobs.duckdb") as primary:
        primary.execute("set wal_autocheckpoint = '1GB'; set checkpoint_threshold = '1GB'; create table x as select 1")
        (home / "kept.wal").write_bytes((home / "query_jobs.duckdb.wal").read_bytes())
    (home / "kept.wal").rename(home / "query_jobs.duckdb.wal")
    run = recorder.run("demo", "--days", "1", "--home", str(home))

    assert run.returncode == 0, run.stderr
    assert "switched off" not in run.stdout


def test_a_demo_replaces_no_recording(recorder: Recorder) -> None:
    """Its files have the same names as a recording's."""
    (recorder.home / "query_jobs.duckdb").write_text("history")
    run = recorder.run("demo", "--days", "1", "--home", str(recorder.home))

    assert run.returncode == 78
    assert "so it is not known whether a demo made it" in run.stderr
    assert (recorder.home / "query_jobs.duckdb").read_text() == "history"


@pytest.mark.slow
def test_two_demos_in_one_home(recorder: Recorder, tmp_path: Path) -> None:
    """The second exits immediately, and so does a load into the demo's file; the first runs to its end. So does one
    after a kill."""
    home = tmp_path / "demo"
    demo = ("demo", "--days", "2", "--home", str(home))
    killed = recorder.start(*demo)
    while killed.poll() is None and not list((home / "query_jobs.duckdb.state" / "work").glob("*")):
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    first = recorder.start(*demo)
    lock = home / "query_jobs.duckdb.lock"
    while first.poll() is None and lock.read_text() != str(first.pid):
        time.sleep(0.01)
    second = recorder.run(*demo)
    load = recorder.run(
        DESTINATION__DUCKDB__CREDENTIALS=str(home / "query_jobs.duckdb"),
        QUERY_JOBS__WAREHOUSE=str(tmp_path / "mine.duckdb"),
    )
    assert first.poll() is None, "this test needs a demo that takes longer"
    output, errors = first.communicate(timeout=110)

    assert first.returncode == 0, errors
    assert "loads printed:" in output
    assert not list(home.glob("query_jobs.duckdb.state/kept/*"))
    for run in (second, load):
        assert run.returncode == 75, run.stderr
        assert f"PID {first.pid}" in run.stderr
    assert not (tmp_path / "mine.duckdb").exists()


@pytest.mark.parametrize("days", ["0", "-1", "many", "99999999"])
def test_an_invalid_number_of_days_is_refused(recorder: Recorder, days: str) -> None:
    """Before anything is removed."""
    run = recorder.run("demo", "--days", days)

    assert run.returncode == 2
    assert "is not a number of days from 1 to 36,500" in run.stderr
