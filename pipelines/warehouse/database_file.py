"""Opens DuckDB files under a fixed catalog name, and only if they are regular files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb

from pipelines.regular_files import check_regular

# DuckDB names a database after its file, up to the first dot. For salesforce.prod.duckdb that would be `salesforce`,
# and DuckDB would reject `salesforce.query_jobs` as ambiguous: a table of that database, or of our schema. Attached
# under a fixed name, the file can have any name.
CATALOG: Final = "recorder"
SESSION: Final = f"search_path='{CATALOG}.main'"  # cursors do not inherit it from their connection
LOCK_MESSAGE: Final = "Could not set lock on file"  # of an error if another process has the file open


def open_database(
    path: Path, *, read_only: bool, config: Mapping[str, str | bool | int | float | list[str]] | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection to a DuckDB file, with times in UTC. Closing it closes the file.

    Raises ConfigError if it is not a regular file (opening a FIFO would hang), and duckdb.Error if DuckDB cannot open
    it. Unless `read_only`, a missing file is created.
    """
    check_regular(path)
    connection = duckdb.connect(config={"temp_directory": f"{path}.tmp", **(config or {})})
    try:
        name = str(path).replace("'", "''")
        # The type is explicit: DuckDB would download an extension for what looks like another kind of database.
        connection.execute(f"ATTACH '{name}' AS {CATALOG} (TYPE duckdb{', READ_ONLY' if read_only else ''})")
        _settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def cursor_of(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A cursor of a connection from `open_database`, with its settings: a plain cursor would see an empty database."""
    return _settle(connection.cursor())


def read_macro(connection: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """The value of a macro without parameters, by its qualified name; None if the file does not have it."""
    try:
        # fetchall, although it is one row: an unfinished result blocks the connection.
        ((value,),) = connection.execute(f"select {name}()").fetchall()
    except duckdb.CatalogException:
        return None
    return str(value)


def _settle(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    return connection.execute(f"SET {SESSION}; SET TimeZone = 'UTC'")
