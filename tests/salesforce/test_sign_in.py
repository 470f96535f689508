"""Four ways to sign in; incomplete or refused settings are named, and no secret is ever shown."""

import re
from pathlib import Path

import pytest
from dlt.sources.helpers import requests
from hostile_org import answered_by, once
from keys import PRIVATE_PEM, PUBLIC_PEM
from recorders import KEYS, Recorder

from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.diagnosis.doctor import doctor
from pipelines.errors import AccessDenied, ConfigError, RecorderError
from pipelines.salesforce.org import Org
from pipelines.salesforce.sign_in import sign_in


def test_client_credentials_give_the_org(org: DemoOrg, recorder: Recorder) -> None:
    """Token, host and ids come from the token answer."""
    session = sign_in(read_credentials(), requests.Client(raise_for_status=False))

    assert (session.instance_url, session.org_id, session.user_id) == (
        org.instance_url,
        org.org_id,
        org.integration_user_id,
    )
    assert session.access_token not in repr(session)


def test_with_a_bare_token_the_org_is_asked_for_its_id(org: DemoOrg, give) -> None:
    """Organization answers, or else userinfo."""
    give(instance_url=org.instance_url, access_token=org.access_token)
    assert Org(read_credentials()).org_id == org.org_id
    assert [request.path for request in org.requests] == ["/services/data/v68.0/query"]

    org.fail_next(400, [{"errorCode": "INVALID_TYPE", "message": "Organization is not supported"}], path="/query$")
    assert Org(read_credentials()).org_id == org.org_id
    assert org.requests[-1].path == "/services/oauth2/userinfo"


def test_without_an_org_id_the_run_stops(org: DemoOrg, give) -> None:
    """The org id is part of every key."""
    give(instance_url=org.instance_url, access_token=org.access_token)
    org.fail_next(400, [{"errorCode": "INVALID_TYPE", "message": "No."}], path="/query$")
    org.fail_next(403, {"error": "x"}, path="/userinfo")

    with pytest.raises(AccessDenied, match="neither Organization nor userinfo"):
        _ = Org(read_credentials()).org_id


@pytest.mark.parametrize("form", ["path", "PEM", "PEM on one line"])
def test_jwt_bearer_signs_with_the_private_key(org: DemoOrg, give, tmp_path: Path, form) -> None:
    """The key may be a path, the text itself, or the text with \\n in it, as in an environment variable."""
    org.jwt_public_key = PUBLIC_PEM
    file = tmp_path / "server.key"
    file.write_text(PRIVATE_PEM)
    given = {"path": str(file), "PEM": PRIVATE_PEM, "PEM on one line": PRIVATE_PEM.replace("\n", "\\n")}[form]
    give(instance_url=org.instance_url, client_id=org.client_id, username=org.integration_username, private_key=given)

    assert sign_in(read_credentials(), requests.Client(raise_for_status=False)).org_id == org.org_id


def test_jwt_bearer_for_a_sandbox_has_its_own_audience(org: DemoOrg, give) -> None:
    """login_url is the assertion's audience, not where it is sent."""
    org.jwt_public_key = PUBLIC_PEM
    keys = {"instance_url": org.instance_url, "client_id": org.client_id, "username": org.integration_username}
    give(**keys, private_key=PRIVATE_PEM, login_url="https://test.salesforce.com")
    assert sign_in(read_credentials(), requests.Client(raise_for_status=False)).org_id == org.org_id

    give(**keys, private_key=PRIVATE_PEM, login_url="https://somewhere.example.com")
    with pytest.raises(AccessDenied) as raised:
        sign_in(read_credentials(), requests.Client(raise_for_status=False))
    assert "login_url" in raised.value.remedy


