"""Fetches what else there is to know about an org: its name, its users' names, its limits. A few calls per run."""

import logging
import re
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import pyarrow as pa

from pipelines.columns import Table
from pipelines.errors import InvalidResponse, RecorderError, sanitize
from pipelines.recording.history import History
from pipelines.recording.incomplete import warn_incomplete
from pipelines.recording.listings import Listings
from pipelines.recording.merges import Rows
from pipelines.recording.records import as_json, text, whole_number
from pipelines.salesforce.ids import same_id
from pipelines.salesforce.org import Org
from pipelines.tables import ORG_LIMITS, ORGS, USERS

logger = logging.getLogger(__name__)

USER_ID: Final = re.compile(r"005[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?")  # safe to put into a SOQL query
NAMES_KEPT: Final = timedelta(days=7)  # before the names of users and org are fetched again
MAX_USERS: Final = 2_000  # per run: ten calls; the next run fetches the rest
OF_SETTINGS: Final = ("configured_name", "left_settings_at")  # columns of `orgs` that `configured_names.py` fills
IDS_PER_QUERY: Final = 200  # a URL of some 4 KB, and a single page of results


@dataclass(frozen=True)
class Metadata:
    """What a run found out about the org in addition to the rows of the tables."""

    listed_by_id: str | None = None  # the user whose access listed the jobs
    notes: tuple[str, ...] = ()  # what could not be fetched, and why


class Remembers(Protocol):
    """What is recorded of an org's users and its name."""

    def asked_since(self, table: Table, org_id: str, since: datetime) -> set[str]: ...

    def stored(self, table: Table, org_id: str) -> dict[str, dict[str, Any]]: ...


class Remembered:
    """That of one org, read at once: for a thread that may not use the database."""

    def __init__(self, history: History, listings: Listings) -> None:
        org_id, since = listings.org.org_id, listings.first.started_at - NAMES_KEPT
        self._asked = {table: history.asked_since(table, org_id, since) for table in (USERS, ORGS)}
        self._stored = {table: history.stored(table, org_id) for table in (USERS, ORGS)}

    def asked_since(self, table: Table, org_id: str, since: datetime) -> set[str]:
        return self._asked[table]

    def stored(self, table: Table, org_id: str) -> dict[str, dict[str, Any]]:
        return self._stored[table]


def ask_for_metadata(
    listings: Listings, history: Remembers, tables: Collection[Table]
) -> Generator[Rows, None, Metadata]:
    """Fetches the rows of these tables that are due. If that fails, the first listing gets a note, and is loaded all
    the same."""
    org = listings.org

    def asked_lately(table: Table) -> set[str]:
        return history.asked_since(table, org.org_id, listings.first.started_at - NAMES_KEPT)

    def names() -> pa.Table | None:
        shown = set().union(*(snapshot.shown.creators for snapshot in listings.snapshots))
        creators = {creator for creator in shown if creator} - asked_lately(USERS)
        return users(org, creators, history.stored(USERS, org.org_id)) if creators else None

    def name() -> pa.Table | None:
        return None if asked_lately(ORGS) else orgs(org, history.stored(ORGS, org.org_id))

    questions: dict[Table, Callable[[], pa.Table | None]] = {
        USERS: names,
        ORGS: name,
        ORG_LIMITS: lambda: org_limits(org, listings.first.listing_id),
    }
    usernames: dict[str, str] = {}
    notes: list[str] = []
    for table in tables:
        try:
            rows = questions[table]()
        except RecorderError as failure:
            notes.append(f"{table.name}: {failure.message}")
            warn_incomplete(notes[-1], "fetch_org_metadata = false")
            continue
        if rows:
            if table == USERS:
                usernames = _usernames(rows)
            yield Rows(table, rows)
    return Metadata(_listed_by(org, usernames, history), tuple(notes))


def _usernames(rows: pa.Table) -> dict[str, str]:
    return {row["id"]: (row["username"] or "").lower() for row in rows.select(["id", "username"]).to_pylist()}


def _listed_by(org: Org, usernames: dict[str, str], history: Remembers) -> str | None:
    """The user whose access listed the jobs: from the sign-in, or by the username that it returned, which is unique
    across all of Salesforce, regardless of case."""
    user_id, username = org.user
    if USER_ID.fullmatch(user_id):
        return user_id
    if not username:
        return None
    stored = {i: (row.get("username") or "").lower() for i, row in history.stored(USERS, org.org_id).items()}
    found = [user for user, name in (stored | usernames).items() if name == username.lower()]
    return found[0] if len(found) == 1 else None


