"""Ids of 15 and 18 characters name the same org, user or job: they are always stored with 18."""

from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from planted import DAY, HOUR, plant, rows, spans_by_hand
from recorders import NOON, Recorder

from pipelines.answers.check import Thresholds, check
from pipelines.demo_org.ids import BASE62, eighteen
from pipelines.demo_org.org import DemoOrg
from pipelines.recording import org_join
from pipelines.salesforce.ids import full_id
from pipelines.salesforce.session import Session
from pipelines.tables import DATASET, TABLES

OF_ORG = [table.name for table in TABLES]


def test_the_suffix_is_salesforces() -> None:
    """As in Salesforce's documentation and recorded answers, and as in the demo org."""
    assert full_id("00D300000000001") == "00D300000000001EAA"
    assert full_id("750R0000000zhfd") == "750R0000000zhfdIAA"
    dice = Random(0)
    for _ in range(1_000):
        short = "".join(dice.choices(BASE62, k=15))
        assert full_id(short) == eighteen(short)
    for other in ("", "00D", "00D300000000001EAA", "00D30000000000é", None, 7):
        assert full_id(other) == other
    session = Session("https://x", "token", "00D300000000001", "005R0000000zhfd")
    assert (session.org_id, session.user_id) == ("00D300000000001EAA", "005R0000000zhfdIAA")


def token(org: DemoOrg, org_id: str) -> dict[str, Any]:
    identity = f"https://login.salesforce.com/id/{org_id}/{org.integration_user_id}"
    return {"access_token": org.access_token, "instance_url": org.instance_url, "id": identity}


@pytest.mark.slow
def test_a_short_id_is_the_same_org(org: DemoOrg, recorder: Recorder, give) -> None:
    """From the sign-in, from Organization, and from userinfo."""
    org.add_job()
    recorder.load()
    org.fail_next(200, token(org, org.org_id[:15]), path="/token")
    runs = [recorder.load()]
    give(instance_url=org.instance_url, access_token=org.access_token)
    org.fail_next(200, {"records": [{"Id": org.org_id[:15]}]}, path="/query$")
    runs.append(recorder.load())
    org.fail_next(403, [{"errorCode": "INVALID_TYPE", "message": "No."}], path="/query$")
    org.fail_next(200, {"organization_id": org.org_id[:15]}, path="/userinfo")
    runs.append(recorder.load())

    assert [run.snapshot.jobs_changed for run in runs] == [0, 0, 0]
    for table in ("query_jobs", "query_job_states", "listings"):
        assert recorder.rows(f"select distinct org_id from {table}") == [(org.org_id,)]


def test_a_listed_short_id_is_the_same_job_and_user(org: DemoOrg, recorder: Recorder) -> None:
    """They are parts of keys and of requests."""
    job = org.add_job()
    recorder.load()
    record = {**org.job(job), "id": job[:15], "createdById": org.integration_user_id[:15]}
    org.fail_next(200, {"done": True, "records": [record, {"id": job[:15]}]}, path="/jobs/query$")
    run = recorder.load()

    assert (run.snapshot.jobs_changed, run.snapshot.missing.jobs_unlisted) == (0, 0)
    assert recorder.rows("select id, created_by_id from query_jobs") == [(job, org.integration_user_id)]


