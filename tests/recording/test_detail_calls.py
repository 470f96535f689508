"""Whose details are fetched: failures first, within the budget, and never at the expense of the listing."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from demo_org_client import detail_calls
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg, Request

PER_RUN = "QUERY_JOBS__DETAILS_PER_RUN"
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def details_are_on(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PER_RUN, "500")


def test_failures_come_first_then_the_newest_and_the_rest_wait(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later runs work through the rest."""
    monkeypatch.setenv(PER_RUN, "3")
    jobs = [org.add_job(state="JobComplete", createdDate=org.now + n * MINUTE) for n in range(5)]
    failed = org.add_job(state="Failed", createdDate=org.now - MINUTE)
    recorder.load()

    assert set(detail_calls(org)) == {failed, *jobs[3:]}
    assert recorder.rows("select details_asked, details_left from listings") == [(3, 3)]
    recorder.load()
    assert set(detail_calls(org)) == {failed, *jobs}
    assert sorted(recorder.rows("select details_left from listings")) == [(0,), (3,)]


def test_no_details_are_fetched_if_the_limit_is_0(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table exists all the same."""
    monkeypatch.setenv(PER_RUN, "0")
    org.add_job(state="JobComplete")
    recorder.load()

    assert detail_calls(org) == []
    assert recorder.rows("select count(*) from job_details") == [(0,)]


def test_details_use_at_most_half_of_the_remaining_budget(recorder: Recorder, org: DemoOrg) -> None:
    """A Classic job costs two calls."""
    org.daily_api_requests = 100
    for _ in range(10):
        org.add_job(state="Closed", jobType="Classic", operation="insert")
    for _ in range(50):
        org.add_job(state="JobComplete")
    recorder.load()  # one call for the listing: 90 % of 100 leave 89

    assert len(detail_calls(org)) == 44
    assert recorder.rows("select details_asked, details_left, calls, calls_after from listings") == [(34, 26, 1, 44)]


@pytest.mark.slow
@pytest.mark.parametrize(("status", "code", "tries"), [(403, "INSUFFICIENT_ACCESS", 3), (400, "INVALIDJOB", 3)])
def test_a_refused_job_is_tried_three_times_and_delays_no_other_job(
    org: DemoOrg, recorder: Recorder, status: int, code: str, tries: int
) -> None:
    """Its error is recorded, with Salesforce's error code."""
    odd, fine = org.add_job(state="Failed"), org.add_job(state="JobComplete")
    org.fail_next(status, [{"errorCode": code, "message": "no"}], path=f"/jobs/query/{odd}", times=9)
    for _ in range(5):
        recorder.load()

    assert detail_calls(org).count(odd) == tries
    assert recorder.details("outcome, error") == {
        odd: ["refused", f"HTTP {status} {code}: no"],
        fine: ["answered", None],
    }
    assert recorder.rows(f"select outcome from jobs where id = '{odd}'") == [("failed",)]


@pytest.mark.slow
def test_a_refused_job_is_tried_again_after_those_that_were_not_tried(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even though it is newer, and there is only one call per run."""
    monkeypatch.setenv(PER_RUN, "1")
    waiting = org.add_job(state="JobComplete")
    odd = org.add_job(state="JobComplete", createdDate=org.now + MINUTE)
    org.fail_next(403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}], path=f"/jobs/query/{odd}")
    for _ in range(3):
        recorder.load()

    assert detail_calls(org) == [odd, waiting, odd]
    assert recorder.details("outcome, attempts") == {odd: ["answered", 2], waiting: ["answered", 1]}


def test_an_api_that_refuses_every_job_is_not_called_a_hundred_times(
    org: DemoOrg, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """The run continues, prints a warning, and records a note."""
    for _ in range(100):
        org.add_job(state="JobComplete")
    org.fail_next(403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}], path="/jobs/query/", times=1_000)
    run = recorder.load()

    assert run.snapshot.shown.jobs == 100
    asked = len(detail_calls(org))
    ((notes, left),) = recorder.rows("select notes, details_left from listings")
    said = re.search(
        r"job_details: (\d+) jobs in a row were refused, .*INSUFFICIENT_ACCESS.* \((\d+) jobs were not", notes
    )
    assert said, notes
    refused, not_asked = map(int, said.groups())
    assert 5 <= refused <= asked < 40  # five in the order of the requests, or more in the order of the answers
    assert not_asked == 100 - asked
    assert left == 100
    assert "not all of job_details" in caplog.text


@pytest.mark.parametrize(
    ("status", "code"), [(403, "REQUEST_LIMIT_EXCEEDED"), (503, "SERVER_UNAVAILABLE"), (401, "INVALID_SESSION_ID")]
)
def test_a_busy_org_stops_the_details_and_not_the_run(org: DemoOrg, recorder: Recorder, status: int, code: str) -> None:
    """Answers received before that are kept; the next run fetches the rest."""
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
    """No answer is sent before eight requests have arrived."""
    for _ in range(40):
        org.add_job(state="JobComplete")
    log, eight = org.log, threading.Barrier(8)

    def wait(request: Request) -> None:
        log(request)
        if "/jobs/query/" in request.path:
            eight.wait(timeout=60)

    org.log = wait  # type: ignore[method-assign]
    recorder.load()

    assert not eight.broken
    assert recorder.rows("select count(*) from job_details where outcome = 'answered'") == [(40,)]


def test_a_session_that_ends_meanwhile_is_renewed_once(org: DemoOrg, recorder: Recorder) -> None:
    """Even though eight calls notice it at the same time."""
    for _ in range(30):
        org.add_job(state="JobComplete")
    org.before_answer = lambda org, *_: org.expire_sessions()  # when the only page is sent
    recorder.load()

    assert recorder.rows("select count(*) from job_details where outcome = 'answered'") == [(30,)]
    assert sum("oauth2/token" in request.path for request in org.requests) == 2


@pytest.mark.parametrize("body", [b"<html>busy</html>", [1, 2], None])
def test_a_malformed_answer_stops_the_details_and_not_the_run(org: DemoOrg, recorder: Recorder, body: Any) -> None:
    """With a note that names the call."""
    org.add_job(state="JobComplete")
    org.fail_next(200, body, path="/jobs/query/")
    recorder.load()

    assert len(recorder.states()) == 1
    assert recorder.rows("select details_asked, details_left, notes like '%jobs/query/750%' from listings") == [
        (0, 1, True)
    ]


def test_a_job_last_seen_finished_a_week_ago_is_no_longer_requested(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If details are switched on late, only those that the org can still have are fetched."""
    monkeypatch.setenv(PER_RUN, "0")
    org.add_job(state="JobComplete")
    recorder.load()
    org.advance(timedelta(days=8))
    new = org.add_job(state="JobComplete")
    monkeypatch.setenv(PER_RUN, "500")
    recorder.load()

    assert detail_calls(org) == [new]


@pytest.mark.slow
def test_a_job_that_is_no_longer_listed_is_no_longer_requested(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would cost a call to learn that it is gone; once it is listed again, it is requested."""
    monkeypatch.setenv(PER_RUN, "0")
    gone = org.add_job(state="JobComplete")
    hidden = org.add_job(state="JobComplete", createdById=org.add_user("Amara Osei", "amara@example.org"))
    recorder.load()
    org.advance(MINUTE)
    org.delete_job(gone)
    org.sees_all = False
    monkeypatch.setenv(PER_RUN, "500")
    recorder.load()

    assert detail_calls(org) == []
    org.advance(MINUTE)
    org.sees_all = True
    recorder.load()
    assert detail_calls(org) == [hidden]


def test_a_negative_number_of_details_is_refused(recorder: Recorder) -> None:
    """Before any request is sent."""
    run = recorder.run(QUERY_JOBS__DETAILS_PER_RUN="-1")

    assert run.returncode == 78
    assert "details_per_run" in run.stderr
    assert "Traceback" not in run.stderr
