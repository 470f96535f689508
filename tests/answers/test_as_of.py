"""`--as-of TIME`: what `check` says about an earlier moment is what it said then."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from planted import DAY, HOUR, NOW, plant
from recorders import Recorder

from pipelines.answers.check import Finding, Thresholds, check
from pipelines.config.settings import Settings
from pipelines.demo.command import FIRST_LOAD, credentials_for, demo_home
from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import ConfigError
from pipelines.recording.load import record
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.as_of import opened_as_of, read_time
from pipelines.warehouse.file_identity import read_moment, write_moment
from pipelines.warehouse.reader import opened
from pipelines.warehouse.schema import views


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[datetime, list[Finding]]]:
    """Twelve days of the demo org with an outage of two days, and what check said after each load."""
    org = DemoOrg(now=NOW - 12 * DAY)
    said: dict[datetime, list[Finding]] = {}
    with demo_home(tmp_path_factory.mktemp("life")) as settings, serving(org):
        live(org, until=NOW)
        org.advance(FIRST_LOAD)
        for hours in (12, 12, 24, 12, 48, 12, 12, 24, 24, 12, 12, 12):
            record(settings, credentials_for(org))
            said[org.now] = check(settings.warehouse, Thresholds(), now=org.now)
            org.advance(hours * HOUR)
    return settings, said


def comparable(findings: list[Finding]) -> list[tuple[Any, ...]]:
    return [
        (one.key, one.message, one.remedy, one.urgent, one.ids, one.numbers)
        for one in findings
        if not (one.kind == "unfinished" and "/Closed/" in one.key)
    ]


@pytest.mark.slow
def test_as_of_each_load_check_says_what_it_said_then(life) -> None:
    """Twelve loads later as well as immediately; except for Closed loads with batches to come, whose earlier answers
    have been replaced by newer ones."""
    settings, said = life
    for at, findings in said.items():
        with opened_as_of(settings.warehouse, at.isoformat()) as then:
            again = check(then, Thresholds())
        assert comparable(again) == comparable(findings), at
    assert {one.kind for findings in said.values() for one in findings} >= {
        "failing", "closed but failed", "unfinished", "allowance",
    }  # fmt: skip
    assert not {one.kind for findings in said.values() for one in findings} & {
        "missing run", "unusual volume", "failure rate", "record failures", "own jobs only",
    }  # fmt: skip


@pytest.mark.slow
def test_the_tables_contain_what_was_recorded_by_then(life, tmp_path: Path) -> None:
    """Like a copy of the file made then: jobs, their versions and spans, listings and absences."""
    settings, said = life
    *_, middle, _, _, _, last = said
    with opened_as_of(settings.warehouse, last.isoformat()) as then, opened(settings.warehouse) as now:
        for table in TABLES:
            everything = f"select count(*), bit_xor(hash(hash(t))) from (select * from {table.name}) as t"
            assert then.rows(everything) == now.rows(everything), table.name
    with opened_as_of(settings.warehouse, middle.isoformat()) as then:
        assert then.rows("select max(finished_at) as at from listings") == [{"at": middle}]
        (counts,) = then.rows("""
            select (select count(*) from query_jobs) as jobs, (select count(distinct id) from query_job_states) as seen,
                (select count(*) from query_job_states) + (select count(*) from ingest_job_states) as states, (select count(*) from state_spans) as spans,
                (select max(observed_at) from query_job_states) as newest,
                (select max(asked_at) from job_details) as asked
        """)
        assert counts["jobs"] == counts["seen"]
        assert counts["states"] == counts["spans"]
        assert counts["newest"] <= middle
        assert counts["asked"] <= middle
        later = "select 1 from state_spans where left_at > $at or (left_at is null) <> (seconds is null)"
        assert then.rows(later, {"at": middle}) == []
        for view in views():
            then.rows(f"select count(*) as n from {view}")


@pytest.mark.slow
def test_a_job_is_in_the_state_last_seen_by_then(recorder: Recorder, org: DemoOrg) -> None:
    """Three listings, three states, one of them repeated; a job that came later does not exist yet."""
    job = org.add_job(state="UploadComplete")
    states = []
    for state in ("InProgress", "JobComplete", "Failed"):
        recorder.load()
        states.append((org.now, recorder.states()))
        org.advance(HOUR)
        org.move_job(job, state)
        org.add_job(state="JobComplete")
    for at, known in states:
        with opened_as_of(recorder.warehouse, (at + HOUR / 2).isoformat()) as then:
            assert {row["id"]: row["state"] for row in then.rows("select id, state from query_jobs")} == known
            (span,) = then.rows(
                "select state, left_at from state_spans where id = $id and left_at is null", {"id": job}
            )
            assert span["state"] == known[job]


def test_an_absence_that_ended_later_is_ongoing(tmp_path: Path) -> None:
    """One that began later does not exist yet; a rejected record is known since it was first seen."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[{"observed_at": NOW - 3 * DAY}] * 2,
        listings=[{"started_at": NOW - n * DAY} for n in range(4)],
        unlisted_jobs=[
            {"id": "750000000000001AAA", "unlisted_at": NOW - 2 * DAY, "listed_again_at": NOW - DAY},
            {"id": "750000000000002AAA", "unlisted_at": NOW - DAY},
        ],
        rejected_records=[{"reason": "no id", "first_observed_at": NOW - 2 * DAY, "last_observed_at": NOW}],
    )
    found = []
    for days in (3, 2, 1):
        with opened_as_of(file, (NOW - days * DAY).isoformat()) as then:
            away = then.rows("select id, listed_again_at from unlisted_jobs order by id")
            (rejected,) = then.rows("select max(last_observed_at) as at from rejected_records")
            found.append(([(row["id"][-4], row["listed_again_at"]) for row in away], rejected["at"]))

    assert found == [([], None), ([("1", None)], NOW - 2 * DAY), ([("1", NOW - DAY), ("2", None)], NOW - DAY)]


