"""One forward: what changed in the published copy since the last one goes to the destination.

Rows go in two packages, `listings` in the second: a row that says "complete" never comes before what it proves. Only
then does the new copy take the place of the one last sent. Wherever a forward is killed, the next one finds the same
differences, or fewer, and sends them again; merging the same rows twice changes nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
from dlt.common.destination.client import JobClientBase

from pipelines.columns import Table
from pipelines.config.dlt_context import active
from pipelines.config.settings import Settings
from pipelines.errors import ConfigError
from pipelines.forwarding.database import Database, retried
from pipelines.forwarding.delivery import Delivery, create_tables, dialect_of, place_of_data, sql_client_of
from pipelines.forwarding.destination_errors import Credentials, explained
from pipelines.forwarding.destination_views import create_views, fingerprint
from pipelines.forwarding.differences import Change, Differences
from pipelines.forwarding.registry import RECORDERS, Recorder, Registry
from pipelines.forwarding.sent_copy import SentCopy
from pipelines.forwarding.settings import ForwardSettings
from pipelines.interrupts import raise_if_interrupted
from pipelines.regular_files import holds_something
from pipelines.tables import LISTINGS, TABLES
from pipelines.warehouse.dlt_packages import temporary_files_in

MANY: Final = 10_000  # rows of a table, after which its statistics are updated


@dataclass(frozen=True)
class Mode:
    """What is asked for beside sending what is new."""

    init: bool = False  # create everything, and send nothing
    full: bool = False  # send everything, and remove what is no longer here
    take_over: bool = False  # of another machine or file


@dataclass
class Forwarded:
    """What one forward did; as text, the line that it prints."""

    place: str
    rows: dict[str, int] = field(default_factory=dict)  # by table, those sent or removed
    kept: int = 0  # of an older file: rows there that are no longer here
    created: bool = False
    seconds: float = 0.0

    def __str__(self) -> str:
        tables = len(self.rows)
        sent = f"{sum(self.rows.values()):,} rows of {tables:,} table{'' if tables == 1 else 's'}"
        what = sent if self.rows else "tables and views created" if self.created else "nothing new"
        return f"{what} · {self.seconds:.1f} s → {self.place}"


def forward(settings: Settings, forwarding: ForwardSettings, mode: Mode) -> Forwarded:
    """Sends what is new. Raises a RecorderError; whatever it was, the next forward makes good."""
    began = time.monotonic()
    hidden = Credentials()
    with explained(forwarding, "", hidden):
        place = place_of_data(forwarding, hidden)
    done = Forwarded(f"{forwarding.destination}, dataset {forwarding.dataset}")
    _check_published(settings)
    copy = SentCopy(settings.primary_file, place)
    with copy.exclusive():
        if mode == Mode() and copy.has(settings.warehouse) and _is_as_before(copy, forwarding):
            done.seconds = time.monotonic() - began
            return done
        copy.take(settings.warehouse)
        with compared(copy.new, None if mode.full else copy.sent, copy.folder / "spill") as found:
            _Forward(settings, forwarding, mode, copy, found, hidden).run(done)
    done.seconds = time.monotonic() - began
    return done


def differences(settings: Settings, forwarding: ForwardSettings, *, full: bool) -> dict[str, Change]:
    """By table, what a forward would send now. Nothing is written, there or here."""
    hidden = Credentials()
    with explained(forwarding, "", hidden):
        place = place_of_data(forwarding, hidden)
    _check_published(settings)
    copy = SentCopy(settings.primary_file, place)
    with compared(settings.warehouse, None if full else copy.sent, Path(f"{settings.warehouse}.tmp")) as found:
        return {change.table.name: change for change in found.changes}


@contextmanager
def compared(new: Path, sent: Path | None, temporary: Path) -> Iterator[Differences]:
    """The two files, compared. A sent copy that is lost or cannot be read counts as none: all is sent again."""
    try:
        found = Differences(new, sent if sent and sent.is_file() else None, temporary)
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if sent is None:
            raise
        found = Differences(new, None, temporary)
    try:
        yield found
    finally:
        found.close()


def _check_published(settings: Settings) -> None:
    if not holds_something(settings.warehouse):
        raise ConfigError(
            f"There is nothing to forward: there is no warehouse at {settings.warehouse} yet.",
            "The next load publishes it: make load.",
        )


def _is_as_before(copy: SentCopy, forwarding: ForwardSettings) -> bool:
    known = copy.known
    views = fingerprint(dialect_of(forwarding), forwarding.dataset) if forwarding.views else None
    return (known.get("recorder"), known.get("views")) == (forwarding.recorder, views)


class _Forward:
    """One forward, once the differences are known."""

    def __init__(
        self, settings: Settings, forwarding: ForwardSettings, mode: Mode, copy: SentCopy, found: Differences,
        hidden: Credentials,
    ) -> None:  # fmt: skip
        self.forwarding, self.mode, self.copy, self.found, self.hidden = forwarding, mode, copy, found, hidden
        identity = found.identity
        if identity is None:
            raise ConfigError(
                f"{settings.warehouse} was published by an earlier version, and has no identity yet.",
                "The next load gives it one: make load.",
            )
        self.recorder = Recorder(forwarding.recorder or identity, identity, settings.primary_file.resolve())
        self.changes = [change for change in found.changes if change]
        self.views = fingerprint(dialect_of(forwarding), forwarding.dataset) if forwarding.views else None

    def run(self, done: Forwarded) -> None:
        """Connects and sends, if there is anything to send or to create."""
        known = self.copy.known
        settled = known.get("views") == self.views and known.get("recorder") == self.forwarding.recorder
        if not self.changes and settled and self.mode == Mode():
            self.copy.commit()
            return
        self.copy.work.mkdir(mode=0o700)
        active().data_dir = self.copy.work
        delivery = Delivery(self.forwarding, self.recorder.name, self.copy.work)
        with temporary_files_in(self.copy.work), explained(self.forwarding, delivery.staging, self.hidden):
            with delivery.connected(self._tables()) as client:
                self._deliver(delivery, client, done)
                if self.forwarding.views and (known.get("views") != self.views or self.mode.init):
                    self._create_views(delivery, client)

    def _tables(self) -> list[tuple[Table, pa.Schema]]:
        """All tables with all their columns, whichever the file has: the views read them."""
        there = {change.table.name: change.schema for change in self.found.changes}
        found = []
        for table in TABLES:
            more = [column for column in there.get(table.name, ()) if column.name not in table.schema.names]
            found.append((table, pa.schema([*table.schema, *more])))
        return [*found, (RECORDERS, RECORDERS.schema)]

    def _deliver(self, delivery: Delivery, client: JobClientBase, done: Forwarded) -> None:
        database = Database(sql_client_of(client), delivery.dialect)
        registry = Registry(database.sql)

        def create() -> tuple[float, tuple[str, ...]]:
            with database.alone():
                create_tables(client)
                database.create_keys([*TABLES, RECORDERS])
                return registry.claim(self.recorder, take_over=self.mode.take_over)

        last, orgs = retried(create)
        done.created = True
        if self.mode.init:
            return
        self._send(delivery, database, registry, last, orgs)
        for change in self.changes:
            done.rows[change.table.name] = change.changed + change.removed
        self.copy.commit(recorder=self.forwarding.recorder)

    def _send(
        self, delivery: Delivery, database: Database, registry: Registry, last: float, orgs: tuple[str, ...]
    ) -> None:
        """Children first, `listings` last."""
        proving = [change for change in self.changes if change.table.name == LISTINGS.name]
        proven = [change for change in self.changes if change not in proving]
        for package in (proven, proving):
            if some := [change for change in package if change.changed]:
                delivery.send(some, self.found.rows, last, replace_orgs=self.mode.full)
                last = delivery.load_id
            for change in package:
                database.remove(change.table, self.found.removed_keys(change))
        if self.mode.full:
            self._remove_gone(database, set(orgs) - registry.orgs_of_others(self.recorder))
        database.update_statistics(change.table for change in self.changes if change.changed >= MANY)
        registry.note(self.recorder, last, tuple({*orgs, *self.found.orgs} if not self.mode.full else self.found.orgs))

    def _remove_gone(self, database: Database, own: set[str]) -> None:
        """Of tables in which an org has no row any more, merging has replaced nothing. `listings` is the first here:
        a row that proves goes before what it proves."""
        for change in reversed(self.found.changes):
            here = set(self.found.orgs_in(change))
            database.remove_orgs(change.table, sorted((own | set(self.found.orgs)) - here))

    def _create_views(self, delivery: Delivery, client: JobClientBase) -> None:
        database = Database(sql_client_of(client), delivery.dialect)

        def create() -> None:
            with database.alone():
                create_views(database, self.forwarding.dataset, in_one_transaction=delivery.in_one_transaction)

        retried(create)
        self.copy.remember(views=self.views)
