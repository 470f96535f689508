"""Answers that never end, unpack to a thousand times their size, or are no HTTP: a load ends soon, says why, and
the next one is as good as ever."""

import gzip
import os
import subprocess
import sys
import zlib

import pytest
from hostile_org import PACE, Answer, answered_by, for_ever, once
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import RecorderError
from pipelines.salesforce import transport

OK = b"HTTP/1.1 200 OK\r\n"
GZIP = OK + b"Content-Encoding: gzip\r\n"
LISTING, TOKEN = "/jobs/query", "/oauth2/token"
TRIES = 5  # as .dlt/config.toml has it


def packed(megabytes: int, times: int = 1) -> bytes:
    """This many megabytes of spaces, compressed once or repeatedly."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(megabytes)) + packer.flush()
    for _ in range(times - 1):
        bomb = gzip.compress(bomb)
    return bomb


TRICKLES: dict[str, Answer] = {
    "a body byte by byte": for_ever(OK + b"Content-Length: 1000000\r\n\r\n", b" ", PACE),
    "a head byte by byte": for_ever(OK + b"X: ", b"x", PACE),
    "chunks byte by byte": for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", PACE),
    "100 Continue for ever": for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", PACE),
    "packed nothing for ever": for_ever(GZIP + b"\r\n", gzip.compress(b"") * 1_000),
    "trailers for ever": for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: x\r\n", PACE),
}
FLOODS: dict[str, Answer] = {
    "a body without a length": for_ever(OK + b"\r\n", b"[" * 2**16),
    "chunks without an end": for_ever(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 2**16 + b"\r\n"
    ),
    "100 Continue in a flood": for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "packed": once(GZIP + b"\r\n", packed(32)),
    "packed twice": once(OK + b"Content-Encoding: gzip, gzip\r\n\r\n", packed(32, times=2)),
    "deflated": once(OK + b"Content-Encoding: deflate\r\n\r\n", zlib.compress(b" " * 2**25)),
}
JUNK: dict[str, Answer] = {
    "invalid HTTP at all": once(b"220 mail.example.com ESMTP\r\n"),
    "HTTP of no version": once(b"HTTP/x.y abc\r\n\r\n"),
    "nothing": once(b""),
    "a head of a megabyte": once(OK + b"X: " + b"x" * 2**20 + b"\r\n\r\n{}"),
    "thousands of headers": once(OK + b"X: x\r\n" * 5_000 + b"\r\n{}"),
    "a length that is too long": once(OK + b"Content-Length: 900\r\n\r\n{}"),
    "no chunks": once(OK + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\nnonsense\r\n"),
    "a chunk line without an end": for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 2**16),
    "not packed as it says": once(GZIP + b"\r\n", b'{"done": true, "records": []}'),
    "two lengths": once(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}{}{}"),
    "Retry-After in five thousand digits": once(b"HTTP/1.1 503 No\r\nRetry-After: " + b"9" * 5_000 + b"\r\n\r\n"),
    "Retry-After in a far year": once(b"HTTP/1.1 503 No\r\nRetry-After: 1 Jan 9999999999 0:0:0 GMT\r\n\r\n"),
}
NO_LISTING: dict[str, Answer] = {
    "HTTP/1.0 and no length": once(b"HTTP/1.0 200 OK\r\n\r\n<html>"),
    "a length that is no number": once(OK + b"Content-Length: many\r\n\r\n{}"),
    "a length that is too short": once(OK + b"Content-Length: 2\r\n\r\n{}{}{}"),
    "packed and cut": once(GZIP + b"\r\n", gzip.compress(os.urandom(5_000))[:2_000]),
    "103 Early Hints": once(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n{}"),
    "204": once(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "an unknown packing": once(OK + b"Content-Encoding: x-secret\r\n\r\n\x00\x01"),
    "a far Date": once(OK + b"Date: Mon, 01 Jan 0001 00:00:00 +1400\r\n\r\n{}"),
    "no Date": once(OK + b"Date: \xff\x00\r\n\r\n{}"),
    "a usage of five thousand digits": once(OK + b"Sforce-Limit-Info: api-usage=1/" + b"9" * 5_000 + b"\r\n\r\n{}"),
    "headers that are none": once(OK + b"\x1b[31m evil\x07 header\r\nX: x\r\n\r\n{}"),
}


def check(found: RecorderError, org: DemoOrg) -> str:
    """Checks the rules for all error messages; returns the message."""
    said = str(found)
    assert len(said) < 1_000
    assert all(c.isprintable() or c == "\n" for c in said)
    assert org.client_secret not in said
    assert org.org_id[:15] + "!" not in said  # as every access token begins
    return found.message


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may take one second, not 300."""
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 1.0)


