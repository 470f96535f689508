"""What dlt does not do in a database: keys, statistics, and rows that the recorder has removed."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Final, TypeVar

import pyarrow as pa

from pipelines.columns import Table
from pipelines.errors import exception_chain
from pipelines.forwarding.destination_errors import CONFLICT, sqlstate
from pipelines.interrupts import causing_signal
from pipelines.job_tables import ORG_ID
from pipelines.tables import LISTINGS

POSTGRES: Final = "postgres"
LOCK: Final = 0x666C6967  # any number: forwards into one database create tables one after the other
LOCK_WAIT: Final = "60s"
KEYS_AT_ONCE: Final = 200  # in one statement: databases limit the number of values
LONG_KEY: Final = 2_000  # bytes
TRIES: Final = 5
Created = TypeVar("Created")


class Database:
    """One dataset of a SQL database, in its dialect."""

    def __init__(self, sql: Any, dialect: str) -> None:
        self.sql = sql
        self.dialect = dialect

    def named(self, table: str) -> str:
        """The table's qualified name."""
        return str(self.sql.make_qualified_table_name(table))

    def quoted(self, name: str) -> str:
        return str(self.sql.escape_column_name(name))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Until the block ends, no other forward into this database creates anything. Only Postgres has such a lock."""
        if self.dialect != POSTGRES:
            yield
            return
        self.sql.execute_sql(f"set lock_timeout = '{LOCK_WAIT}'")
        self.sql.execute_sql(f"select pg_advisory_lock({LOCK})")
        try:
            yield
        finally:
            with suppress(Exception):  # if the connection is gone, so is the lock
                self.sql.execute_sql(f"select pg_advisory_unlock({LOCK})")

    def create_keys(self, tables: Sequence[Table]) -> None:
        """A unique index on each table's key: merges find their rows by it, and no row can be there twice."""
        if self.dialect != POSTGRES:
            return
        of_schema = "select indexname from pg_indexes where schemaname = %s"
        there = {name for (name,) in self.sql.execute_sql(of_schema, self.sql.dataset_name) or ()}
        for table in tables:
            if f"{table.name}_key" in there:  # `if not exists` asks for the right to create, even where one does
                continue
            key = ", ".join(map(self.quoted, table.key))
            self.sql.execute_sql(f"create unique index {table.name}_key on {self.named(table.name)} ({key})")

    def allow_long_keys(self, table: Table) -> None:
        """An index of Postgres takes keys of 2,704 bytes. No org has longer ones, but whatever a broken proxy answered
        must not hold up everything else: then hashes of the texts are unique."""
        if self.dialect != POSTGRES:
            return
        texts = [column for column in table.key if pa.types.is_string(table.schema.field(column).type)]
        key = ", ".join(
            f"md5({self.quoted(c)})" if c in texts and c != ORG_ID.name else self.quoted(c) for c in table.key
        )
        with self.sql.begin_transaction():
            self.sql.execute_sql(f"drop index if exists {self.named(f'{table.name}_key')}")
            self.sql.execute_sql(f"create unique index {table.name}_key on {self.named(table.name)} ({key})")

    def update_statistics(self, tables: Iterable[Table]) -> None:
        """Without them, Postgres plans as if the tables were still empty, until it looks at them by itself."""
        if self.dialect == POSTGRES:
            for table in tables:
                self.sql.execute_sql(f"analyze {self.named(table.name)}")

    def remove(self, table: Table, keys: Iterator[tuple[object, ...]]) -> None:
        """Deletes rows by their keys."""
        while some := list(islice(keys, KEYS_AT_ONCE)):
            one = "(" + " and ".join(f"{self.quoted(column)} = %s" for column in table.key) + ")"
            self.sql.execute_sql(
                f"delete from {self.named(table.name)} where {' or '.join([one] * len(some))}",
                *(value for key in some for value in key),
            )

    def listings(self, orgs: Iterable[str]) -> set[str]:
        """The ids of these orgs' listings."""
        found: set[str] = set()
        for org in orgs:
            select = f"select listing_id from {self.named(LISTINGS.name)} where {self.quoted(ORG_ID.name)} = %s"
            found |= {str(one) for (one,) in self.sql.execute_sql(select, org) or ()}
        return found

    def begin(self) -> float:
        """No load id counts here: rows are merged in the order in which they come."""
        return 0.0

    def replaced(self, orgs: Iterable[str], there: Sequence[tuple[Table, Sequence[str]]]) -> None:
        """All rows of these orgs were replaced, but of an org that has none any more in a table, merging has replaced
        nothing. `there` has the orgs of each table. `listings` goes before the jobs that it proves."""
        for table, with_rows in reversed(there):
            for org in sorted({*orgs} - {*with_rows}):
                self.sql.execute_sql(f"delete from {self.named(table.name)} where {self.quoted(ORG_ID.name)} = %s", org)


def retried(create: Callable[[], Created]) -> Created:
    """Creates something, again if another forward was creating the same. Raises what it raises the last time."""
    for tries_left in reversed(range(TRIES)):
        try:
            return create()
        except Exception as error:
            if not tries_left or causing_signal(exception_chain(error)) or not sqlstate(error).startswith(CONFLICT):
                raise
            time.sleep(random.uniform(0.1, 0.5))
    raise AssertionError
