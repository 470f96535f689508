"""What only a job's own answer tells: asked for once, failures first, within the budget, and never at the listing's cost."""

from datetime import timedelta
from typing import Any

import pytest
from conftest import Recorder

from pipelines.demo_org.org import DemoOrg

PER_RUN = "QUERY_JOBS__DETAILS_PER_RUN"
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def details_are_on(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PER_RUN, "500")


def details(
    recorder: Recorder, columns: str = "outcome, number_records_processed, number_records_failed"
) -> dict[str, Any]:
    return {job: rest for job, *rest in recorder.rows(f"select id, {columns} from job_details")}


def asked(org: DemoOrg) -> list[str]:
    """The last part of the path of each request for a single job, REST and Classic alike."""
    return [
        request.path.rsplit("/", 1)[1]
        for request in org.requests
        if "/jobs/query/" in request.path or "/services/async/" in request.path
    ]


def test_a_finished_job_is_asked_for_once(org: DemoOrg, recorder: Recorder) -> None:
    """With everything that its answer tells; one that runs is not asked for until it has ended."""
    done = org.add_job(state="JobComplete", numberRecordsProcessed=28, totalProcessingTime=255, retries=1)
    runs = org.add_job(state="InProgress")
    for _ in range(2):
        recorder.load()
        org.advance(MINUTE)

    assert asked(org) == [done]
    columns = "number_records_processed, number_records_failed, total_processing_time, retries, is_pk_chunking_supported, state, provisional, attempts"
    assert details(recorder, columns) == {done: [28, None, 255, 1, True, "JobComplete", False, 1]}
    org.move_job(runs, "Failed", errorMessage="InvalidBatch : InvalidBatch : Field name not found : Email")
    recorder.load()

    assert asked(org) == [done, runs]
    assert details(recorder, "error_message")[runs] == ["InvalidBatch : InvalidBatch : Field name not found : Email"]
    assert recorder.rows("select details_asked, details_left from listings order by started_at") == [
        (1, 0),
        (None, None),
        (1, 0),
    ]


def test_a_classic_jobs_counts_come_from_the_classic_api(org: DemoOrg, recorder: Recorder) -> None:
    """As text or as numbers; "Closed" with every record failed is told by nothing else."""
    counts = {"numberBatchesTotal": 1, "numberBatchesCompleted": 1}
    lost = org.add_job(
        jobType="Classic",
        operation="insert",
        state="Closed",
        numberRecordsProcessed=251,
        numberRecordsFailed=251,
        **counts,
    )
    recorder.load()
    org.async_numbers = "number"
    fine = org.add_job(
        jobType="Classic", operation="insert", state="Closed", numberRecordsProcessed=9, numberRecordsFailed=0, **counts
    )
    recorder.load()

    assert details(recorder) == {lost: ["answered", 251, 251], fine: ["answered", 9, 0]}
    assert dict(recorder.rows("select id, outcome from jobs")) == {lost: "every record failed", fine: "done"}


def test_without_the_classic_api_record_failures_are_unknown_and_never_none(org: DemoOrg, recorder: Recorder) -> None:
    """The REST answer of a Classic job has times, but counts no records."""
    org.classic_api = False
    job = org.add_job(jobType="Classic", operation="insert", state="Closed", totalProcessingTime=70)
    recorder.load()

    columns = "outcome, number_records_failed, total_processing_time, provisional"
    assert details(recorder, columns) == {job: ["answered", None, 70, None]}
    assert "FeatureNotEnabled" in details(recorder, "error")[job][0]
    assert recorder.rows("select outcome, records_failed from jobs") == [("done: record failures unknown", None)]


def test_a_closed_job_is_asked_for_again_until_its_batches_are_done(org: DemoOrg, recorder: Recorder) -> None:
    """Each time it is twice as old; its listing record does not change meanwhile."""
    job = org.add_job(
        jobType="Classic", operation="insert", state="Closed", numberBatchesTotal=3, numberBatchesCompleted=1,
        numberRecordsProcessed=10_000, numberRecordsFailed=0,
    )  # fmt: skip
    org.advance(MINUTE)
    recorder.load()
    assert recorder.rows("select outcome from jobs") == [("unfinished",)]
    org.advance(MINUTE / 2)
    recorder.load()
    assert details(recorder, "provisional, attempts") == {job: [True, 1]}
    org.advance(MINUTE)
    org.edit_job(job, numberBatchesCompleted=3, numberRecordsProcessed=30_000, numberRecordsFailed=7)
    recorder.load()
    org.advance(timedelta(days=1))
    recorder.load()

    assert details(recorder, "number_records_failed, provisional, attempts") == {job: [7, False, 2]}
    assert recorder.rows("select outcome from jobs") == [("partly failed",)]


