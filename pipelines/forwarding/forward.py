"""One forward: what changed in the published copy since the last one goes to the destination.

Rows go in two packages, `listings` in the second: a row that says "complete" never comes before what it proves. Only
then does the new copy take the place of the one last sent. Wherever a forward is killed, the next one finds the same
differences, and sends them again; merging the same rows twice changes nothing. If another file is published by then, it
sends everything, for a row of it that equals the one last sent may be a different one there.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipelines.columns import Table
from pipelines.config.dlt_context import active
from pipelines.config.settings import Settings
from pipelines.errors import ConfigError, exception_chain
from pipelines.forwarding.database import LONG_KEY, Database, retried
from pipelines.forwarding.delivery import Delivery, create_tables, dialect_of, lost_tables, place_of_data, sql_client_of
from pipelines.forwarding.destination_errors import Credentials, explained
from pipelines.forwarding.destination_views import create_views, fingerprint
from pipelines.forwarding.differences import Change, Differences
from pipelines.forwarding.lake import Lake
from pipelines.forwarding.registry import RECORDERS, Recorder, Registered, Registry, load_id_in
from pipelines.forwarding.sent_copy import SentCopy
from pipelines.forwarding.settings import ForwardSettings
from pipelines.interrupts import causing_signal, raise_if_interrupted
from pipelines.regular_files import holds_something
from pipelines.tables import LISTINGS, TABLES
from pipelines.warehouse.damage import damaged_part, suspect_blocks
from pipelines.warehouse.dlt_packages import temporary_files_in
from pipelines.warehouse.reader import opened

MANY: Final = 10_000  # rows of a table, after which its statistics are updated

logger = logging.getLogger(__name__)
Place = Database | Lake
Recorders = Registry | Lake


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
        sent = f"{rows:,} row{'' if rows == 1 else 's'} of {tables:,} table{'' if tables == 1 else 's'}"
        created = "tables and views created" if self.init else "nothing new; tables and views are brought up to date"
        what = sent if self.rows else created if self.created else "nothing new"
        return f"{what} · {self.seconds:.1f} s → {self.place}"


def forward(settings: Settings, forwarding: ForwardSettings, mode: Mode) -> Forwarded:
    """Sends what is new. Raises a RecorderError; whatever it was, the next forward sends what this one did not."""
    began = time.monotonic()
    copy, hidden = copy_sent_to(settings, forwarding)
    done = Forwarded(f"{forwarding.destination}, dataset {forwarding.dataset}", mode.init)
    with copy.exclusive(), _damage_named(settings.warehouse, copy.new):
        views = fingerprint(dialect_of(forwarding), forwarding.dataset) if forwarding.views else None
        as_before = (copy.known.get("recorder"), copy.known.get("views")) == (forwarding.recorder, views)
        if not (as_before and mode == Mode() and copy.has(settings.warehouse)):
            copy.take(settings.warehouse)
            before = None if mode.full else copy.comparable(copy.new)
            if copy.sent.is_file() and not copy.known:
                logger.warning("What is known of the copy in %s is lost: everything is sent again.", copy.folder)
            with compared(copy.new, before, copy.folder / "spill") as found:
                if as_before and mode == Mode() and not any(found.changes) and copy.half_sent is None:
                    copy.commit()
                else:
                    run = _Run(settings, forwarding, mode, copy, views)
                    run.connect(found, hidden, done)
    done.seconds = time.monotonic() - began
    return done


def differences(settings: Settings, forwarding: ForwardSettings, *, full: bool) -> dict[str, Change]:
    """By table, what a forward would send now. Nothing is written, there or here."""
    copy, _ = copy_sent_to(settings, forwarding)
    before, published = None, settings.warehouse
    if not full:
        before = published if copy.has(published) else copy.comparable(published)
    temporary = Path(f"{published}.tmp")
    with _damage_named(published, published), compared(published, before, temporary) as found:
        return {change.table.name: change for change in found.changes}


def copy_sent_to(settings: Settings, forwarding: ForwardSettings) -> tuple[SentCopy, Credentials]:
    """Where the copy last sent to this place is, and what of the destination's settings must not be shown. Raises
    ConfigError if these are incomplete, or if nothing was published yet."""
    hidden = Credentials()
    with explained(forwarding, "", hidden):
        place = place_of_data(forwarding, hidden)
    if not holds_something(settings.warehouse):
        raise ConfigError(
            f"There is nothing to forward: there is no warehouse at {settings.warehouse} yet.",
            "The next load publishes it: make load.",
        )
    return SentCopy(settings.primary_file, place), hidden


@contextmanager
def compared(new: Path, sent: Path | None, temporary: Path) -> Iterator[Differences]:
    """The two files, compared. A sent copy that is lost or cannot be read counts as none: all is sent again."""
    try:
        found = Differences(new, sent if sent and sent.is_file() else None, temporary)
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if sent is None or not sent.is_file() or suspect_blocks(new):
            raise
        logger.warning("The copy that was last sent, %s, cannot be read: everything is sent again.", sent)
        found = Differences(new, None, temporary)
    with closing(found):
        yield found


@contextmanager
def _damage_named(published: Path, taken: Path) -> Iterator[None]:
    """If the block fails because what was taken of the published copy is damaged, raises ConfigError that says so."""
    try:
        yield
    except Exception as error:
        if causing_signal(exception_chain(error)):
            raise
        part = None
        with suppress(OSError, duckdb.Error):
            part = damaged_part(taken)
        if part is None:
            if isinstance(error, duckdb.IOException):
                with opened(published):  # which says why it cannot be: a newer version's, or locked
                    pass
            raise
        raise ConfigError(
            f"The published copy {published} is damaged: {part}. Not everything was sent.",
            "The next load publishes it again: make load. Then forward again.",
        ) from None


@dataclass(frozen=True)
class _Run:
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
                "The next load gives it one: make load.",
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
            database, registry = self._connected(delivery, client, recorder)

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
        sent = [table for table in TABLES if found.sent_rows(table)]
        if not sent:
            return []
        lost = database.lost(sent) if isinstance(database, Lake) else lost_tables(client, sent)
        if lost:
            logger.warning("The destination has lost rows of %s: everything is sent again.", ", ".join(lost))
            self.copy.distrust()
        return lost

    def _connected(self, delivery: Delivery, client: Any, recorder: Recorder) -> tuple[Place, Recorders]:
        if self.forwarding.is_lake:
            lake = Lake(client, recorder, delivery.mark, self.forwarding.table_format)
            return lake, lake
        database = Database(sql_client_of(client), delivery.dialect)
        return database, Registry(database.sql, recorder)

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
        last = max(registered.load_id, load_id_in(self.copy.known.get("load_id")), database.newest())
        orgs = registered.orgs | frozenset(found.orgs) | frozenset((self.copy.half_sent or {}).get("orgs", ()))
        replace = found.sent is None and self._may_replace(database, registry, registered.load_id, orgs, found)
        self.copy.begin(found.orgs)
        changes = [change for change in found.changes if change]
        proven = [change for change in changes if change.table.name != LISTINGS.name]
        for package in (proven, [change for change in changes if change not in proven]):
            if some := [change for change in package if change.changed]:
                for change in some:
                    if found.longest_key(change) > LONG_KEY:
                        database.allow_long_keys(change.table)
                delivery.send(some, found.rows, last, replaced=sorted(orgs) if replace else ())
                last = delivery.load_id
            for change in gone.changes:
                if (change.table.name != LISTINGS.name) == (package is proven):
                    database.remove(change.table, gone.removed_keys(change))
        if replace:
            database.replaced(orgs, [(change.table, found.orgs_in(change)) for change in found.changes])
            orgs = frozenset(found.orgs)
        database.update_statistics(change.table for change in changes if change.changed >= MANY)
        registry.note(last, orgs)
        return last

    def _may_replace(
        self, database: Place, registry: Recorders, load_id: float, orgs: frozenset[str], found: Differences
    ) -> bool:
        """Whether all rows of the recorder's orgs may be replaced by those of the file, so that what it has moved or
        merged is not there twice: if `--full` asks for it, or the file still has each listing that is there."""
        if shared := orgs & registry.orgs_of_others():
            if self.mode.full:
                logger.warning(
                    "Other recorders forward %s, too: everything was sent, and nothing removed there.",
                    ", ".join(sorted(shared)),
                )
            return False
        was_sent = bool(load_id) or self.copy.half_sent is not None
        return self.mode.full or (was_sent and database.listings(orgs) <= found.listings)

    def _create_views(self, delivery: Delivery, database: Place) -> None:
        def create() -> None:
            with database.alone():
                if isinstance(database, Lake):
                    database.create_views(self.forwarding.dataset)
                else:
                    create_views(database, self.forwarding.dataset, in_one_transaction=delivery.in_one_transaction)

        retried(create)
        self.copy.remember(views=self.views)


def _tables(found: Differences) -> list[tuple[Table, pa.Schema]]:
    """All tables with all their columns, whichever the file has: the views read them."""
    there = {change.table.name: change.schema for change in found.changes}
    tables = []
    for table in TABLES:
        more = [column for column in there.get(table.name, ()) if column.name not in table.schema.names]
        tables.append((table, pa.schema([*table.schema, *more])))
    return [*tables, (RECORDERS, RECORDERS.schema)]
