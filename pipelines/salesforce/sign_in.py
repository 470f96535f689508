"""Signs in to an org: credentials in, an access token and the org's host out."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from dlt.sources.helpers import requests
from requests import Response

from pipelines.config.credentials import SalesforceCredentials, https_origin
from pipelines.errors import ConfigError, RecorderError, TemporaryError
from pipelines.salesforce.connection_errors import unreachable
from pipelines.salesforce.foreign_answers import foreign_answer
from pipelines.salesforce.oauth_errors import refused
from pipelines.salesforce.private_key import NEW_KEY, NO_KEY, pem_of
from pipelines.salesforce.redaction import redact
from pipelines.salesforce.session import Session
from pipelines.salesforce.sf_cli import sf_cli_session

TOKEN_PATH: Final = "/services/oauth2/token"  # noqa: S105 - a path, not a password
ASSERTION_LIFE: Final = 180  # seconds; Salesforce accepts at most three minutes


def sign_in(credentials: SalesforceCredentials, http: requests.Client) -> Session:
    """A new session, by the method whose keys are set.

    Raises AccessDenied (refused, with Salesforce's error code), TemporaryError (not reachable) or ConfigError.
    """
    return SIGN_INS[credentials.method](credentials, http)


def can_renew(credentials: SalesforceCredentials) -> bool:
    """Whether another sign-in can get a new token; not with a bare token."""
    return credentials.method != "access token"


def _access_token(credentials: SalesforceCredentials, http: requests.Client) -> Session:
    return Session(credentials.instance_url or "", credentials.access_token or "")


def _client_credentials(credentials: SalesforceCredentials, http: requests.Client) -> Session:
    """OAuth 2.0 client credentials flow: POST {My Domain}/services/oauth2/token.

    https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_client_credentials_flow.htm
    """
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }
    return _token(credentials, http, credentials.instance_url or "", form)


def _jwt_bearer(credentials: SalesforceCredentials, http: requests.Client) -> Session:
    """OAuth 2.0 JWT bearer flow: exchanges a short-lived assertion, signed with the private key, for a token.

    https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm
    """
    import jwt  # noqa: PLC0415 - imports cryptography, which the other methods do not need

    claims = {
        "iss": credentials.client_id,
        "sub": credentials.username,
        "aud": credentials.login_url,
        "exp": int(time.time()) + ASSERTION_LIFE,
    }
    try:
        assertion = jwt.encode(claims, pem_of(credentials), algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):  # their texts may contain the key
        raise ConfigError(f"private_key is {NO_KEY}.", NEW_KEY) from None
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    # The assertion names the login host, but the request goes to the org: its My Domain accepts both.
    return _token(credentials, http, credentials.instance_url or "", form)


def _token(
    credentials: SalesforceCredentials, http: requests.Client, host: str, form: Mapping[str, str | None]
) -> Session:
    try:
        # The form contains a secret: a redirect must not send it to another host.
        # An `auth` that adds nothing prevents an entry in ~/.netrc from being sent.
        answer = http.post(host + TOKEN_PATH, data=form, allow_redirects=False, auth=lambda request: request)
    except (OSError, ValueError, OverflowError) as error:  # all of requests' errors are OSErrors
        raise unreachable(host, error) from None
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        body = None
    if answer.status_code != 200 or not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
        raise _refused(answer, body, host, form)
    org_id, user_id = _identity(body.get("id"))
    instance_url = body.get("instance_url") or credentials.instance_url
    return Session(
        https_origin("instance_url in the token response", instance_url), body["access_token"], org_id, user_id
    )


def _identity(url: Any) -> tuple[str, str]:
    """Org and user id of an identity URL: https://login.salesforce.com/id/<org id>/<user id>."""
    parts = urlsplit(url).path.split("/") if isinstance(url, str) else []
    return (parts[2], parts[3]) if len(parts) == 4 and parts[1] == "id" else ("", "")


def _refused(answer: Response, body: Any, host: str, form: Mapping[str, str | None]) -> RecorderError:
    said = body if isinstance(body, dict) else {}
    status = answer.status_code
    error = f"{said.get('error', f'HTTP {status}')}: {said.get('error_description', 'no description')}"
    error = redact(error, 300, form.get("client_secret"), form.get("assertion"))
    if not said.get("error") and (foreign := foreign_answer(answer)):
        return foreign
    if status in (420, 429) or status >= 500:
        return TemporaryError(f"Salesforce cannot process the sign-in right now ({error}).", "Try again later.")
    if not said.get("error"):
        return ConfigError(
            f"{host}{TOKEN_PATH} answered with HTTP {status}, but not like Salesforce's sign-in.",
            "Check instance_url: it must be the org's My Domain, https://<name>.my.salesforce.com.",
        )
    return refused(error)


def _sf_cli(credentials: SalesforceCredentials, http: requests.Client) -> Session:
    return sf_cli_session(credentials.sf_cli_org or "")


SIGN_INS: Final[dict[str, Callable[[SalesforceCredentials, requests.Client], Session]]] = {
    "access token": _access_token,
    "client credentials": _client_credentials,
    "JWT bearer": _jwt_bearer,
    "sf CLI": _sf_cli,
}
