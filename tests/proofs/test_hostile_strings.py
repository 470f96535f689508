"""Strings from an org are data: stored as sent, and nothing but text on a terminal or a page."""

import json
import re
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
from hostile_org import answered_by, once
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

LISTING = r"/jobs/query$"
ESCAPES = "\x1b[31mred\x1b]0;title\x07\u202eEVIL\u2028\r\x9b1m\x00"
EVIL = {
    "SQL": "'; drop table salesforce.query_jobs; --",
    "quotes": "\"'`$$\\",
    "HTML": "<script>alert(1)</script></style></svg><img src=x onerror=alert(1)>&lt;",
    "a template": "{{7*7}}{% raw %}${7*7}#{7*7}%s%(x)s",
    "markdown": "[x](javascript:alert(1)) **b** | a | `c` #",
    "rich's markup": "[bold red]x[/][link=http://x]",
    "escapes": ESCAPES,
}


def clean(run: CompletedProcess[str]) -> str:
    """A command's output, checked to be printable text without control sequences."""
    said = run.stdout + run.stderr
    assert [c for c in said if not c.isprintable() and c != "\n"] == []
    assert "Traceback" not in said
    return said


@pytest.mark.slow
def test_from_the_listing_to_every_page(org: DemoOrg, recorder: Recorder) -> None:
    """Load, check, report: each string is stored as sent, and is never interpreted."""
    hour = org.now.replace(microsecond=0)
    ids = {
        org.add_job(object=text, operation=text, contentType=text, state="Failed", createdDate=hour, note=text): text
        for text in EVIL.values()
        for _ in range(5)
    }
    org.add_raw({"id": "750x", "state": ESCAPES, "systemModstamp": ESCAPES})
    org.add_raw(dict.fromkeys(EVIL.values(), "a field's name"))
    load = recorder.run("load", "--verbose", QUERY_JOBS__DETAILS_PER_RUN="50", QUERY_JOBS__FETCH_ORG_METADATA="true")
    assert load.returncode == 0, load.stderr
    clean(load)

    stored = recorder.rows("select id, object, operation, content_type, note from query_jobs")
    assert {job: set(texts) for job, *texts in stored} == {job: {text} for job, text in ids.items()}
    for arguments in (["check"], ["check", "--json"], ["report", "--output", "r.html"]):
        run = recorder.run(*arguments)
        assert run.returncode in (0, 1), run.stderr
        clean(run)
    page = (recorder.home / "r.html").read_text(encoding="utf-8")
    assert page.lower().count("<script") == 1  # the page's own
    assert "<img src=x" not in page
    assert "7*7" in page
    assert not re.search("[\x00\x07\x1b\x9b\u202e\u2028]", page)


@pytest.mark.slow
def test_an_error_answer_is_quoted_and_not_interpreted(org: DemoOrg, recorder: Recorder) -> None:
    """As the run's error and the doctor's finding, and without the token that it echoes."""
    error = [{"errorCode": ESCAPES, "message": f"{ESCAPES}\nERROR: {{token}} {'x' * 50_000} [bold red]"}]
    for command in (["load"], ["load", "--verbose"], ["doctor"]):
        org.fail_next(400, error, path=LISTING)
        run = recorder.run(*command)
        said = run.stdout + run.stderr
        assert run.returncode in (70, 78), said  # 78: the clock of the demo org, which the doctor checks first
        assert "EVIL" in said
        assert [c for c in said if not c.isprintable() and c != "\n"] == []
        assert max(map(len, said.splitlines())) < 1_000
        assert "--verbose" in command or "Traceback" not in said


def test_an_echoed_secret_is_not_shown(org: DemoOrg, recorder: Recorder) -> None:
    """Neither the token of a request nor the secret of a sign-in."""
    tokens: list[str] = []
    recorder.load()
    with answered_by(org, LISTING, once()) as between:

        def answer(say: Callable[[bytes], None]) -> None:
            tokens.append(between.seen[-1][1]["authorization"].removeprefix("Bearer "))
            said = json.dumps([{"errorCode": "INVALID", "message": f"You sent {tokens[-1]}"}]).encode()
            say(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(said) + said)

        between.answer = answer
        found = recorder.failure()
    assert tokens
    assert "You sent [REDACTED]" in found.message
    assert not any(token in str(found) for token in tokens)

    org.fail_next(400, {"error": "invalid_client", "error_description": f"not {org.client_secret}"}, path="/token")
    found = recorder.failure()
    assert "not [REDACTED]" in found.message


@pytest.mark.slow
def test_logged_lines_are_quoted_too(org: DemoOrg, recorder: Recorder) -> None:
    """Other libraries' warnings contain headers as sent, and the warning about a lost locator quotes the org."""
    head = b"HTTP/1.1 200 OK\r\n\x1b[31m evil\x07 header\r\nX: x\r\n\r\n{}"
    with answered_by(org, LISTING, once(head)):
        run = recorder.run("load", "--verbose")
    assert run.returncode == 70
    assert [c for c in run.stderr if not c.isprintable() and c not in "\n"] == []

    org.page_size = 2
    for _ in range(5):
        org.add_job()
    org.fail_next(400, [{"errorCode": f"{ESCAPES}LOCATOR", "message": ESCAPES}], after=1, path=LISTING)
    run = recorder.run("load")
    assert run.returncode == 0
    assert "LOCATOR" in clean(run)


DOCTOR = {
    "versions": ("/services/data$", [{"version": ESCAPES}, {"version": "68.0"}, {"version": ESCAPES}]),
    "deep versions": ("/services/data$", "[" * 100_000),
    "odd creators": (LISTING, {"done": True, "records": [{"createdById": {"a": 1}, "state": ["x"], ESCAPES: 1}]}),
    "odd ids": (LISTING, {"done": True, "records": [{"id": f"../{ESCAPES}", "state": "Failed"}]}),
    "odd job": ("/jobs/query/", [ESCAPES]),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", DOCTOR)
def test_the_doctor_withstands_hostile_strings(org: DemoOrg, recorder: Recorder, case: str) -> None:
    """It reports what it can, and exits with its own code."""
    org.add_job(state="JobComplete")
    path, body = DOCTOR[case]
    org.fail_next(200, body, path=path)
    run = recorder.run("doctor")

    assert run.returncode in (0, 70, 78), run.stderr
    assert "Unexpected" not in clean(run)
