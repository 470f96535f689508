"""A recorder's home with a published copy, which is forwarded to a lake of the tests, and that lake as DuckDB reads it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from forwarder import PROJECT, Forwarder, Rows, by_key

from pipelines.forwarding.lake_views import statements
from pipelines.tables import TABLES


@dataclass
class LakeForwarder(Forwarder):
    """One recorder that forwards into a lake: a folder, or an address of a bucket with `files` to read it."""

    server: Any = None
    database: str = ""
    url: str = ""
    table_format: str | None = None
    files: Any = None
    more: dict[str, str] = field(default_factory=dict)
    known: dict[str, list[str]] = field(default_factory=dict)

    def destination(self) -> dict[str, str]:
        return {
            "FORWARD__DESTINATION": "filesystem",
            "DESTINATION__FILESYSTEM__BUCKET_URL": self.url,
            **({"FORWARD__TABLE_FORMAT": self.table_format} if self.table_format else {}),
            **self.more,
        }

    @property
    def root(self) -> str:
        return f"{self.url}/salesforce"

    def script(self, engine: str) -> str:
        """What `forward` has written for users."""
        path = f"{self.root}/views/{engine}.sql"
        return self.files.cat_file(path).decode() if self.files else Path(path).read_text()

    def killed(self, before: str, which: int = 1, *options: str) -> None:
        """Forwards, and is killed just before the nth file or folder gets a final name that matches this."""
        script = Path(__file__).with_name("killed_forward.py")
        run = subprocess.run(
            [sys.executable, script, before, str(which), *options],
            env=os.environ | self.environment | {"PYTHONPATH": str(PROJECT)}, cwd=PROJECT, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        assert run.returncode == -signal.SIGKILL, (run.returncode, run.stdout, run.stderr)

    @contextmanager
    def lake(self, *, views: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """DuckDB, with the lake's tables, by the script that `forward` has written; with all views, it takes longer."""
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            if self.table_format:
                self._register_delta(connection)
            else:
                script = statements(self.script("duckdb").replace(self.root, str(self._fetched())))
                of_tables = [one for one in script if "read_parquet" in one or "create or replace view" not in one]
                for statement in script if views else of_tables:
                    connection.execute(statement)
            yield connection

    def there(self, where: str = "") -> Rows:
        """All rows of the lake, sorted by key."""
        found: Rows = {}
        with self.lake() as connection:
            for table in TABLES:
                read = connection.sql(f"select * from salesforce.{table.name} {where}")
                found[table.name] = by_key(read.fetchall(), read.columns, table.key)
        return found

    def here(self) -> Rows:
        with self.lake() as connection:
            self.known = {table.name: connection.sql(f"from salesforce.{table.name}").columns for table in TABLES}
        return super().here()

    def columns(self, table: str) -> list[str]:
        return self.known[table]

    def paths(self, table: str = "query_jobs") -> list[Path]:
        """The files of a table in a folder."""
        return sorted(Path(self.root, table).rglob("*.parquet"))

    def _fetched(self) -> Path:
        """The lake in a folder: DuckDB's own extension for S3 is not on PyPI."""
        if not self.files:
            return Path(self.root)
        folder = self.home / "fetched"
        shutil.rmtree(folder, ignore_errors=True)
        self.files.get(self.root, str(folder), recursive=True)
        return folder

    def _register_delta(self, connection: duckdb.DuckDBPyConnection) -> None:
        """DuckDB's own extension for Delta is not on PyPI: the tables are read by the library that wrote them."""
        from deltalake import DeltaTable

        connection.execute("create schema salesforce")
        options = {
            name.rpartition("__")[2]: value for name, value in self.more.items() if "__CREDENTIALS__AWS" in name
        }  # fmt: skip
        if endpoint := self.more.get("DESTINATION__FILESYSTEM__CREDENTIALS__ENDPOINT_URL"):
            options |= {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-central-1", "AWS_ALLOW_HTTP": "true"}
        for table in TABLES:
            rows = DeltaTable(f"{self.root}/{table.name}", storage_options=options or None).to_pyarrow_table()
            connection.register(f"rows_of_{table.name}", rows.drop_columns(["_dlt_load_id"]))
            connection.execute(f"create table salesforce.{table.name} as from rows_of_{table.name}")