@pytest.mark.parametrize("key", ["no key at all", "/no/such/file", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END"])
def test_an_invalid_private_key_is_not_quoted(org: DemoOrg, give, key) -> None:
    """It might be a real one with a typo."""
    give(instance_url=org.instance_url, client_id="x", username="y", private_key=key)
    with pytest.raises(ConfigError) as raised:
        sign_in(read_credentials(), requests.Client(raise_for_status=False))

    assert key not in str(raised.value)
    assert "private_key" in str(raised.value)


OAUTH_ERRORS = {
    "invalid_grant: request not supported on this domain": "My Domain",
    "invalid_grant: no client credentials user enabled": "run-as user",
    "invalid_client_id: client identifier invalid": "client_id and client_secret",
    "invalid_client: invalid client credentials": "client_id and client_secret",
    "invalid_app_access: user hasn't approved this consumer": "pre-authorized",
    "unsupported_grant_type: grant type not supported": "Enable this flow",
    "something_new: of tomorrow": "doctor",
}


@pytest.mark.parametrize("error", OAUTH_ERRORS)
def test_an_oauth_error_is_shown_with_what_to_do(org: DemoOrg, recorder: Recorder, error) -> None:
    """OAuth errors are an object, not an array."""
    code, description = error.split(": ")
    org.fail_next(400, {"error": code, "error_description": description}, path="/token")
    with pytest.raises(AccessDenied) as raised:
        sign_in(read_credentials(), requests.Client(raise_for_status=False))

    assert error in raised.value.message
    assert OAUTH_ERRORS[error] in raised.value.remedy
    assert org.client_secret not in str(raised.value)


@pytest.mark.parametrize("body", ["<html>", [], {"access_token": None}, {"instance_url": "x"}])
def test_a_token_answer_without_a_token_is_refused(org: DemoOrg, recorder: Recorder, body) -> None:
    """Status 200 alone proves nothing."""
    org.fail_next(200, body, path="/token")
    with pytest.raises(ConfigError, match="but not like Salesforce's sign-in"):
        sign_in(read_credentials(), requests.Client(raise_for_status=False))


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_sign_in_never_follows_a_redirect(org: DemoOrg, recorder: Recorder, status: int) -> None:
    """307 and 308 mean sending the same form, including the secret, to that host."""
    with serving(other := DemoOrg()):
        org.fail_next(status, "", headers={"Location": f"{other.instance_url}/services/oauth2/token"}, path="/token")
        with pytest.raises(ConfigError, match=f"HTTP {status}, a redirect to {other.instance_url}/services/oauth2/"):
            sign_in(read_credentials(), requests.Client(raise_for_status=False))

    assert not other.requests
    assert [request.path for request in org.requests] == ["/services/oauth2/token"]


def test_netrc_is_not_sent_along(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """Not with the sign-in, nor any request of a load, nor one that the doctor sends before."""
    netrc = recorder.home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login bob password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "5")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    org.add_job(state="Closed", jobType="Classic", operation="insert")
    with answered_by(org, "^nothing", once()) as between:
        monkeypatch.setenv(f"{KEYS}INSTANCE_URL", between.url)
        recorder.load()
        doctor()

    asked = {
        (re.sub("/750.*", "/750", path.split("?")[0]), headers.get("authorization", "").split(" ")[0])
        for path, headers in between.seen
    }
    classic = "/services/async/68.0/job/750"  # whose token has a distinct header
    unsigned = {"/services/oauth2/token", "/services/data", classic}
    assert {path for path, scheme in asked if scheme != "Bearer"} == unsigned
    assert {scheme for path, scheme in asked if path in unsigned} == {""}


def test_an_unreachable_host_is_a_temporary_error(give) -> None:
    """The message names it, but nothing that was sent."""
    give(instance_url="http://127.0.0.1:9", client_id="abc", client_secret="s3cret")
    with pytest.raises(RecorderError) as raised:
        sign_in(read_credentials(), requests.Client(request_max_attempts=1))

    assert raised.value.exit_code == 75
    assert "http://127.0.0.1:9" in raised.value.message
    assert "s3cret" not in str(raised.value)


def test_a_server_without_a_trusted_certificate_gets_no_secret(give, certificate: tuple[str, str]) -> None:
    """A self-signed certificate in between: the run stops, and says how to trust a proxy's certificate."""
    demo_org = DemoOrg()
    with serving(demo_org, certfile=certificate[0], keyfile=certificate[1]):
        give(instance_url=demo_org.instance_url, client_id="abc", client_secret="s3cret")
        with pytest.raises(ConfigError, match="TLS certificate") as raised:
            sign_in(read_credentials(), requests.Client(request_max_attempts=1))

    assert "REQUESTS_CA_BUNDLE" in raised.value.remedy
    assert not demo_org.requests
