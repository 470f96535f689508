"""No secret in any message, log, file, table or command line, whichever way to sign in, and whatever goes wrong."""

import base64
import gzip
import json
import pickle
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import jwt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from keys import PRIVATE_PEM
from leaks import files, leaks
from recorders import Recorder
from watched import (
    ASSERTION,
    CLIENT_ID,
    CLIENT_SECRET,
    GIVEN_TOKEN,
    TellTale,
    Watched,
    install_sf,
    keys_of,
    planted_org,
    watch,
)

from pipelines.config.settings import read_credentials
from pipelines.demo_org.server import serving
from pipelines.errors import RecorderError
from pipelines.salesforce.org import Org


@pytest.fixture
def org() -> Iterator[TellTale]:
    with serving(demo_org := planted_org()):
        yield demo_org


@pytest.fixture
def watched(org: TellTale, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return watch(recorder, org, monkeypatch)


WAYS = ("client credentials", "JWT bearer", "sf CLI", "access token")
HIDING_PLACES = {
    "text": lambda file, secret: file.write_text(f"the secret: {secret}"),
    "JSON": lambda file, secret: file.write_text(json.dumps({"secret": secret})),
    "URL": lambda file, secret: file.write_text(
        requests.Request("GET", "http://x", params={"q": secret}).prepare().url
    ),
    "basic": lambda file, secret: file.write_text(requests.auth._basic_auth_str("bob", secret)),
    "gzip": lambda file, secret: file.write_bytes(gzip.compress(secret.encode())),
    "pickle": lambda file, secret: file.write_bytes(pickle.dumps({"trace": [secret]})),
    "parquet": lambda file, secret: pq.write_table(pa.table({"a": [secret] * 9}), file),
    "state": lambda file, secret: file.write_bytes(base64.b64encode(zlib.compress(json.dumps([secret]).encode()))),
    "name": lambda file, secret: (file.parent / secret.replace("/", "")).touch(),
    "x.duckdb": lambda file, secret: (
        duckdb.connect(file).execute("create table t as select [?] as c", [secret]).close()
    ),
}


@pytest.mark.parametrize("place", HIDING_PLACES)
@pytest.mark.parametrize("secret", ["client secret", "access token", "private key"])
def test_the_search_finds_a_secret_wherever_it_is(tmp_path: Path, watched: Watched, place: str, secret: str) -> None:
    """Otherwise, finding nothing would prove nothing."""
    planted = {"client secret": CLIENT_SECRET, "access token": GIVEN_TOKEN, "private key": PRIVATE_PEM}[secret]
    if place == "name":
        planted = GIVEN_TOKEN
    folder = tmp_path / "hidden"
    folder.mkdir()
    HIDING_PLACES[place](folder / place, planted)

    assert leaks(watched.secrets(), files(folder)) != []


def test_a_load_that_leaks_is_found(watched: Watched) -> None:
    """Python's own HTTP client prints what it sends, if configured to."""
    watched.run(code=0, LEAK="1")

    assert {found.partition(" in ")[0] for found in watched.leaks()} == {
        "client secret", "access token", "proxy's password",
    }  # fmt: skip


def test_an_assertion_is_recognized_by_its_beginning() -> None:
    """It differs at each sign-in."""
    signed = jwt.encode({"iss": CLIENT_ID, "sub": "x"}, PRIVATE_PEM, algorithm="RS256")

    assert leaks({"it": ASSERTION}, [("", signed.encode())])


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_sign_in_leaks_a_secret(org: TellTale, watched: Watched, give, way: str) -> None:
    """Neither if it succeeds, with all logs at their highest level, nor if it is refused."""
    install_sf(watched, org)
    give(**keys_of(way, org))
    said = watched.run(code=0)
    assert "7 jobs" in said
    assert "urllib3" in said
    assert "DEBUG" in said
    assert any("'sf'" in started.decode() for _, started in watched.noted()) == (way == "sf CLI")
    assert any(place.startswith("ps of") for place, _ in watched.said)
    org.client_secret, org.jwt_public_key = "another", None
    org.expire_sessions()
    install_sf(watched, org, code=1)
    watched.run("load", code=77, loud=False)

    assert watched.leaks() == []


@pytest.mark.slow
@pytest.mark.parametrize("way", ["client credentials", "JWT bearer"])
def test_no_secret_leaks_out_of_its_file(org: TellTale, watched: Watched, give, way: str) -> None:
    """As run by cron."""
    install_sf(watched, org)
    give()
    file = watched.folder / ".dlt" / "secrets.toml"
    keys = [f"{key} = {json.dumps(value)}\n" for key, value in keys_of(way, org).items()]
    file.write_text("[sources.salesforce.credentials]\n" + "".join(keys))
    file.chmod(0o600)
    assert watched.run("load", "--quiet", code=0, loud=False) == ""

    assert watched.leaks() == []


@pytest.mark.slow
def test_no_other_command_leaks_a_secret(org: TellTale, watched: Watched) -> None:
    """With an org that echoes the request in every answer except the listing; then all commands that read the
    record."""

    def quote() -> None:
        for path in ("/jobs/query/", "/limits$", r"v68\.0/query$"):
            said = f"No: {GIVEN_TOKEN} {org.issued[-1]}"
            org.fail_next(400, [{"errorCode": "X", "message": said}], path=path, times=9)

    watched.at_page_2 = quote
    watched.run("load", code=0)
    kept = "select any_value(error) || any_value(notes) from job_details, listings"
    assert watched.recorder.rows(kept)[0][0].count("[REDACTED]") >= 2
    assert "signed in at" in watched.run("doctor", "--verbose", code=78)
    for command, code in {"check": 1, "check --json": 1, "report --output report.html": 0}.items():
        watched.run(*command.split(), code=code)
    serves = subprocess.Popen(
        [sys.executable, "-m", "pipelines.demo_org", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert serves.stdout
        welcome = "".join(line for line, _ in zip(serves.stdout, range(12), strict=False))
    finally:
        serves.terminate()
        serves.communicate(timeout=20)
    assert "CLIENT_SECRET=demo-org-consumer-secret" in welcome
    watched.said.append(("the demo org's welcome", welcome.encode()))

    assert watched.leaks() == []


def test_printing_an_object_prints_no_secret(org: TellTale, watched: Watched, give) -> None:
    """As in a debugger, a failed assertion, or `rich` tracebacks with local variables."""
    for way in ("client credentials", "JWT bearer", "access token"):
        give(**keys_of(way, org))
        asks = Org(read_credentials())
        with pytest.raises(RecorderError) as raised:
            asks.get("nothing")
        shown = [asks, asks.credentials, asks.session, asks.http, asks.http.session.auth, raised.value]
        watched.said += [(f"repr of {type(it)}", f"{it!r} {it!s} {it} {[it]}".encode()) for it in shown]

    assert watched.leaks() == []
