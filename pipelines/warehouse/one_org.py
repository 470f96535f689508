"""A warehouse of many orgs, narrowed to one: each view then reads that org's rows only.

A condition on a view's org_id does not get through to all tables that the view reads, so that asking about fifty orgs
one by one would read the jobs of all fifty, fifty times. An in-memory catalog has a view for each table that shows the
rows of one org, and the views of `views/` on top. Nothing is written. What compares orgs (recorded_orgs.display_name,
org_rhythms, fleet) has to be read outside.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb

from pipelines.tables import TABLES
from pipelines.warehouse.reader import Warehouse, lacking
from pipelines.warehouse.schema import unqualified, views

SCHEMA: Final = "memory.one_org"
VARIABLE: Final = "the_org"  # DuckDB's: the views read it when they are asked


@contextmanager
def narrowed(file: Warehouse, org_id: str) -> Iterator[Warehouse]:
    """The same open file: until the block ends, its connection shows nothing of the other orgs.

    Raises ConfigError like `Warehouse.rows`.
    """
    connection = file.connection
    ((whole,),) = connection.execute("select current_setting('search_path')").fetchall()
    ((there,),) = connection.execute(
        "select count(*) from duckdb_schemas() where database_name || '.' || schema_name = $1", [SCHEMA]
    ).fetchall()
    try:
        if not there:
            _create_views(connection, whole)
        connection.execute(f"set variable {VARIABLE} = $1", [org_id])
        connection.execute(f"set search_path = '{SCHEMA}'")
        yield file
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise lacking(file.path, error) from None
    finally:
        connection.execute("set search_path = $1", [whole])


def _create_views(connection: duckdb.DuckDBPyConnection, whole: str) -> None:
    statements = [f"create schema {SCHEMA}", f"set search_path = '{SCHEMA}'"]
    statements += [
        f"create view {SCHEMA}.{table.name} as "
        f"select * from {whole}.{table.name} where org_id = getvariable('{VARIABLE}')"
        for table in TABLES
    ]
    statements += [f"create view {SCHEMA}.{name} as {unqualified(sql)}" for name, sql in views().items()]
    connection.execute(";\n".join(["begin", *statements, "commit"]))
