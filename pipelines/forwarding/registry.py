"""Which recorders forward into a dataset: the table `recorders` there, with a row for each.

Two recorders of one name would share a staging dataset, and so lose rows in silence. So a name belongs to one file on
one machine, until `--take-over` gives it to another.
"""

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.columns import TEXT, TIME, Column, Table
from pipelines.errors import ConfigError

LAST_SECOND: Final = 253_402_300_799.0  # of the year 9999: a load id is a time, of which dlt makes a date

RECORDERS: Final = Table(
    "recorders",
    "One row per recorder that forwards into this dataset",
    ("recorder",),
    (
        Column("recorder", TEXT, "Its name: `recorder` under [forward], or the identity of its file"),
        Column("identity", TEXT, "Identity of its primary database, which all its copies share"),
        Column("host", TEXT, "Name of the machine that it runs on"),
        Column("path", TEXT, "Path of its primary database there"),
        Column("orgs", TEXT, "JSON list of the ids of the orgs that it has forwarded"),
        Column("forwarded_at", TIME, "When it last sent something, by the destination's clock; null: never yet"),
        Column("load_id", TEXT, "dlt's id of the last package that it sent; null: none yet"),
    ),
)


@dataclass(frozen=True)
class Recorder:
    """Who forwards: a name, and the file and machine that it belongs to."""

    name: str
    identity: str
    path: Path
    host: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Which machine and file."""
        return self.host or socket.gethostname(), str(self.path)


@dataclass(frozen=True)
class Registered:
    """What a destination knows of a recorder."""

    load_id: float = 0.0  # of the last package sent under its name; 0: none yet
    orgs: frozenset[str] = frozenset()  # that it has forwarded


def taken(recorder: Recorder, host: str, path: str) -> ConfigError:
    """The error if a recorder's name belongs to another file or machine."""
    mine = recorder.place
    return ConfigError(
        f"The recorder {recorder.name} of this destination is {path} on {host}, not {mine[1]} on {mine[0]}.",
        "Two recorders with the same name lose rows. If this one has replaced the other, and that one will not run "
        "again: forward --take-over. If both are to run, rename one of them: `recorder` under [forward].",
    )


class Registry:
    """The table `recorders` of one dataset, as one recorder uses it."""

    def __init__(self, sql: Any, recorder: Recorder) -> None:
        self.sql = sql
        self.recorder = recorder
        self.table = sql.make_qualified_table_name(RECORDERS.name)

    def claim(self, *, take_over: bool) -> Registered:
        """Enters the recorder; returns what was known of it. Raises ConfigError if the name belongs to another file or
        machine, unless that is taken over."""
        name, identity = self.recorder.name, self.recorder.identity
        mine = self.recorder.place
        found = self._rows(f"select host, path, load_id, orgs from {self.table} where recorder = %s", name)
        if found and found[0][:2] != mine and not take_over:
            raise taken(self.recorder, *found[0][:2])
        if not found:
            columns = "recorder, identity, host, path, orgs"
            insert = f"insert into {self.table} ({columns}) values (%s, %s, %s, %s, '[]')"
            self.sql.execute_sql(insert, name, identity, *mine)
            return Registered()
        update = f"update {self.table} set identity = %s, host = %s, path = %s where recorder = %s"
        self.sql.execute_sql(update, identity, *mine, name)
        return Registered(load_id_in(found[0][2]), orgs_in(found[0][3]))

    def orgs_of_others(self) -> frozenset[str]:
        """The orgs that other recorders forward."""
        found = self._rows(f"select orgs from {self.table} where recorder <> %s", self.recorder.name)
        return frozenset(org for (orgs,) in found for org in orgs_in(orgs))

    def note(self, load_id: float, orgs: Iterable[str]) -> None:
        """Notes that it has sent something."""
        update = (
            f"update {self.table} set forwarded_at = current_timestamp, load_id = %s, orgs = %s where recorder = %s"
        )
        self.sql.execute_sql(update, repr(load_id), json.dumps(sorted(orgs)), self.recorder.name)

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.sql.execute_sql(sql, *values) or ()]


def orgs_in(text: str | None) -> frozenset[str]:
    """The orgs of a row; none if it was edited, and cannot be read."""
    try:
        return frozenset(map(str, json.loads(text or "[]")))
    except (ValueError, TypeError):
        return frozenset()


def load_id_in(noted: Any) -> float:
    """A load id that was noted; 0 if it was edited, and is none: then everything is sent again."""
    try:
        found = float(noted or 0)
    except (ArithmeticError, ValueError, TypeError):
        return 0.0
    return found if 0 <= found <= LAST_SECOND else 0.0
