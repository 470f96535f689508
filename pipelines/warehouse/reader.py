"""Reads a published copy: one connection for everything that belongs together, whatever is published meanwhile."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipelines.config.project import command_for
from pipelines.errors import ConfigError, TemporaryError, disk_full_error, is_permission_error
from pipelines.interrupts import raise_if_interrupted
from pipelines.regular_files import holds_something
from pipelines.tables import DATASET
from pipelines.warehouse.damage import damaged_part, is_damage
from pipelines.warehouse.database_file import CATALOG, LOCK_MESSAGE, open_database
from pipelines.warehouse.file_identity import is_demo, read_identity, read_moment
from pipelines.warehouse.primary import locking_problem

Row = dict[str, Any]
WHERE_FROM: Final = (
    f"Loads publish to the path that `warehouse` under [query_jobs] sets: {command_for('load')}. "
    f"The demo's is demo/warehouse.duckdb: {command_for('demo')}."
)


@dataclass(frozen=True)
class Warehouse:
    """An open warehouse. All queries see it as it was when it was opened or, with `as_of`, as it was at that time (see
    `as_of.py`)."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    as_of: datetime | None = None

    @cached_property
    def is_demo(self) -> bool:
        """Whether it is a recording of the demo org."""
        return is_demo(read_identity(self.connection))

    @cached_property
    def clock(self) -> datetime:
        """The time to use as "now": `as_of`, or the time stored in the file, or the machine's clock. Demo files of
        earlier versions have no stored time: their newest listing counts."""
        moment = self.as_of or read_moment(self.connection)
        if moment is None and self.is_demo:
            moment = self.rows("select max(as_of) as newest from recorded_orgs")[0]["newest"]
        return moment or datetime.now(UTC)

    def read(self, sql: str, parameters: Row | None = None) -> pa.Table:
        """The result of a query, as Arrow; times are UTC. Raises duckdb.Error if the query is wrong."""
        try:
            relation = self.connection.sql(sql, params=parameters)
            result: pa.Table = pa.table({}) if relation is None else relation.to_arrow_table()  # None: no statement
        except (duckdb.Error, RuntimeError) as error:
            raise_if_interrupted(error)
            raise
        return result

    def rows(self, sql: str, parameters: Row | None = None) -> list[Row]:
        """The rows of one of our own queries, safe to display: characters that would control a terminal or chart
        (escape sequences, line ends, bidirectional marks) are replaced by U+FFFD.

        `parameters` may contain more than the query uses. Raises ConfigError if the file is not a warehouse that this
        version published.
        """
        asked = {name: value for name, value in (parameters or {}).items() if re.search(rf"\${name}\b", sql)}
        with self.explained():
            found = self.read(sql, asked).to_pylist()
        return [{name: _shown(value) for name, value in row.items()} for row in found]

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What DuckDB raises in this block on one of our own queries, as `rows` raises it."""
        try:
            yield
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise lacking(self.path, error) from None
        except duckdb.IOException as error:
            if is_damage(error):  # of which part, `opened` says once the file is closed
                raise
            raise disk_full_error(error) or _unreadable(self.path, error) from None
        except (duckdb.Error, RuntimeError) as error:
            raise_if_interrupted(error)
            raise


@contextmanager
def opened(warehouse: "Path | Warehouse") -> Iterator[Warehouse]:
    """The warehouse, open until the block ends; an open one is passed through and stays open.

    Raises ConfigError if it does not exist, is damaged or is not a warehouse, TemporaryError if another process is
    writing into it.
    """
    if isinstance(warehouse, Warehouse):
        yield warehouse
        return
    if not warehouse.exists():
        raise ConfigError(f"There is no warehouse at {warehouse}.", WHERE_FROM)
    if not holds_something(warehouse):
        raise ConfigError(f"{warehouse} is empty: nothing was published there yet.", WHERE_FROM)
    try:
        connection = open_database(warehouse, read_only=True)
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        raise _unreadable(warehouse, error) from None
    try:
        with connection:
            with suppress(duckdb.CatalogException):  # without our schema, each query reports what is missing
                connection.execute(f"SET search_path = '{CATALOG}.{DATASET}'")
            yield Warehouse(warehouse, connection)
    except (duckdb.Error, RuntimeError) as error:
        if problem := _damaged(warehouse, error):
            raise problem from None
        raise


def read(sql: str, warehouse: Path | Warehouse, parameters: Row | None = None) -> pa.Table:
    """The result of a query on the published copy, as Arrow. If a path is given, the file is closed again afterwards.

    Times are UTC. Raises duckdb.Error if the query is wrong, and otherwise like `opened`.
    """
    with opened(warehouse) as file:
        return file.read(sql, parameters)


def rows(sql: str, warehouse: Path | Warehouse, parameters: Row | None = None) -> list[Row]:
    """The rows of one of our own queries, safe to display: see `Warehouse.rows`. Raises like that and `opened`."""
    with opened(warehouse) as file:
        return file.rows(sql, parameters)


def lacking(path: Path, error: duckdb.Error) -> ConfigError:
    """The error for a file of another version or another program."""
    return ConfigError(
        f"{path} does not have what this version reads: {str(error).splitlines()[0]}",
        "If a load published it, the next load updates it; otherwise choose another file.",
    )


def _damaged(path: Path, error: Exception) -> ConfigError | TemporaryError | None:
    """The error for a file of which DuckDB could not read a part, once it is closed; None if it is not damaged."""
    if is_damage(error):
        with suppress(OSError, duckdb.Error):  # it cannot be examined now: the error itself is reported
            if part := damaged_part(path):
                return ConfigError(
                    f"{path} is damaged: {part}.", "If a load published it, the next load publishes it again."
                )
        if isinstance(error, duckdb.IOException):
            return _unreadable(path, error)
    return None


def _unreadable(path: Path, error: Exception) -> ConfigError | TemporaryError:
    if LOCK_MESSAGE in str(error):
        writing = TemporaryError(f"{path} is open for writing in another program.", "Close it there, then try again.")
        return locking_problem(path) or writing
    if is_permission_error(error):
        return ConfigError(f"{path} cannot be opened: this user lacks permission to read it.", "Let this user read it.")
    if ".wal" in str(error) or "WAL" in str(error):
        # Written after a newer copy had been published, by a process that still had the old one open.
        return ConfigError(
            f"{path}.wal belongs to an older copy and prevents DuckDB from opening this one.",
            "Remove it, or wait for the next load, which removes it. Changes made to the old copy are not in this one.",
        )
    return ConfigError(
        f"{path} is not a readable DuckDB file: {str(error).splitlines()[0]}",
        "If a load published it, move it away: the next load publishes it again.",
    )


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if not isinstance(value, str) or value.isprintable():
        return value
    spaces = {c: " " for c in value if unicodedata.category(c) == "Zs"}
    return "".join(c if c.isprintable() else spaces.get(c, "\N{REPLACEMENT CHARACTER}") for c in value)
