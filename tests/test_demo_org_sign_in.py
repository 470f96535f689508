"""Signing in to the demo org, by hand and with simple-salesforce, a client that was written for the real one."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from demo_org_client import LISTING, locator_of, recorded
from keys import PRIVATE_PEM, PUBLIC_PEM
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce, SalesforceAuthenticationFailed, SalesforceResourceNotFound

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
TOKEN = "/services/oauth2/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def org() -> Iterator[DemoOrg]:
    org = DemoOrg(now=NOW, page_size=3)
    org.jwt_public_key = PUBLIC_PEM
    with serving(org):
        yield org


def sign_in(org: DemoOrg, form: dict[str, str], **options: Any) -> requests.Response:
    return requests.post(org.instance_url + TOKEN, data=form, timeout=10, **options)


def credentials(org: DemoOrg) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": org.client_id, "client_secret": org.client_secret}


def test_client_credentials_in_the_form_give_the_documented_answer(org: DemoOrg) -> None:
    answer = sign_in(org, credentials(org)).json()
    documented = {"access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"}
    assert answer.keys() == documented  # neither expires_in nor refresh_token
    assert answer["instance_url"] == org.instance_url
    assert answer["id"] == f"{org.instance_url}/id/{org.org_id}/{org.integration_user_id}"
    assert answer["issued_at"] == str(int(NOW.timestamp()) * 1000)
    headers = {"Authorization": f"{answer['token_type']} {answer['access_token']}"}
    assert requests.get(org.instance_url + LISTING, headers=headers, timeout=10).status_code == 200


def test_client_credentials_may_come_as_basic_authorization(org: DemoOrg) -> None:
    form = {"grant_type": "client_credentials"}
    assert sign_in(org, form, auth=(org.client_id, org.client_secret)).status_code == 200
    assert sign_in(org, form, auth=(org.client_id, "wrong")).json()["error"] == "invalid_client"
    assert sign_in(org, form).json()["error"] == "invalid_client_id"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"client_id": "unknown"}, "invalid_client_id"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": JWT_BEARER, "assertion": "no.such.thing"}, "invalid_grant"),
    ],
)
def test_wrong_credentials_are_refused_with_an_object(org: DemoOrg, wrong: dict[str, str], error: str) -> None:
    answer = sign_in(org, credentials(org) | wrong)
    assert answer.status_code == 400
    assert answer.json().keys() == recorded("e_40_oauth_wrong_domain").keys()
    assert answer.json()["error"] == error


def test_the_wrong_domain_and_a_missing_run_as_user_are_refused_as_recorded(org: DemoOrg) -> None:
    org.client_credentials_user = False
    refused = {"error": "invalid_grant", "error_description": "no client credentials user enabled"}
    assert sign_in(org, credentials(org)).json() == refused
    org.wrong_domain = True
    assert sign_in(org, credentials(org)).json() == recorded("e_40_oauth_wrong_domain")


def assertion(org: DemoOrg, key: str = PRIVATE_PEM, algorithm: str = "RS256", **changes: Any) -> dict[str, str]:
    claims = {
        "iss": org.client_id,
        "sub": org.integration_username,
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
    }
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    return {"grant_type": JWT_BEARER, "assertion": jwt.encode(kept, key, algorithm=algorithm)}


@pytest.mark.parametrize(
    "changes",
    [{}, {"aud": "https://test.salesforce.com"}, {"aud": "https://own.example"}, {"exp": "in 200 s, as text"}],
)
def test_a_good_assertion_is_accepted(org: DemoOrg, changes: dict[str, Any]) -> None:
    org.jwt_audience = "https://own.example"
    if "exp" in changes:
        changes = {"exp": str(int(time.time()) + 200)}
    assert sign_in(org, assertion(org, **changes)).json()["token_type"] == "Bearer"


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"iss": "unknown"}, "invalid_client_id", "client identifier invalid"),
        ({"sub": "nobody@demo-org.example"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"aud": "https://demo.my.salesforce.com"}, "invalid_grant", "Audience validation failed"),
        ({"exp": int(time.time()) - 1}, "invalid_grant", "expired authorization code"),
        ({"exp": int(time.time()) + 3_600}, "invalid_grant", "expired authorization code"),
        ({"exp": None}, "invalid_grant", "invalid assertion"),
        ({"exp": "soon"}, "invalid_grant", "invalid assertion"),
        ({"key": "x" * 32, "algorithm": "HS256"}, "invalid_grant", "invalid assertion"),
    ],
)
def test_an_assertion_with_a_wrong_claim_is_refused_for_it(
    org: DemoOrg, changes: dict[str, Any], error: str, description: str
) -> None:
    answer = sign_in(org, assertion(org, **changes))
    assert answer.status_code == 400
    assert answer.json() == {"error": error, "error_description": description}


def test_an_assertion_signed_with_another_key_or_for_an_app_without_one_is_refused(org: DemoOrg) -> None:
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    assert sign_in(org, assertion(org, key=pem)).json()["error_description"] == "invalid assertion"
    org.jwt_public_key = None
    assert sign_in(org, assertion(org)).json()["error_description"] == "invalid assertion"


def test_expired_sessions_end_every_token_until_a_new_one_is_issued(org: DemoOrg) -> None:
    tokens = [org.access_token, sign_in(org, credentials(org)).json()["access_token"]]

    def listing(token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(org.instance_url + LISTING, headers=headers, timeout=10)

    assert [listing(token).status_code for token in tokens] == [200, 200]
    org.expire_sessions()
    for refused in [listing(token) for token in tokens] + [requests.get(org.instance_url + LISTING, timeout=10)]:
        assert (refused.status_code, refused.json()) == (401, recorded("e_34_invalid_session"))
    assert listing(org.renew_access_token()).status_code == 200
    assert listing(sign_in(org, credentials(org)).json()["access_token"]).status_code == 200


def test_userinfo_tells_the_user_and_the_org(org: DemoOrg) -> None:
    headers = {"Authorization": f"Bearer {org.access_token}"}
    info = requests.get(f"{org.instance_url}/services/oauth2/userinfo", headers=headers, timeout=10).json()
    assert (info["user_id"], info["organization_id"]) == (org.integration_user_id, org.org_id)
    assert info["preferred_username"] == org.integration_username


# --- simple-salesforce ---


class ToTheDemoOrg(HTTPAdapter):
    """simple-salesforce signs in at https://<domain>.salesforce.com only: the name leads here, as DNS would."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = self.url + request.path_url
        return super().send(request, *args, **kwargs)


