"""Jobs that both listings show, or one after the other, whatever their types: each stands in one table, and no state of
it is lost."""

from collections.abc import Callable

import pytest
from both_listings import BOTH, FORBIDDEN, HOUR, ID, INGEST, QUERY, places, record, show, states
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import TemporaryError
from pipelines.recording import load as run
from pipelines.recording.records import MAX_NEW_FIELDS


@pytest.fixture
def org():
    demo_org = DemoOrg(now=NOON, lists_loads=True)
    with serving(demo_org):
        yield demo_org


@pytest.fixture
def recorder(recorder_of: Callable[..., Recorder], org: DemoOrg, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = recorder_of(org)
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", BOTH)
    return made


TYPES = ("V2Query", "Classic", "V2Ingest", "V9", None)


@pytest.mark.parametrize("in_query", TYPES)
@pytest.mark.parametrize("in_ingest", TYPES)
def test_of_whatever_type_each_listing_says_that_it_is(
    recorder: Recorder, org: DemoOrg, in_query: str | None, in_ingest: str | None
) -> None:
    for state in ("InProgress", "InProgress", "JobComplete"):
        show(org, "query", record(ID, jobType=in_query, state=state))
        show(org, "ingest", record(ID, jobType=in_ingest, state=state))
        recorder.load()
        assert places(recorder).keys() == {ID}
        org.advance(HOUR)
    assert states(recorder, ID) == ["InProgress", "JobComplete"]
    assert recorder.rows("select state from query_jobs union all select state from ingest_jobs") == [("JobComplete",)]
    assert recorder.rows("select count(*) from unlisted_jobs") == [(0,)]


@pytest.mark.parametrize("then", ["V2Query", "Classic", "V2Ingest"])
@pytest.mark.parametrize("first", ["V2Query", "Classic", "V2Ingest"])
def test_a_job_that_changes_its_type(recorder: Recorder, org: DemoOrg, first: str, then: str) -> None:
    """From one load to the next, each listing showing what it documents to."""
    for job_type, state in ((first, "Open"), (then, "InProgress"), (then, "JobComplete")):
        show(org, "query", *([record(ID, jobType=job_type, state=state)] if job_type != "V2Ingest" else []))
        show(org, "ingest", *([record(ID, jobType=job_type, state=state)] if job_type != "V2Query" else []))
        recorder.load()
        assert places(recorder) == {ID: "ingest" if job_type == "V2Ingest" else "query"}
        org.advance(HOUR)
    assert states(recorder, ID) == ["Open", "InProgress", "JobComplete"]
    assert recorder.rows("select count(*) from jobs") == [(1,)]
    assert recorder.rows("select id from unlisted_jobs where listed_again_at is null") == []


def test_a_load_lives_on_if_its_listing_is_no_longer_recorded(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /jobs/query shows loads, too: its changes, and that it is gone."""
    job, idle = org.add_job(jobType="V2Ingest", state="Open"), org.add_job(jobType="V2Ingest")
    for feeds, state, feed in (
        (BOTH, "Open", "ingest"), (QUERY, "UploadComplete", "query"), (BOTH, "InProgress", "ingest"),
        (INGEST, "Failed", "ingest"), (QUERY, "JobComplete", "query"),
    ):  # fmt: skip
        monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", feeds)
        org.move_job(job, state)
        recorder.load()
        assert places(recorder) == {job: feed, idle: feed}
        assert recorder.load().jobs_changed == 0
        org.advance(HOUR)
    assert states(recorder, job) == ["Open", "UploadComplete", "InProgress", "Failed", "JobComplete"]
    assert states(recorder, idle) == ["InProgress"]
    assert recorder.rows(f"select observed_at from query_jobs where id = '{idle}'") == [(NOON,)]
    org.delete_job(job)
    recorder.load()
    assert recorder.rows("select id, feed from unlisted_jobs") == [(job, "query")]


def test_a_load_stands_in_one_place_after_a_kill(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the load and what brings the listings together; the next run repairs it."""
    show(org, "query", record(ID, jobType="V2Query"))
    show(org, "ingest", record(ID, jobType="V2Ingest"))
    with monkeypatch.context() as patch:
        patch.setattr(run, "join_feeds", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recorder.load()
    org.advance(HOUR)
    for feed in ("query", "ingest"):
        show(org, feed)
    recorder.load()
    assert places(recorder).keys() == {ID}


def test_a_load_stays_where_its_own_listing_shows_it_unchanged(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although a listing of queries that was kept, while nothing was known of the load, is brought in after it."""
    job = org.add_job(jobType="V2Ingest")
    with monkeypatch.context() as patch:
        patch.setattr(run, "publish", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recorder.load()
    org.advance(HOUR)
    org.fail_next(403, FORBIDDEN, path="/jobs/ingest$")
    with holding(recorder.primary_file, read_only=True), pytest.raises(TemporaryError):
        recorder.load()
    org.advance(HOUR)
    recorder.load()
    assert recorder.rows("select feed, count(*) from listings group by all order by all") == [
        ("ingest", 2),
        ("query", 3),
    ]
    assert places(recorder) == {job: "ingest"}


def test_undocumented_fields_of_each_listing(recorder: Recorder, org: DemoOrg) -> None:
    """Each has columns of its own, and its own limit on new ones."""
    many = {f"field{n}": n for n in range(MAX_NEW_FIELDS + 1)}
    show(org, "query", record("750A", jobType="V2Query", ofTomorrow="q"), record("750B", jobType="V2Ingest", extra=1))
    show(org, "ingest", record("750B", jobType="V2Ingest", ofTomorrow="i", **many), record("750C", jobType="V2Ingest"))
    assert recorder.load().jobs_changed == 4
    assert recorder.rows("select id, of_tomorrow from query_jobs") == [("750A", "q")]
    ((extra,),) = recorder.rows("select extra_fields from ingest_jobs where id = '750B'")
    assert '"ofTomorrow":"i"' in extra
    assert extra.count("field") == MAX_NEW_FIELDS + 1
    show(org, "ingest", record("750B", jobType="V2Ingest", ofTomorrow="i"))
    recorder.load()
    assert recorder.rows("select of_tomorrow from ingest_jobs where id = '750B'") == [("i",)]
    assert recorder.rows("select feed, new_columns from listings where new_columns is not null order by all") == [
        ("ingest", '{"of_tomorrow":"ofTomorrow"}'), ("query", '{"extra":"extra","of_tomorrow":"ofTomorrow"}'),
    ]  # fmt: skip


def test_records_without_a_key_in_either_listing(recorder: Recorder, org: DemoOrg) -> None:
    """What both show is one record; that a job exists is taken from the listing that showed it."""
    job = org.add_job(jobType="V2Ingest")
    recorder.load()
    org.advance(HOUR)
    show(org, "query", None, {"id": "750X"})
    show(org, "ingest", None, {"id": job, "jobType": "V2Ingest"}, {"id": "750Y", "jobType": "Classic"})
    assert " · 5 rejected · " in str(recorder.load())
    assert recorder.rows("select count(*) from rejected_records") == [(4,)]
    assert recorder.rows("select feed, rejected, jobs_listed from listings order by started_at desc, feed limit 2") == [
        ("ingest", 3, 3), ("query", 2, 2),
    ]  # fmt: skip
    assert recorder.rows("select count(*) from unlisted_jobs") == [(0,)]


def test_a_load_of_a_killed_run_that_neither_shows_any_more_is_gone_at_once(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kept listings had it in both tables, and both find it gone at the same second."""
    for feed in ("query", "ingest"):
        show(org, feed, record(ID, jobType="V2Ingest"))
    with monkeypatch.context() as patch:
        patch.setattr(run, "load_package", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recorder.load()
    org.advance(HOUR)
    other = record("750Dm0000000002MAA", jobType="V2Query")
    show(org, "query", other)
    show(org, "ingest", other)
    recorder.load()
    assert recorder.rows("select id, unlisted_at, listed_again_at from unlisted_jobs") == [(ID, NOON + HOUR, None)]


def test_an_absence_is_recorded_once_though_the_published_copy_lacked_it(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that is kept while the file is locked is compared with the published copy."""
    gone = org.add_job()
    org.add_job()
    recorder.load()
    org.delete_job(gone)
    org.advance(HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(run, "publish", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recorder.load()
    org.advance(HOUR)
    with holding(recorder.primary_file, read_only=True), pytest.raises(TemporaryError):
        recorder.load()
    org.advance(HOUR)
    recorder.load()
    assert recorder.rows("select id, last_listed_at, unlisted_at, listed_again_at from unlisted_jobs") == [
        (gone, NOON, NOON + HOUR, None)
    ]
