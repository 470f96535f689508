"""Both listings in one run: what each records, what one does without the other, and where a job stands."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import AccessDenied, RecorderError, TemporaryError

HOUR = timedelta(hours=1)
FORBIDDEN = [{"errorCode": "API_DISABLED_FOR_ORG", "message": "not enabled"}]


@pytest.fixture
def recorder(recorder_of: Callable[..., Recorder], org: DemoOrg, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = recorder_of(org)
    monkeypatch.delenv("SOURCES__SALESFORCE__FEEDS")  # both, as by default
    return made


def listings(recorder: Recorder) -> list[tuple[str, int, int, int | None]]:
    return recorder.rows(
        "select feed, jobs_listed, jobs_changed, jobs_unlisted from listings order by started_at, feed desc"
    )


def test_each_job_is_recorded_once(recorder: Recorder, org: DemoOrg) -> None:
    """The ingest listing has Classic jobs, too: they count as listed there, and are left to the query listing."""
    query, classic = org.add_job(), org.add_job(jobType="Classic", operation="insert")
    load, big = org.add_job(jobType="V2Ingest"), org.add_job(jobType="BigObjectIngest", object="Reading__b")
    odd = org.add_job(jobType="V2Ingest")
    org.edit_job(odd, jobType="V3Ingest")
    run = recorder.load()
    assert {job for (job,) in recorder.rows("select id from query_jobs")} == {query, classic}
    assert {job for (job,) in recorder.rows("select id from ingest_jobs")} == {load, big, odd}
    assert listings(recorder) == [("query", 2, 2, None), ("ingest", 4, 3, None)]
    assert str(run).startswith("2 pages · 5 jobs · 5 changed · ")
    org.advance(HOUR)
    recorder.load()
    assert listings(recorder)[2:] == [("query", 2, 0, 0), ("ingest", 4, 0, 0)]


def test_loads_have_states_and_spans(recorder: Recorder, org: DemoOrg) -> None:
    job = org.add_job(jobType="V2Ingest", state="Open", contentUrl="services/data/v68.0/jobs/ingest/1/batches")
    recorder.load()
    assert recorder.rows("select content_url from ingest_jobs") == [("services/data/v68.0/jobs/ingest/1/batches",)]
    org.advance(HOUR)
    org.edit_job(job, contentUrl=...)
    org.move_job(job, "JobComplete")
    recorder.load()
    assert recorder.rows("select state, content_url from ingest_jobs") == [("JobComplete", None)]
    assert recorder.rows("select state from ingest_job_states order by observed_at") == [("Open",), ("JobComplete",)]
    assert recorder.rows("select state, seconds, feed from state_spans order by nth") == [
        ("Open", 3_600, "ingest"), ("JobComplete", None, "ingest"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "named", "recorded"),
    [("/jobs/ingest$", "/jobs/ingest", "query"), ("/jobs/query$", "/jobs/query", "ingest")],
)
def test_a_listing_that_fails_costs_nothing_of_the_other(
    recorder: Recorder, org: DemoOrg, path: str, named: str, recorded: str
) -> None:
    """The other one is recorded and published, and the run ends with the failure's code. No job is taken for deleted."""
    jobs = [org.add_job(), org.add_job(jobType="V2Ingest")]
    recorder.load()
    org.advance(HOUR)
    later = [org.add_job(), org.add_job(jobType="V2Ingest")]
    org.fail_next(403, FORBIDDEN, path=path)
    run = recorder.load()
    assert isinstance(run.failure, AccessDenied)
    assert f"{named} could not be listed" in run.failure.message
    assert "API_DISABLED_FOR_ORG" in run.failure.message
    assert f'feeds = ["{recorded}"]' in run.failure.remedy
    assert run.notes[0].startswith(f"{named}: ")
    assert [feed for feed, *_ in listings(recorder)][2:] == [recorded]
    found = {job for (job,) in recorder.rows(f"select id from {recorded}_jobs")}
    assert found == {jobs[recorded == "ingest"], later[recorded == "ingest"]}
    assert recorder.rows("select * from unlisted_jobs") == []
    assert recorder.load().failure is None
    assert recorder.rows("select count(*) from unlisted_jobs where listed_again_at is null") == [(0,)]
    assert recorder.rows("select (select count(*) from query_jobs), (select count(*) from ingest_jobs)") == [(2, 2)]


def test_the_exit_code_is_that_of_the_failure(recorder: Recorder, org: DemoOrg) -> None:
    org.add_job()
    org.fail_next(403, FORBIDDEN, path="/jobs/ingest$")
    ended = recorder.run()
    assert (ended.returncode, ended.stdout[:7]) == (AccessDenied.exit_code, "1 page ")
    assert "/jobs/query is recorded, but /jobs/ingest could not be listed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert recorder.rows("select count(*) from query_jobs") == [(1,)]


