"""A failure that concerns one job costs that job an attempt; a failure of an API costs only its own calls."""

from datetime import timedelta

import pytest
from demo_org_client import FIXTURES, detail_calls, recorded
from finished_jobs import ASYNC, PER_RUN, add, answered, closed
from hostile_org import answered_by, once
from recorders import Recorder

from pipelines.answers.check import Thresholds, check
from pipelines.demo_org.org import DemoOrg

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
INVALID_SESSION = (FIXTURES / "e_62_classic_invalid_session.xml").read_text()


@pytest.fixture(autouse=True)
def details_are_on(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PER_RUN, "500")


def refuse(org: DemoOrg, jobs: list[str], status: int, body: object) -> None:
    """Permanent failures for these calls, and for no others."""
    for job in jobs:
        org.fail_next(status, body, path=f"/jobs/query/{job}", times=999)


OWN = {
    "500": (500, recorded("e_63_job_500"), "HTTP 500 UNKNOWN_EXCEPTION"),
    "503": (503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}], "HTTP 503 SERVER_UNAVAILABLE"),
    "403": (403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}], "HTTP 403 INSUFFICIENT_ACCESS"),
    "401": (401, recorded("e_34_invalid_session"), "HTTP 401 INVALID_SESSION_ID"),
    "404": (404, recorded("e_33_not_found"), "HTTP 404 NOT_FOUND"),
    "garbage": (200, "<html>garbage</html>", "without valid JSON"),
    "maintenance": (200, "<html>maintenance</html>", "is down for maintenance"),
    "a list": (200, [1], "a JSON list"),
    "another job": (200, {"id": "750000000000001AAA", "state": "Failed", "numberRecordsProcessed": 7}, "another job"),
    "no id": (200, {"numberRecordsProcessed": 7}, "another job, or none"),
}


@pytest.mark.parametrize(("kind", "count"), [*((kind, 12) for kind in OWN), ("500", 45), ("another job", 45)])
def test_jobs_whose_request_fails_use_up_an_attempt_of_their_own(
    org: DemoOrg, recorder: Recorder, kind: str, count: int
) -> None:
    """However many are at the head of the queue, all others are answered in the same run, at one call each."""
    status, body, said = OWN[kind]
    poison, fine = add(org, count, state="Failed"), add(org, 60, state="JobComplete")
    refuse(org, poison, status, body)
    recorder.load()

    assert answered(recorder) == set(fine)
    asked = detail_calls(org)
    assert max(asked.count(job) for job in [*poison, *fine]) == (2 if kind == "401" else 1)
    details = recorder.details("outcome, attempts, number_records_processed, error")
    assert {job: details[job][:3] for job in poison} == {job: ["refused", 1, None] for job in poison}
    assert all(said in details[job][3] for job in poison)
    assert recorder.rows("select details_asked, details_left, details_stopped from listings") == [(60, count, None)]
    ((notes,),) = recorder.rows("select notes from listings")
    assert (said in (notes or "")) == (kind != "404")  # a job that was deleted meanwhile is not worth a warning


