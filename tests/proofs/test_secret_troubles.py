"""Whatever goes wrong, no secret leaks: not in messages, nor in what a run leaves behind."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack

import duckdb
import pytest
from keys import PRIVATE_PEM
from processes import holding
from recorders import Recorder
from watched import (
    CLIENT_SECRET,
    GIVEN_TOKEN,
    PROXY_PASSWORD,
    TellTale,
    Watched,
    install_sf,
    keys_of,
    planted_org,
    watch,
)

from pipelines.demo_org.server import serving


@pytest.fixture
def org() -> Iterator[TellTale]:
    with serving(demo_org := planted_org()):
        yield demo_org


@pytest.fixture
def watched(org: TellTale, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return watch(recorder, org, monkeypatch)


def refuse(org: TellTale, status: int, path: str) -> None:
    """An answer that echoes the request."""
    quoted = f"No: {GIVEN_TOKEN} Authorization: Bearer {org.issued[-1]}"
    org.fail_next(status, [{"errorCode": f"X {org.issued[-1]}", "message": quoted}], path=path, times=2)


def lock(watched: Watched, org: TellTale, stack: ExitStack) -> None:
    stack.enter_context(holding(watched.recorder.primary_file))


def spoil(watched: Watched, org: TellTale, stack: ExitStack) -> None:
    with duckdb.connect(watched.recorder.primary_file) as connection:
        connection.execute("create schema salesforce; create table salesforce.query_jobs (id integer)")


def end_sessions(org: TellTale) -> None:
    org.expire_sessions()
    org.client_secret = "another"


# What to do beforehand, and at the second page; the run's exit code, and its message.
TROUBLES = {
    "a session ends": (None, lambda w, o: end_sessions(o), 77, "invalid_client"),
    "a refusal quotes": (None, lambda w, o: refuse(o, 403, "/jobs/query$"), 77, "Bearer [REDACTED]"),
    "a sign-in quotes": (
        lambda w, o, s: o.fail_next(
            400, {"error": "invalid_grant", "error_description": f"{CLIENT_SECRET}?"}, path="/token"
        ), None, 77, "[REDACTED]?",
    ),
    "down": (lambda w, o, s: o.fail_next(503, "<html>", times=9), None, 75, "HTTP 503"),
    "no JSON": (None, lambda w, o: o.fail_next(200, f"<html>{o.issued[-1]}"), 70, "but without valid JSON"),
    "locked": (lock, None, 75, "is kept"),
    "spoilt": (spoil, None, 70, "Unexpected"),
    "interrupted": (None, lambda w, o: w.running.send_signal(signal.SIGINT), 130, "Interrupted"),
    "killed": (None, lambda w, o: w.running.kill(), -9, ""),
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_failure_leaks_a_secret(org: TellTale, watched: Watched, trouble: str) -> None:
    """Nor does what the run leaves behind: unfinished packages, kept packages, dlt's trace of the failure."""
    beforehand, at_page_2, code, words = TROUBLES[trouble]
    with ExitStack() as stack:
        if beforehand:
            beforehand(watched, org, stack)
        if at_page_2:
            watched.at_page_2 = lambda: at_page_2(watched, org)
        assert words in watched.run(code=code, RUNTIME__REQUEST_MAX_ATTEMPTS="2")
        assert trouble != "locked" or list(watched.folder.rglob("*.parquet"))

    assert watched.leaks() == []


WRONG = {
    "a key without its first line": (
        "JWT bearer",
        {"private_key": "".join(PRIVATE_PEM.splitlines()[1:-1])},
        78,
        "cannot be read",
    ),
    "half a key": ("JWT bearer", {"private_key": PRIVATE_PEM[:900]}, 78, "not an RSA private key"),
    "a token for an alias": ("sf CLI", {"sf_cli_org": GIVEN_TOKEN}, 78, "is an access token"),
    "a token that is broken": (
        "access token",
        {"access_token": f"{GIVEN_TOKEN} {GIVEN_TOKEN}"},
        77,
        "The access token is not valid",
    ),
    "a secret too many": ("JWT bearer", {"client_secret": CLIENT_SECRET}, 78, "ambiguous"),
}
PROXIES = {
    "no server": (f"http://bob:{PROXY_PASSWORD}@127.0.0.1:9", 75, "(127.0.0.1:9) could not be reached"),
    "malformed": (f"http://bob:{PROXY_PASSWORD}#@x:9", 78, "HTTP_PROXY is malformed"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_no_wrong_setting_leaks_a_secret(org: TellTale, watched: Watched, give, wrong: str) -> None:
    """The secret is in the wrong place, or incomplete."""
    way, keys, code, words = WRONG[wrong]
    install_sf(watched, org)
    give(**keys_of(way, org) | keys)

    assert words in watched.run(code=code)
    assert watched.leaks() == []


@pytest.mark.parametrize("proxy", PROXIES)
def test_no_proxy_password_leaks(watched: Watched, proxy: str) -> None:
    """An unreachable proxy, and a password with a character that must be written %23."""
    url, code, words = PROXIES[proxy]
    said = watched.run(code=code, HTTP_PROXY=url, HTTPS_PROXY=url, RUNTIME__REQUEST_MAX_ATTEMPTS="1")

    assert words in said
    assert watched.leaks() == []