@pytest.fixture
def both(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> tuple[Recorder, dict[str, str]]:
    """A recorder whose file contains one org under both of its ids: two listings under the short one, as an earlier
    version recorded them, and one under the other."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "10")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
    load = org.add_job(jobType="V2Ingest", state="JobComplete")
    org.fail_records(load, [("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access:--", {"Name": "Anna"})])
    jobs = {name: org.add_job(state=state) for name, state in
            (("stays", "InProgress"), ("moves", "InProgress"), ("goes", "JobComplete"), ("went", "JobComplete"))}  # fmt: skip
    org.add_raw({"id": None})
    recorder.load()
    org.advance(HOUR)
    org.delete_job(jobs["went"])
    recorder.load()
    with duckdb.connect(recorder.primary_file) as file:
        for table in OF_ORG:
            file.execute(f"create table kept_{table} as from {DATASET}.{table}; delete from {DATASET}.{table}")
    recorder.warehouse.unlink()
    org.advance(HOUR)
    org.delete_job(jobs["goes"])
    org.move_job(jobs["moves"], "JobComplete")
    recorder.load()
    with duckdb.connect(recorder.primary_file) as file:
        for table in OF_ORG:
            file.execute(f"update kept_{table} set org_id = left(org_id, 15)")
            file.execute(f"insert into {DATASET}.{table} by name from kept_{table}; drop table kept_{table}")
    return recorder, jobs


@pytest.mark.slow
def test_a_file_with_both_is_joined_once(org: DemoOrg, both: tuple[Recorder, dict[str, str]]) -> None:
    """There are no duplicates, first sightings are kept, and the published copy follows."""
    recorder, jobs = both
    org.advance(HOUR)
    run = recorder.load()

    assert run.snapshot.jobs_changed == 0
    for table in TABLES:
        assert recorder.rows(f"select distinct org_id from {table.name}") in ([(org.org_id,)], []), table.name
        key = ", ".join(table.key)
        assert recorder.rows(f"select {key} from {table.name} group by {key} having count(*) > 1") == [], table.name
    for feed in ("query", "ingest"):
        assert recorder.rows(f"select started_at from listings where feed = '{feed}' order by 1") == [
            (NOON + n * HOUR,) for n in range(4)
        ]
    assert recorder.rows("select observed_at from ingest_jobs") == [(NOON,)]
    assert recorder.rows("select records from record_errors") == [(1,)]
    assert recorder.states() == dict.fromkeys(jobs.values(), "JobComplete") | {jobs["stays"]: "InProgress"}
    assert recorder.rows(f"select observed_at from query_jobs where id = '{jobs['stays']}'") == [(NOON,)]
    assert recorder.history(jobs["moves"]) == ["InProgress", "JobComplete"]
    away = "select id, last_listed_at, unlisted_at from unlisted_jobs order by unlisted_at"
    assert recorder.rows(away) == [(jobs["went"], NOON, NOON + HOUR), (jobs["goes"], NOON + HOUR, NOON + 2 * HOUR)]
    assert recorder.rows("select first_observed_at, last_observed_at from rejected_records") == [
        (NOON, NOON + 3 * HOUR)
    ]
    assert sorted(recorder.rows("select * from state_spans where feed = 'query'"), key=str) == spans_by_hand(
        recorder.rows("select * from query_job_states")
    )
    assert recorder.rows("select listings from coverage") == [(4,), (4,)]
    before = recorder.everything()
    org.advance(HOUR)
    recorder.load()
    after = recorder.everything()
    assert {name: rows for name, rows in after.items() if rows != before[name]}.keys() <= {
        "listings",
        "rejected_records",
    }


def absences(*found: tuple[str, int, int, int | None]) -> list[dict[str, Any]]:
    """Rows of unlisted_jobs: org, and last listed, unlisted and listed again in hours."""
    names = ("last_listed_at", "unlisted_at", "listed_again_at")
    return [
        {"org_id": org_id}
        | {name: None if at is None else NOON + at * HOUR for name, at in zip(names, hours, strict=True)}
        for org_id, *hours in found
    ]


ABSENCES = {  # under the short id and under the full one -> of the one org
    "found by both, at its own time": ([(0, 2, None)], [(1, 3, None)], [(1, 2, None)]),
    "found by both, and seen again by one": ([(0, 2, None)], [(1, 3, 5)], [(1, 2, 5)]),
    "back under the other form": ([(0, 2, None)], [(4, 6, None)], [(0, 2, 4), (4, 6, None)]),
    "back twice": ([(0, 1, 4), (5, 8, None)], [(2, 3, None), (6, 7, 9)], [(0, 1, 2), (2, 3, 5), (6, 7, 9)]),
    "of one form alone": ([(0, 1, 2), (3, 4, None)], [], [(0, 1, 2), (3, 4, None)]),
    "at the same time": ([(0, 2, None)], [(1, 2, 3)], [(1, 2, 3)]),
}


@pytest.mark.parametrize("case", ABSENCES)
def test_absences_recorded_under_both_ids_are_joined(tmp_path: Path, case: str) -> None:
    """A job is absent once at a time, and was back when a listing under the other form showed it."""
    full = "00D300000000001EAA"
    of_short, of_full, wanted = ABSENCES[case]
    job = {"id": "750R0000000zhfdIAA", "created_date": NOON, "observed_at": NOON}
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[job | {"org_id": org_id} for org_id in (full, full[:15])],
        unlisted_jobs=[
            row | {"id": job["id"]}
            for row in absences(*((full[:15], *row) for row in of_short), *((full, *row) for row in of_full))
        ],
        listings=[{"org_id": org_id, "started_at": NOON} for org_id in (full, full[:15])],
    )
    with duckdb.connect(file) as connection:
        org_join.join_orgs(connection)

    found = "select org_id, last_listed_at, unlisted_at, listed_again_at from unlisted_jobs order by unlisted_at"
    assert rows(file, found) == [tuple(row.values()) for row in absences(*((full, *row) for row in wanted))]


def test_a_job_back_under_one_id_and_gone_before_the_other_is_noticed(tmp_path: Path) -> None:
    """Its first absence had ended."""
    full = "00D300000000001EAA"
    job = {"id": "750R0000000zhfdIAA", "org_id": full[:15], "created_date": NOON, "observed_at": NOON}
    (away,) = absences((full[:15], 0, 1, 2))
    listings = [{"org_id": full[:15], "started_at": NOON + n * HOUR} for n in range(4)]
    listings.append({"org_id": full, "started_at": NOON + 5 * HOUR})
    file = plant(tmp_path / "w.duckdb", query_jobs=[job], unlisted_jobs=[away | {"id": job["id"]}], listings=listings)
    with duckdb.connect(file) as connection:
        org_join.join_orgs(connection)

    found = "select org_id, last_listed_at, unlisted_at, listed_again_at from unlisted_jobs order by unlisted_at"
    assert rows(file, found) == [tuple(row.values()) for row in absences((full, 0, 1, 2), (full, 3, 5, None))]


@pytest.mark.slow
def test_a_join_that_is_interrupted_changes_nothing(
    org: DemoOrg, both: tuple[Recorder, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next load does all of it."""
    recorder, _ = both
    counts = " union all ".join(f"select '{table}', org_id, count(*) from {table} group by all" for table in OF_ORG)
    before = sorted(recorder.rows(counts, recorder.primary_file))
    with monkeypatch.context() as broken:
        broken.setattr(org_join, "FIRST_OBSERVED", "select * from there_is_no_such_table")
        with pytest.raises(Exception, match="there_is_no_such_table"):
            recorder.load()
    assert sorted(recorder.rows(counts, recorder.primary_file)) == before
    assert len(before) > len(OF_ORG)

    recorder.load()
    assert recorder.rows("select distinct org_id from listings") == [(org.org_id,)]


@pytest.mark.slow
def test_a_finding_muted_under_the_short_id_stays_muted(org: DemoOrg, recorder: Recorder) -> None:
    """Its key contains the org id."""
    recorder.load()
    (found,) = check(recorder.warehouse, Thresholds(), NOON + 2 * DAY)
    muted = found.key.replace(org.org_id, org.org_id[:15])

    assert check(recorder.warehouse, Thresholds(muted_findings=[muted]), NOON + 2 * DAY) == []