def ends(recorder: Recorder, org: DemoOrg, path: str, answer: Answer) -> tuple[str, RecorderError, int]:
    """The message of a load that gets this answer, the error, and the number of requests."""
    with answered_by(org, path, answer) as hostile:
        if path == TOKEN:
            os.environ["SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL"] = hostile.url  # the fixture takes it back
        found = recorder.failure()
    os.environ["SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL"] = org.instance_url
    return check(found, org), found, sum(path in asked for asked, _ in hostile.seen)


def test_an_answer_has_a_time_limit(org: DemoOrg, recorder: Recorder, patience: None) -> None:
    """However alive it looks; it is a temporary error, and is not requested again immediately."""
    for name, answer in TRICKLES.items():
        message, found, asked = ends(recorder, org, LISTING, answer)
        assert "within 1 s" in message, name
        assert (found.exit_code, asked) == (75, 1), name
    recorder.load()


def test_an_answer_has_a_size_limit(org: DemoOrg, recorder: Recorder) -> None:
    """Compressed or not."""
    for name, answer in FLOODS.items():
        message, found, asked = ends(recorder, org, LISTING, answer)
        assert "exceeded the 16 MB limit" in message, name
        assert (found.exit_code, asked) == (70, 1), name
    recorder.load()


@pytest.mark.slow
def test_anything_but_http_is_reported(org: DemoOrg, recorder: Recorder) -> None:
    """After a few tries, and with the host's name."""
    for name, answer in JUNK.items():
        message, found, asked = ends(recorder, org, LISTING, answer)
        assert "invalid HTTP" in message, (name, message)
        assert (found.exit_code, 1 <= asked <= TRIES) == (75, True), name
    recorder.load()


