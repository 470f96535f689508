"""A DuckDB file, opened: under a name of our own, and never anything but a regular file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb

from pipelines.regular_files import check_regular

# DuckDB calls a database after its file, up to the first dot. In salesforce.prod.duckdb that would be `salesforce`, and
# `salesforce.query_jobs` could be a table of that database or of our schema: DuckDB refuses to choose. Attached under a
# name of our own, the file may have any name.
CATALOG: Final = "recorder"
SESSION: Final = f"search_path='{CATALOG}.main'"  # DuckDB's cursors do not have it from their connection


def open_database(
    path: Path, *, read_only: bool, config: Mapping[str, str | bool | int | float | list[str]] | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection to a DuckDB file, with times in UTC. Closing it closes the file.

    Raises Misconfigured where something other than a regular file has the name (opening a FIFO would never return), and
    duckdb.Error where DuckDB cannot open the file, which it makes unless `read_only`.
    """
    check_regular(path)
    connection = duckdb.connect(config={"temp_directory": f"{path}.tmp", **(config or {})})
    try:
        name = str(path).replace("'", "''")
        # The type is named, for DuckDB downloads an extension for whatever it takes for a database of another kind.
        connection.execute(f"ATTACH '{name}' AS {CATALOG} (TYPE duckdb{', READ_ONLY' if read_only else ''})")
        _settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def cursor_of(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A cursor of a connection that `open_database` gave: as it is made, it would look into an empty database."""
    return _settle(connection.cursor())


def read_macro(connection: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """What a file says of itself by a macro without parameters, given with its schema; None where it has none."""
    try:
        # All rows, although there is one: an unfinished result keeps the connection from other work.
        ((said,),) = connection.execute(f"select {name}()").fetchall()
    except duckdb.CatalogException:
        return None
    return str(said)


def _settle(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    return connection.execute(f"SET {SESSION}; SET TimeZone = 'UTC'")
