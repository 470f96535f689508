"""The demo org: its jobs, users, sessions, switches and faults. `api.py` answers requests from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pipelines.demo_org.faults import Faults, Faulty
from pipelines.demo_org.ids import salesforce_id
from pipelines.demo_org.listings import OpenListings, Order
from pipelines.demo_org.loads import Loads
from pipelines.demo_org.record_rules import Rules

REQUESTS_KEPT = 100_000  # in the log; the older half goes when it is full


@dataclass(frozen=True)
class User:
    """A user of the org; integrations have users of their own."""

    id: str
    name: str
    username: str
    active: bool = True


class Request(NamedTuple):
    """One line of the log: what was asked of the imitated API, and the status of the answer."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    bearer: bool  # whether a bearer token came along, valid or not


class DemoOrg(Loads, Faulty):
    """A Salesforce org in memory. Every method may be called from any thread, also while the org is served.

    Raises ValueError: `now` has no time zone.
    """

    def __init__(
        self,
        *,
        now: datetime | None = None,  # a simulated clock, moved by advance() only; None: the wall clock
        seed: int = 0,
        page_size: int = 1_000,
        # Salesforce's own example of the query listing names /jobs/ingest (tests/fixtures/q_list_01)
        next_records_path: Literal["ingest", "query"] = "ingest",
        # Not settled publicly. True: a locator without the filters of its first page lists unfiltered jobs
        locator_needs_filters: bool = True,
        # Not settled publicly. snapshot: ids and order of the first page; live: an offset into today's order
        paging: Literal["snapshot", "live"] = "snapshot",
        order: Order = "shuffled",
        # Not settled publicly. False: the listing holds the signed-in user's own jobs only
        sees_all: bool = True,
        daily_api_requests: int = 15_000,
        daily_query_jobs: int = 1_000,
        is_sandbox: bool = False,
        classic_api: bool = True,  # False: /services/async answers 403 FeatureNotEnabled
        # How that gives numbers in JSON. The documented example and tests/fixtures/c_one_17 have numbers, and times
        # in +0000 ("number"); tests/fixtures/c_one_15 has text, and times in Z, as the XML does ("text")
        async_numbers: Literal["text", "number"] = "text",
        # "content type", as documented: XML for a CSV job, whatever is asked for. "asked": JSON whenever that is asked
        # for, as in tests/fixtures/c_one_17
        async_form: Literal["content type", "asked"] = "content type",
        # Not settled publicly. True: the query listing shows Bulk API 2.0 loads as well
        lists_loads: bool = False,
        # Never recorded. True: every page says done, and those before the last one name a next page all the same
        done_early: bool = False,
    ) -> None:
        super().__init__(now, order=order, seed=seed, sees_all=sees_all, lists_loads=lists_loads)
        self.page_size, self.paging = page_size, paging
        self.next_records_path, self.locator_needs_filters = next_records_path, locator_needs_filters
        self.daily_api_requests, self.daily_query_jobs = daily_api_requests, daily_query_jobs
        self.classic_api, self.async_numbers = classic_api, async_numbers
        self.async_form, self.done_early = async_form, done_early

        self.org_id = salesforce_id("00D", 62**3 + seed)
        self.name = "Demo Org"
        self.is_sandbox = is_sandbox
        self.instance_url = "http://127.0.0.1"  # the server puts its own in
        self.client_id = "3MVG9.demo-org.consumer-key"
        self.client_secret = "demo-org-consumer-secret"  # noqa: S105 - a demo's
        self.jwt_public_key: str | bytes | None = None  # PEM; None: no certificate is registered
        self.jwt_audience: str | None = None  # accepted in addition to the documented login hosts
        self.client_credentials_user = True  # False: the app has no run-as user
        self.wrong_domain = False  # True: sign-in answers as login.salesforce.com does for client credentials
        self.disabled: str | None = None  # an errorCode that every request for data is refused with (403)
        self.rules = Rules()  # for the records of loads that clients make
        self.runs_loads = True  # False: what a client has loaded waits
        self.connected_app: str | None = None  # the calling app's name, if the org counts its calls apart
        # Called before a page is built, with the listing's name and the page's number, from 1
        self.before_answer: Callable[[DemoOrg, str, int], None] | None = None

        self.users: dict[str, User] = {}
        self.integration_username = "job.recorder@demo-org.example"
        self.integration_user_id = self.add_user("Job Recorder", self.integration_username)
        self._tokens: dict[str, str] = {}  # the valid ones, and whose they are
        self._token_count = 0
        self.access_token = self.issue_token()  # for a sign-in by bare token

        self.faults = Faults()
        self.listings = OpenListings()
        self.found_count = 0
        self.found: dict[str, list[dict[str, Any]]] = {}  # by locator: what queries found, for their further pages
        self.requests: list[Request] = []

    # --- users and sessions ---

    def add_user(self, name: str, username: str, *, active: bool = True) -> str:
        """Add a user and give the id."""
        with self.lock:
            user_id = salesforce_id("005", 62**3 * 11 + 37 * len(self.users))
            self.users[user_id] = User(user_id, name, username, active)
            return user_id

    def issue_token(self) -> str:
        """Return a new access token of the integration user: Salesforce's form, and the same on every run."""
        with self.lock:
            self._token_count += 1
            text = f"{self.org_id}/{self.seed}/{self._token_count}"
            token = f"{self.org_id[:15]}!AQ{hashlib.sha256(text.encode()).hexdigest()}"
            self._tokens[token] = self.integration_user_id
            return token

    def user_of(self, token: str) -> User | None:
        """Return the user of a valid access token."""
        return self.users.get(self._tokens.get(token, ""))

    def revoke(self, token: str) -> bool:
        """End the session of one token; False: it is none."""
        with self.lock:
            return self._tokens.pop(token, None) is not None

    def expire_sessions(self) -> None:
        """End every session: all tokens, `access_token` too, answer 401 INVALID_SESSION_ID from now on."""
        with self.lock:
            self._tokens.clear()

    def renew_access_token(self) -> str:
        """Return `access_token` a new value, valid until the sessions expire again."""
        self.access_token = self.issue_token()
        return self.access_token

    # --- what goes wrong, and the log ---

    def lose_locators(self) -> None:
        """Make every open queryLocator invalid: 400 INVALID_QUERY_LOCATOR."""
        with self.lock:
            self.listings.lose()
            self.found.clear()

    def log(self, request: Request) -> None:
        """Put a request into the log, `requests`."""
        with self.lock:
            if len(self.requests) >= REQUESTS_KEPT:
                del self.requests[: REQUESTS_KEPT // 2]
            self.requests.append(request)