def test_an_unfinished_listing_is_unknown(tmp_path: Path) -> None:
    """So is what it showed, although its rows have the time of its start."""
    listings = [{"started_at": NOW - DAY}, {"started_at": NOW - HOUR, "finished_at": NOW}]
    jobs = [{"observed_at": NOW - DAY, "created_date": NOW - 2 * DAY}, {"observed_at": NOW - HOUR}]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=listings)
    for at, count in ((NOW - HOUR / 2, 1), (NOW, 2)):
        with opened_as_of(file, at.isoformat()) as then:
            assert then.rows("select count(*) as n from query_jobs") == [{"n": count}]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2026-11-16", datetime(2026, 11, 16, tzinfo=UTC)),
        ("2026-11-16T06:00", NOW),
        ("2026-11-16 06:00:00", NOW),
        ("2026-11-16T06:00Z", NOW),
        ("2026-11-16T07:00+01:00", NOW),
        ("20261116T0600Z", NOW),
        (" 2026-11-16T06:00:00.5Z ", NOW + timedelta(seconds=0.5)),
    ],
)
def test_any_iso_8601_time_is_accepted(given: str, meant: datetime) -> None:
    """In UTC unless it has an offset; a date means midnight."""
    assert read_time(given) == meant


@pytest.mark.parametrize("given", ["", "yesterday", "16.11.2026", "2026-13-01", "0001-01-01T00:00+10:00", "\x1b[31m"])
def test_an_invalid_time_is_refused(recorder: Recorder, tmp_path: Path, given: str) -> None:
    """2, with an example."""
    file = plant(tmp_path / "w.duckdb")
    run = recorder.run("check", "--warehouse", str(file), f"--as-of={given}")

    assert (run.returncode, run.stdout) == (2, "")
    assert "is not a time." in run.stderr
    assert "2026-11-16T06:00" in run.stderr
    assert "\x1b" not in run.stderr