def test_a_job_that_is_closed_and_fails_later_is_asked_for_again(org: DemoOrg, recorder: Recorder) -> None:
    """The newer state's answer replaces the older one's."""
    job = org.add_job(
        jobType="Classic", operation="upsert", state="Closed", numberBatchesTotal=1, numberBatchesCompleted=1
    )
    recorder.load()
    org.advance(MINUTE)
    org.move_job(job, "Failed", errorMessage="TooManyLockFailure : too many")
    recorder.load()

    assert details(recorder, "state, error_message, attempts") == {job: ["Failed", "TooManyLockFailure : too many", 2]}


def test_failures_come_first_then_the_newest_and_the_rest_waits(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is worked off by later runs."""
    monkeypatch.setenv(PER_RUN, "3")
    jobs = [org.add_job(state="JobComplete", createdDate=org.now + n * MINUTE) for n in range(5)]
    failed = org.add_job(state="Failed", createdDate=org.now - MINUTE)
    recorder.load()

    assert set(asked(org)) == {failed, *jobs[3:]}
    assert recorder.rows("select details_asked, details_left from listings") == [(3, 3)]
    recorder.load()
    assert set(asked(org)) == {failed, *jobs}
    assert sorted(recorder.rows("select details_left from listings")) == [(0,), (3,)]


def test_none_means_none(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is there all the same."""
    monkeypatch.setenv(PER_RUN, "0")
    org.add_job(state="JobComplete")
    recorder.load()

    assert asked(org) == []
    assert recorder.rows("select count(*) from job_details") == [(0,)]


def test_at_most_half_of_what_the_budget_leaves_is_asked(recorder: Recorder, org: DemoOrg) -> None:
    """A Classic job costs two calls."""
    org.daily_api_requests = 100
    for _ in range(60):
        org.add_job(state="JobComplete")
    recorder.load()  # one call for the listing: 90 % of 100 leave 89

    assert len(asked(org)) == 44
    assert recorder.rows("select details_asked, details_left, calls, calls_after from listings") == [(44, 16, 1, 44)]


def test_a_job_that_went_between_listing_and_call_is_gone_and_that_is_normal(
    org: DemoOrg, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recorded as such, once."""
    job = org.add_job(state="JobComplete")
    org.fail_next(
        404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], path="/jobs/query/"
    )
    for _ in range(2):
        recorder.load()

    assert details(recorder, "outcome, attempts, error") == {
        job: ["gone", 1, "HTTP 404 NOT_FOUND: The requested resource does not exist"]
    }
    assert capsys.readouterr().err == ""
    assert recorder.rows("select outcome, details from jobs") == [("done", "gone")]


def test_what_an_answer_told_stays_when_the_job_is_gone_later(org: DemoOrg, recorder: Recorder) -> None:
    """A provisional count is better than none, and says that it is one."""
    job = org.add_job(
        jobType="Classic",
        operation="insert",
        state="Closed",
        numberBatchesTotal=2,
        numberBatchesCompleted=1,
        numberRecordsProcessed=5,
    )
    org.advance(MINUTE)
    recorder.load()
    org.advance(MINUTE)
    org.fail_next(404, [{"errorCode": "NOT_FOUND", "message": "gone"}], path="/jobs/query/")
    recorder.load()

    assert details(recorder, "outcome, number_records_processed, provisional") == {job: ["gone", 5, True]}


@pytest.mark.parametrize(("status", "code", "tries"), [(403, "INSUFFICIENT_ACCESS", 3), (400, "INVALIDJOB", 3)])
def test_a_refused_job_is_tried_three_times_and_keeps_nobody_else_waiting(
    org: DemoOrg, recorder: Recorder, status: int, code: str, tries: int
) -> None:
    """Its error is kept, with Salesforce's own code."""
    odd, fine = org.add_job(state="Failed"), org.add_job(state="JobComplete")
    org.fail_next(status, [{"errorCode": code, "message": "no"}], path=f"/jobs/query/{odd}", times=9)
    for _ in range(5):
        recorder.load()

    assert asked(org).count(odd) == tries
    assert details(recorder, "outcome, error") == {
        odd: ["refused", f"HTTP {status} {code}: no"],
        fine: ["answered", None],
    }
    assert recorder.rows(f"select outcome from jobs where id = '{odd}'") == [("failed",)]


def test_what_refuses_every_job_is_not_asked_a_hundred_times(
    org: DemoOrg, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on, says so, and notes it."""
    for _ in range(100):
        org.add_job(state="JobComplete")
    org.fail_next(403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}], path="/jobs/query/", times=1_000)
    run = recorder.load()

    assert run.listing.jobs_listed == 100
    assert 5 <= len(asked(org)) < 40
    ((notes, left),) = recorder.rows("select notes, details_left from listings")
    assert "job_details: 5 jobs in a row were refused" in notes
    assert "INSUFFICIENT_ACCESS" in notes
    assert left >= 60
    assert "not all of job_details" in caplog.text


@pytest.mark.parametrize(
    ("status", "code"), [(403, "REQUEST_LIMIT_EXCEEDED"), (503, "SERVER_UNAVAILABLE"), (401, "INVALID_SESSION_ID")]
)
def test_a_busy_org_ends_the_details_and_not_the_run(org: DemoOrg, recorder: Recorder, status: int, code: str) -> None:
    """What was answered before is kept; the rest is asked for by the next run."""
    for _ in range(20):
        org.add_job(state="JobComplete")
    org.fail_next(
        status,
        [{"errorCode": code, "message": "TotalRequests Limit exceeded."}],
        path="/jobs/query/",
        times=500,
        after=10,
    )
    recorder.load()

    assert len(recorder.states()) == 20
    ((notes, done, left),) = recorder.rows("select notes, details_asked, details_left from listings")
    assert code in notes
    assert 1 <= done <= 10
    assert done + left == 20
    org.faults.clear()
    recorder.load()
    assert recorder.rows("select count(*) from job_details where outcome = 'answered'") == [(20,)]


def test_several_calls_are_in_flight_on_one_pool_of_connections(org: DemoOrg, recorder: Recorder) -> None:
    """Forty answers of a quarter second each take far less than ten seconds."""
    import time

    for _ in range(40):
        org.add_job(state="JobComplete")
    org.stall_next(0.25, path="/jobs/query/", times=40)
    began = time.monotonic()
    recorder.load()

    assert time.monotonic() - began < 6
    assert recorder.rows("select count(*) from job_details") == [(40,)]


def test_a_session_that_ends_meanwhile_is_renewed_once(org: DemoOrg, recorder: Recorder) -> None:
    """Though eight calls notice it at the same time."""
    for _ in range(30):
        org.add_job(state="JobComplete")
    org.before_answer = lambda org, *_: org.expire_sessions()  # as the only page goes out
    recorder.load()

    assert recorder.rows("select count(*) from job_details where outcome = 'answered'") == [(30,)]
    assert sum("oauth2/token" in request.path for request in org.requests) == 2


def test_odd_answers_are_kept_beside(org: DemoOrg, recorder: Recorder) -> None:
    """Numbers that are none, new fields, an error that is no text: nothing is dropped, and nothing fails."""
    job = org.add_job(state="Failed")
    body = {
        "id": job, "state": "Failed", "numberRecordsProcessed": "many", "retries": 1e300, "errorMessage": ["a", 1],
        "isPkChunkingSupported": "yes", "newField": {"deep": [1]}, "totalProcessingTime": "77",
    }  # fmt: skip
    org.fail_next(200, body, path="/jobs/query/")
    recorder.load()

    columns = "number_records_processed, retries, total_processing_time, error_message, more_fields"
    assert details(recorder, columns) == {
        job: [
            None, None, 77, '["a",1]',
            '{"isPkChunkingSupported":"yes","newField":{"deep":[1]},"numberRecordsProcessed":"many","retries":1e+300}',
        ]
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"<html>maintenance</html>", [1, 2], None])
def test_an_answer_that_is_none_ends_the_details_and_not_the_run(org: DemoOrg, recorder: Recorder, body: Any) -> None:
    """With a note that names the call."""
    org.add_job(state="JobComplete")
    org.fail_next(200, body, path="/jobs/query/")
    recorder.load()

    assert len(recorder.states()) == 1
    assert recorder.rows("select details_asked, details_left, notes like '%jobs/query/750%' from listings") == [
        (0, 1, True)
    ]


def test_a_job_last_seen_finished_a_week_ago_is_asked_for_no_longer(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Switched on late, details are asked for what the org can still have."""
    monkeypatch.setenv(PER_RUN, "0")
    org.add_job(state="JobComplete")
    recorder.load()
    org.advance(timedelta(days=8))
    new = org.add_job(state="JobComplete")
    monkeypatch.setenv(PER_RUN, "500")
    recorder.load()

    assert asked(org) == [new]
