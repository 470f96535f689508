"""Sends rows to a destination, and what they need there: tables, keys, views, the row of this recorder.

Rows go in two packages, `listings` in the second: a row that says "complete" never comes before what it proves. Merging
the same rows twice changes nothing.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from pipelines.columns import Table
from pipelines.config.dlt_context import active
from pipelines.config.project import command_for
from pipelines.config.settings import Settings
from pipelines.errors import ConfigError
from pipelines.forwarding.database import LONG_KEY, Database, retried
from pipelines.forwarding.delivery import Delivery, create_tables, lost_tables, sql_client_of
from pipelines.forwarding.destination_errors import Credentials, explained
from pipelines.forwarding.destination_views import create_views
from pipelines.forwarding.differences import Differences, compared
from pipelines.forwarding.lake import Lake
from pipelines.forwarding.registry import RECORDERS, Recorder, Registered, Registry, load_id_in
from pipelines.forwarding.replacement import Place, Recorders, may_replace
from pipelines.forwarding.sent_copy import SentCopy
from pipelines.forwarding.settings import ForwardSettings
from pipelines.plural import counted
from pipelines.tables import TABLES
from pipelines.warehouse.dlt_packages import temporary_files_in

MANY: Final = 10_000  # rows of a table, after which its statistics are updated

logger = logging.getLogger(__name__)


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
    init: bool = False
    rows: dict[str, int] = field(default_factory=dict)  # by table, those sent or removed
    created: bool = False
    seconds: float = 0.0

    def __str__(self) -> str:
        rows, tables = sum(self.rows.values()), len(self.rows)
        sent = f"{counted(rows, 'row')} of {counted(tables, 'table')}"
        created = "tables and views created" if self.init else "nothing new; tables and views are brought up to date"
        what = sent if self.rows else created if self.created else "nothing new"
        return f"{what} · {self.seconds:.1f} s → {self.place}"


@dataclass(frozen=True)
class Sending:
    """One forward that connects to a database."""

    settings: Settings
    forwarding: ForwardSettings
    mode: Mode
    copy: SentCopy
    views: str | None  # fingerprint of those that should be there

    def connect(self, found: Differences, hidden: Credentials, done: Forwarded) -> None:
        """Creates what is missing there, and sends what is new."""
        if found.identity is None:
            raise ConfigError(
                f"{self.settings.warehouse} was published by an earlier version, and has no identity yet.",
                f"The next load gives it one: {command_for('load')}.",
            )
        recorder = Recorder(
            self.forwarding.recorder or found.identity, found.identity, self.settings.primary_file.resolve()
        )
        self.copy.work.mkdir(mode=0o700)
        active().data_dir = self.copy.work
        delivery = Delivery(self.forwarding, recorder.name, self.copy.work)
        with (
            temporary_files_in(self.copy.work),
            explained(self.forwarding, delivery.staging, hidden),
            delivery.connected(_tables(found)) as client,
        ):
            database, registry = _connected(self.forwarding, delivery, client, recorder)

            lost = self._lost(database, client, found)

            def create() -> Registered:
                with database.alone():
                    if isinstance(database, Lake):
                        database.create_tables(_tables(found))
                    else:
                        create_tables(client)
                        database.create_keys([*TABLES, RECORDERS])
                    return registry.claim(take_over=self.mode.take_over)

            registered = retried(create)
            done.created = True
            made_anew = bool(lost) or registered.load_id < load_id_in(self.copy.known.get("load_id"))
            if not self.mode.init:
                with self._all_if(made_anew, found) as chosen:
                    load_id = self._send(delivery, database, registry, registered, chosen, gone=found)
                    done.rows |= {
                        change.table.name: change.changed + change.removed for change in chosen.changes if change
                    }
                self._conclude(found, load_id)
            as_before = self.copy.known.get("views") == self.views and not made_anew and not self.mode.init
            if self.forwarding.views and not as_before:
                self._create_views(delivery, database)

    def _lost(self, database: Place, client: Any, found: Differences) -> list[str]:
        """The tables, of which rows were sent, that are no longer there. They will be created, and everything is sent
        again: by the next forward, if this one is killed, or sends nothing."""
        sent = [change.table for change in found.changes if change.sent]
        if not sent or self.copy.known.get("recorder") != self.forwarding.recorder:  # under a new name, all is sent
            return []
        lost = database.lost(sent) if isinstance(database, Lake) else lost_tables(client, sent)
        if lost:
            logger.warning("The destination has lost rows of %s: everything is sent again.", ", ".join(lost))
            self.copy.distrust()
        return lost

    @contextmanager
    def _all_if(self, made_anew: bool, found: Differences) -> Iterator[Differences]:
        """What is new; or everything, if the destination is not as the last forward left it: made anew, or restored."""
        if found.sent is None or not made_anew:
            yield found
            return
        with compared(self.copy.new, None, self.copy.folder / "spill") as everything:
            yield everything

    def _conclude(self, found: Differences, load_id: float) -> None:
        """The new copy takes the place of the one last sent."""
        self.copy.commit(recorder=self.forwarding.recorder, load_id=load_id)
        if kept := sum(change.gone - change.removed for change in found.changes):
            logger.warning(
                "The published copy lacks %s rows that it had when it was last forwarded: an older file was restored, "
                "or a new one begun. They stay in the destination; to remove them there: forward --full",
                f"{kept:,}",
            )

    def _send(
        self,
        delivery: Delivery,
        database: Place,
        registry: Recorders,
        registered: Registered,
        found: Differences,
        *,
        gone: Differences,
    ) -> float:
        """Children first, `listings` last. `found` has what to send, `gone` the rows to remove. Returns the last load
        id."""
        last = max(registered.load_id, load_id_in(self.copy.known.get("load_id")), database.begin())
        orgs = registered.orgs | frozenset(found.orgs) | self.copy.half_sent_orgs
        replace = found.sent is None and may_replace(
            database,
            registry,
            orgs,
            found,
            full=self.mode.full,
            was_sent=bool(registered.load_id) or self.copy.half_sent is not None,
            was_compared=gone.sent is not None,
        )
        self.copy.begin(found.orgs)
        for of_listings in (False, True):
            if some := [change for change in found.changes if change.changed and change.of_listings == of_listings]:
                for change in some:
                    if found.longest_key(change) > LONG_KEY:
                        database.allow_long_keys(change.table)
                delivery.send(some, found.rows, last, replaced=sorted(orgs) if replace else ())
                last = delivery.load_id
            for change in gone.changes:
                if change.of_listings == of_listings:
                    database.remove(change.table, gone.removed_keys(change))
        if replace:
            database.replaced(orgs, [(change.table, found.orgs_in(change)) for change in found.changes])
            orgs = frozenset(found.orgs)
        database.update_statistics(change.table for change in found.changes if change.changed >= MANY)
        registry.note(last, orgs)
        return last

    def _create_views(self, delivery: Delivery, database: Place) -> None:
        def create() -> None:
            with database.alone():
                if isinstance(database, Lake):
                    database.create_views(self.forwarding.dataset)
                else:
                    create_views(database, self.forwarding.dataset, in_one_transaction=delivery.in_one_transaction)

        retried(create)
        self.copy.remember(views=self.views)


def _connected(
    forwarding: ForwardSettings, delivery: Delivery, client: Any, recorder: Recorder
) -> tuple[Place, Recorders]:
    if forwarding.is_lake:
        lake = Lake(client, recorder, delivery.mark, forwarding.table_format)
        return lake, lake
    database = Database(sql_client_of(client), delivery.dialect)
    return database, Registry(database.sql, recorder)


def _tables(found: Differences) -> list[tuple[Table, pa.Schema]]:
    """All tables with all their columns, whichever the file has: the views read them."""
    there = {change.table.name: change.schema for change in found.changes}
    tables = []
    for table in TABLES:
        more = [column for column in there.get(table.name, ()) if column.name not in table.schema.names]
        tables.append((table, pa.schema([*table.schema, *more])))
    return [*tables, (RECORDERS, RECORDERS.schema)]
