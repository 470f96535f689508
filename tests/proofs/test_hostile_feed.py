"""One listing answers with whatever it likes while the other is fine: that one is recorded, whole, and the run ends with
an error that names the first. Stopped while either waits, a run ends at once."""

import errno
import json
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from hostile_org import answered_by, for_ever, once
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.diagnosis.run_errors import failure_of
from pipelines.job_tables import INGEST_JOB_STATES
from pipelines.recording.history import History
from pipelines.recording.listings import _Spool
from pipelines.recording.merges import Rows
from pipelines.salesforce import job_pages

HOUR = timedelta(hours=1)
FEEDS = ("query", "ingest")
OK = b"HTTP/1.1 200 OK\r\n"
COUNTS = "select (select count(*) from query_jobs), (select count(*) from ingest_jobs)"
Attack = Callable[[DemoOrg, str], None]


@pytest.fixture
def recorder(recorder_of: Callable[..., Recorder], org: DemoOrg, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = recorder_of(org)
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
    org.page_size = 3
    for _ in range(5):
        org.add_job()
        org.add_job(jobType="V2Ingest")
    return made


def page(org: DemoOrg, feed: str, locator: int | None, records: Any = ()) -> None:
    url = None if locator is None else f"/services/data/v68.0/jobs/{feed}?queryLocator=01g-{locator}"
    body = {"done": locator is None, "records": list(records), "nextRecordsUrl": url}
    org.fail_next(200, body, path=f"/jobs/{feed}$")


def answered(body: object, status: int = 200, times: int = 20, after: int = 0, **headers: str) -> Attack:
    return lambda org, feed: org.fail_next(
        status, body, times=times, after=after, headers=headers, path=f"/jobs/{feed}$"
    )


def endless(org: DemoOrg, feed: str) -> None:
    for number in range(60):
        page(org, feed, number, [{"id": f"750{number}", "state": "Open", "systemModstamp": "2026-11-02T11:00:00Z"}])


def looping(org: DemoOrg, feed: str) -> None:
    for _ in range(3):
        page(org, feed, 7)


def cut_short(org: DemoOrg, feed: str) -> None:
    org.cut_next(times=20, after=1, path=f"/jobs/{feed}$")


ATTACKS: dict[str, tuple[Attack, str]] = {
    "pages without end": (endless, "no plausible end"),
    "a locator again and again": (looping, "Pagination loop"),
    "HTML": (answered(b"<html>Be right back</html>"), "without valid JSON"),
    "a list": (answered([]), "not what Salesforce documents"),
    "no locator": (answered({"done": False, "records": []}, after=1), "no queryLocator"),
    "lost locators": (answered([{"errorCode": "INVALID_QUERY_LOCATOR", "message": "lost"}], 400, after=1), "400"),
    "a redirect": (answered(b"", 302, Location="https://example.com/elsewhere"), "302"),
    "16 MB": (answered(b" " * 17 * 2**20 + b"{}"), "exceeded the 16 MB limit"),
    "answers that break off": (cut_short, ""),
    "errors": (answered([{"errorCode": "UNKNOWN", "message": "oops"}], 500), "500"),
    "an ended session, again and again": (
        answered([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired"}], 401), "INVALID_SESSION_ID",
    ),
}  # fmt: skip


def check_one_is_recorded(recorder: Recorder, org: DemoOrg, hostile: str, said: str) -> None:
    """The next run records the one, and the run after it both."""
    fine = FEEDS[hostile == "query"]
    run = recorder.load()
    assert run.failure
    assert f"/jobs/{fine} is recorded, but /jobs/{hostile} could not be listed: " in run.failure.message
    assert said in run.failure.message
    assert "Nothing was" not in f"{run.failure.message} {run.failure.remedy}"
    assert recorder.rows("select feed from listings") == [(fine,)]
    assert recorder.rows(COUNTS) == [(5 * (fine == "query"), 5 * (fine == "ingest"))]
    org.faults.clear()
    org.advance(HOUR)
    assert recorder.load().failure is None
    assert recorder.rows(COUNTS) == [(5, 5)]
    assert recorder.rows("select count(*) from unlisted_jobs") == [(0,)]


@pytest.mark.parametrize("hostile", FEEDS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_other_listing_is_recorded(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch, attack: str, hostile: str
) -> None:
    monkeypatch.setattr(job_pages, "MAX_PAGES", 50)
    does, said = ATTACKS[attack]
    does(org, hostile)
    check_one_is_recorded(recorder, org, hostile, said)


@pytest.mark.parametrize("hostile", FEEDS)
def test_a_clock_that_jumps_in_one_of_the_answers(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch, hostile: str
) -> None:
    """Even if that is there before the other listing has begun."""
    date = format_datetime(NOON + timedelta(days=2), usegmt=True).encode()
    body = json.dumps({"done": True, "records": [], "nextRecordsUrl": None}).encode()
    said = OK + b"Date: " + date + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    asked = History.last_started_at

    def slowly(self: History, org_id: str, feed: Any, filters: str) -> Any:
        if feed.name != hostile:
            time.sleep(0.5)  # as with a large file
        return asked(self, org_id, feed, filters)

    monkeypatch.setattr(History, "last_started_at", slowly)
    with answered_by(org, f"/jobs/{hostile}", once(said)):
        monkeypatch.setenv("SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL", org.instance_url)
        run = recorder.load()
    assert run.failure
    assert f"/jobs/{hostile} could not be listed: The org's clock says" in run.failure.message


def test_a_session_that_expires_while_both_are_read_is_renewed_once(recorder: Recorder, org: DemoOrg) -> None:
    """Both are answered 401 at the same time, and wait for one sign-in."""
    both, met = threading.Barrier(2, timeout=10), set()

    def expire(org: DemoOrg, feed: str, number: int) -> None:
        if number == 1 and feed not in met:
            met.add(feed)
            both.wait()
            org.expire_sessions()

    org.before_answer = expire
    assert recorder.load().failure is None
    assert [request.status for request in org.requests if request.path.endswith("/token")] == [200, 200]
    assert recorder.rows(COUNTS) == [(5, 5)]


@pytest.mark.parametrize("last", FEEDS)
def test_a_session_that_is_renewed_to_another_org_ends_only_what_is_still_to_be_listed(
    recorder: Recorder, org: DemoOrg, last: str
) -> None:
    """The listing that was complete by then is of the first org, and is recorded as such."""
    mine, other = org.org_id, FEEDS[last == "query"]
    listed = threading.Event()

    def leave(org: DemoOrg, feed: str, number: int) -> None:
        if feed == last and number == 1:
            assert listed.wait(10)
            org.org_id = "00DDm0000009999MAA"

    log = org.log
    org.log = lambda request: (log(request), listed.set() if request.path.endswith(other) else None)  # type: ignore[assignment]
    org.page_size, org.before_answer = 5, leave
    org.add_job(jobType="Classic")  # both have a second page
    org.fail_next(401, [{"errorCode": "INVALID_SESSION_ID", "message": "x"}], after=1, path=f"/jobs/{last}$")
    run = recorder.load()
    assert run.failure
    assert "the new sign-in leads to another org" in run.failure.message
    assert recorder.rows("select org_id, feed from listings") == [(mine, other)]
    assert recorder.rows(f"select distinct org_id from {other}_jobs") == [(mine,)]


SAID = {
    signal.SIGTERM: (143, "Terminated. The next load picks up where this one stopped.\n"),
    signal.SIGINT: (130, "Interrupted. The next load picks up where this one stopped.\n"),
}


@pytest.mark.parametrize("number", SAID)
@pytest.mark.parametrize("slow", [("query",), ("ingest",), FEEDS], ids="+".join)
@pytest.mark.parametrize("answer", ["none", "a body byte by byte", "a Retry-After"])
def test_stopped_while_a_listing_waits(
    recorder: Recorder, org: DemoOrg, slow: tuple[str, ...], number: signal.Signals, answer: str
) -> None:
    """For an answer, its end, or the next attempt: the run ends at once, and leaves nothing behind."""
    recorder.load()
    org.advance(HOUR)
    org.add_job()
    hostile = {
        "none": for_ever(b"", b"", 1),
        "a body byte by byte": for_ever(OK + b"Content-Length: 1000000\r\n\r\n", b" ", 0.02),
        "a Retry-After": once(b"HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"),
    }[answer]
    with answered_by(org, f"/jobs/({'|'.join(slow)})", hostile) as proxy:
        load = recorder.start(SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL=proxy.url)
        until = time.monotonic() + 60
        while sum("/jobs/" in path for path, _ in proxy.seen) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.3)
        load.send_signal(number)
        began = time.monotonic()
        output, errors = load.communicate(timeout=30)
    assert time.monotonic() - began < 3
    assert (load.returncode, errors.partition(" ERROR: ")[2]) == SAID[number]
    assert output == ""
    assert recorder.rows("select count(*) from listings") == [(2,)]
    left = {path.name for path in recorder.state_folder.rglob("*") if path.is_file()}
    assert not [name for name in left if name.endswith(".parquet")], left
    org.advance(HOUR)
    recorder.load()
    assert recorder.rows("select count(*) from query_jobs") == [(6,)]


def test_an_error_that_ends_the_run_ends_the_other_listing(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or a bug: the other one is not read to its end first, which can take hours."""
    add = _Spool.add

    def full(self: _Spool, batch: Rows) -> None:
        if batch.table == INGEST_JOB_STATES:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, batch)

    monkeypatch.setattr(_Spool, "add", full)
    org.before_answer = lambda org, feed, number: time.sleep(0.5) if feed == "query" else None
    org.page_size = 1
    for _ in range(20):
        org.add_job()
    with pytest.raises(PipelineStepFailed) as raised:
        recorder.load()
    assert failure_of(raised.value).message == "The disk is full."
    assert sum(request.path.endswith("/query") for request in org.requests) < 20


def test_a_spool_that_cannot_be_written(recorder: Recorder, org: DemoOrg) -> None:
    """By a limit on the size of files, in either thread: an error that says so, and no traceback."""
    org.page_size = 1_000
    for _ in range(3_000):
        org.add_job(jobType="V2Ingest")
    for size in (0, 200_000):
        run = subprocess.run(
            recorder.command("load"), capture_output=True, text=True, timeout=120, check=False, cwd=recorder.home,
            preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        )  # fmt: skip
        assert run.returncode == 70, run
        assert "File size limit reached" in run.stderr, run.stderr
        assert "Traceback" not in run.stderr
        assert len(run.stderr.splitlines()) == 1, run.stderr
