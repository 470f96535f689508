"""`POST /services/oauth2/token` and who is signed in.

SOURCE: https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_client_credentials_flow.htm,
xcloud.remoteaccess_oauth_jwt_flow.htm and xcloud.remoteaccess_oauth_flow_errors.htm; descriptions that these
pages leave out are as reported in public threads, named where they are used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import parse_qsl

from pipelines.demo_org.answers import Answer, Asked, answer, not_found, refusal, sign_in_refusal
from pipelines.demo_org.org import DemoOrg, User

SESSION_PATHS = ("/services/oauth2/userinfo", "/services/oauth2/revoke", "/id/")
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
# The help page says three minutes; five are taken (https://github.com/simple-salesforce/simple-salesforce/issues/491)
ASSERTION_LIFE = 300  # seconds from now, by the wall clock, that an assertion may be valid


def token(org: DemoOrg, asked: Asked) -> Answer:
    """Answer a sign-in by client credentials or JWT bearer: an access token, or an object that says why not."""
    form = dict(parse_qsl(asked.body.decode("utf-8", "replace"), keep_blank_values=True))
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    grant = form.get("grant_type") if kind == "application/x-www-form-urlencoded" else None
    if grant == "client_credentials":
        return _client_credentials(org, form, asked)
    if grant == JWT_BEARER:
        return _jwt_bearer(org, form.get("assertion", ""))
    # https://github.com/Oyatel/CometD.NET/issues/20: also the answer to a body that is no form
    return sign_in_refusal("unsupported_grant_type", "grant type not supported")


def _client_credentials(org: DemoOrg, form: dict[str, str], asked: Asked) -> Answer:
    client_id, client_secret = form.get("client_id"), form.get("client_secret")
    if client_id is None:
        client_id, client_secret = _basic(asked.headers.get("authorization", ""))
    if org.wrong_domain:  # tests/fixtures/e_40_oauth_wrong_domain.json
        return sign_in_refusal("invalid_grant", "request not supported on this domain")
    if client_id != org.client_id:
        # https://github.com/restforce/restforce/issues/46
        return sign_in_refusal("invalid_client_id", "client identifier invalid")
    if client_secret != org.client_secret:
        # https://github.com/restforce/restforce/issues/338
        return sign_in_refusal("invalid_client", "invalid client credentials")
    if not org.client_credentials_user:
        return sign_in_refusal("invalid_grant", "no client credentials user enabled")
    return _signed_in(org)


def _basic(authorization: str) -> tuple[str | None, str | None]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return name, secret


def _jwt_bearer(org: DemoOrg, assertion: str) -> Answer:
    """Take an assertion signed with the key whose certificate the app has, and with the right claims.

    Which error wins when several claims are wrong is not documented.
    """
    import jwt  # noqa: PLC0415 - importing cryptography is slow, and often not needed

    if org.jwt_public_key is None:
        return sign_in_refusal("invalid_grant", "invalid assertion")
    try:
        claims = jwt.decode(
            assertion,
            org.jwt_public_key,
            algorithms=["RS256"],
            options={"verify_aud": False, "verify_exp": False, "require": ["iss", "sub", "aud", "exp"]},
        )
        expires = int(claims["exp"])  # simple-salesforce sends it as text, and that works
    except (jwt.PyJWTError, ValueError, TypeError):
        # https://github.com/frankkessler/salesforce-laravel-oauth2-rest/issues/68
        return sign_in_refusal("invalid_grant", "invalid assertion")
    return _refused_claims(org, claims, expires) or _signed_in(org)


def _refused_claims(org: DemoOrg, claims: dict[str, Any], expires: int) -> Answer | None:
    if claims["iss"] != org.client_id:
        return sign_in_refusal("invalid_client_id", "client identifier invalid")
    if claims["aud"] not in (*LOGIN_HOSTS, org.jwt_audience):
        # The help page's text; threads also show "audience is invalid"
        return sign_in_refusal("invalid_grant", "Audience validation failed")
    if not 0 < expires - time.time() <= ASSERTION_LIFE:
        # https://github.com/newrelic/newrelic-salesforce-exporter/issues/31. What an exp too far ahead is
        # answered with is not public; the same is our choice.
        return sign_in_refusal("invalid_grant", "expired authorization code")
    if claims["sub"] != org.integration_username:
        return sign_in_refusal("invalid_grant", "user hasn't approved this consumer")
    return None


def revoke(org: DemoOrg, asked: Asked) -> Answer:
    """End the session of one token, given in the form or in the query.

    SOURCE: https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_revoke_token.htm
    """
    form = dict(parse_qsl(asked.body.decode("utf-8", "replace")))
    if not org.revoke(form.get("token") or asked.query.get("token", "")):
        return sign_in_refusal("invalid_token", "invalid token")
    return Answer(200)


def identity_url(org: DemoOrg, user: User | None) -> str:
    """Return the address that tells who a user is."""
    return f"{org.instance_url}/id/{org.org_id}/{user.id if user else org.integration_user_id}"


def _signed_in(org: DemoOrg) -> Answer:
    identity = identity_url(org, None)
    issued_at = str(int(org.now.timestamp() * 1000))
    signature = hmac.new(org.client_secret.encode(), (identity + issued_at).encode(), hashlib.sha256).digest()
    body = {
        "access_token": org.issue_token(),
        "signature": base64.b64encode(signature).decode(),
        "scope": "api",
        "instance_url": org.instance_url,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
    }
    return answer(200, body, **{"Cache-Control": "no-cache, no-store"})


def about_session(org: DemoOrg, asked: Asked, path: str) -> Answer:
    """Answer who is signed in, or end a session."""
    if path == "/services/oauth2/userinfo":
        return userinfo(org, org.user_of(asked.bearer or ""))
    if path == "/services/oauth2/revoke":
        return revoke(org, asked)
    return identity(org, path, asked)


def userinfo(org: DemoOrg, user: User | None) -> Answer:
    """Answer who is signed in.

    SOURCE: https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_using_userinfo_endpoint.htm
    """
    if user is None:  # the page's own status for a bad token here is 403; its text is reported in threads
        return refusal(403, "Bad_OAuth_Token", "Bad_OAuth_Token")
    given, _, family = user.name.rpartition(" ")
    body = {
        "sub": f"{org.instance_url}/id/{org.org_id}/{user.id}",
        "user_id": user.id,
        "organization_id": org.org_id,
        "preferred_username": user.username,
        "nickname": user.username.partition("@")[0],
        "name": user.name,
        "email": user.username,
        "email_verified": True,
        "given_name": given,
        "family_name": family,
        "zoneinfo": "GMT",
        "urls": _urls(org),
        "active": user.active,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "utcOffset": 0,
        "is_app_installed": True,
    }
    return answer(200, body)


def identity(org: DemoOrg, path: str, asked: Asked) -> Answer:
    """Answer who the user of an identity URL is; the token may come as `oauth_token` in the query as well.

    SOURCE: https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_using_openid.htm, which gives a bad token
    403 Bad_OAuth_Token and one of another user or org 404.
    """
    user = org.user_of(asked.bearer or asked.query.get("oauth_token", ""))
    if user is None:
        return refusal(403, "Bad_OAuth_Token", "Bad_OAuth_Token")
    if path != f"/id/{org.org_id}/{user.id}":
        return not_found()
    given, _, family = user.name.rpartition(" ")
    body = {
        "id": identity_url(org, user),
        "asserted_user": True,
        "user_id": user.id,
        "organization_id": org.org_id,
        "username": user.username,
        "nick_name": user.username.partition("@")[0],
        "display_name": user.name,
        "email": user.username,
        "email_verified": True,
        "first_name": given,
        "last_name": family,
        "timezone": "GMT",
        "urls": _urls(org),
        "active": user.active,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "utcOffset": 0,
        "is_app_installed": True,
    }
    return answer(200, body)


def _urls(org: DemoOrg) -> dict[str, str]:
    return {"rest": f"{org.instance_url}/services/data/v{{version}}/"}
