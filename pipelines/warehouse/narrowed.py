"""A warehouse narrowed to one org, or to the jobs of the time since some day: views then read no others.

A condition on a view's column rarely gets through to the tables that it reads: asking about fifty orgs one by one would
read the jobs of all fifty, fifty times, and what failed last week would be looked for in all years. An in-memory
catalog has a view for each table that shows the rows asked for, and the views of `views/` on top. Nothing is written.
What compares orgs (recorded_orgs.display_name, org_rhythms, fleet) has to be read outside.

Planning a query on the deepest views takes longer than running it for a small org (0.1 s against 0.01 s): what is asked
of many orgs can be answered for all of them at once, see `answered_once`. For the same reason a small file with one org
is not narrowed: creating these views takes longer than reading all that it has.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from typing import Final

import duckdb

from pipelines.job_tables import INGEST_JOBS, QUERY_JOBS
from pipelines.tables import TABLES
from pipelines.warehouse.reader import Warehouse
from pipelines.warehouse.schema import unqualified, views

SCHEMA: Final = "memory.narrowed"
ONCE: Final = "memory.all_orgs"  # what `answered_once` keeps
SMALL: Final = 100_000  # jobs
ORG: Final = "the_org"  # DuckDB's variables: the views read them when they are asked
SINCE: Final = "jobs_since"
OF_ORG: Final = f"(getvariable('{ORG}') is null or org_id = getvariable('{ORG}'))"
RECENT: Final = " or ".join(
    [f"getvariable('{SINCE}') is null"]
    + [f"{column} >= getvariable('{SINCE}')" for column in ("created_date", "observed_at", "current_since")]
)
CONDITIONS: Final = {
    table.name: f"where {OF_ORG}" + (f" and ({RECENT})" if table in (QUERY_JOBS, INGEST_JOBS) else "")
    for table in TABLES
}


@contextmanager
def narrowed(file: Warehouse, org_id: str) -> Iterator[Warehouse]:
    """The same open file: until the block ends, its connection shows nothing of the other orgs.

    Raises ConfigError like `Warehouse.rows`.
    """
    with _narrowed(file, ORG, org_id):
        yield file


@contextmanager
def recent_jobs(file: Warehouse, since: datetime | None) -> Iterator[Warehouse]:
    """The same open file: until the block ends, its connection hides jobs that were both created and last changed
    before `since`, if that is given. What the views say of the time before is incomplete then.

    Raises ConfigError like `Warehouse.rows`.
    """
    with _narrowed(file, SINCE, since) if since else nullcontext():
        yield file


@contextmanager
def answered_once(file: Warehouse, queries: Mapping[str, tuple[str, AbstractContextManager[object]]]) -> Iterator[None]:
    """Until the block ends, a query in `narrowed` that names one of these reads the stored result of its SQL, which was
    asked within the context beside it. The result is of all orgs, so the query has to choose by org_id. Views that
    build on a view of such a name still read the view.

    Raises ConfigError like `Warehouse.rows`.
    """
    with temporary_schema(file, ONCE):
        for name, (sql, context) in queries.items():
            with context, file.explained():
                file.connection.execute(f"create table {ONCE}.{name} as {sql}")
        yield


@contextmanager
def schema_of(file: Warehouse, schema: str, tables: Mapping[str, str], needed: Iterable[str]) -> Iterator[None]:
    """A schema in memory with these tables instead of the file's, by name and SELECT, and the views needed on top,
    until the block ends.

    Raises ConfigError like `Warehouse.rows`.
    """
    connection = file.connection
    with temporary_schema(file, schema):
        with file.explained():
            for name, sql in tables.items():
                connection.execute(f"create table {schema}.{name} as {sql}")
            _create_views(connection, schema, {table.name: "" for table in TABLES if table.name not in tables}, needed)
        yield


@contextmanager
def temporary_schema(file: Warehouse, schema: str) -> Iterator[None]:
    """An empty schema in memory, removed with all that is in it when the block ends."""
    try:
        file.connection.execute(f"create schema {schema}")
        yield
    finally:
        file.connection.execute(f"drop schema if exists {schema} cascade")


@contextmanager
def shown(file: Warehouse, schema: str) -> Iterator[None]:
    """Until the block ends, queries read what is in this schema."""
    path = _search_path(file.connection)
    try:
        file.connection.execute(f"set search_path = '{schema}'")
        yield
    finally:
        file.connection.execute("set search_path = $1", [path])


@contextmanager
def _narrowed(file: Warehouse, variable: str, value: object) -> Iterator[None]:
    connection = file.connection
    path = _search_path(connection)
    try:
        if not path.endswith(SCHEMA):
            with file.explained():
                schema = path if _is_small(connection) else SCHEMA
                if schema == SCHEMA and not _exists(connection, SCHEMA):
                    connection.execute(f"create schema {SCHEMA}")
                    _create_views(connection, SCHEMA, CONDITIONS)
            first = f"{ONCE}," if variable == ORG and _exists(connection, ONCE) else ""
            connection.execute(f"set search_path = '{first}{schema}'")
        connection.execute(f"set variable {variable} = $1", [value])
        yield
    finally:
        connection.execute(f"reset variable {variable}")
        connection.execute("set search_path = $1", [path])


def _is_small(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the current schema has one org at most, and few jobs."""
    ((orgs, jobs),) = connection.execute("""
        select
            (select count(distinct org_id) from listings),
            (select count(*) from query_jobs) + (select count(*) from ingest_jobs)
    """).fetchall()
    return orgs <= 1 and jobs < SMALL  # type: ignore[no-any-return]


def _search_path(connection: duckdb.DuckDBPyConnection) -> str:
    ((path,),) = connection.execute("select current_setting('search_path')").fetchall()
    return str(path)


def _exists(connection: duckdb.DuckDBPyConnection, schema: str) -> bool:
    found = connection.execute(
        "select 1 from duckdb_schemas() where database_name || '.' || schema_name = $1", [schema]
    ).fetchall()
    return bool(found)


def _create_views(
    connection: duckdb.DuckDBPyConnection, schema: str, conditions: Mapping[str, str], needed: Iterable[str] = ()
) -> None:
    """Views of the tables of the current schema, which show the rows that fulfil a condition, and on top the views that
    are needed: all, unless some are named."""
    whole = _search_path(connection)
    statements = [f"set search_path = '{schema}'"]
    statements += [
        f"create view {schema}.{table} as select * from {whole}.{table} {condition}"
        for table, condition in conditions.items()
    ]
    statements += [f"create view {schema}.{name} as {unqualified(sql)}" for name, sql in views(needed).items()]
    statements += [f"set search_path = '{whole}'"]
    try:
        connection.execute(";\n".join(["begin", *statements, "commit"]))
    except duckdb.Error:  # what cleans up after it would meet an aborted transaction, and hide why
        with suppress(duckdb.Error):
            connection.execute("rollback")
            connection.execute("set search_path = $1", [whole])
        raise