@pytest.fixture
def session(certificate: tuple[str, str]) -> Iterator[tuple[DemoOrg, requests.Session]]:
    org = DemoOrg(now=NOW, page_size=3)
    org.jwt_public_key = PUBLIC_PEM
    with serving(org, certfile=certificate[0], keyfile=certificate[1]) as url, requests.Session() as session:
        session.verify = certificate[0]
        session.trust_env = False  # a REQUESTS_CA_BUNDLE of the machine would go before it
        session.mount("https://demo-org.my.salesforce.com", ToTheDemoOrg(url))
        session.mount("https://login.salesforce.com", ToTheDemoOrg(url))
        yield org, session


def test_simple_salesforce_signs_in_lists_pages_and_reads(session: tuple[DemoOrg, requests.Session]) -> None:
    org, http = session
    jobs = {org.add_job(state="JobComplete") for _ in range(7)}
    salesforce = Salesforce(
        consumer_key=org.client_id,
        consumer_secret=org.client_secret,
        domain="demo-org.my",
        session=http,
        version="68.0",
    )
    seen, params = set(), {"jobType": "V2Query"}
    while True:
        page = salesforce.restful("jobs/query", params=params)
        seen |= {job["id"] for job in page["records"]}
        if page["done"]:
            break
        params["queryLocator"] = locator_of(page)
    assert seen == jobs
    assert salesforce.restful(f"jobs/query/{min(jobs)}")["retries"] == 0
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.restful("jobs/query/750000000000000AAA")
    assert salesforce.limits()["DailyBulkV2QueryJobs"] == {"Max": 1_000, "Remaining": 993}
    [user] = salesforce.query(f"SELECT Id, Name FROM User WHERE Id IN ('{org.integration_user_id}')")["records"]
    assert user["Name"] == "Job Recorder"
    assert salesforce.is_sandbox() is False
    assert salesforce.api_usage["api-usage"].used == org.usage.calls(org.now)


def test_simple_salesforce_signs_in_with_a_key_and_shows_why_not(session: tuple[DemoOrg, requests.Session]) -> None:
    org, http = session
    app = {"consumer_key": org.client_id, "privatekey": PRIVATE_PEM, "session": http, "version": "68.0"}
    salesforce = Salesforce(username=org.integration_username, **app)
    assert salesforce.query("SELECT Id FROM Organization")["records"][0]["Id"] == org.org_id
    with (
        pytest.warns(UserWarning, match="may need to authorize"),
        pytest.raises(SalesforceAuthenticationFailed, match="hasn't approved this consumer"),
    ):
        Salesforce(username="nobody@demo-org.example", **app)
