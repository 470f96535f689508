"""One org over HTTP: signed requests, retries, errors in plain words, and the budget of API calls.

The retries are dlt's (429 with Retry-After, 5xx, cut connections), bounded by `[runtime]`; added here are what
only Salesforce does. What the answers mean as jobs is for `job_pages.py`.
"""

import json
import math
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import orjson
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers import requests
from dlt.sources.helpers.requests.retry import DEFAULT_RETRY_EXCEPTIONS, DEFAULT_RETRY_STATUS
from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from requests.exceptions import ConnectionError as BrokenConnection

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.defaults import BUDGET_PERCENT, CURRENT_API_VERSION
from pipelines.config.dlt_context import named
from pipelines.errors import Failure, Misconfigured, NotPermitted, TryLater, Unreadable, quoted
from pipelines.salesforce.classic_xml import read_xml
from pipelines.salesforce.ids import full_id
from pipelines.salesforce.org_clock import OrgClock
from pipelines.salesforce.sign_in import TOKEN_PATH, Session, as_said, can_renew, sign_in, unreachable
from pipelines.salesforce.transport import session_attributes, too_large

# Per-app usage may follow, so the pattern is not anchored: api-usage=18/5000; per-app-api-usage=17/250(appName=x)
API_USAGE: Final = re.compile(r"(?<![\w-])api-usage=(\d{1,15})/(\d{1,15})(?!\d)", re.ASCII)
ORG_ID: Final = re.compile(r"[0-9A-Za-z]{18}|[0-9A-Za-z]{15}", re.ASCII)
ENDED: Final = ("InvalidSessionId", "INVALID_SESSION_ID")
ID_LENGTHS: Final = (15, 18)
SMALL: Final = 2**20  # bytes of an answer that is no page of the listing: two hundred users take 60 KB
JSON: Final = "application/json"
CLASSIC: Final = "/services/async/"  # where the Classic API lives
# 420 comes from Salesforce Edge, the network in front of the orgs.
RETRY_STATUS: Final = (420, *DEFAULT_RETRY_STATUS)
RETRY_EXCEPTIONS: Final = (*DEFAULT_RETRY_EXCEPTIONS, ContentDecodingError)

Ask = Callable[..., Any]  # as `Org.ask`


class OtherOrg(TryLater):
    """The sign-in leads to another org, or another host, than it did when the run began."""


def same_id(one: str, other: str) -> bool:
    """Whether two ids are one record's: an id of 18 characters is one of 15, in which case counts, and a checksum."""
    return one == other or (len(one) in ID_LENGTHS and len(other) in ID_LENGTHS and one[:15] == other[:15])


class SalesforceError(Exception):
    """An error answer, as it came: the status and the `[{"errorCode", "message"}]` of the body."""

    def __init__(self, response: Response) -> None:
        self.status = response.status_code
        self.code, self.said = _error(response)
        super().__init__(f"HTTP {self.status} {self.code}: {self.said}")


class _Bearer(AuthBase):
    """Signs each request by itself: a header of the session would lose to an entry in ~/.netrc."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class _ClassicSession(_Bearer):
    """Signs a request of the Classic API, which has a header of its own, and asks for JSON: its default is XML."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.update({"X-SFDC-Session": self.token, "Accept": JSON, "Content-Type": JSON})
        return request


class _Impatient(requests.Client):
    """Waits for nothing: an error answer is an answer, and a connection that broke is tried once more, at once (the org
    may have closed one that was kept)."""

    def update_from_config(self, config: RuntimeConfiguration) -> None:
        once = config.copy()
        once.request_max_attempts, once.request_backoff_factor = 2, 0
        super().update_from_config(once)


