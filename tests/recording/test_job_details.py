"""The details of a job: fetched once, stored completely, and never claiming more than the answer said."""

from datetime import timedelta

import pytest
from demo_org_client import detail_calls
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.recording.feeds import QUERY
from pipelines.recording.job_answer import _provisional, _with_counts

MINUTE = timedelta(minutes=1)
LOST = {"numberRecordsProcessed": 10, "numberRecordsFailed": 10, "numberBatchesTotal": 1, "numberBatchesCompleted": 1}


@pytest.fixture(autouse=True)
def details_are_on(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")


def test_details_of_a_finished_job_are_fetched_once(org: DemoOrg, recorder: Recorder) -> None:
    """With everything in its answer; a running job is not requested until it has ended."""
    done = org.add_job(state="JobComplete", numberRecordsProcessed=28, totalProcessingTime=255, retries=1)
    runs = org.add_job(state="InProgress")
    for _ in range(2):
        recorder.load()
        org.advance(MINUTE)

    assert detail_calls(org) == [done]
    columns = "number_records_processed, number_records_failed, total_processing_time, retries, is_pk_chunking_supported, state, provisional, attempts"
    assert recorder.details(columns) == {done: [28, None, 255, 1, True, "JobComplete", False, 1]}
    org.move_job(runs, "Failed", errorMessage="InvalidBatch : InvalidBatch : Field name not found : Email")
    recorder.load()

    assert detail_calls(org) == [done, runs]
    assert recorder.details("error_message")[runs] == ["InvalidBatch : InvalidBatch : Field name not found : Email"]
    assert recorder.rows("select details_asked, details_left from listings order by started_at") == [
        (1, 0),
        (None, None),
        (1, 0),
    ]


def test_the_counts_of_a_classic_job_come_from_the_classic_api(org: DemoOrg, recorder: Recorder) -> None:
    """As text or as numbers; only they reveal a "Closed" job of which every record failed."""
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

    assert recorder.details() == {lost: ["answered", 251, 251], fine: ["answered", 9, 0]}
    assert dict(recorder.rows("select id, outcome from jobs")) == {lost: "every record failed", fine: "done"}


def test_without_the_classic_api_record_failures_are_unknown_and_never_0(org: DemoOrg, recorder: Recorder) -> None:
    """The REST answer of a Classic job has times, but no counts of records."""
    org.classic_api = False
    job = org.add_job(jobType="Classic", operation="insert", state="Closed", totalProcessingTime=70)
    recorder.load()

    columns = "outcome, number_records_failed, total_processing_time, provisional"
    assert recorder.details(columns) == {job: ["answered", None, 70, None]}
    assert "FeatureNotEnabled" in recorder.details("error")[job][0]
    assert recorder.rows("select outcome, records_failed from jobs") == [("done: record failures unknown", None)]


@pytest.mark.slow
def test_refused_counts_are_requested_three_times(org: DemoOrg, recorder: Recorder) -> None:
    """A refusal may be temporary; if it is not, there are no further calls."""
    job = org.add_job(jobType="Classic", operation="insert", state="Closed", **LOST)
    org.fail_next(403, [{"errorCode": "FeatureNotEnabled", "message": "not now"}], path="/services/async/", times=2)
    for failed in (None, None, 10, 10):
        recorder.load()
        assert recorder.details("number_records_failed") == {job: [failed]}
    assert recorder.rows("select outcome from jobs") == [("every record failed",)]

    other = org.add_job(jobType="Classic", operation="insert", state="Closed", **LOST)
    org.fail_next(403, [{"errorCode": "FeatureNotEnabled", "message": "never"}], path="/services/async/", times=9)
    for attempts in (1, 2, 3, 3):
        recorder.load()
        assert recorder.details("attempts")[other] == [attempts]


def test_an_answer_with_missing_values_erases_nothing() -> None:
    """A null where the Classic API counts, or no state: neither was ever observed."""
    expected = _with_counts(QUERY, {"id": "1", "numberRecordsFailed": None}, {"numberRecordsFailed": "5"})
    batches = {"number_batches_total": 10, "number_batches_completed": 1, "number_batches_failed": 0}

    assert expected["numberRecordsFailed"] == "5"
    assert _provisional({"job_type": "Classic", "listed_state": "Closed"}, {"state": None} | batches)


@pytest.mark.slow
def test_a_closed_job_is_requested_again_until_its_batches_are_done(org: DemoOrg, recorder: Recorder) -> None:
    """Each time its answer has become twice as old; its listing record does not change meanwhile."""
    job = org.add_job(
        jobType="Classic", operation="insert", state="Closed", numberBatchesTotal=3, numberBatchesCompleted=1,
        numberBatchesQueued=2, numberRecordsProcessed=10_000, numberRecordsFailed=0,
    )  # fmt: skip
    org.advance(MINUTE)
    recorder.load()
    assert recorder.rows("select outcome from jobs") == [("unfinished",)]
    org.advance(MINUTE / 2)
    recorder.load()
    assert recorder.details("provisional, attempts") == {job: [True, 1]}
    org.advance(MINUTE)
    org.edit_job(
        job, numberBatchesCompleted=3, numberBatchesQueued=0, numberRecordsProcessed=30_000, numberRecordsFailed=7
    )
    recorder.load()
    org.advance(timedelta(days=1))
    recorder.load()

    assert recorder.details("number_records_failed, provisional, attempts") == {job: [7, False, 2]}
    assert recorder.rows("select outcome from jobs") == [("partly failed",)]


@pytest.mark.slow
def test_a_closed_job_that_fails_later_is_requested_again(org: DemoOrg, recorder: Recorder) -> None:
    """The answer for the newer state replaces the older one."""
    job = org.add_job(
        jobType="Classic", operation="upsert", state="Closed", numberBatchesTotal=1, numberBatchesCompleted=1
    )
    recorder.load()
    org.advance(MINUTE)
    org.move_job(job, "Failed", errorMessage="TooManyLockFailure : too many")
    recorder.load()

    assert recorder.details("state, error_message, attempts") == {job: ["Failed", "TooManyLockFailure : too many", 2]}


def test_a_job_deleted_between_listing_and_call_is_normal(
    org: DemoOrg, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """It is recorded as gone, without a warning; the next listing does not show it, and it is not requested again."""
    job = org.add_job(state="JobComplete")
    org.fail_next(
        404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], path="/jobs/query/"
    )
    recorder.load()
    org.delete_job(job)
    org.advance(MINUTE)
    recorder.load()

    assert recorder.details("outcome, attempts, error") == {
        job: ["refused", 1, "HTTP 404 NOT_FOUND: The requested resource does not exist"]
    }
    assert caplog.text == ""
    assert recorder.rows("select details from jobs") == [("refused",)]


@pytest.mark.slow
def test_a_job_that_a_filter_hides_may_be_gone(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its own answer tells; after that it is no longer requested."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "0")
    job = org.add_job(state="JobComplete")
    recorder.load()
    org.delete_job(job)
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "5")
    monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "V2Query")
    for _ in range(2):
        org.advance(MINUTE)
        recorder.load()

    assert recorder.details("outcome, attempts") == {job: ["gone", 1]}


