"""Delta tables of a lake: created, and rows deleted from them. dlt does the rest."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable
from dlt.common.libs.deltalake import deltalake_storage_options, evolve_delta_table_schema
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

from pipelines.columns import Table
from pipelines.job_tables import ORG_ID

TRIES: Final = 10
KEPT_HOURS: Final = 168  # Delta's own default: who reads an older version of a table has a week


class DeltaTables:
    """The Delta tables of one dataset. Each is partitioned by org: merges of different recorders are in each other's
    way only if they touch one partition."""

    def __init__(self, client: FilesystemClient) -> None:
        self.client = client
        self.options = deltalake_storage_options(client.config.credentials, client.config.deltalake_storage_options)

    def is_there(self, table: Table) -> bool:
        return bool(DeltaTable.is_deltatable(self._location(table), self.options))

    def create(self, table: Table, columns: pa.Schema) -> None:
        """Creates the table, or adds the columns that it lacks."""
        nullable = pa.schema([field.with_nullable(True) for field in columns])
        if not self.is_there(table):
            with_tries(
                lambda: DeltaTable.create(
                    self._location(table),
                    nullable,
                    mode="ignore",
                    partition_by=[ORG_ID.name],
                    storage_options=self.options,
                )
            )
        with_tries(lambda: evolve_delta_table_schema(self._open(table), nullable))

    def delete(self, table: Table, keys: pa.Table) -> None:
        """Deletes the rows that have these values in the columns given."""
        if not len(keys):
            return
        same = " and ".join(f"target.{name} = source.{name}" for name in keys.column_names)
        with_tries(
            lambda: self._open(table).merge(keys, same, source_alias="source", target_alias="target")
            .when_matched_delete().execute()
        )  # fmt: skip

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a small table."""
        found = self._open(table).to_pyarrow_table(columns=list(dict.fromkeys([*table.key, ORG_ID.name])))
        return list(found.to_pylist())

    def tidy(self, table: Table) -> None:
        """Puts small files together, and deletes those that have not counted for a week. If others write meanwhile,
        the next time will do."""
        with suppress(Exception):
            opened = self._open(table)
            opened.optimize.compact()
            opened.vacuum(KEPT_HOURS, dry_run=False)

    def _open(self, table: Table) -> DeltaTable:
        try:
            return DeltaTable(self._location(table), storage_options=self.options)
        except Exception as error:
            error.add_note(f"/{table.name}/")  # for lake_errors.py: the library does not always tell
            raise

    def _location(self, table: Table) -> str:
        return str(self.client.get_open_table_location("delta", table.name))


def with_tries(act: Callable[[], Any]) -> None:
    """Again if another recorder has changed the table meanwhile."""
    from deltalake.exceptions import CommitFailedError  # noqa: PLC0415 - an extra

    for tries_left in reversed(range(TRIES)):
        try:
            act()
            return
        except CommitFailedError:
            if not tries_left:
                raise
            time.sleep(random.uniform(0.1, 1))