class Org:
    """An org that we ask. Signs in at the first request; counts what it asks. Threads may ask at the same time.

    `calls` and `api_usage` (used, allowed; None until an answer told) follow every answer, retries included;
    `bytes_read` those that were read as JSON.
    """

    def __init__(
        self,
        credentials: SalesforceCredentials,
        api_version: str = CURRENT_API_VERSION,
        api_budget_percent: float = BUDGET_PERCENT,
        clock_tolerance_hours: float = 0.0,  # 0: whatever the org's clock says is believed, as long as it runs evenly
    ) -> None:
        if not 0 < api_budget_percent <= 100:
            raise Misconfigured(
                f"{named('sources.salesforce.api_budget_percent')} is {api_budget_percent:g}.",
                "It must be a number above 0, and 100 at the most: the share of its daily API calls that an org may "
                "have used when a run stops.",
            )
        self.credentials = credentials
        self.api_version = api_version
        self.api_budget_percent = api_budget_percent
        self.calls = self.bytes_read = 0
        self.api_usage: tuple[int, int] | None = None
        self._clock = OrgClock(timedelta(hours=clock_tolerance_hours) if clock_tolerance_hours else None)
        self.http = requests.Client(
            raise_for_status=False,
            status_codes=RETRY_STATUS,
            exceptions=RETRY_EXCEPTIONS,
            retry_condition=_is_transient,
            session_attrs=session_attributes(self._note),
        )
        self._impatient = _Impatient(
            raise_for_status=False,
            status_codes=(),
            exceptions=(BrokenConnection, ChunkedEncodingError),
            session_attrs=session_attributes(self._note),
        )
        for client in (self.http, self._impatient):
            client.configure()  # timeout, attempts and backoff of [runtime]
        self._session: Session | None = None
        self._users: set[tuple[str, str]] = set()
        self._elsewhere: OtherOrg | None = None
        self._lock = threading.RLock()

    @property
    def clock(self) -> datetime:
        """The org's time, by its newest answer."""
        return self._clock.now

    def check_clock(self, newest: datetime | None = None) -> None:
        """Raises TryLater where the org's clock cannot be believed, or is before the `newest` recorded listing."""
        self._clock.check_against(newest, self.org_id if newest else "")

    @property
    def session(self) -> Session:
        with self._lock:
            return self._session or self._renewed(None)

    def _renewed(self, spent: Session | None) -> Session:
        """A new session in place of a spent one, unless another thread was quicker. Raises OtherOrg: the app was
        pointed at another org meanwhile, or a sandbox was refreshed."""
        with self._lock:
            if self._elsewhere:
                raise self._elsewhere
            if self._session is None or self._session is spent:
                renewed = sign_in(self.credentials, self.http)
                self._elsewhere = self._other_org(self._session, renewed) if self._session else None
                if self._elsewhere:
                    raise self._elsewhere
                self._session = renewed
                self._users.add((renewed.user_id, renewed.username))
            return self._session

    @property
    def user(self) -> tuple[str, str]:
        """Id and username of the user who asks, "" for what the sign-ins do not say; of several users, of none."""
        told = self._users - {("", "")}
        return told.pop() if len(told) == 1 else ("", "")

    def _other_org(self, first: Session, renewed: Session) -> OtherOrg | None:
        known = self.__dict__.get("org_id") or first.org_id
        if not known:
            return None  # nothing was asked yet but which org this is
        found = renewed.org_id or self._asked_org_id(lambda *asked: self._read(self._send(renewed, *asked), *asked))
        if same_id(known, found) and renewed.instance_url == first.instance_url:
            return None
        return OtherOrg(
            f"The session ended, and the next sign-in leads elsewhere: to org {quoted(found, 40)} at "
            f"{renewed.instance_url}, where this run began with org {known} at {first.instance_url}.",
            "Nothing was stored of what it leads to now. If that is the org to record, load again; otherwise check "
            "instance_url and the keys of the sign-in.",
        )

    @cached_property
    def org_id(self) -> str:
        """The org's 18-character id, which is part of every key in the warehouse.

        A bare token does not tell it; then Organization or userinfo does, whichever answers.
        """
        org_id = self.session.org_id or self._asked_org_id(self.ask)
        if not ORG_ID.fullmatch(org_id):
            raise Unreadable(
                f"The org gives {quoted(org_id, 40)!r} as its id, which is none.",
                "A proxy may answer instead of Salesforce. Nothing was changed.",
            )
        return str(full_id(org_id))

    def _asked_org_id(self, ask: Ask) -> str:
        """The org's id, asked of Organization, or of userinfo where the user may not read that."""
        try:
            return str(ask("query", {"q": "SELECT Id FROM Organization"})["records"][0]["Id"])
        except SalesforceError as error:
            if error.status == 401:
                raise explained(error, self) from error
        except (KeyError, IndexError, TypeError):
            pass
        try:
            userinfo = ask("/services/oauth2/userinfo")
            self._users.add((full_id(str(userinfo.get("user_id") or "")), ""))
            return str(userinfo["organization_id"])
        except (SalesforceError, KeyError, TypeError, AttributeError) as error:
            failure = explained(error, self) if isinstance(error, SalesforceError) else None
            if failure and not isinstance(failure, NotPermitted | Misconfigured):
                raise failure from error
            raise NotPermitted(
                "Salesforce tells this user neither Organization nor userinfo, so the org's id is not known.",
                "Give the user read access to Organization, or sign in by client credentials.",
            ) from None

    def get(self, path: str, params: dict[str, str] | None = None, at_most: int = SMALL) -> Any:
        """The decoded JSON of GET {instance_url}{path}; a relative path counts from our API version.

        Raises a Failure in plain words; see `ask` for the error as Salesforce gave it.
        """
        try:
            return self.ask(path, params, at_most)
        except SalesforceError as error:
            raise explained(error, self) from error

    def ask(
        self, path: str, params: dict[str, str] | None = None, at_most: int = SMALL, *, patient: bool = True
    ) -> Any:
        """As `get`, but raises SalesforceError where the caller wants to tell the errors apart. An impatient question
        is not asked again where the answer is an error: for one of hundreds, which has another turn later."""
        self._mind_the_budget()
        session = self.session
        response = self._send(session, path, params, patient)
        if _session_has_ended(response) and can_renew(self.credentials):
            response = self._send(self._renewed(session), path, params, patient)
        return self._read(response, path, at_most=at_most)

    def _read(self, response: Response, path: str, *_: object, at_most: int = SMALL) -> Any:
        """What an answer holds. Raises SalesforceError or Unreadable."""
        if response.status_code != 200:
            raise SalesforceError(response)
        self._clock.check(response.headers.get("Date"))
        if len(response.content) > at_most:
            raise too_large(at_most)
        self.bytes_read += len(response.content)
        try:
            return _classic(response.content) if path.startswith(CLASSIC) else decoded(response.content)
        except (ValueError, RecursionError):
            kind = response.headers.get("Content-Type", "no content type")
            forms = "with JSON or XML" if path.startswith(CLASSIC) else "with JSON"
            raise Unreadable(
                f"GET {self.url(path)} answered with HTTP 200 but not {forms} that can be read ({quoted(kind, 80)}).",
                "A proxy or a maintenance page may answer instead of Salesforce. Nothing was changed.",
            ) from None

    def url(self, path: str) -> str:
        return path if path.startswith("/") else f"/services/data/v{self.api_version}/{path}"

    def _send(
        self, session: Session, path: str, params: dict[str, str] | None = None, patient: bool = True
    ) -> Response:
        client = self.http if patient else self._impatient
        sign = _ClassicSession if path.startswith(CLASSIC) else _Bearer
        try:
            # No redirect is ever followed: our host is the one that the sign-in named.
            return client.get(
                session.instance_url + self.url(path),
                params=params,
                auth=sign(session.access_token),
                allow_redirects=False,
            )
        except (OSError, ValueError, OverflowError) as error:  # all of requests', and a Retry-After beyond reason
            raise unreachable(session.instance_url, error) from None

    def _note(self, response: Response, **_: object) -> None:
        """Runs on every answer, also those that dlt's client retries."""
        with self._lock:
            self.calls += TOKEN_PATH not in response.url  # signing in is none of the API calls that the org counts
        if usage := API_USAGE.search(response.headers.get("Sforce-Limit-Info", "")):
            self.api_usage = int(usage[1]), int(usage[2])
        with self._lock:
            self._clock.read(response.headers.get("Date"))

    @property
    def calls_left(self) -> int | None:
        """How many calls more take the org to `api_budget_percent`; None as long as no answer has told."""
        used, allowed = self.api_usage or (0, 0)
        return max(0, int(allowed * self.api_budget_percent / 100) - used) if allowed else None

    @property
    def budget_is_spent(self) -> bool:
        """Whether one call more would take the org past `api_budget_percent`, as far as its answers have told."""
        return self.calls_left == 0

    def _mind_the_budget(self) -> None:
        if self.api_usage and self.budget_is_spent:
            used, allowed = self.api_usage
            raise TryLater(
                f"The org has used {used:,} of its {allowed:,} daily API calls; "
                f"this run stops at {self.api_budget_percent:g} %, before it takes the last ones.",
                "Nothing was changed. Try again later, list less often, or raise api_budget_percent.",
            )


