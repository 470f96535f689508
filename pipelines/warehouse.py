"""The published warehouse: a read copy that people open as they like, and the views that both files carry."""

import hashlib
import os
import re
import shlex
import shutil
from contextlib import ExitStack, suppress
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from pipelines.database_file import holds_something, open_database
from pipelines.failures import Failure, Misconfigured, not_permitted
from pipelines.interrupts import raise_if_interrupted
from pipelines.loader_file import LOCK_MESSAGE
from pipelines.reader import read
from pipelines.tables import DATASET, LISTINGS, TABLES, Table

__all__ = ["read"]  # where the README has it

VIEWS: Final = Path(__file__).parent / "views"
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
    if _fingerprint(connection) == _applied(connection):
        return
    statements = ["begin"]
    for table in TABLES:
        statements.append(_comment("table", table.name, table.grain))
        statements += [_comment("column", f"{table.name}.{column.name}", column.meaning) for column in table.columns]
    for name, sql in views().items():
        grain, shown = read_header(sql)
        statements.append(f"create or replace view {DATASET}.{name} as {_unqualified(sql)}")
        statements.append(_comment("view", name, grain))
        statements += [_comment("column", f"{name}.{column}", meaning) for column, _, meaning in shown]
    before = connection.execute("select current_setting('search_path')").fetchone()
    connection.execute(f"SET search_path = '{DATASET}'")
    connection.execute(";\n".join([*statements, "commit"]))
    connection.execute("SET search_path = $path", {"path": before[0] if before else ""})
    connection.execute(f"create or replace macro {DATASET}.{APPLIED}() as '{_fingerprint(connection)}'")


def _unqualified(sql: str) -> str:
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
    return hashlib.sha256(repr((there, [_unqualified(sql) for sql in views().values()], TABLES)).encode()).hexdigest()


def _applied(connection: duckdb.DuckDBPyConnection) -> str:
    try:
        row = connection.execute(f"select {DATASET}.{APPLIED}()").fetchone()
    except duckdb.CatalogException:
        return ""
    return str(row[0]) if row else ""


def views() -> dict[str, str]:
    """Name and SQL of every view, each after those that it reads."""
    files = {file.stem: file.read_text(encoding="utf-8") for file in sorted(VIEWS.glob("*.sql"))}
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


def check_begun(loader_file: Path, warehouse: Path) -> None:
    """Raises Misconfigured where a new history would be begun over the copy of another one."""
    if holds_something(warehouse) and not holds_something(loader_file):
        raise Misconfigured(
            f"The loader's file {loader_file} is not there, but {warehouse} is: a new history would replace it.",
            f"Restore the loader's file: {_copied(warehouse, loader_file)} - or move the warehouse away to begin anew.",
        )


def _copied(warehouse: Path, loader_file: Path) -> str:
    return f"cp {shlex.quote(str(warehouse))} {shlex.quote(str(loader_file))}"


def check_published(loader: duckdb.DuckDBPyConnection, loader_file: Path, warehouse: Path) -> None:
    """Raises Misconfigured where publishing would replace what the loader's file does not hold: another recorder's
    warehouse, a newer one than the loader's file, or a file that is no warehouse at all."""
    if not holds_something(warehouse):
        return
    newest = f"select listing_id, finished_at from {DATASET}.listings order by finished_at desc limit 1"
    try:
        with open_database(warehouse, read_only=True) as copy:
            last = copy.execute(newest).fetchone()
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if isinstance(error, duckdb.IOException) and (LOCK_MESSAGE in str(error) or "WAL" in str(error)):
            return  # somebody writes into the copy, or did: that is theirs to do, and no reason to stop recording
        raise Misconfigured(
            f"{warehouse} is there, but is no warehouse that was published from here.",
            "Move it away, or give `warehouse` under [query_jobs] another name: publishing would replace it.",
        ) from None
    if last and not _has_listing(loader, last[0]):
        raise Misconfigured(
            f"{warehouse} has a listing, of {last[1]:%Y-%m-%d %H:%M} UTC, that the loader's file has not: publishing "
            "would lose it.",
            f"If the loader's file was lost or is older, restore it: {_copied(warehouse, loader_file)} - "
            "otherwise move the copy away, or give `warehouse` under [query_jobs] another name.",
        )


def _has_listing(loader: duckdb.DuckDBPyConnection, listing_id: str) -> bool:
    if not stored_columns(loader, LISTINGS):
        return False
    found = loader.execute(f"select 1 from {DATASET}.listings where listing_id = ?", [listing_id])
    return found.fetchone() is not None


def publish(connection: duckdb.DuckDBPyConnection, loader_file: Path, warehouse: Path) -> None:
    """Replaces the published warehouse by a copy of the loader's file, in one step.

    The connection stays open while the bytes are copied: its lock keeps everybody else from writing meanwhile.
    Readers of the old copy keep it until they close it. Raises Misconfigured or Failure; the loader's file is not
    touched by either.
    """
    new = warehouse.with_name(f".{warehouse.name}.{os.getpid()}.new")
    try:
        for left in warehouse.parent.glob(f".{warehouse.name}.*.new"):  # by a load that was killed
            left.unlink()
        connection.execute("checkpoint")
        shutil.copyfile(loader_file, new)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        # Somebody who wrote into the published copy left a write-ahead log. It belongs to the old copy, and DuckDB
        # would apply it to whatever has the name: it goes first, so that no reader finds it beside the new file.
        warehouse.with_name(warehouse.name + ".wal").unlink(missing_ok=True)
        new.replace(warehouse)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        wrong_place = not_permitted(error) or isinstance(error, FileNotFoundError | IsADirectoryError)
        kind = Misconfigured if wrong_place else Failure
        raise kind(
            f"The jobs are recorded in {loader_file.name}, but the copy {warehouse} could not be published: "
            f"{error.strerror}.",
            "Make room or let this user write there, or change `warehouse` under [query_jobs]; "
            "the next load publishes again.",
        ) from None


def open_published(warehouse: Path, closing: ExitStack) -> duckdb.DuckDBPyConnection | None:
    """A read-only connection to the published warehouse, closed by `closing`; None if there is none, or it is held."""
    try:
        return closing.enter_context(open_database(warehouse, read_only=True)) if holds_something(warehouse) else None
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        return None
