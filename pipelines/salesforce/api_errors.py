"""An org's error answers: what they say, which of them pass, and what each means for whoever runs this."""

from typing import Final

from requests import Response

from pipelines.errors import Failure, Misconfigured, NotPermitted, TryLater, sanitize
from pipelines.salesforce.json_answers import decoded_classic
from pipelines.salesforce.redaction import redact

ENDED: Final = ("InvalidSessionId", "INVALID_SESSION_ID")


class SalesforceError(Exception):
    """An error answer, as it came: the status and the `[{"errorCode", "message"}]` of the body."""

    def __init__(self, response: Response) -> None:
        self.status = response.status_code
        self.code, self.said = error_of(response)
        super().__init__(f"HTTP {self.status} {self.code}: {self.said}")


def session_has_ended(response: Response) -> bool:
    """401, or what the Classic API says instead (with which status is not documented)."""
    return response.status_code == 401 or (response.status_code != 200 and error_of(response)[0] in ENDED)


def error_of(response: Response) -> tuple[str, str]:
    """errorCode and message of an error body, which is an array; OAuth's and the Classic API's are objects, the latter
    in XML, too."""
    try:
        body = decoded_classic(response.content[:65_536], "exceptionCode")
    except (ValueError, RecursionError):
        return "", f"the answer is not JSON ({sanitize(response.headers.get('Content-Type', 'no content type'), 80)})"
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", "the answer is not an error that Salesforce documents"
    code = first.get("errorCode") or first.get("exceptionCode") or first.get("error") or ""
    said = first.get("message") or first.get("exceptionMessage") or first.get("error_description") or ""
    sent = response.request.headers
    secrets = sent.get("Authorization", "").removeprefix("Bearer "), sent.get("X-SFDC-Session")
    return redact(code, 80, *secrets), redact(said, 300, *secrets)


def is_transient(response: Response | None, error: BaseException | None) -> bool:
    """One code, two meanings: too many long requests at this moment is worth a retry, a spent day is not."""
    if response is None or response.status_code != 403:
        return False
    code, said = error_of(response)
    return code == "REQUEST_LIMIT_EXCEEDED" and "Concurrent" in said


def explained(error: SalesforceError, api_version: str) -> Failure:
    """The error answer as a Failure that names what to do next, by status and errorCode.

    REST API Developer Guide, "Status Codes and Error Responses",
    https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
    """
    kind: type[Failure] = Failure
    remedy = "Nothing was changed. `make doctor` looks closer."
    if error.code == "REQUEST_LIMIT_EXCEEDED":
        kind, remedy = TryLater, "The org's API calls are spent, or too many run at once. Nothing was changed."
    elif error.status in (420, 429) or error.status >= 500:
        kind, remedy = TryLater, "Salesforce is busy or down (https://status.salesforce.com). Nothing was changed."
    elif error.status == 401:
        kind = NotPermitted
        remedy = "The session has ended, or was never valid. Give a new token, or let client credentials renew it."
    elif error.status in (404, 410):
        kind = Misconfigured
        remedy = f"Check instance_url and api_version ({api_version}): `make doctor` asks which ones the org has."
    elif 300 <= error.status < 400:
        kind = Misconfigured
        remedy = "Redirects are not followed: the token stays with your org. Set instance_url to its My Domain."
    elif error.code in ("API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED"):
        kind, remedy = NotPermitted, "This org's edition or state has no API, or the user lacks 'API Enabled'."
    elif error.status == 403:
        kind = NotPermitted
        remedy = "The user needs 'API Enabled', 'Manage Data Integrations' and 'View Setup and Configuration'."
    what = " ".join(part for part in (f"HTTP {error.status}", error.code) if part)
    return kind(f"Salesforce answered with {what}{f': {error.said}' if error.said else ''}", remedy)