def decoded(content: bytes) -> Any:
    """The value of a JSON text. Raises ValueError or RecursionError.

    orjson refuses half an emoji, NaN and 1e999, which one record in a thousand pages may hold: Python's own decoder
    takes them. Half a character becomes a replacement character; a number that no computer's number holds, its text.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return _whole_characters(json.loads(content, parse_int=_integer, parse_float=_decimal, parse_constant=str))


def _classic(content: bytes, needed: str = "id") -> Any:
    """The value of a Classic API's answer, which is JSON, or XML with an element of that name: HTML can be XML, too.
    Raises ValueError or RecursionError."""
    try:
        return decoded(content)
    except ValueError:
        body = read_xml(content)
        if needed not in body:
            raise ValueError(f"XML without {needed}") from None
        return body


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 4_000 else digits  # Python refuses 4,300 of them


def _decimal(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    if isinstance(value, dict):
        whole: dict[str, Any] = {}
        for name, item in value.items():
            whole_name = _whole_characters(name)
            while whole_name in whole:  # two names that differed in their halves alone
                whole_name += "\N{REPLACEMENT CHARACTER}"
            whole[whole_name] = _whole_characters(item)
        return whole
    return value


def _session_has_ended(response: Response) -> bool:
    """401, or what the Classic API says instead (with which status is not documented)."""
    return response.status_code == 401 or (response.status_code != 200 and _error(response)[0] in ENDED)


def _error(response: Response) -> tuple[str, str]:
    """errorCode and message of an error body, which is an array; OAuth's and the Classic API's are objects, the latter
    in XML, too."""
    try:
        body = _classic(response.content[:65_536], "exceptionCode")
    except (ValueError, RecursionError):
        return "", f"the answer is not JSON ({quoted(response.headers.get('Content-Type', 'no content type'), 80)})"
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", "the answer is not an error that Salesforce documents"
    code = first.get("errorCode") or first.get("exceptionCode") or first.get("error") or ""
    said = first.get("message") or first.get("exceptionMessage") or first.get("error_description") or ""
    sent = response.request.headers
    secrets = sent.get("Authorization", "").removeprefix("Bearer "), sent.get("X-SFDC-Session")
    return as_said(code, 80, *secrets), as_said(said, 300, *secrets)


def _is_transient(response: Response | None, error: BaseException | None) -> bool:
    """One code, two meanings: too many long requests at this moment is worth a retry, a spent day is not."""
    if response is None or response.status_code != 403:
        return False
    code, said = _error(response)
    return code == "REQUEST_LIMIT_EXCEEDED" and "Concurrent" in said


def explained(error: SalesforceError, org: Org) -> Failure:
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
        remedy = f"Check instance_url and api_version ({org.api_version}): `make doctor` asks which ones the org has."
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
