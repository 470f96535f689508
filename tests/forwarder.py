"""A recorder's home with a published copy, which is forwarded to a Postgres of the tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from postgres_server import Server

from pipelines.config.dlt_context import use_project
from pipelines.forwarding.command import forward_as_asked
from pipelines.tables import TABLES
from pipelines.warehouse.file_identity import write_identity

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
PROJECT = Path(__file__).parents[1]
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass
class Forwarder:
    """One recorder that forwards into a database."""

    home: Path
    server: Server
    database: str
    recorder: str | None = None
    user: str = "postgres"
    environment: dict[str, str] = field(default_factory=dict)
    program: Sequence[str] = ("-m", "pipelines.query_jobs")  # what `start` and `run` give Python

    def __post_init__(self) -> None:
        (self.home / ".dlt").mkdir(parents=True, exist_ok=True)
        (self.home / ".dlt" / "config.toml").write_text("[query_jobs]\n")
        self.environment = {
            "DLT_PROJECT_DIR": str(self.home),
            "DESTINATION__DUCKDB__CREDENTIALS": str(self.home / "loader.duckdb"),
            **({"FORWARD__RECORDER": self.recorder} if self.recorder else {}),
            **self.destination(),
            **self.environment,
        }

    def destination(self) -> dict[str, str]:
        """The settings of where it forwards to."""
        return {
            "FORWARD__DESTINATION": "postgres",
            "DESTINATION__POSTGRES__CREDENTIALS": self.server.url(self.database, self.user),
        }

    @property
    def published(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def sent(self) -> Path:
        """The folder of the sent copy."""
        (folder,) = (self.home / "loader.duckdb.sent").iterdir()
        return folder

    def publish(self, source: Path, *changes: str, identity: str | None = None) -> None:
        """Publishes a copy of a file, changed by these statements; the identity stays unless one is given."""
        new = self.home / "new.duckdb"
        shutil.copy(source, new)
        new.chmod(0o600)
        with duckdb.connect(new) as connection:
            connection.execute("set TimeZone = 'UTC'; set search_path = 'salesforce'")
            for statement in changes:
                connection.execute(statement)
            if identity:
                write_identity(connection, identity)
        new.replace(self.published)

    def change(self, *changes: str) -> None:
        """Publishes what was published before, changed."""
        self.publish(self.published, *changes)

    def forward(self, *, init: bool = False, full: bool = False, dry_run: bool = False, take_over: bool = False) -> str:
        """In this process; returns what is printed."""
        before = dict(os.environ)
        os.environ |= self.environment
        try:
            use_project()
            return "\n".join(forward_as_asked(init=init, full=full, dry_run=dry_run, take_over=take_over))
        finally:
            os.environ.clear()
            os.environ |= before

    def start(self, *options: str) -> subprocess.Popen[str]:
        """In a process of its own."""
        return subprocess.Popen(
            [sys.executable, *self.program, "forward", *options],
            env=os.environ | self.environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *options: str) -> tuple[int, str]:
        """In a process of its own: the exit code, and what it prints on both streams."""
        process = self.start(*options)
        said = "".join(process.communicate(timeout=120))
        return process.returncode, said

    def here(self) -> Rows:
        """All rows of the published copy, as the destination should have them, sorted by key."""
        found: Rows = {}
        with duckdb.connect(self.published, read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for table in TABLES:
                columns = self.columns(table.name)
                there = {
                    name for (name,) in connection.execute(
                        f"select column_name from duckdb_columns() where table_name = '{table.name}'"
                    ).fetchall()
                }  # fmt: skip
                shown = ", ".join(f'"{name}"' if name in there else "null" for name in columns)
                rows = connection.execute(f"select {shown} from salesforce.{table.name}").fetchall() if there else []
                found[table.name] = by_key([tuple(map(storable, row)) for row in rows], columns, table.key)
        return found

    def there(self, where: str = "") -> Rows:
        """All rows of the destination, sorted by key."""
        found: Rows = {}
        for table in TABLES:
            columns = self.columns(table.name)
            shown = ", ".join(f'"{name}"' for name in columns)
            rows = self.server.execute(f"select {shown} from salesforce.{table.name} {where}", self.database)
            found[table.name] = by_key(rows, columns, table.key)
        return found

    def columns(self, table: str) -> list[str]:
        """Of a table in the destination."""
        found = self.ask(
            "select column_name from information_schema.columns "
            f"where table_schema = 'salesforce' and table_name = '{table}' order by ordinal_position"
        )
        return [name for (name,) in found]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.server.execute(sql, self.database)


def storable(value: Any) -> Any:
    """A value of DuckDB's as the destination should have it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def by_key(rows: list[tuple[Any, ...]], columns: Sequence[str], key: Sequence[str]) -> list[tuple[Any, ...]]:
    places = [columns.index(column) for column in key]
    return sorted(rows, key=lambda row: tuple(row[place] for place in places))


def differing(one: Rows, other: Rows) -> dict[str, tuple[int, int]]:
    """Tables with rows that are not in both, and how many; empty if all are equal."""
    found = {}
    for table, rows in one.items():
        if rows != other[table]:
            there = set(other[table])
            found[table] = sum(row not in there for row in rows), len(other[table]) - len(rows)
    return found