def users(org: Org, ids: Iterable[str], known: Mapping[str, dict[str, Any]]) -> pa.Table:
    """The users with these ids, as rows of `users`. A user that the org does not show keeps the values in `known` (by
    id), or gets a row without a name.

    Raises a RecorderError: access denied, or an answer that is not as documented.
    GET /services/data/vXX.X/query?q=SELECT … FROM User, see resources_query.htm of the REST API Developer Guide
    """
    asked = sorted(i for i in ids if USER_ID.fullmatch(i))[:MAX_USERS]
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(asked), IDS_PER_QUERY):
        batch = asked[start : start + IDS_PER_QUERY]
        listed = ", ".join(f"'{i}'" for i in batch)
        shown = {str(record.get("Id"))[:15]: record for record in _queried(org, USERS, f"WHERE Id IN ({listed})")}
        if shown.keys() - {i[:15] for i in batch}:
            raise InvalidResponse("The answer to a query for users is about others than were asked for.")
        found |= {i: shown[i[:15]] for i in batch if i[:15] in shown}
    values = {i: _values(USERS, found[i]) if i in found else known.get(i, {}) for i in asked}
    rows = [{**values[i], "org_id": org.org_id, "id": i, "asked_at": org.clock} for i in asked]
    return pa.Table.from_pylist(rows, schema=USERS.schema)


def orgs(org: Org, known: Mapping[str, dict[str, Any]]) -> pa.Table:
    """The org's row of `orgs`; if the org does not show it, the values in `known` (by id) are kept. Raises as `users`.

    https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_organization.htm
    """
    records = _queried(org, ORGS)
    others = [str(record.get("Id")) for record in records if not same_id(str(record.get("Id")), org.org_id)]
    if others:
        raise InvalidResponse(f"Asked for its name, the org answered for another one: {sanitize(others[0], 40)}.")
    stored = known.get(org.org_id, {})
    values = _values(ORGS, records[0]) if records else stored
    kept = {name: stored.get(name) for name in OF_SETTINGS}
    asked = {"org_id": org.org_id, "instance_url": org.session.instance_url, "asked_at": org.clock}
    row = kept | values | asked
    return pa.Table.from_pylist([row], schema=ORGS.schema)


def org_limits(org: Org, listing_id: str) -> pa.Table:
    """The org's current limits and what is left of them: rows of `org_limits`, including one per app with its own
    share of a limit.

    `{"Max", "Remaining"}` by name, with the apps' shares nested under their names; "accurate within five minutes".
    Needs 'View Setup and Configuration'. Raises a RecorderError, as `users` does.
    https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_limits.htm
    """
    body = org.get("limits")
    if not isinstance(body, dict):
        raise RecorderError("The org's limits are not what Salesforce documents.")
    rows: list[dict[str, Any]] = []
    for name, limit in body.items():
        shares = [(_share(app), share) for app, share in limit.items()] if isinstance(limit, dict) else []
        for app, share in [("", limit), *shares]:
            if isinstance(share, dict):
                row = {"org_id": org.org_id, "listing_id": listing_id, "limit_name": name, "app": app}
                amounts = {"max": whole_number(share.get("Max")), "remaining": whole_number(share.get("Remaining"))}
                rows.append(row | amounts | {"asked_at": org.clock})
    if not rows:
        raise InvalidResponse("The org's limits are not what Salesforce documents: there is none.")
    return pa.Table.from_pylist(rows, schema=ORG_LIMITS.schema)


def _share(app: str) -> str:
    """An app's name as the key of its share. The empty name stands for the whole org, so a blank name is quoted, and so
    is one that already begins with a quotation mark."""
    return as_json(app) if not app.strip() or app.startswith('"') else app


def _queried(org: Org, table: Table, where: str = "") -> list[dict[str, Any]]:
    """Queries the object that a table is about, for the fields that fill its columns."""
    fields = ", ".join(["Id", *(c.field for c in table.columns if c.field)])
    objects = {USERS: "User", ORGS: "Organization"}
    body = org.get("query", {"q": f"SELECT {fields} FROM {objects[table]} {where}".strip()})
    records = body.get("records") if isinstance(body, dict) else None
    # 200 ids, or one org, always fit on one page.
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records) or body.get("done") is False:
        raise RecorderError(f"The answer to a query for {objects[table]} is not what Salesforce documents.")
    return records


def _values(table: Table, record: dict[str, Any]) -> dict[str, Any]:
    """The record's values by column; null for a flag that is neither true nor false, and for a blank name."""
    values = {c.name: (record.get(c.field), c.type) for c in table.columns if c.field}
    return {
        name: _name(value) if kind == pa.string() else value if isinstance(value, bool) else None
        for name, (value, kind) in values.items()
    }


def _name(value: Any) -> str | None:
    name = text(value)
    return name if name and name.strip() else None
