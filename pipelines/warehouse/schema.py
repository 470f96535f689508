"""The schema of both databases: missing tables and columns, views, and comments on all of them."""

import hashlib
import re
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from pipelines.columns import Table
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.database_file import read_macro
from pipelines.warehouse.renamed_columns import old_names, rename_columns
from pipelines.warehouse.short_names import name_shortly, short_names

VIEWS: Final = Path(__file__).parents[1] / "views"
APPLIED: Final = "views_fingerprint"  # a macro in the file: the fingerprint of what was last applied
QUALIFIED: Final = re.compile(rf"\b{DATASET}\.(?=\w)")
HEADER_COLUMN: Final = re.compile(r"--  ?(\w+) {2,}([A-Z][A-Z0-9 ()]*?) {2,}(\S.*)")


def complete_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates missing tables, renames columns that had another name in an earlier version, and adds missing ones: the
    views read all of them, even before a load has rows for them."""
    statements: list[str] = []
    # Each time, as an earlier version may have loaded again since; apart, as DuckDB 1.5 cannot commit an UPDATE and an
    # ALTER of one table together.
    fills: list[str] = []
    for table in TABLES:
        there = stored_columns(connection, table)
        statements += rename_columns(connection, table, there)
        renamed = {new for old, new in old_names(table).items() if old in there}
        missing = [column for column in table.schema if column.name not in {*there, *renamed}]
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
        fills += [
            f"update {DATASET}.{table.name} set {column.name} = '{column.before}' where {column.name} is null"
            for column in table.columns
            if column.before and there
        ]
    if statements:
        connection.execute(";\n".join(["begin", *statements, "commit"]))
    if fills:
        connection.execute(";\n".join(fills))


def apply_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates every view of `views/`, and comments that describe tables, views and columns.

    A view's file consists of a header (grain, columns with type and meaning, unique key) and one SELECT.
    In `main`, views of the same names show the same (`short_names.py`). Does nothing if the file is up to date: all
    these statements take longer than a small load.
    """
    if _fingerprint(connection) == read_macro(connection, f"{DATASET}.{APPLIED}"):
        return
    statements, grains = ["begin"], {table.name: table.grain for table in TABLES}
    for table in TABLES:
        statements.append(_comment("table", table.name, table.grain))
        statements += [_comment("column", f"{table.name}.{column.name}", column.meaning) for column in table.columns]
    for name, sql in views().items():
        grains[name], shown = read_header(sql)
        statements.append(f"create or replace view {DATASET}.{name} as {unqualified(sql)}")
        statements.append(_comment("view", name, grains[name]))
        statements += [_comment("column", f"{name}.{column}", meaning) for column, _, meaning in shown]
    statements += name_shortly(connection, grains)
    before = connection.execute("select current_setting('search_path')").fetchone()
    connection.execute(f"SET search_path = '{DATASET}'")
    connection.execute(";\n".join([*statements, "commit"]))
    connection.execute("SET search_path = $path", {"path": before[0] if before else ""})
    connection.execute(f"create or replace macro {DATASET}.{APPLIED}() as '{_fingerprint(connection)}'")


def unqualified(sql: str) -> str:
    """The view's SELECT without schema names: DuckDB looks in the view's own schema first, and for a file named like
    the schema (salesforce.prod.duckdb) it rejects salesforce.query_jobs as ambiguous."""
    return QUALIFIED.sub("", sql)


def _fingerprint(connection: duckdb.DuckDBPyConnection) -> str:
    """A hash of everything that `apply_views` writes, and of the existing tables and views, but for dlt's own."""
    # Not duckdb_columns(), which would bind every view.
    there = connection.execute(
        "select table_name, sql from duckdb_tables() where schema_name = $1 and not starts_with(table_name, '_dlt') "
        "union all select view_name, '' from duckdb_views() where schema_name = $1 order by all",
        [DATASET],
    ).fetchall()
    there += short_names(connection).items()
    return hashlib.sha256(repr((there, [unqualified(sql) for sql in views().values()], TABLES)).encode()).hexdigest()


def views(needed: Iterable[str] = ()) -> dict[str, str]:
    """Name and SQL of every view, or of those needed for some, in order of dependency; `base/` has those that others
    build on."""
    files = {file.stem: file.read_text(encoding="utf-8") for file in sorted(VIEWS.rglob("*.sql"))}
    # Sorted: sets have another order in every process, and `apply_views` would take the same views for changed ones.
    reads = {name: sorted(set(re.findall(rf"\b{DATASET}\.(\w+)", sql)) & files.keys()) for name, sql in files.items()}
    chosen = set(needed) or set(files)
    for name in reversed(order := list(TopologicalSorter(reads).static_order())):
        chosen |= set(reads[name]) if name in chosen else set()
    return {name: files[name] for name in order if name in chosen}


def stored_columns(connection: duckdb.DuckDBPyConnection, table: Table) -> tuple[str, ...]:
    """The columns of a table in this file; empty if it does not exist yet."""
    try:
        found = connection.execute(f"select name from pragma_table_info('{DATASET}.{table.name}')").fetchall()
    except duckdb.CatalogException:
        return ()
    return tuple(name for (name,) in found)


def _comment(kind: str, name: str, text: str) -> str:
    literal = text.replace("'", "''")
    return f"comment on {kind} {DATASET}.{name} is '{literal}'"


def read_header(sql: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The grain, and (name, type, meaning) of each column, from the header comment of a view's file."""
    lines = [line for line in sql.splitlines() if line.startswith("--")]
    grain = lines[0].removeprefix("--").strip()
    return grain, [found.groups() for line in lines if (found := HEADER_COLUMN.fullmatch(line))]  # type: ignore[misc]
