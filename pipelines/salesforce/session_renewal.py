"""The sessions of one run: renewed when they expire, and always of the same org."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from dlt.sources.helpers import requests

from pipelines.config.credentials import SalesforceCredentials
from pipelines.errors import TemporaryError, sanitize
from pipelines.salesforce.ids import same_id
from pipelines.salesforce.org_id import fetch_org_id
from pipelines.salesforce.session import Session
from pipelines.salesforce.sign_in import sign_in


class OtherOrg(TemporaryError):
    """The sign-in leads to another org, or another host, than at the start of the run."""


class Sessions:
    """Signs in when a session is first needed. Safe to use from several threads.

    `org_id` is the org's id, "" until it is known. `request` sends a request with a session that is not accepted yet.
    """

    def __init__(
        self, credentials: SalesforceCredentials, http: requests.Client, request: Callable[..., Any], api_version: str
    ) -> None:
        self.org_id = ""
        self._credentials, self._http, self._request, self._api_version = credentials, http, request, api_version
        self._session: Session | None = None
        self._users: set[tuple[str, str]] = set()
        self._elsewhere: OtherOrg | None = None
        self._lock = threading.RLock()

    @property
    def current(self) -> Session:
        """Raises a RecorderError if the sign-in fails."""
        with self._lock:
            return self._session or self.renewed(None)

    def renewed(self, spent: Session | None) -> Session:
        """A new session in place of an expired one, unless another thread was faster. Raises OtherOrg if the app now
        points at another org, or the sandbox was refreshed."""
        with self._lock:
            if self._elsewhere:
                raise self._elsewhere
            if self._session is None or self._session is spent:
                renewed = sign_in(self._credentials, self._http)
                self._elsewhere = self._other_org(self._session, renewed) if self._session else None
                if self._elsewhere:
                    raise self._elsewhere
                self._session = renewed
                self._users.add((renewed.user_id, renewed.username))
            return self._session

    def add_user(self, user_id: str) -> None:
        """Adds the id of a user whom the sign-in did not tell."""
        self._users.add((user_id, ""))

    @property
    def user(self) -> tuple[str, str]:
        """Id and username of the user who asks, "" for what the sign-ins do not say; of several users, of none."""
        known = self._users - {("", "")}
        return known.pop() if len(known) == 1 else ("", "")

    def _other_org(self, first: Session, renewed: Session) -> OtherOrg | None:
        known = self.org_id or first.org_id
        if not known:
            return None  # nothing was requested yet except the org's id
        found = renewed.org_id
        if not found:
            found, user_id = fetch_org_id(partial(self._request, renewed), self._api_version)
            self.add_user(user_id)
        if same_id(known, found) and renewed.instance_url == first.instance_url:
            return None
        return OtherOrg(
            f"The session expired, and the new sign-in leads to another org: {sanitize(found, 40)} at "
            f"{renewed.instance_url}. This run started with org {known} at {first.instance_url}.",
            "Nothing of the other org was stored. If that is the org to record, load again; otherwise check "
            "instance_url and the sign-in keys.",
        )
