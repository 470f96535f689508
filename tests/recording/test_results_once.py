"""Results are read once, whole or not at all, within limits; what could not be read is tried again, or kept as refused."""

from datetime import timedelta

import duckdb
import pytest
from failed_loads import (
    LOCKED,
    MISSING,
    answer,
    counts,
    failed_results,
    load_of,
    outcomes,
    record_errors,
    result_calls,
)
from processes import holding
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import TemporaryError
from pipelines.recording import job_results
from pipelines.recording.job_results import FAILURES_IN_A_ROW

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def errors_are_recorded(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    record_errors(monkeypatch)


def test_a_refusal_is_kept_and_several_in_a_row_end_the_runs_reading(org: DemoOrg, recorder: Recorder) -> None:
    denied = [{"errorCode": "INSUFFICIENT_ACCESS", "message": "insufficient access rights"}]
    jobs = [load_of(org) for _ in range(FAILURES_IN_A_ROW + 2)]
    answer(org, "failedResults", denied, status=403, times=FAILURES_IN_A_ROW)
    run = recorder.load()

    assert len(result_calls(org)) == FAILURES_IN_A_ROW
    assert run.results
    assert (run.results.read, run.results.left) == (FAILURES_IN_A_ROW, 2)
    assert "5 loads in a row" in (run.notes[-1])
    refused = [job for job, outcome in outcomes(recorder).items() if outcome == "refused"]
    assert len(refused) == FAILURES_IN_A_ROW
    assert "INSUFFICIENT_ACCESS" in outcomes(recorder, "results_error")[refused[0]]

    answer(org, "failedResults", failed_results(LOCKED), times=9)
    org.advance(MINUTE)
    recorder.load()
    assert counts(recorder).keys() == set(jobs) - set(refused)


def test_what_breaks_off_is_not_written_and_read_by_the_next_run(org: DemoOrg, recorder: Recorder) -> None:
    job = load_of(org, failed=2)
    org.fail_records(job, [(LOCKED, {"Name": "Anna"}), (MISSING, {"Name": "Anna"})])
    org.cut_next(path="failedResults")
    run = recorder.load()

    assert "broke off" in run.notes[-1]
    assert counts(recorder) == {}
    assert outcomes(recorder, "results_outcome, results_attempts") == {job: (None, 1)}
    org.advance(MINUTE)
    recorder.load()
    assert counts(recorder) == {job: {"REQUIRED_FIELD_MISSING": 1, "UNABLE_TO_LOCK_ROW": 1}}
    assert outcomes(recorder, "results_outcome, results_attempts, results_error") == {job: ("read", 2, None)}


@pytest.mark.parametrize(
    "body",
    [b"<html>maintenance</html>", b"Id,Name\n1,2\n", b'"sf__Error","sf__Error"\n"a","b"\n', b"\x00\xff" * 99],
    ids=["another page", "no column", "two columns", "bytes"],
)
def test_results_that_cannot_be_read_are_tried_three_times(org: DemoOrg, recorder: Recorder, body: bytes) -> None:
    job = load_of(org)
    answer(org, "failedResults", body, times=9)
    for _ in range(4):
        recorder.load()
        org.advance(MINUTE)

    assert len(result_calls(org)) == 3
    assert outcomes(recorder, "results_outcome, results_attempts") == {job: ("unreadable", 3)}
    assert counts(recorder) == {}


def test_an_expired_session_is_renewed(org: DemoOrg, recorder: Recorder) -> None:
    job = load_of(org)
    answer(
        org, "failedResults", [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], status=401
    )
    answer(org, "failedResults", failed_results(LOCKED))
    recorder.load()

    assert counts(recorder) == {job: {"UNABLE_TO_LOCK_ROW": 1}}


def test_reading_leaves_half_of_the_calls_that_are_left(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newest loads first; the others follow in later runs."""
    monkeypatch.setenv("SOURCES__SALESFORCE__API_BUDGET_PERCENT", "100")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["ingest"]')
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "false")
    jobs = []
    for _ in range(4):
        org.advance(MINUTE)
        jobs.append(load_of(org))
    recorder.load()  # a page and four details
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    answer(org, "failedResults", failed_results(LOCKED), times=9)
    org.daily_api_requests = 11  # after another page, 5 are left
    org.advance(MINUTE)
    recorder.load()
    assert [call.split("/")[0] for call in result_calls(org)] == jobs[:1:-1]

    org.daily_api_requests = 100
    org.advance(MINUTE)
    recorder.load()
    assert counts(recorder).keys() == set(jobs)


def test_what_was_read_never_changes(org: DemoOrg, recorder: Recorder) -> None:
    """Not by new details, and not by reading the load again, as after a kill between the two."""
    job = load_of(org)
    answer(org, "failedResults", failed_results(LOCKED))
    recorder.load()
    before = recorder.rows("from record_errors")
    org.move_job(job, "JobComplete", stamp=org.now + MINUTE)
    org.advance(timedelta(hours=1))
    recorder.load()
    assert outcomes(recorder) == {job: "read"}

    with duckdb.connect(recorder.primary_file) as primary:
        primary.execute("update salesforce.job_details set results_outcome = null, results_attempts = null")
    answer(org, "failedResults", failed_results(MISSING))
    org.advance(timedelta(hours=1))
    recorder.load()
    assert len(result_calls(org)) == 2
    assert recorder.rows("from record_errors") == before


def test_limits_of_a_load_end_its_reading_and_say_so(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_results, "JOB_BYTES", 2**19)
    job = load_of(org, failed=20_000)
    answer(org, "failedResults", failed_results(*[LOCKED] * 20_000))
    recorder.load()

    [(read, failed, complete, records)] = recorder.rows(
        "select rows_read, rows_failed, complete, records from record_errors"
    )
    assert 1_000 < read == records < 20_000
    assert (failed, complete) == (20_000, False)
    assert outcomes(recorder) == {job: f"first {read} of 20000"}


def test_while_the_file_is_held_results_wait(org: DemoOrg, recorder: Recorder) -> None:
    recorder.load()
    job = load_of(org)
    answer(org, "failedResults", failed_results(LOCKED))
    org.advance(MINUTE)
    with holding(recorder.primary_file), pytest.raises(TemporaryError):
        recorder.load()
    assert result_calls(org) == []
    org.advance(MINUTE)
    recorder.load()
    assert counts(recorder) == {job: {"UNABLE_TO_LOCK_ROW": 1}}
