"""No job that a listing showed is lost, in whatever order, and first-observed times never move."""

import shutil
from datetime import timedelta
from pathlib import Path

import dlt
import pytest
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.warehouse.dlt_packages import packages_in

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def test_the_first_run_loads_every_job(org: DemoOrg, recorder: Recorder) -> None:
    """All pages are read and all fields arrive."""
    ids = {org.add_job(state="JobComplete") for _ in range(2_500)}
    run = recorder.load()

    assert {job_id for (job_id,) in recorder.rows("select id from query_jobs")} == ids
    assert (run.snapshot.shown.pages, run.snapshot.shown.jobs, run.snapshot.jobs_changed) == (3, 2_500, 2_500)
    one = min(ids)
    row = recorder.rows(f"select * exclude (observed_at, current_since, org_id) from query_jobs where id = '{one}'")[0]
    assert row == (
        one, "query", "Account", org.integration_user_id, NOON, NOON, "JobComplete", "Parallel", "CSV", 68.0,
        "V2Query", "LF", "COMMA", None, None, None,
    )  # fmt: skip


def test_a_quiet_run_loads_no_rows_and_changes_no_time(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """Reading the same listing again only adds the proof that it was read."""
    for _ in range(50):
        org.add_job(state="JobComplete")
    org.add_raw({"id": None, "operation": "query"})
    recorder.load()
    before = recorder.everything()
    org.advance(HOUR)
    loaded: set[str] = set()
    load = dlt.Pipeline.load

    def looked_at(pipeline: dlt.Pipeline) -> object:
        loaded.update(*packages_in(Path(pipeline.working_dir)).values())
        return load(pipeline)

    monkeypatch.setattr(dlt.Pipeline, "load", looked_at)
    run = recorder.load()
    after = recorder.everything()

    assert run.snapshot.jobs_changed == 0
    assert after["query_jobs"] == before["query_jobs"]
    assert after["query_job_states"] == before["query_job_states"]
    assert len(after["listings"]) == 2
    assert recorder.rows("select first_observed_at, last_observed_at from rejected_records") == [(NOON, NOON + HOUR)]
    assert loaded == {"listings", "rejected_records"}


def test_a_job_that_changes_after_its_page_was_read_is_picked_up_by_the_next_run(
    org: DemoOrg, recorder: Recorder
) -> None:
    """The high-water mark is the start of the listing, so whatever happens meanwhile belongs to the next one."""
    org.page_size = 10
    jobs = [org.add_job() for _ in range(40)]
    recorder.load()

    def finish(demo_org: DemoOrg, listing: str, page: int) -> None:
        demo_org.advance(SECOND)
        if page == 4:
            for job in jobs:
                if demo_org.job(job)["state"] == "InProgress":
                    demo_org.move_job(job, "JobComplete")

    org.before_answer = finish
    recorder.load()
    org.before_answer = None
    org.advance(HOUR)
    recorder.load()

    assert set(recorder.states().values()) == {"JobComplete"}
    assert all(recorder.history(job) == ["InProgress", "JobComplete"] for job in jobs)


@pytest.mark.slow
def test_two_changes_within_one_second_end_in_the_newest_state(org: DemoOrg, recorder: Recorder) -> None:
    """systemModstamp has a resolution of one second: two states can have the same one."""
    job = org.add_job(state="UploadComplete")
    recorder.load()
    org.move_job(job, "InProgress")
    recorder.load()
    org.move_job(job, "Failed")
    recorder.load()

    assert recorder.states() == {job: "Failed"}
    assert sorted(recorder.history(job)) == ["Failed", "InProgress", "UploadComplete"]


def test_a_stamp_older_than_those_already_seen_is_picked_up(org: DemoOrg, recorder: Recorder) -> None:
    """A transaction can commit late, with a stamp from when it began."""
    late, early = org.add_job(), org.add_job()
    org.advance(HOUR)
    org.move_job(early, "JobComplete")
    recorder.load()
    org.move_job(late, "JobComplete", stamp=org.now - timedelta(seconds=4))
    org.advance(HOUR)
    recorder.load()

    assert recorder.states() == {late: "JobComplete", early: "JobComplete"}


def test_a_state_that_changes_without_its_stamp_is_picked_up(org: DemoOrg, recorder: Recorder) -> None:
    """Observed in real orgs; and Closed is not final for a Classic job."""
    v2 = org.add_job()
    classic = org.add_job(jobType="Classic", operation="insert", state="Open")
    recorder.load()
    for hours, states in enumerate((("JobComplete", "Closed"), ("JobComplete", "Failed")), start=1):
        org.advance(hours * HOUR)
        org.move_job(v2, states[0], stamp=False)
        org.move_job(classic, states[1], stamp=False)
        run = recorder.load()

    assert recorder.states() == {v2: "JobComplete", classic: "Failed"}
    assert recorder.history(classic) == ["Open", "Closed", "Failed"]
    assert run.snapshot.jobs_changed_late == 1
    first, second, third = recorder.rows(f"select observed_at from query_job_states where id = '{classic}' order by 1")
    assert first < second < third


@pytest.mark.slow
def test_a_field_that_changes_without_state_or_stamp_is_picked_up(org: DemoOrg, recorder: Recorder) -> None:
    """The current row matches the org in every column; the history gets no new version."""
    job = org.add_job(state="JobComplete")
    recorder.load()
    org.advance(HOUR)
    org.edit_job(job, chunkSize=12)
    recorder.load()
    org.advance(HOUR)
    org.edit_job(job, concurrencyMode=...)
    recorder.load()

    assert recorder.rows("select chunk_size, concurrency_mode, observed_at from query_jobs") == [("12", None, NOON)]
    assert recorder.history(job) == ["JobComplete"]


@pytest.mark.slow
def test_a_state_that_comes_back_within_the_same_second_is_the_current_one(org: DemoOrg, recorder: Recorder) -> None:
    """A, B, and A again with the same stamp: the row shows A, with the time at which A was first observed."""
    job = org.add_job(state="InProgress")
    for state in ("UploadComplete", "InProgress"):
        recorder.load()
        org.advance(HOUR)
        org.move_job(job, state, stamp=False)
    recorder.load()

    assert recorder.rows("select state, observed_at from query_jobs") == [("InProgress", NOON)]
    assert recorder.rows("select count(*) from query_job_states") == [(2,)]


def test_a_job_listed_for_the_first_time_is_loaded_however_old_it_is(org: DemoOrg, recorder: Recorder) -> None:
    """A permission granted later reveals jobs whose stamps are far below the high-water mark."""
    org.sees_all = False
    mine = org.add_job(state="JobComplete")
    old = org.add_job(createdById=org.add_user("Other", "other@demo.example"), state="JobComplete")
    org.advance(timedelta(days=6))
    recorder.load()
    assert set(recorder.states()) == {mine}

    org.sees_all = True
    run = recorder.load()

    assert set(recorder.states()) == {mine, old}
    assert run.snapshot.jobs_changed_late == 1


def test_a_job_that_vanishes_stays_recorded(org: DemoOrg, recorder: Recorder) -> None:
    """Purged after seven days or deleted by its owner: its row is not touched."""
    purged, deleted = org.add_job(state="JobComplete"), org.add_job()
    recorder.load()
    org.delete_job(deleted)
    org.advance(timedelta(days=8))
    assert not org.jobs
    run = recorder.load()

    assert run.snapshot.shown.jobs == 0
    assert recorder.states() == {purged: "JobComplete", deleted: "InProgress"}


def test_an_org_without_jobs_still_produces_tables_views_and_a_listing(org: DemoOrg, recorder: Recorder) -> None:
    """An empty listing is a result, too."""
    recorder.load()

    assert recorder.rows("select count(*) from query_jobs") == [(0,)]
    assert recorder.rows("select count(*) from jobs_by_day") == [(0,)]
    assert recorder.rows("select pages, jobs_listed, rejected, filters from listings") == [(1, 0, 0, "{}")]


def test_a_run_that_fails_changes_nothing_and_the_next_catches_up(org: DemoOrg, recorder: Recorder) -> None:
    """An error on the last page leaves files, high-water mark and history unchanged."""
    org.page_size = 10
    job, *_ = [org.add_job() for _ in range(35)]
    recorder.load()
    before = recorder.everything()
    org.advance(HOUR)
    org.move_job(job, "JobComplete")
    org.fail_next(400, [{"errorCode": "API_ERROR", "message": "No."}], after=3, path="/jobs/query")

    assert recorder.run().returncode == 70
    assert recorder.everything() == before

    recorder.load()
    assert recorder.history(job) == ["InProgress", "JobComplete"]
    assert recorder.rows("select since from listings order by started_at")[-1][0] == NOON - timedelta(minutes=5)


@pytest.mark.slow
def test_each_filter_has_its_own_high_water_mark(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """Changing a filter starts a separate chain of listings, and loses nothing of the other one."""
    classic = org.add_job(jobType="Classic", state="Open")
    v2 = org.add_job()
    monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "V2Query")
    recorder.load()
    assert set(recorder.states()) == {v2}
    monkeypatch.delenv("SOURCES__SALESFORCE__JOB_TYPE")
    recorder.load()
    org.advance(HOUR)
    recorder.load()

    assert set(recorder.states()) == {v2, classic}
    assert recorder.rows("select filters, since from listings order by started_at, since nulls first, filters") == [
        ('{"jobType":"V2Query"}', None),
        ("{}", None),
        ("{}", NOON - timedelta(minutes=5)),
    ]


def test_losing_the_state_folder_loses_nothing(org: DemoOrg, recorder: Recorder) -> None:
    """State, schema and identity are restored from the primary database."""
    job = org.add_job()
    recorder.load()
    shutil.rmtree(recorder.state_folder)
    org.advance(HOUR)
    org.move_job(job, "JobComplete")
    recorder.load()

    assert recorder.history(job) == ["InProgress", "JobComplete"]
    assert recorder.rows("select since from listings order by started_at")[-1][0] == NOON - timedelta(minutes=5)


@pytest.mark.slow
def test_a_published_copy_restores_a_lost_primary_database(org: DemoOrg, recorder: Recorder) -> None:
    """With the state folder from before, which is newer than the back-up."""
    lost, kept = org.add_job(state="JobComplete"), org.add_job()
    recorder.load()
    backup = recorder.warehouse.read_bytes()
    org.advance(HOUR)
    later = org.add_job()
    recorder.load()
    org.delete_job(lost)
    recorder.primary_file.write_bytes(backup)
    recorder.warehouse.unlink()
    org.advance(HOUR)
    org.move_job(kept, "JobComplete")
    recorder.load()

    assert recorder.states() == {lost: "JobComplete", kept: "JobComplete", later: "InProgress"}
    assert recorder.history(kept) == ["InProgress", "JobComplete"]


def test_several_orgs_share_a_warehouse(org: DemoOrg, recorder: Recorder, recorder_of) -> None:
    """The org id is part of every key: the same job id in two orgs is two jobs, each with its own high-water mark."""
    job = org.add_job()
    recorder.load()
    with serving(sandbox := DemoOrg(now=NOON, seed=7)):
        recorder_of(sandbox)
        sandbox.add_job(id=job, state="Failed")
        recorder.load()
        recorder_of(org)
        org.advance(HOUR)
        run = recorder.load()

    assert run.snapshot.jobs_changed == 0
    assert sorted(recorder.rows("select org_id, id, state from query_jobs")) == sorted(
        [(org.org_id, job, "InProgress"), (sandbox.org_id, job, "Failed")]
    )
    assert recorder.rows("select org_id, since from listings order by started_at, since nulls first")[-1] == (
        org.org_id,
        NOON - timedelta(minutes=5),
    )
