"""Signs in to an org: credentials in, an access token and the org's host out."""

import errno
import os
import select
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from dlt.sources.helpers import requests

from pipelines.config.credentials import SalesforceCredentials, https_origin
from pipelines.errors import AccessDenied, ConfigError, RecorderError, TemporaryError
from pipelines.salesforce.connection_errors import unreachable
from pipelines.salesforce.redaction import redact
from pipelines.salesforce.session import Session
from pipelines.salesforce.sf_cli import sf_cli_session

TOKEN_PATH: Final = "/services/oauth2/token"  # noqa: S105 - a path, not a password
ASSERTION_LIFE: Final = 180  # seconds; Salesforce accepts at most three minutes
KEY_WAIT: Final = 10  # seconds to wait for a FIFO's writer
MAX_KEY: Final = 1_000_000  # bytes


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
        assertion = jwt.encode(claims, _pem(credentials), algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):  # their texts may contain the key
        raise ConfigError(
            "private_key is not an RSA private key in PEM format without a passphrase.",
            "Create a pair with: openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt "
            "- upload server.crt to the app, and set private_key to the path of server.key.",
        ) from None
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    # The assertion names the login host, but the request goes to the org: its My Domain accepts both.
    return _token(credentials, http, credentials.instance_url or "", form)


def _pem(credentials: SalesforceCredentials) -> str:
    file = credentials.key_file
    if file is None:
        # Environment variables often contain \n as two characters
        return (credentials.private_key or "").replace("\\n", "\n")
    try:
        return _without_waiting(file).decode("ascii")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a PEM text file"
        raise ConfigError(
            f"The file that private_key names cannot be read: {reason}.",
            "Set private_key to the path of a PEM file (relative to the project, or absolute), or to the PEM text.",
        ) from None


def _without_waiting(file: Path) -> bytes:
    """The contents of a file or FIFO (such as a shell's `<(command)`), waiting a few seconds for the writer."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as opened:
        if stat.S_ISFIFO(os.fstat(opened.fileno()).st_mode):
            if not select.select([opened], [], [], KEY_WAIT)[0]:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            os.set_blocking(opened.fileno(), True)
        return opened.read(MAX_KEY)


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
        raise _refused(answer.status_code, body, host, form)
    org_id, user_id = _identity(body.get("id"))
    instance_url = body.get("instance_url") or credentials.instance_url
    return Session(
        https_origin("instance_url in the token response", instance_url), body["access_token"], org_id, user_id
    )


def _identity(url: Any) -> tuple[str, str]:
    """Org and user id of an identity URL: https://login.salesforce.com/id/<org id>/<user id>."""
    parts = urlsplit(url).path.split("/") if isinstance(url, str) else []
    return (parts[2], parts[3]) if len(parts) == 4 and parts[1] == "id" else ("", "")


# What OAuth errors mean in practice; the first text found in `error: error_description` wins. Sources:
# help.salesforce.com xcloud.remoteaccess_oauth_flow_errors, and forum threads about these errors.
OAUTH_REMEDIES: Final = {
    "not supported on this domain": "instance_url must be the org's My Domain, https://<name>.my.salesforce.com; "
    "login.salesforce.com and test.salesforce.com do not support this flow.",
    "no client credentials user": "The app has no run-as user: Setup, External Client App Manager, the app, "
    "Policies, Client Credentials Flow, Run As.",
    "user hasn't approved": "Pre-authorize the user: in the app's OAuth policies, set Permitted Users to "
    "'Admin approved users are pre-authorized', and add the user's profile or permission set.",
    "audience": "login_url must be https://login.salesforce.com, or https://test.salesforce.com for a sandbox.",
    "assertion": "Check username, login_url, the certificate in the app, and this machine's clock.",
    "expired": "Check this machine's clock: an assertion is valid for three minutes.",
    "invalid_client": "Check client_id and client_secret (Setup, External Client App Manager, the app, "
    "OAuth Settings, Consumer Key and Secret). A new app takes about ten minutes to become active.",
    "inactive": "The user is inactive or may not use the API: Setup, Users.",
    "unsupported_grant_type": "Enable this flow in the app's OAuth settings.",
    "not enabled": "Enable this flow in the app's OAuth settings.",
}


def _refused(status: int, body: Any, host: str, form: Mapping[str, str | None]) -> RecorderError:
    said = body if isinstance(body, dict) else {}
    error = f"{said.get('error', f'HTTP {status}')}: {said.get('error_description', 'no description')}"
    error = redact(error, 300, form.get("client_secret"), form.get("assertion"))
    if status in (420, 429) or status >= 500:
        return TemporaryError(f"Salesforce cannot process the sign-in right now ({error}).", "Try again later.")
    if not said.get("error"):
        return ConfigError(
            f"{host}{TOKEN_PATH} answered with HTTP {status}, but not like Salesforce's sign-in.",
            "Check instance_url: it must be the org's My Domain, https://<name>.my.salesforce.com.",
        )
    remedy = next((text for key, text in OAUTH_REMEDIES.items() if key in error.lower()), "")
    return AccessDenied(
        f"Salesforce refused the sign-in ({error}).",
        remedy or "Check the sign-in keys in .dlt/secrets.toml, then run `make doctor`.",
    )


def _sf_cli(credentials: SalesforceCredentials, http: requests.Client) -> Session:
    return sf_cli_session(credentials.sf_cli_org or "")


SIGN_INS: Final[dict[str, Callable[[SalesforceCredentials, requests.Client], Session]]] = {
    "access token": _access_token,
    "client credentials": _client_credentials,
    "JWT bearer": _jwt_bearer,
    "sf CLI": _sf_cli,
}
