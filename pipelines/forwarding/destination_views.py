"""The views of `views/` in a destination, in its dialect: replaced only if their text has changed.

People build views of their own on ours. `create or replace` leaves them alone, but Postgres refuses it if a column of
ours has changed or gone. Then ours are dropped, never with `cascade`: if a view of theirs is in the way, all stays as
it is, and the message names it.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pipelines.errors import AccessDenied, ConfigError, exception_chain
from pipelines.forwarding.database import POSTGRES, Database
from pipelines.forwarding.destination_errors import sqlstate
from pipelines.forwarding.dialects import views_in
from pipelines.forwarding.registry import RECORDERS
from pipelines.tables import TABLES
from pipelines.warehouse.schema import read_header, views

# Postgres has no statistics on a view, and joins with a hundred thousand numbers at random: there it is a table.
NUMBERS: Final = "numbers"
COMMENTED: Final = (POSTGRES, "redshift", "snowflake", "duckdb")  # that take `comment on`
CHANGED: Final = ("42P16", "42804")  # a column of a view has changed
DEPENDED_ON: Final = "2BP01"
REFUSED: Final = "42501"
NOT_OWNER: Final = "must be owner of"
IN_THE_WAY: Final = re.compile(
    r"(?:view|materialized view|function|table|rule) (\S+) depends on (?:materialized )?view (\S+)"
)


def fingerprint(dialect: str, dataset: str, table_format: str | None) -> str:
    """Identifies everything that `create_views` writes, without translating it, which takes a second."""
    files = sorted(Path(__file__).parent.glob("dialect*.py"))
    translation = [file.read_bytes() for file in (*files, Path(__file__))], version("sqlglot")
    return hashlib.sha256(
        repr((dialect, dataset, table_format, translation, views(), TABLES, RECORDERS)).encode()
    ).hexdigest()


def create_views(database: Database, dataset: str, *, in_one_transaction: bool) -> None:
    """Creates or replaces all views, with comments where the database has them. Raises ConfigError if views of others
    prevent it, AccessDenied if the user may not, and what the driver raises."""
    try:
        _create_all(database, dataset, in_one_transaction=in_one_transaction)
    except Exception as error:
        if sqlstate(error) != REFUSED or any(NOT_OWNER in str(cause) for cause in exception_chain(error)):
            raise
        raise AccessDenied(
            f"The destination refuses this user the right to create views in {dataset}. The tables are not affected.",
            f"Grant it: grant usage, create on schema {dataset} to <user>; or set views = false under [forward].",
        ) from None


def _create_all(database: Database, dataset: str, *, in_one_transaction: bool) -> None:
    selects = views_in(database.dialect, dataset)
    with _transaction(database.sql, wanted=in_one_transaction):
        if database.dialect == POSTGRES:
            _create_numbers(database, selects.pop(NUMBERS))
    try:
        with _transaction(database.sql, wanted=in_one_transaction):
            _create(database, selects)
    except Exception as error:
        if sqlstate(error) not in CHANGED:
            raise
    else:
        return
    try:
        with _transaction(database.sql, wanted=in_one_transaction):
            for name in reversed(selects):
                database.sql.execute_sql(f"drop view if exists {database.named(name)}")
            _create(database, selects)
    except Exception as error:
        if sqlstate(error) != DEPENDED_ON:
            raise
        found = sorted(
            {" on ".join(pair) for cause in exception_chain(error) for pair in IN_THE_WAY.findall(str(cause))}
        )
        raise ConfigError(
            "This version's views have other columns, and cannot replace the earlier ones, because others are built on "
            f"them: {', '.join(found) or 'see the server log'}. The tables are up to date.",
            "Drop these, run forward again, and create them again; or set views = false under [forward].",
        ) from None


def _create(database: Database, selects: dict[str, str]) -> None:
    for name, select in selects.items():
        database.sql.execute_sql(f"create or replace view {database.named(name)} as {select}")
    if database.dialect in COMMENTED:
        for statement in _comments(database, tuple(selects)):
            database.sql.execute_sql(statement)


def _create_numbers(database: Database, select: str) -> None:
    table = database.named(NUMBERS)
    database.sql.execute_sql(f"create table if not exists {table} as {select} with no data")
    database.sql.execute_sql(f"create unique index if not exists {NUMBERS}_key on {table} (n)")
    database.sql.execute_sql(f"insert into {table} {select} on conflict do nothing")
    database.sql.execute_sql(f"analyze {table}")
    for statement in _comments_of_view(database, "table", NUMBERS):
        database.sql.execute_sql(statement)


def _comments(database: Database, names: tuple[str, ...]) -> Iterator[str]:
    for table in (*TABLES, RECORDERS):
        yield _comment("table", database.named(table.name), table.grain)
        for column in table.columns:
            yield _comment("column", f"{database.named(table.name)}.{database.quoted(column.name)}", column.meaning)
    for name in names:
        yield from _comments_of_view(database, "view", name)


def _comments_of_view(database: Database, kind: str, name: str) -> Iterator[str]:
    grain, columns = read_header(views()[name])
    yield _comment(kind, database.named(name), grain)
    for shown, _, meaning in columns:
        yield _comment("column", f"{database.named(name)}.{database.quoted(shown)}", meaning)


def _comment(kind: str, name: str, text: str) -> str:
    literal = text.replace("'", "''")
    return f"comment on {kind} {name} is '{literal}'"


@contextmanager
def _transaction(sql: Any, *, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with sql.begin_transaction():
        yield
