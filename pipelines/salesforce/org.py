"""One org over HTTP: sends requests and decodes the responses.

How requests are sent is in `http_clients.py`, sessions are in `session_renewal.py`, the limit on calls in
`api_budget.py`, and what responses mean as jobs in `job_pages.py`.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from dlt.sources.helpers.requests import Client
from requests import Response

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.defaults import BUDGET_PERCENT, CURRENT_API_VERSION
from pipelines.config.dlt_context import named
from pipelines.errors import ConfigError, InvalidResponse, TemporaryError, sanitize
from pipelines.salesforce.api_budget import ApiBudget
from pipelines.salesforce.api_errors import SalesforceError, explained, session_has_ended
from pipelines.salesforce.connection_errors import unreachable
from pipelines.salesforce.foreign_answers import foreign_answer
from pipelines.salesforce.http_clients import CLASSIC, retrying_client, signed, single_try_client
from pipelines.salesforce.ids import full_id
from pipelines.salesforce.json_answers import decoded, decoded_classic
from pipelines.salesforce.org_clock import OrgClock
from pipelines.salesforce.org_id import ORG_ID, fetch_org_id
from pipelines.salesforce.reached_hosts import note_answer
from pipelines.salesforce.session import Session
from pipelines.salesforce.session_renewal import Sessions
from pipelines.salesforce.sign_in import TOKEN_PATH, can_renew
from pipelines.salesforce.streaming import Allowance, StreamedAnswer, StreamingClient
from pipelines.salesforce.transport import too_large

Params = dict[str, str] | None  # of a request's query

SMALL: Final = 2**20  # bytes; for all responses but pages of the listing: two hundred users take 60 KB


def _checked(version: str, section: str) -> str:
    """An API version, which Salesforce wants as 68.0: it answers 68 with a plain 404."""
    if not re.fullmatch(r"[0-9]{1,3}\.0", version):
        raise ConfigError(
            f"{named(f'{section}.api_version')} is {sanitize(repr(version), 40)}.",
            f"Write it like {CURRENT_API_VERSION}.",
        )
    return version


class _Here(threading.local):
    """What one thread has done, as several listings are read side by side."""

    calls = bytes_read = 0
    clock: datetime | None = None
    refused: TemporaryError | None = None  # why the Date of the newest response is not trusted


class Org:
    """An org. Signs in at the first request and counts API calls. Safe to use from several threads.

    `calls` and `budget` include every response, also retried ones. What `here` has, and the `clock`, is that of the
    calling thread: `bytes_read` of responses that were decoded. `stream` is for one thread at a time.
    """

    def __init__(
        self,
        credentials: SalesforceCredentials,
        api_version: str = CURRENT_API_VERSION,
        api_budget_percent: float = BUDGET_PERCENT,
        clock_tolerance_hours: float = 0.0,  # 0: any clock is trusted, as long as it runs evenly
    ) -> None:
        self.credentials = credentials
        self.api_version = _checked(api_version, credentials.settings_section)
        self.budget = ApiBudget(api_budget_percent, credentials.settings_section)
        self.calls, self.here = 0, _Here()
        self._clock = OrgClock(timedelta(hours=clock_tolerance_hours) if clock_tolerance_hours else None)
        self.http, self._impatient = retrying_client(self._note), single_try_client(self._note)
        self._streaming = StreamingClient(self._note)
        self._sessions = Sessions(credentials, self.http, self._request_once, api_version)
        self._lock = threading.Lock()

    @property
    def clock(self) -> datetime:
        """The org's time, from the newest response that this thread has got; without one, from that of any thread."""
        return self.here.clock or self._clock.now

    def check_clock(self, newest: datetime | None = None) -> None:
        """Raises TemporaryError if the org's clock is implausible, or is earlier than the `newest` recorded listing."""
        if self.here.refused:
            raise self.here.refused
        self._clock.check_against(newest, self.org_id if newest else "")

    @property
    def session(self) -> Session:
        return self._sessions.current

    @property
    def user(self) -> tuple[str, str]:
        """Id and username of the signed-in user, "" if unknown, or if the sessions had different users."""
        return self._sessions.user

    @cached_property
    def org_id(self) -> str:
        """The org's 18-character id, which is part of every key in the warehouse.

        If the sign-in does not tell it (a bare token does not), Organization or userinfo does.
        """
        org_id, user_id = self.session.org_id, ""
        if not org_id:
            org_id, user_id = fetch_org_id(self.request, self.api_version)
            self._sessions.add_user(user_id)
        if not ORG_ID.fullmatch(org_id):
            raise InvalidResponse(
                f"Salesforce returned an invalid organization ID: {sanitize(org_id, 40)!r}.",
                "Perhaps a proxy answered instead of Salesforce. Nothing was changed.",
            )
        self._sessions.org_id = str(full_id(org_id))
        return self._sessions.org_id

    def get(self, path: str, params: Params = None, at_most: int = SMALL) -> Any:
        """The decoded response of GET {instance_url}{path}; a relative path starts at our API version.

        Raises a RecorderError; `request` raises the error as Salesforce sent it.
        """
        try:
            return self.request(path, params, at_most)
        except SalesforceError as error:
            raise explained(error, self.api_version) from error

    def request(self, path: str, params: Params = None, at_most: int = SMALL, *, patient: bool = True) -> Any:
        """Like `get`, but raises SalesforceError, for callers that distinguish errors. `patient=False` does not retry
        after an error response: for one of hundreds of requests, which has another chance in the next run."""
        self.budget.check()
        session = self.session
        response = self._send(session, path, params, patient)
        if session_has_ended(response) and can_renew(self.credentials):
            response = self._send(self._sessions.renewed(session), path, params, patient)
        return self._read(response, path, at_most)

    @contextmanager
    def stream(self, path: str, allowance: Allowance, params: Params = None) -> Iterator[StreamedAnswer]:
        """The response of one request, for the caller to read; it is not retried. Raises like `request`, and
        LimitReached if nothing may be read any more."""
        self.budget.check()
        self._streaming.allowance = allowance
        session = self.session
        response = self._get(self._streaming, session, path, params)
        if session_has_ended(response) and can_renew(self.credentials):
            response = self._get(self._streaming, self._sessions.renewed(session), path, params)
        with closing(response):
            if response.status_code not in (200, 204):
                raise SalesforceError(response)
            self._clock.check(response.headers.get("Date"))
            yield StreamedAnswer(response, allowance)

    def _request_once(self, session: Session, path: str, params: Params = None) -> Any:
        """Like `request`, with a session that has not been accepted yet."""
        return self._read(self._send(session, path, params), path)

    def _read(self, response: Response, path: str, at_most: int = SMALL) -> Any:
        """Decodes a response. Raises SalesforceError or InvalidResponse."""
        if response.status_code != 200:
            raise SalesforceError(response)
        self._clock.check(response.headers.get("Date"))
        if len(response.content) > at_most:
            raise too_large(at_most)
        self.here.bytes_read += len(response.content)
        try:
            return decoded_classic(response.content) if path.startswith(CLASSIC) else decoded(response.content)
        except (ValueError, RecursionError):
            if foreign := foreign_answer(response):
                raise foreign from None
            kind = response.headers.get("Content-Type", "no content type")
            forms = "valid JSON or XML" if path.startswith(CLASSIC) else "valid JSON"
            raise InvalidResponse(
                f"GET {self.url(path)} answered with HTTP 200, but without {forms} ({sanitize(kind, 80)}).",
                "Perhaps a proxy answered instead of Salesforce. Nothing was changed.",
            ) from None

    def url(self, path: str) -> str:
        return path if path.startswith("/") else f"/services/data/v{self.api_version}/{path}"

    def _send(self, session: Session, path: str, params: Params = None, patient: bool = True) -> Response:
        return self._get(self.http if patient else self._impatient, session, path, params)

    def _get(self, client: Client | StreamingClient, session: Session, path: str, params: Params) -> Response:
        try:
            # Redirects are never followed: only the host from the sign-in gets the token.
            return client.get(
                session.instance_url + self.url(path),
                params=params,
                auth=signed(path, session.access_token),
                allow_redirects=False,
            )
        except (OSError, ValueError, OverflowError) as error:  # all of requests' errors, and an absurd Retry-After
            raise unreachable(session.instance_url, error) from None

    def _note(self, response: Response, **_: object) -> None:
        """Called for every response, including those that are retried."""
        note_answer(response.url)
        is_call = TOKEN_PATH not in response.url  # the org does not count a sign-in as an API call
        self.here.calls += is_call
        with self._lock:
            self.calls += is_call
            self._clock.read(response.headers.get("Date"))
            self.here.clock, self.here.refused = self._clock.now, self._clock.refused
        self.budget.read(response.headers.get("Sforce-Limit-Info", ""))
