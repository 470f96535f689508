"""A warehouse of many orgs, narrowed to one: each view then reads that org's rows only.

A condition on a view's org_id does not get through to all tables that the view reads, so that asking about fifty orgs
one by one would read the jobs of all fifty, fifty times. An in-memory catalog has a view for each table that shows the
rows of one org, and the views of `views/` on top. Nothing is written. What compares orgs (recorded_orgs.display_name,
org_rhythms, fleet) has to be read outside.

Planning a query on the deepest views takes longer than running it for a small org (0.1 s against 0.01 s): what is asked
of many orgs can be answered for all of them at once, see `answered_once`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import duckdb

from pipelines.tables import TABLES
from pipelines.warehouse.reader import Warehouse
from pipelines.warehouse.schema import unqualified, views

SCHEMA: Final = "memory.one_org"
ONCE: Final = "memory.all_orgs"  # what `answered_once` keeps
VARIABLE: Final = "the_org"  # DuckDB's: the views read it when they are asked


@contextmanager
def narrowed(file: Warehouse, org_id: str) -> Iterator[Warehouse]:
    """The same open file: until the block ends, its connection shows nothing of the other orgs.

    Raises ConfigError like `Warehouse.rows`.
    """
    connection = file.connection
    ((whole,),) = connection.execute("select current_setting('search_path')").fetchall()
    try:
        with file.explained():
            if not _exists(connection, SCHEMA):
                _create_views(connection, whole)
        connection.execute(f"set variable {VARIABLE} = $1", [org_id])
        first = f"{ONCE}," if _exists(connection, ONCE) else ""
        connection.execute(f"set search_path = '{first}{SCHEMA}'")
        yield file
    finally:
        connection.execute("set search_path = $1", [whole])


@contextmanager
def answered_once(file: Warehouse, queries: Mapping[str, str]) -> Iterator[None]:
    """Until the block ends, a query that names one of these views in `narrowed` reads the rows that its SQL here gives
    for the whole file: of all orgs, so it has to choose those of its own by org_id. The views that build on such a view
    still read the view.

    Raises ConfigError like `Warehouse.rows`.
    """
    connection = file.connection
    try:
        with file.explained():
            connection.execute(f"create schema {ONCE}")
            for name, sql in queries.items():
                connection.execute(f"create table {ONCE}.{name} as {sql}")
        yield
    finally:
        connection.execute(f"drop schema if exists {ONCE} cascade")


def _exists(connection: duckdb.DuckDBPyConnection, schema: str) -> bool:
    found = connection.execute(
        "select 1 from duckdb_schemas() where database_name || '.' || schema_name = $1", [schema]
    ).fetchall()
    return bool(found)


def _create_views(connection: duckdb.DuckDBPyConnection, whole: str) -> None:
    statements = [f"create schema {SCHEMA}", f"set search_path = '{SCHEMA}'"]
    statements += [
        f"create view {SCHEMA}.{table.name} as "
        f"select * from {whole}.{table.name} where org_id = getvariable('{VARIABLE}')"
        for table in TABLES
    ]
    statements += [f"create view {SCHEMA}.{name} as {unqualified(sql)}" for name, sql in views().items()]
    connection.execute(";\n".join(["begin", *statements, "commit"]))