@pytest.mark.slow
def test_the_future_and_times_before_the_first_listing_are_refused(recorder: Recorder, tmp_path: Path) -> None:
    """2; up to now, nothing since the last listing is known, and the answer says so."""
    now = datetime.now(UTC)
    file = plant(tmp_path / "w.duckdb", listings=[{"started_at": now - 9 * DAY}, {"started_at": now - 3 * DAY}])

    def asked(at: datetime) -> Any:
        return recorder.run("check", "--json", "--warehouse", str(file), "--as-of", at.isoformat())

    future, before, late, early = (asked(now + age) for age in (DAY, -10 * DAY, -HOUR, -9 * DAY))
    assert [run.returncode for run in (future, before, late, early)] == [2, 2, 1, 0]
    assert "is in the future" in future.stderr
    assert f"the first listing was at {now - 9 * DAY:%Y-%m-%d %H:%M:%S} UTC" in before.stderr
    (finding,) = json.loads(late.stdout)["findings"]
    assert finding["kind"] == "coverage"
    assert "is 71 hours old" in finding["message"]


def test_a_file_with_its_own_moment_is_read_as_of_that(recorder: Recorder, tmp_path: Path) -> None:
    """Whatever this machine's clock says; its future begins there."""
    file = plant(tmp_path / "w.duckdb", listings=[{"started_at": NOW - 2 * DAY}])
    with duckdb.connect(file) as connection:
        write_moment(connection, NOW)
        write_moment(connection, NOW - DAY)
        assert read_moment(connection) == NOW - DAY
    with opened(file) as warehouse:
        assert warehouse.clock == NOW - DAY
        (finding,) = check(warehouse, Thresholds())
    assert "is 24 hours old" in finding.message
    run = recorder.run("check", "--warehouse", str(file), "--as-of", NOW.isoformat())
    assert (run.returncode, "is in the future: it is now 2026-11-15 06:00:00 UTC" in run.stderr) == (2, True)


@pytest.mark.slow
def test_the_demo_carries_its_moment_into_the_published_copy(recorder: Recorder, tmp_path: Path) -> None:
    """That of its last load; a load of a real org carries none."""
    recorder.load()
    assert recorder.run("demo", "--days", "1", "--home", str(tmp_path / "demo")).returncode == 0
    for file, moment in ((tmp_path / "demo" / "warehouse.duckdb", NOW), (recorder.warehouse, None)):
        with opened(file) as warehouse:
            assert read_moment(warehouse.connection) == moment
            assert (warehouse.clock == NOW) == (moment is not None)


@pytest.mark.slow
def test_a_demo_of_an_earlier_version_is_read_as_of_its_newest_listing(life) -> None:
    """Its file has no moment."""
    settings, said = life
    with opened(settings.warehouse) as warehouse:
        assert read_moment(warehouse.connection) is None
        assert warehouse.is_demo
        assert warehouse.clock == max(said)
    with opened_as_of(settings.warehouse, min(said).isoformat()) as then:
        assert then.is_demo
        assert then.clock == min(said)


def test_answers_as_of_an_earlier_time_write_nothing(tmp_path: Path) -> None:
    """Other readers can keep reading, and the file is unchanged."""
    file = plant(tmp_path / "w.duckdb", listings=[{"started_at": NOW - DAY}, {}])
    before = file.read_bytes()
    with opened_as_of(file, (NOW - DAY).isoformat()) as then, opened(file) as other:
        assert then.rows("select count(*) as n from listings") == [{"n": 1}]
        assert other.rows("select count(*) as n from listings") == [{"n": 2}]
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_of_another_version_is_named(tmp_path: Path) -> None:
    """78, as without a time."""
    file = plant(tmp_path / "w.duckdb")
    with duckdb.connect(file) as connection:
        connection.execute(f"drop view {DATASET}.jobs; alter table {DATASET}.job_details drop provisional")
    with (
        pytest.raises(ConfigError, match="does not have what this version reads"),
        opened_as_of(file, NOW.isoformat()),
    ):
        pass
