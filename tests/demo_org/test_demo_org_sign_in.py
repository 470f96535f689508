"""Signing in to the demo org, and who is signed in."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from demo_org_client import LISTING, recorded
from keys import PRIVATE_PEM, PUBLIC_PEM

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


def test_an_identity_url_tells_who_and_wants_the_right_token(org: DemoOrg) -> None:
    url = sign_in(org, credentials(org)).json()["id"]
    found = requests.get(url, params={"oauth_token": org.access_token}, timeout=10).json()
    assert (found["id"], found["user_id"], found["organization_id"]) == (url, org.integration_user_id, org.org_id)
    assert found["username"] == org.integration_username
    headers = {"Authorization": f"Bearer {org.access_token}"}
    assert requests.get(url, headers=headers, timeout=10).json() == found
    assert requests.get(url, timeout=10).status_code == 403
    assert requests.get(f"{url[:-18]}005000000000000AAA", headers=headers, timeout=10).status_code == 404
    resources = requests.get(f"{org.instance_url}/services/data/v68.0", headers=headers, timeout=10).json()
    assert resources["identity"] == url
    assert requests.get(org.instance_url + resources["limits"], headers=headers, timeout=10).status_code == 200


def test_a_revoked_token_is_none_and_the_others_stay(org: DemoOrg) -> None:
    token = sign_in(org, credentials(org)).json()["access_token"]

    def revoke() -> requests.Response:
        return requests.post(f"{org.instance_url}/services/oauth2/revoke", data={"token": token}, timeout=10)

    assert revoke().status_code == 200
    assert (revoke().status_code, revoke().json()["error"]) == (400, "invalid_token")
    for each, status in ((token, 401), (org.access_token, 200)):
        headers = {"Authorization": f"Bearer {each}"}
        assert requests.get(org.instance_url + LISTING, headers=headers, timeout=10).status_code == status