def test_nothing_is_recorded_if_both_fail(recorder: Recorder, org: DemoOrg) -> None:
    org.add_job()
    org.add_job(jobType="V2Ingest")
    recorder.load()
    org.advance(HOUR)
    org.fail_next(500, times=20)
    failure = recorder.failure()
    assert isinstance(failure, TemporaryError)
    assert "could not be listed" not in failure.message


def test_a_listing_that_breaks_off_leaves_no_row(recorder: Recorder, org: DemoOrg) -> None:
    """Neither jobs nor states: only a complete listing says when they were observed."""
    org.page_size = 10
    for _ in range(25):
        org.add_job(jobType="V2Ingest")
    org.add_job()
    org.fail_next(500, after=2, times=9, path="/jobs/ingest$")
    assert recorder.load().failure
    assert recorder.rows("select (select count(*) from ingest_jobs), (select count(*) from ingest_job_states)") == [
        (0, 0)
    ]
    recorder.load()
    assert recorder.rows("select count(*) from ingest_jobs") == [(25,)]


def test_a_load_that_is_gone_is_missed_by_its_own_listing(recorder: Recorder, org: DemoOrg) -> None:
    kept, deleted = org.add_job(jobType="V2Ingest"), org.add_job(jobType="V2Ingest")
    recorder.load()
    org.advance(HOUR)
    org.delete_job(deleted)
    recorder.load()
    assert recorder.rows("select feed, id from unlisted_jobs") == [("ingest", deleted)]
    assert listings(recorder)[2:] == [("query", 0, 0, 0), ("ingest", 1, 0, 1)]
    assert kept in org.ingest_jobs


def test_no_filter_is_sent_to_the_other_listing(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "V2Query")
    org.add_job(jobType="V2Ingest")
    recorder.load()
    asked = {request.path.split("/")[-1]: request.query for request in org.requests if "/jobs/" in request.path}
    assert asked == {"query": {"jobType": "V2Query"}, "ingest": {}}
    assert recorder.rows("select feed, filters from listings order by feed") == [
        ("ingest", "{}"), ("query", '{"jobType":"V2Query"}'),
    ]  # fmt: skip


class TestLoadsInTheQueryListing:
    """Whether /jobs/query shows V2 loads is not settled publicly: either way, a load stands in one place."""

    @pytest.fixture
    def org(self):
        demo_org = DemoOrg(now=NOON, lists_loads=True)
        with serving(demo_org):
            yield demo_org

    def test_they_belong_to_the_ingest_listing(self, recorder: Recorder, org: DemoOrg) -> None:
        job = org.add_job(jobType="V2Ingest")
        recorder.load()
        assert recorder.rows("select id from query_jobs") == []
        assert recorder.rows("select id from query_job_states") == []
        org.advance(HOUR)
        org.move_job(job, "JobComplete")
        recorder.load()
        assert recorder.rows("select state from ingest_jobs") == [("JobComplete",)]
        assert recorder.rows("select id from query_jobs") == []
        assert listings(recorder)[2:] == [("query", 1, 0, 0), ("ingest", 1, 1, 0)]

    def test_they_stay_if_no_other_listing_has_them(self, recorder: Recorder, org: DemoOrg) -> None:
        job = org.add_job(jobType="V2Ingest")
        org.fail_next(403, FORBIDDEN, path="/jobs/ingest$")
        recorder.load()
        assert recorder.rows("select id from query_jobs") == [(job,)]

    def test_what_was_recorded_of_them_moves_along(self, recorder: Recorder, org: DemoOrg) -> None:
        """As after an upgrade: the states observed before stay the first ones."""
        job, gone = org.add_job(jobType="V2Ingest"), org.add_job(jobType="V2Ingest")
        still = org.add_job(jobType="V2Ingest", state="JobComplete")
        query = org.add_job()
        for _ in range(2):
            org.fail_next(403, FORBIDDEN, path="/jobs/ingest$")
            recorder.load()
            org.advance(HOUR)
            if gone in org.ingest_jobs:
                org.delete_job(gone)
        org.move_job(job, "JobComplete")
        recorder.load()
        assert recorder.rows("select id from query_jobs order by id") == sorted([(gone,), (query,)])
        assert recorder.rows("select id, observed_at from ingest_jobs order by id") == [
            (job, NOON + 2 * HOUR), (still, NOON),
        ]  # fmt: skip
        assert recorder.rows("select id, state, observed_at from ingest_job_states order by all") == [
            (job, "InProgress", NOON), (job, "JobComplete", NOON + 2 * HOUR), (still, "JobComplete", NOON),
        ]  # fmt: skip
        assert recorder.rows("select id, feed, state from state_spans order by id, nth") == [
            (job, "ingest", "InProgress"), (job, "ingest", "JobComplete"), (gone, "query", "InProgress"),
            (still, "ingest", "JobComplete"), (query, "query", "InProgress"),
        ]  # fmt: skip
        assert recorder.rows("select id, feed from unlisted_jobs") == [(gone, "query")]


