"""An org's error responses: what they say, which are temporary, and what the user can do about each."""

from typing import Final

from requests import Response

from pipelines.config.project import command_for
from pipelines.errors import AccessDenied, ConfigError, RecorderError, TemporaryError, sanitize
from pipelines.salesforce.foreign_answers import foreign_answer
from pipelines.salesforce.json_answers import decoded_classic
from pipelines.salesforce.redaction import redact

DOCTOR: Final = f"`{command_for('doctor')}`"
ENDED: Final = ("InvalidSessionId", "INVALID_SESSION_ID")


class SalesforceError(Exception):
    """An error response: its status, and the `[{"errorCode", "message"}]` of its body."""

    def __init__(self, response: Response) -> None:
        self.status = response.status_code
        self.code, self.text = error_of(response)
        self.foreign = None if self.code else foreign_answer(response)  # what it means, if it is not the org's own
        super().__init__(f"HTTP {self.status} {self.code}: {self.text}")

    @property
    def is_limit(self) -> bool:
        """Whether the org accepts no more calls just now."""
        return self.status in (420, 429) or self.code == "REQUEST_LIMIT_EXCEEDED"


def session_has_ended(response: Response) -> bool:
    """Whether the session has expired: 401, or the Classic API's error code (its status is not documented)."""
    return response.status_code == 401 or (response.status_code != 200 and error_of(response)[0] in ENDED)


def error_of(response: Response) -> tuple[str, str]:
    """errorCode and message of an error response. Its body is an array; OAuth and the Classic API send an object, the
    latter also as XML."""
    try:
        body = decoded_classic(response.content[:65_536], "exceptionCode")
    except (ValueError, RecursionError):
        return "", f"the response is not JSON ({sanitize(response.headers.get('Content-Type', 'no content type'), 80)})"
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", "the response is not an error that Salesforce documents"
    code = first.get("errorCode") or first.get("exceptionCode") or first.get("error") or ""
    text = first.get("message") or first.get("exceptionMessage") or first.get("error_description") or ""
    sent = response.request.headers
    secrets = sent.get("Authorization", "").removeprefix("Bearer "), sent.get("X-SFDC-Session")
    return redact(code, 80, *secrets), redact(text, 300, *secrets)


def is_transient(response: Response | None, error: BaseException | None) -> bool:
    """Whether to retry: one code means both too many concurrent requests (retry) and the daily limit (do not)."""
    if response is None or response.status_code != 403:
        return False
    code, text = error_of(response)
    return code == "REQUEST_LIMIT_EXCEEDED" and "Concurrent" in text


def explained(error: SalesforceError, api_version: str) -> RecorderError:
    """The error response as a RecorderError that says what to do, by status and errorCode.

    REST API Developer Guide, "Status Codes and Error Responses",
    https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
    """
    if error.foreign:
        return error.foreign
    kind: type[RecorderError] = RecorderError
    remedy = f"Nothing was changed. Run {DOCTOR} to find out more."
    if error.code == "REQUEST_LIMIT_EXCEEDED":
        kind, remedy = (
            TemporaryError,
            "The org's API calls are used up, or too many run at once. Nothing was changed; try again later.",
        )
    elif error.status in (420, 429) or error.status >= 500:
        kind, remedy = (
            TemporaryError,
            "Salesforce is busy or down (https://status.salesforce.com). Nothing was changed; try again later.",
        )
    elif error.status == 401:
        kind = AccessDenied
        remedy = (
            "The session has expired or was never valid. If access_token is set, replace it: it expires with "
            f"its session. If sf_cli_org is set, sign in again: sf org login web. Otherwise run {DOCTOR}."
        )
    elif error.status in (404, 410):
        kind = ConfigError
        remedy = f"Check instance_url and api_version ({api_version}); {DOCTOR} shows which versions the org supports."
    elif error.code in ("API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED"):
        kind, remedy = AccessDenied, "The org's edition has no API, or the user lacks the permission 'API Enabled'."
    elif error.status == 403:
        kind = AccessDenied
        remedy = "The user needs 'API Enabled', 'Manage Data Integrations' and 'View Setup and Configuration'."
    what = " ".join(part for part in (f"HTTP {error.status}", error.code) if part)
    return kind(f"Salesforce answered with {what}{f': {error.text}' if error.text else ''}", remedy)