@pytest.mark.slow
def test_http_without_a_listing_is_reported(org: DemoOrg, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """No header makes it one; and the next load uses a sound connection."""
    job = org.add_job()
    for name, answer in NO_LISTING.items():
        message, _, asked = ends(recorder, org, LISTING, answer)
        said = (
            "is not what Salesforce documents",
            "without valid JSON",
            "HTTP 103",
            "HTTP 204",
            "the org's is implausible",
        )
        assert any(one in message for one in said), (name, message)
        assert asked == 1, name
    recorder.load()

    assert set(recorder.states()) == {job}


SAMPLES = {
    "within 1 s": TRICKLES["a head byte by byte"],
    "exceeded the 16 MB limit": FLOODS["packed"],
    "invalid HTTP": JUNK["no chunks"],
}


@pytest.mark.slow
def test_the_sign_in_has_the_same_limits(org: DemoOrg, recorder: Recorder, patience: None) -> None:
    """And none of its answer appears in a message."""
    for said, answer in SAMPLES.items():
        message, *_ = ends(recorder, org, TOKEN, answer)
        assert said in message
    recorder.load()


ASIDE = [
    ("/jobs/query/", "within 1 s"),
    ("/jobs/query/", "exceeded the 16 MB limit"),
    ("/services/async/", "exceeded the 16 MB limit"),
    ("/services/async/", "invalid HTTP"),
    ("FROM\\+User", "exceeded the 16 MB limit"),
    ("Organization", "invalid HTTP"),
    ("/limits", "within 1 s"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "said"), ASIDE)
def test_bad_details_and_metadata_cost_a_note_and_never_the_jobs(
    org: DemoOrg, recorder: Recorder, patience: None, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    """Details, counts, names, limits: the next run tries again."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "5")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    job = org.add_job(jobType="Classic", state="Closed", operation="insert")
    with answered_by(org, path, SAMPLES[said]):
        run = recorder.load()
    notes = [*run.notes, *(error for (error,) in recorder.rows("select error from job_details") if error)]
    assert any(said in note for note in notes), notes
    assert set(recorder.states()) == {job}

    org.move_job(job, "Aborted")
    assert recorder.load().notes == ()
    assert recorder.details("outcome, error") == {job: ["answered", None]}


@pytest.mark.parametrize(
    ("path", "megabytes", "said"),
    [
        ("/jobs/query/", 0.1, "job_details: A response exceeded the 64 KB limit"),
        ("/services/async/", 0.1, "Classic API: A response exceeded the 64 KB limit"),
        ("/limits", 2, "org_limits: A response exceeded the 1 MB limit"),
    ],
)
def test_details_and_metadata_have_their_own_size_limits(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, path: str, megabytes: float, said: str
) -> None:
    """Valid otherwise: a run requests hundreds of jobs, and stores what the answers say."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "5")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    job = org.add_job(jobType="Classic", state="Closed", operation="insert")
    org.fail_next(200, {"id": job, "padding": "x" * int(megabytes * 2**20)}, path=path)
    run = recorder.load()

    (note,) = run.notes
    assert said in note
    assert recorder.rows("select count(*) from job_details where length(extra_fields) > 60000") == [(0,)]
    assert set(recorder.states()) == {job}


@pytest.mark.slow
def test_redirects_are_not_followed_and_cookies_not_kept(org: DemoOrg, recorder: Recorder) -> None:
    """Neither reaches another host, nor the same host's next request."""
    other = DemoOrg()
    with serving(other):
        for place in (other.instance_url, "//[::1", "http://\\x00/", "javascript:1", "http://" + "x" * 70 + ".example"):
            head = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nSet-Cookie: a=b; Domain=127.0.0.1; Path=/\r\n"
            ends(recorder, org, LISTING, once(head.encode() + b"Content-Length: 0\r\n\r\n"))
        assert not other.requests

    crumbs = b"".join(b"Set-Cookie: c%d=%s\r\n" % (n, b"x" * 9_000) for n in range(60))
    page = b'{"done": false, "records": [], "nextRecordsUrl": "/services/data/v68.0/jobs/query?queryLocator=01g-1"}'
    with answered_by(
        org, "/jobs/query$", once(OK + crumbs + b"Content-Length: %d\r\n\r\n" % len(page), page)
    ) as between:
        recorder.failure()  # the demo org knows no such locator
        cookies = [headers for _, headers in between.seen if "cookie" in headers]
    assert len(between.seen) > 1
    assert not cookies


# A child's peak memory includes that of its parent, and a test run has grown by then: this process is small.
SMALL_PARENT = """
import resource, subprocess, sys
load = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE, text=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(load.stderr if load.returncode == 70 else f"exit code {load.returncode}: {load.stderr}")
"""


@pytest.mark.slow
def test_a_bomb_of_ten_gigabytes_fits_into_memory(org: DemoOrg, recorder: Recorder) -> None:
    """The peak of a whole process, which then makes a normal load."""
    with answered_by(org, LISTING, once(GZIP + b"\r\n", packed(int(os.environ.get("BOMB", "512"))))):
        load = subprocess.run(
            [sys.executable, "-c", SMALL_PARENT, *recorder.command("load")],
            cwd=recorder.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    said, kilobytes = load.stderr, int(load.stdout)
    assert not said.startswith("exit code"), said
    assert "exceeded the 16 MB limit" in said
    assert "Traceback" not in said
    assert kilobytes < 400 * 1024
    recorder.load()