@pytest.mark.slow
def test_an_answer_is_kept_when_the_job_is_gone_later(org: DemoOrg, recorder: Recorder) -> None:
    """A provisional count is better than none, and is marked as provisional."""
    job = org.add_job(
        jobType="Classic",
        operation="insert",
        state="Closed",
        numberBatchesTotal=2,
        numberBatchesCompleted=1,
        numberBatchesInProgress=1,
        numberRecordsProcessed=5,
    )
    org.advance(MINUTE)
    recorder.load()
    org.advance(MINUTE)
    org.fail_next(404, [{"errorCode": "NOT_FOUND", "message": "gone"}], path="/jobs/query/")
    recorder.load()

    columns = "outcome, number_records_processed, provisional, error"
    assert recorder.details(columns) == {job: ["answered", 5, True, "HTTP 404 NOT_FOUND: gone"]}


def test_odd_answers_are_kept_in_extra_fields(org: DemoOrg, recorder: Recorder) -> None:
    """Invalid numbers, new fields, an error that is not text: nothing is dropped, and nothing fails."""
    job = org.add_job(state="Failed")
    body = {
        "id": job, "state": "Failed", "numberRecordsProcessed": "many", "retries": 1e300, "errorMessage": ["a", 1],
        "isPkChunkingSupported": "yes", "newField": {"deep": [1]}, "totalProcessingTime": "77",
    }  # fmt: skip
    org.fail_next(200, body, path="/jobs/query/")
    recorder.load()

    columns = "number_records_processed, retries, total_processing_time, error_message, extra_fields"
    assert recorder.details(columns) == {
        job: [
            None, None, 77, '["a",1]',
            '{"isPkChunkingSupported":"yes","newField":{"deep":[1]},"numberRecordsProcessed":"many","retries":1e+300}',
        ]
    }  # fmt: skip


@pytest.mark.parametrize("body", ["<jobInfo xmlns='http://www.force.com/2009/06/asyncapi/dataload'/>", [1]])
def test_a_classic_answer_that_is_not_a_json_object_costs_only_its_counts(
    org: DemoOrg, recorder: Recorder, body: object
) -> None:
    """The other jobs are still requested."""
    jobs = [org.add_job(jobType="Classic", operation="insert", state="Closed", totalProcessingTime=7) for _ in range(3)]
    org.fail_next(200, body, path="/services/async/", times=99)
    recorder.load()

    assert recorder.details("outcome, total_processing_time, number_records_failed") == {
        job: ["answered", 7, None] for job in jobs
    }
    assert all(
        "Classic API: GET /services/async/68.0/job/750" in error for (error,) in recorder.details("error").values()
    )


def test_an_id_is_data_and_never_part_of_a_path(org: DemoOrg, recorder: Recorder) -> None:
    """Whatever it contains, it stays a single segment of our own path."""
    org.add_job(id="750/../../limits?x=#1", state="JobComplete")
    recorder.load()

    assert [request.path for request in org.requests][-1].endswith("/jobs/query/750%2F..%2F..%2Flimits%3Fx%3D%231")
    assert recorder.rows("select outcome, error like 'HTTP 404%' from job_details") == [("refused", True)]
