"""Signing in through the sf CLI from before May 2026 and the present one, both simulated by a script on the PATH."""

import json
import os
import stat
from pathlib import Path

import pytest
from demo_org_client import recorded
from dlt.sources.helpers import requests
from planted import HOUR
from recorders import Recorder

from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import AccessDenied, ConfigError
from pipelines.salesforce.sign_in import sign_in

SF = """#!/usr/bin/env python3
import json, sys
words = " ".join(sys.argv[1:])
answers = json.loads({answers!r})
for start, (code, answer) in answers.items():
    if words.startswith(start):
        print(answer if isinstance(answer, str) else json.dumps(answer))
        sys.exit(code)
print("Warning: " + words + " is not a sf command.", file=sys.stderr)
sys.exit(127)
"""


@pytest.fixture
def sf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a fake sf CLI on the PATH: command -> (exit code, answer)."""

    def install(answers: dict[str, tuple[int, object]]) -> None:
        command = tmp_path / "bin" / "sf"
        command.parent.mkdir(exist_ok=True)
        command.write_text(SF.format(answers=json.dumps(answers)))
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")

    return install


def display(org: DemoOrg, token: str) -> dict[str, object]:
    answer = recorded("a_42_sfcli_org_display_redacted")
    answer["result"] |= {"accessToken": token, "instanceUrl": org.instance_url, "id": org.org_id}
    return answer


REDACTED = recorded("a_42_sfcli_org_display_redacted")["result"]["accessToken"]


def test_the_former_sf_cli_shows_its_token_in_org_display(org: DemoOrg, give, sf) -> None:
    """One command gives host, token and org."""
    sf({"org display --target-org mine --json": (0, display(org, org.access_token))})
    give(sf_cli_org="mine")
    session = sign_in(read_credentials(), requests.Client(raise_for_status=False))

    assert (session.instance_url, session.access_token, session.org_id) == (
        org.instance_url,
        org.access_token,
        org.org_id,
    )


def test_the_present_sf_cli_has_a_command_for_the_token(org: DemoOrg, recorder: Recorder, give, sf) -> None:
    """org display says [REDACTED]; the other command's token is enough for a whole load."""
    shown = recorded("a_43_sfcli_show_access_token")
    shown["result"]["accessToken"] = org.access_token
    sf({"org display": (0, display(org, REDACTED)), "org auth show-access-token --target-org mine --json": (0, shown)})
    give(sf_cli_org="mine")
    job = org.add_job()
    recorder.load()

    assert set(recorder.states()) == {job}


def test_a_redacted_token_is_never_sent(org: DemoOrg, give, sf) -> None:
    """Both commands redact it: refused, with what to try by hand."""
    sf(
        {
            "org display": (0, display(org, REDACTED)),
            "org auth": (0, {"status": 0, "result": {"accessToken": REDACTED}}),
        }
    )
    give(sf_cli_org="mine")
    with pytest.raises(AccessDenied, match=r"\[REDACTED\]") as raised:
        sign_in(read_credentials(), requests.Client(raise_for_status=False))

    assert "sf org auth show-access-token --target-org mine" in raised.value.remedy
    assert not org.requests


@pytest.mark.parametrize(
    ("code", "answer", "kind", "said"),
    [
        (1, {"message": "No authorization found for mine."}, AccessDenied, "No authorization found"),
        (0, "not JSON", ConfigError, "no JSON result"),
        (127, [], ConfigError, "exit code 127"),
    ],
)
def test_an_sf_cli_that_fails_is_quoted(give, sf, code, answer, kind, said) -> None:
    """With its own message, and how to find out more."""
    sf({"org display": (code, answer)})
    give(sf_cli_org="mine")
    with pytest.raises(kind, match=said):
        sign_in(read_credentials(), requests.Client(raise_for_status=False))


def test_a_missing_sf_cli_is_reported(give, monkeypatch, tmp_path) -> None:
    """cron has a short PATH."""
    give(sf_cli_org="mine")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no `sf` command on the PATH"):
        sign_in(read_credentials(), requests.Client(raise_for_status=False))


WHO = "select creators, only_creator_id, listed_by_id from listings order by started_at desc limit 1"


@pytest.mark.parametrize("name", ["", "job.recorder@demo-org.example", "JOB.Recorder@demo-org.example", "x@y.example"])
def test_the_sf_cli_returns_a_username(
    org: DemoOrg,
    recorder: Recorder,
    give,
    sf,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """It belongs to a user who was fetched as a creator: known from the first load, without an extra call."""
    answer = display(org, org.access_token)
    answer["result"] |= {"username": name}  # type: ignore[operator]
    sf({"org display": (0, answer)})
    give(sf_cli_org="mine")
    org.add_job()
    org.add_job(createdById=org.add_user("Amara Osei", "amara@example.org"))
    recorder.load()
    assert recorder.rows(WHO) == [(2, None, None)]  # no users are fetched
    calls = len(org.requests)
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "5")  # the listing's row is written twice
    me = org.integration_user_id if "recorder" in name.lower() else None
    for _ in range(2):
        org.advance(HOUR)
        recorder.load()
        assert recorder.rows(WHO) == [(2, None, me)]
    assert [request.path.rsplit("/", 1)[-1] for request in org.requests[calls:]].count("userinfo") == 0