def test_only_loads(recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then Classic jobs are recorded as the ingest listing shows them; with both feeds, they move back and forth, and
    lose no state."""
    job = org.add_job(jobType="Classic")
    for feeds, state, table in (
        ('["ingest"]', "Open", "ingest"),
        ('["query", "ingest"]', "Closed", "query"),
        ('["ingest"]', "Failed", "ingest"),
        ('["ingest", "query"]', "Aborted", "query"),
    ):
        monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", feeds)
        org.move_job(job, state)
        recorder.load()
        other = "query" if table == "ingest" else "ingest"
        assert recorder.rows(f"select state from {table}_jobs") == [(state,)]
        assert recorder.rows(f"select id from {other}_jobs union all select id from {other}_job_states") == []
        org.advance(HOUR)
    assert [state for (state,) in recorder.rows("select state from query_job_states order by observed_at")] == [
        "Open", "Closed", "Failed", "Aborted",
    ]  # fmt: skip
    assert recorder.rows("select count(*) from unlisted_jobs") == [(0,)]


@pytest.mark.parametrize("feeds", ['["query", "exports"]', "[]", '["Query"]', "query"])
def test_other_words_are_refused(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, feeds: str) -> None:
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", feeds)
    ended = recorder.run()
    assert ended.returncode == 78
    assert "`sources.salesforce.feeds` (variable SOURCES__SALESFORCE__FEEDS) is" in ended.stderr


def test_only_details_tell_some_columns(recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are filled in, also once a listing without them has shown the job changed, and make no job look changed."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "100")
    job = org.add_job(jobType="V2Ingest", operation="upsert", state="JobComplete")
    org.edit_job(job, numberRecordsProcessed=7, numberRecordsFailed=2)
    org.details[job]["externalIdFieldName"] = "Key__c"
    recorder.load()
    filled = [("Key__c",)]
    assert recorder.rows("select external_id_field_name from ingest_jobs") == filled
    assert recorder.details()[job] == ["answered", 7, 2]
    assert [r.path for r in org.requests if job in r.path] == [f"/services/data/v68.0/jobs/ingest/{job}"]
    assert recorder.load().jobs_changed == 0
    org.advance(HOUR)
    org.edit_job(job, systemModstamp=org.now)
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "0")
    assert recorder.load().jobs_changed == 1
    assert recorder.rows("select external_id_field_name from ingest_jobs") == filled


def test_both_are_kept_while_the_file_is_locked(recorder: Recorder, org: DemoOrg) -> None:
    org.add_job()
    org.add_job(jobType="V2Ingest")
    recorder.load()
    org.advance(HOUR)
    org.add_job(jobType="V2Ingest")
    with holding(recorder.primary_file), pytest.raises(RecorderError, match="The listing of 3 jobs is kept"):
        recorder.load()
    org.advance(HOUR)
    recorder.load()
    assert recorder.rows("select feed, count(*) from listings group by all order by all") == [
        ("ingest", 3),
        ("query", 3),
    ]
    assert recorder.rows("select count(*) from ingest_jobs") == [(2,)]


def test_a_reduced_view_of_one_listing(recorder: Recorder, org: DemoOrg) -> None:
    """It proves nothing of its own jobs, and the other one stays whole."""
    queries = [org.add_job() for _ in range(30)]
    loads = [org.add_job(jobType="V2Ingest", createdById=f"005{n:015}") for n in range(30)]
    recorder.load()
    org.advance(HOUR)
    records = org.records_of("ingest", loads[:2])
    org.fail_next(200, {"done": True, "records": records, "nextRecordsUrl": None}, path="/jobs/ingest$")
    org.delete_job(queries[0])
    recorder.load()
    assert recorder.rows("select feed, jobs_lost, reduced_since is not null from listings order by started_at desc, feed limit 2") == [
        ("ingest", 28, True), ("query", 1, False),
    ]  # fmt: skip
    assert recorder.rows("select feed, hidden, count(*) from unlisted_jobs group by all order by all") == [
        ("ingest", True, 28), ("query", False, 1),
    ]  # fmt: skip
