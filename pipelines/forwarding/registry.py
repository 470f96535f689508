"""Which recorders forward into a dataset: the table `recorders` there, with a row for each.

Two recorders of one name would share a staging dataset, and so lose rows in silence. So a name belongs to one file on
one machine, until `--take-over` gives it to another.
"""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.columns import TEXT, TIME, Column, Table
from pipelines.errors import ConfigError

RECORDERS: Final = Table(
    "recorders",
    "One row per recorder that forwards into this dataset",
    ("recorder",),
    (
        Column("recorder", TEXT, "Its name: `recorder` under [forward], or the identity of its file"),
        Column("identity", TEXT, "Identity of its primary database, which all copies of that have"),
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
    def machine(self) -> str:
        return self.host or socket.gethostname()


class Registry:
    """The table `recorders` of one dataset."""

    def __init__(self, sql: Any) -> None:
        self.sql = sql
        self.table = sql.make_qualified_table_name(RECORDERS.name)

    def claim(self, recorder: Recorder, *, take_over: bool) -> tuple[float, tuple[str, ...]]:
        """Enters the recorder; returns the last load id that was sent under its name, 0 if there was none, and the
        orgs. Raises ConfigError if the name belongs to another file or machine, unless that is taken over."""
        found = self._rows(f"select host, path, load_id, orgs from {self.table} where recorder = %s", recorder.name)
        mine = (recorder.machine, str(recorder.path))
        if found and found[0][:2] != mine and not take_over:
            host, path, *_ = found[0]
            raise ConfigError(
                f"The recorder {recorder.name} of this destination is {path} on {host}, not {mine[1]} on {mine[0]}.",
                "Two recorders of one name lose rows. If this one has replaced the other, and that one will not run "
                "again: forward --take-over. If both are to run, give one another name: `recorder` under [forward].",
            )
        if not found:
            self._execute(
                f"insert into {self.table} (recorder, identity, host, path, orgs) values (%s, %s, %s, %s, '[]')",
                recorder.name, recorder.identity, *mine,
            )  # fmt: skip
            return 0.0, ()
        self._execute(
            f"update {self.table} set identity = %s, host = %s, path = %s where recorder = %s",
            recorder.identity, *mine, recorder.name,
        )  # fmt: skip
        return float(found[0][2] or 0), _orgs(found[0][3])

    def orgs_of_others(self, recorder: Recorder) -> set[str]:
        """The orgs that other recorders forward."""
        found = self._rows(f"select orgs from {self.table} where recorder <> %s", recorder.name)
        return {org for (orgs,) in found for org in _orgs(orgs)}

    def note(self, recorder: Recorder, load_id: float, orgs: tuple[str, ...]) -> None:
        """Notes that it has sent something."""
        self._execute(
            f"update {self.table} set forwarded_at = current_timestamp, load_id = %s, orgs = %s where recorder = %s",
            repr(load_id), json.dumps(sorted(orgs)), recorder.name,
        )  # fmt: skip

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.sql.execute_sql(sql, *values) or ()]

    def _execute(self, sql: str, *values: Any) -> None:
        self.sql.execute_sql(sql, *values)


def _orgs(text: str | None) -> tuple[str, ...]:
    try:
        return tuple(map(str, json.loads(text or "[]")))
    except ValueError:
        return ()
