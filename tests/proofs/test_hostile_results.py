"""Results that never end, lie, unpack to a thousand times their size, or are none: they cost a note, never the jobs, and
a load ends soon, with what it could read."""

import gzip
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest
from hostile_org import PACE, Answer, answered_by, for_ever, once
from recorders import Recorder
from test_hostile_transport import FLOODS, JUNK, TRICKLES

from pipelines.demo_org.org import DemoOrg
from pipelines.recording import job_results, load_results

OK = b"HTTP/1.1 200 OK\r\n"
BODY = OK + b"Content-Type: text/csv\r\n\r\n"
PACKED = OK + b"Content-Encoding: gzip\r\n\r\n"
HEADER = b'"sf__Id","sf__Error",Name\n'
ROW = b'"","UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--","Anna"\n'
CLASSIC = b'"Id","Success","Created","Error"\n'
FAILED = b'"","false","false","UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"\n'


def rows_packed(megabytes: int) -> bytes:
    rows = ROW * (2**20 // len(ROW))
    return gzip.compress(HEADER + rows * megabytes, 9)


# Endless ones that have rows are read up to a limit, and these rows count; the others have none.
ROWS: dict[str, Answer] = {
    "rows for ever": for_ever(BODY + HEADER, ROW * 1_000),
    "a row now and then, for ever": for_ever(BODY + HEADER + ROW * 10, ROW, PACE),
    "rows, then a byte now and then": for_ever(BODY + HEADER + ROW * 10, b" ", PACE),
    "rows that are packed well": once(PACKED, rows_packed(200)),
    "rows in chunks, for ever": for_ever(
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n" % (len(HEADER), HEADER),
        b"%x\r\n%b\r\n" % (len(ROW) * 99, ROW * 99),
    ),
}
NOT_RESULTS: dict[str, Answer] = {
    "a line without an end": for_ever(BODY + HEADER, b"x" * 2**16),
    "a header without an end": for_ever(BODY, b"x," * 2**15),
    "a field without an end": for_ever(BODY + HEADER + b'"', b"x\n" * 2**15),
    "a row without an end": for_ever(BODY + HEADER + b'"', b'\n","' * 2**14),
    "bytes": once(BODY, bytes(range(256)) * 2**12),
    "another page": once(BODY, b"<html><body>Down for maintenance</body></html>"),
    "NULs for ever": for_ever(BODY + HEADER, b"\0" * 2**16),
}
BATCHES: dict[str, Answer] = {
    "rows for ever": for_ever(BODY + CLASSIC, FAILED * 1_000),
    "an array for ever": for_ever(BODY + b"[", b'{"success":true,"created":true,"id":"x","errors":[]},' * 500),
    "an array of arrays": for_ever(BODY, b"[" * 2**16),
    "an object without an end": for_ever(BODY + b'[{"a":"', b"x" * 2**16),
    "an object of nothing": for_ever(BODY + b'[{"a":[', b"[],{}," * 2**14),
    "elements for ever": for_ever(BODY + b"<results>", b"<result><success>true</success></result>" * 999),
    "elements in elements": for_ever(BODY, b"<results>" * 2**12),
    "a text without an end": for_ever(BODY + b"<results><result><errors><message>", b"x" * 2**16),
    "attributes for ever": for_ever(BODY + b"<results ", b'a="b" ' * 2**13),
    "errors for ever": for_ever(BODY + b"<results><result>", b"<errors><statusCode>A_B</statusCode></errors>" * 999),
    "entities": once(BODY, b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><results>&b;</results>'),
    "a ZIP file": once(BODY, b"PK\x03\x04" + b"\0" * 999),
    "spaces for ever": for_ever(BODY, b" " * 2**16),
}
SMALL_BYTES = 2**22
SOON = 30  # seconds for a whole load, on a busy machine; an endless answer lasts 120


@pytest.fixture(autouse=True)
def results_are_read(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_results, "JOB_SECONDS", 1.5)
    monkeypatch.setattr(job_results, "JOB_BYTES", SMALL_BYTES)


def of_a_load(org: DemoOrg) -> str:
    job = org.add_job(jobType="V2Ingest", operation="insert", state="JobComplete")
    org.fail_records(
        job, [("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--", {"Name": "Anna"})], times=20
    )
    return job


def of_a_classic_load(org: DemoOrg) -> str:
    job = org.add_job(jobType="Classic", operation="insert", state="Closed", contentType="CSV")
    org.add_batch(
        job, records=20, failures=[["UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"]]
    )
    return job


def tried(recorder: Recorder, org: DemoOrg, path: str, answer: Answer) -> tuple[str | None, float]:
    """One load that gets this answer: what became of the newest load's results, and how long it took."""
    org.advance(timedelta(minutes=1))
    began = time.monotonic()
    with answered_by(org, path, answer):
        recorder.load()
    seconds = time.monotonic() - began
    [(outcome, error)] = recorder.rows(
        "select results_outcome, results_error from job_details order by asked_at desc, id desc limit 1"
    )
    assert outcome or error
    assert len(error or "") < 500
    assert (error or "").isprintable()
    return outcome, seconds


KINDS: list[tuple[str, Callable[[DemoOrg], str], dict[str, Answer]]] = [
    ("failedResults", of_a_load, ROWS),
    ("failedResults", of_a_load, NOT_RESULTS),
    ("failedResults", of_a_load, TRICKLES | FLOODS),
    ("failedResults", of_a_load, JUNK),
    ("/result", of_a_classic_load, BATCHES),
    ("/batch$", of_a_classic_load, BATCHES | FLOODS),
]


@pytest.mark.slow_cases
@pytest.mark.parametrize(
    ("path", "of", "answers"), KINDS, ids=["rows", "no results", "endless", "junk", "batches", "lists"]
)
def test_hostile_results_end_within_their_limits(
    org: DemoOrg,
    recorder: Recorder,
    small_limits: None,
    path: str,
    of: Callable[[DemoOrg], str],
    answers: dict[str, Answer],
) -> None:
    """Each of a load of its own; a later one is read as well as ever."""
    for name, answer in answers.items():
        job = of(org)
        outcome, seconds = tried(recorder, org, path, answer)
        assert seconds < SOON, (name, seconds)
        if answers is ROWS or (answers is BATCHES and name == "rows for ever"):
            assert outcome is not None, name
            assert outcome.startswith("first "), (name, outcome)
        else:
            assert outcome is None, (name, outcome)
        org.delete_job(job)
    sums = "select id, sum(records) = any_value(rows_read), bool_or(complete) from record_errors group by id"
    assert all(row[1:] == (True, False) for row in recorder.rows(sums))
    job = of(org)
    org.advance(timedelta(minutes=1))
    recorder.load()
    assert recorder.rows(f"select results_outcome from job_details where id = '{job}'") == [("read",)]


def test_a_locator_that_never_ends_is_followed_only_so_far(
    org: DemoOrg, recorder: Recorder, small_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_results, "MAX_PARTS", 20)
    of_a_load(org)
    numbers = count(1)

    def answer(say: Callable[[bytes], None]) -> None:
        say(OK + b"Sforce-Locator: %d\r\n\r\n" % next(numbers) + HEADER + ROW)

    outcome, seconds = tried(recorder, org, "failedResults", answer)
    assert outcome == "first 20 of 20"
    assert seconds < SOON
    assert recorder.rows("select records, rows_read, complete from record_errors") == [(20, 20, False)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rows for ever", "a row now and then, for ever", "rows that are packed well"])
def test_a_run_ends_within_two_minutes_and_700_mb(org: DemoOrg, recorder: Recorder, name: str) -> None:
    """With the real limits, and ten loads of the kind."""
    for _ in range(10):
        of_a_load(org)
    with answered_by(org, "failedResults", ROWS[name]):
        began = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-c", MEASURED],
            cwd=recorder.home,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        seconds = time.monotonic() - began
    assert run.returncode == 0, run.stderr
    megabytes = int(run.stdout.split()[-1]) / 1024
    print(f"{name}: {seconds:.0f} s, {megabytes:.0f} MB")
    assert seconds < 120
    assert megabytes < 700


# A child's peak memory includes that of its parent, and a test run has grown by then: this process is small.
MEASURED = """
import resource, subprocess, sys
run = subprocess.run([sys.executable, "-m", "pipelines.query_jobs", "load"])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(run.returncode)
"""