@pytest.mark.slow
def test_failing_jobs_delay_no_others_even_if_they_exceed_the_limit_of_a_run(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are tried once, then the others have their turn."""
    monkeypatch.setenv(PER_RUN, "5")
    poison, fine = add(org, 12, state="Failed"), add(org, 13, state="JobComplete")
    refuse(org, poison, 500, recorded("e_63_job_500"))
    for _ in range(5):
        recorder.load()
        org.advance(HOUR)

    assert answered(recorder) == set(fine)
    assert {recorder.details("attempts")[job][0] for job in poison} == {1}


@pytest.mark.slow
def test_jobs_that_fail_for_days_are_retried_ever_more_rarely_but_not_given_up(
    org: DemoOrg, recorder: Recorder
) -> None:
    """Three attempts at first, then at least two a day: an outage of days loses no details for good."""
    (job,) = add(org, 1, state="JobComplete", numberRecordsProcessed=5)
    refuse(org, [job], 500, recorded("e_63_job_500"))
    attempts = []
    for _ in range(11):
        recorder.load()
        attempts += recorder.details("attempts")[job]
        org.advance(6 * HOUR)
    assert attempts == [1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7]

    org.faults.clear()
    for _ in range(2):
        recorder.load()
        org.advance(6 * HOUR)
    assert recorder.details() == {job: ["answered", 5, None]}


OFF = {
    "401": (401, recorded("e_34_invalid_session"), "HTTP 401 INVALID_SESSION_ID"),
    "503": (503, "", "HTTP 503"),
    "403": (403, {"exceptionCode": "FeatureNotEnabled", "exceptionMessage": "no"}, "HTTP 403 FeatureNotEnabled"),
    "400, in XML": (400, INVALID_SESSION, "HTTP 400 InvalidSessionId: Invalid session id"),
    "500, in XML": (500, INVALID_SESSION, "HTTP 500 InvalidSessionId"),
    "400": (400, {"exceptionCode": "ExceededQuota", "exceptionMessage": "no"}, "HTTP 400 ExceededQuota"),
    "500": (500, "", "HTTP 500"),
    "a page for people": (200, "<html><body>Welcome</body></html>", "without valid JSON or XML"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "per_run", "loads"), [*((kind, 500, 1) for kind in OFF), ("401", 20, 2)])
def test_a_classic_api_that_is_off_stops_its_own_calls(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, kind: str, per_run: int, loads: int
) -> None:
    """After a few; other jobs take the places of those that need it, and the next load tries it again."""
    monkeypatch.setenv(PER_RUN, str(per_run))
    status, body, said = OFF[kind]
    classic, others = closed(org, 60), add(org, 20, state="JobComplete")
    org.fail_next(status, body, path=ASYNC, times=9_999)
    for _ in range(loads):
        recorder.load()
        org.advance(HOUR)

    assert answered(recorder) >= set(others)
    calls = sum(ASYNC in request.path for request in org.requests)
    # Up to eight are in flight when it is noticed; more if the first answer is slow, but not all.
    assert 0 < calls < loads * min(len(classic), per_run) * (2 if kind == "401" else 1)
    for notes, stopped in recorder.rows("select notes, details_stopped from listings"):
        assert said in notes
        assert stopped is None
    org.faults.clear()
    monkeypatch.setenv(PER_RUN, "500")
    recorder.load()
    details = recorder.details("number_records_failed, error")
    assert {job: details[job] for job in classic} == {job: [0, None] for job in classic}


def test_a_failure_of_one_classic_job_costs_only_its_own_counts(org: DemoOrg, recorder: Recorder) -> None:
    """Even if it comes first."""
    jobs = closed(org, 30)
    bad = jobs[:4]
    for job, (status, body) in zip(
        bad,
        [
            (500, {"exceptionCode": "Unknown", "exceptionMessage": "no"}),
            (400, {"exceptionCode": "InvalidJob", "exceptionMessage": "no"}),
            (200, {"id": jobs[5], "numberRecordsFailed": 9}),
            (200, "<jobInfo"),
        ],
        strict=True,
    ):
        org.fail_next(status, body, path=f"{ASYNC}.*{job}", times=99)
    recorder.load()

    details = recorder.details("outcome, number_records_failed, error is null")
    assert {job: details[job] for job in bad} == {job: ["answered", None, False] for job in bad}
    assert {job: details[job] for job in jobs[4:]} == {job: ["answered", 0, True] for job in jobs[4:]}


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, ""), (403, recorded("e_35_daily_limit")), (403, recorded("e_36_concurrent_limit"))],
)
@pytest.mark.parametrize("path", ["/jobs/query/", ASYNC])
def test_a_limit_of_the_org_stops_all_details(
    org: DemoOrg, recorder: Recorder, status: int, body: object, path: str
) -> None:
    """Whichever API reports it; the next load continues."""
    closed(org, 30), add(org, 30, state="JobComplete")
    org.fail_next(status, body, path=path, times=9_999)
    recorder.load()

    assert len(detail_calls(org)) < 40
    ((notes, stopped),) = recorder.rows("select notes, details_stopped from listings")
    assert str(status) in stopped
    assert "jobs were not asked" in notes
    org.faults.clear()
    recorder.load()
    assert len(answered(recorder)) == 60


def test_a_host_that_cuts_off_one_jobs_answer_is_not_treated_as_down(org: DemoOrg, recorder: Recorder) -> None:
    """All other jobs are still requested; if every answer is cut off, the run soon stops."""
    poison, fine = add(org, 6, state="Failed"), add(org, 30, state="JobComplete")
    with answered_by(org, f"/jobs/query/({'|'.join(poison)})", once(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")):
        recorder.load()
    assert answered(recorder) == set(fine)

    add(org, 40, state="JobComplete")
    with answered_by(org, "/jobs/query/", once(b"")) as between:
        recorder.load()
    assert sum("/jobs/query/" in path for path, _ in between.seen) < 2 * 40
    assert (
        "closed the connection or sent"
        in recorder.rows("select details_stopped from listings where details_stopped <> ''")[0][0]
    )


# --- what `check` reports ---


def found(recorder: Recorder, org: DemoOrg) -> list[str]:
    return [
        f"{finding.message} {'urgent' if finding.urgent else ''}"
        for finding in check(recorder.warehouse, Thresholds(), now=org.now)
        if finding.kind == "details"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["classic", "jobs", "stopped"])
def test_check_reports_missing_details_before_they_are_lost(org: DemoOrg, recorder: Recorder, trouble: str) -> None:
    """After a day, with how many, since when and why; urgent from the fifth day; gone once the trouble is over."""
    closed(org, 7)
    add(org, 4, state="JobComplete")
    paths = {"classic": ASYNC, "jobs": "/jobs/query/.*", "stopped": "/jobs/query/"}
    org.fail_next(
        429 if trouble == "stopped" else 401,
        [{"errorCode": "CODE", "message": "no"}],
        path=paths[trouble],
        times=99_999,
    )
    recorder.load()
    assert found(recorder, org) == []

    for _ in range(5):
        org.advance(DAY)
        recorder.load()
    (said,) = found(recorder, org)
    assert said.startswith(
        "7 finished jobs have no record counts" if trouble == "classic" else "11 finished jobs have no details"
    )
    assert "the oldest since 2026-11-02 12:00 UTC" in said
    assert "CODE" in said
    assert "urgent" in said

    org.faults.clear()
    org.advance(timedelta(hours=12))  # the longest time between two attempts
    recorder.load()
    assert found(recorder, org) == []


@pytest.mark.slow
def test_a_long_backlog_is_not_reported(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong: it is waiting for its turn."""
    monkeypatch.setenv(PER_RUN, "1")
    add(org, 9, state="JobComplete")
    for _ in range(4):
        recorder.load()
        org.advance(DAY)

    assert found(recorder, org) == []
