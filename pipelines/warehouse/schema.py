"""The published warehouse: a read copy that people open as they like, and the views that both files carry."""

import hashlib
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from pipelines.tables import DATASET, TABLES, Table
from pipelines.warehouse.database_file import said_by_macro

VIEWS: Final = Path(__file__).parents[1] / "views"
APPLIED: Final = "views_fingerprint"  # a macro of the file: what was applied to it last
QUALIFIED: Final = re.compile(rf"\b{DATASET}\.(?=\w)")
HEADER_COLUMN: Final = re.compile(r"--  ?(\w+) {2,}([A-Z][A-Z0-9 ()]*?) {2,}(\S.*)")


def complete_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the tables that no load has filled yet, and the columns that a newer version of this code brings: the
    views read all of them. dlt finds them there once rows come for them."""
    statements = []
    for table in TABLES:
        there = stored_columns(connection, table)
        missing = [column for column in table.schema if column.name not in there]
        if missing:
            types = connection.from_arrow(pa.schema(missing).empty_table()).types
            columns = [
                f'"{column.name}" {kind}{"" if column.nullable else " not null"}'
                for column, kind in zip(missing, types, strict=True)
            ]
            name = f"{DATASET}.{table.name}"
            if there:
                statements += [f"alter table {name} add column {column}" for column in columns]
            else:
                statements.append(f"create table {name} ({', '.join(columns)})")
    if statements:
        connection.execute(";\n".join(["begin", *statements, "commit"]))


def apply_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates every view of `views/`, and writes what tables, views and columns mean as DuckDB comments.

    A view's file is a header (grain, columns with type and meaning, what is unique) and one SELECT.
    Where the file has all of it already, nothing is done: four hundred statements take longer than a small load.
    """
    if _fingerprint(connection) == said_by_macro(connection, f"{DATASET}.{APPLIED}"):
        return
    statements = ["begin"]
    for table in TABLES:
        statements.append(_comment("table", table.name, table.grain))
        statements += [_comment("column", f"{table.name}.{column.name}", column.meaning) for column in table.columns]
    for name, sql in views().items():
        grain, shown = read_header(sql)
        statements.append(f"create or replace view {DATASET}.{name} as {unqualified(sql)}")
        statements.append(_comment("view", name, grain))
        statements += [_comment("column", f"{name}.{column}", meaning) for column, _, meaning in shown]
    before = connection.execute("select current_setting('search_path')").fetchone()
    connection.execute(f"SET search_path = '{DATASET}'")
    connection.execute(";\n".join([*statements, "commit"]))
    connection.execute("SET search_path = $path", {"path": before[0] if before else ""})
    connection.execute(f"create or replace macro {DATASET}.{APPLIED}() as '{_fingerprint(connection)}'")


def unqualified(sql: str) -> str:
    """The view's SELECT without the schema's name: DuckDB looks in the view's own schema first, and where a file is
    named like the schema (salesforce.prod.duckdb), it takes salesforce.query_jobs for ambiguous."""
    return QUALIFIED.sub("", sql)


def _fingerprint(connection: duckdb.DuckDBPyConnection) -> str:
    """Of all that `apply_views` writes, and of all that is there to be written upon."""
    # Not duckdb_columns(): it would bind every view to tell its columns.
    there = connection.execute(
        "select table_name, sql from duckdb_tables() where schema_name = $1 "
        "union all select view_name, '' from duckdb_views() where schema_name = $1 order by all",
        [DATASET],
    ).fetchall()
    return hashlib.sha256(repr((there, [unqualified(sql) for sql in views().values()], TABLES)).encode()).hexdigest()


def views() -> dict[str, str]:
    """Name and SQL of every view, each after those that it reads; `base/` has those that others build on."""
    files = {file.stem: file.read_text(encoding="utf-8") for file in sorted(VIEWS.rglob("*.sql"))}
    reads = {name: set(re.findall(rf"\b{DATASET}\.(\w+)", sql)) & files.keys() for name, sql in files.items()}
    return {name: files[name] for name in TopologicalSorter(reads).static_order()}


def stored_columns(connection: duckdb.DuckDBPyConnection, table: Table) -> tuple[str, ...]:
    """The columns that a table has in this file; none if it is not there yet."""
    try:
        found = connection.execute(f"select name from pragma_table_info('{DATASET}.{table.name}')").fetchall()
    except duckdb.CatalogException:
        return ()
    return tuple(name for (name,) in found)


def _comment(kind: str, name: str, text: str) -> str:
    literal = text.replace("'", "''")
    return f"comment on {kind} {DATASET}.{name} is '{literal}'"


def read_header(sql: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The grain, and (name, type, meaning) of each column, out of a view file's leading comment."""
    lines = [line for line in sql.splitlines() if line.startswith("--")]
    grain = lines[0].removeprefix("--").strip()
    return grain, [found.groups() for line in lines if (found := HEADER_COLUMN.fullmatch(line))]  # type: ignore[misc]
