"""A lake: files in a bucket or a folder, one folder for each table, without anything that could keep them in order.

Plain Parquet files are only added (lake_views.py says how they are read). So a row that is gone needs a file that says
so: one with its key, and `is_removed`. `--full` adds a row to `full_forwards` when everything else is there: from that
moment on, nothing that was sent before counts. Its files stay until the next `--full`, for those who are reading them.

Delta tables have transactions of their own, each table for itself.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Any, Final

import pyarrow as pa
from dlt.common.time import increasing_precise_time
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

from pipelines.columns import Table
from pipelines.forwarding.lake_files import LakeFiles, name_of
from pipelines.forwarding.lake_views import ENGINES, FOLDER, FULL_FORWARDS, LOAD_ID, REMOVED, script
from pipelines.forwarding.registry import RECORDERS, Recorder, Registered, load_id_in, orgs_in, taken
from pipelines.tables import LISTINGS, TABLES

KEYS_AT_ONCE: Final = 100_000


class Lake:
    """One dataset of a lake, and what one recorder does there beside sending rows."""

    def __init__(self, client: FilesystemClient, recorder: Recorder, mark: str, table_format: str | None) -> None:
        self.client, self.recorder, self.mark, self.table_format = client, recorder, mark, table_format
        self.files = LakeFiles(client)
        self.delta = None
        if table_format:
            from pipelines.forwarding.lake_delta import DeltaTables  # noqa: PLC0415 - an extra

            self.delta = DeltaTables(client)
        self.began = 0.0  # all load ids of this forward are greater

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing here needs to be alone: files of different recorders have different names."""
        yield

    def lost(self, tables: Sequence[Table]) -> list[str]:
        """Those of these tables, of which this recorder has sent rows, that are no longer there."""
        self.files.check_place()
        is_there = self.delta.is_there if self.delta else lambda table: self.files.paths(table.name, f"{self.mark}.")
        return [table.name for table in tables if not is_there(table)]

    def create_tables(self, tables: Sequence[tuple[Table, pa.Schema]]) -> None:
        """A file without rows, with all columns, for each table: views can read it, even if it has no rows, and know
        the columns that older files lack. Of each set of columns there is one, whichever recorder writes it."""
        self.files.check_place()
        self.client.initialize_storage()
        for table, columns in [*tables, (FULL_FORWARDS, FULL_FORWARDS.schema)]:
            if self.delta and table in TABLES:
                self.delta.create(table, pa.schema([*columns, pa.field(LOAD_ID.name, LOAD_ID.type)]))
                continue
            more = [pa.field(column.name, column.type) for column in (LOAD_ID, REMOVED) if table in TABLES]
            schema = pa.schema([field.with_nullable(True) for field in [*columns, *more]])
            name = f"columns.{sha256(str(schema).encode()).hexdigest()[:8]}.parquet"
            if not self.files.exists(table.name, name):
                self.files.write(table.name, name, schema.empty_table())

    def allow_long_keys(self, table: Table) -> None:
        """There are no keys here that could be too long."""

    def update_statistics(self, tables: Iterable[Table]) -> None:
        """Every file has its own."""

    def claim(self, *, take_over: bool) -> Registered:
        """Enters the recorder; returns what was known of it. Raises ConfigError if the name belongs to another file or
        machine, unless that is taken over.

        Two that claim one name in the same moment both succeed; one of them gets this error the next time. No row is
        lost by that: there is no staging that they could share."""
        found = self._own(RECORDERS)
        if found and not take_over and (found[0]["host"], found[0]["path"]) != self.recorder.place:
            raise taken(self.recorder, found[0]["host"], found[0]["path"])
        known = Registered(load_id_in(found[0]["load_id"]), orgs_in(found[0]["orgs"])) if found else Registered()
        self._note(found[0]["forwarded_at"] if found else None, known.load_id, known.orgs)
        return known

    def orgs_of_others(self) -> frozenset[str]:
        """The orgs that other recorders forward."""
        rows = [row for row in self.files.rows(RECORDERS) if row["recorder"] != self.recorder.name]
        return frozenset(org for row in rows for org in orgs_in(row["orgs"]))

    def note(self, load_id: float, orgs: Iterable[str]) -> None:
        """Notes that it has sent something."""
        self._note(datetime.now(UTC), load_id, orgs)

    def begin(self) -> float:
        """A number that all load ids of this forward must exceed: none that this recorder has sent is greater, whatever
        the clock says and whatever was killed, and none that another one with a right clock has sent."""
        self.began = max([time.time(), *(load_id for _, load_id in self._sent())])
        return self.began

    def listings(self, orgs: Iterable[str]) -> set[str]:
        """The ids of all listings of these orgs that were ever sent."""
        rows = self.delta.rows(LISTINGS) if self.delta else self.files.rows(LISTINGS, columns=["listing_id", "org_id"])
        return {row["listing_id"] for row in rows if row["org_id"] in {*orgs}}

    def remove(self, table: Table, keys: Iterator[tuple[object, ...]]) -> None:
        """Removes rows by their keys."""
        fields = [pa.field(name, table.schema.field(name).type) for name in table.key]
        while some := list(islice(keys, KEYS_AT_ONCE)):
            gone = pa.Table.from_pylist([dict(zip(table.key, key, strict=True)) for key in some], pa.schema(fields))
            if self.delta:
                self.delta.delete(table, gone)
                continue
            load_id = str(increasing_precise_time())
            for column, value in ((LOAD_ID, load_id), (REMOVED, True)):
                gone = gone.append_column(column.name, pa.array([value] * len(gone), column.type))
            self.files.write(table.name, f"{self.mark}.{load_id}.removed.parquet", gone)

    def replaced(self, orgs: Iterable[str], there: Sequence[tuple[Table, Sequence[str]]]) -> None:
        """Everything of these orgs was sent again: what was sent of them before does not count any more."""
        if self.delta:
            for table, with_rows in there:
                self.delta.delete(table, pa.table({"org_id": pa.array(sorted({*orgs} - {*with_rows}), pa.string())}))
                self.delta.tidy(table)
            return
        before = self._own(FULL_FORWARDS)
        known = {str(row["org_id"]) for row in before} | {*orgs}
        rows = [{"recorder": self.recorder.name, "org_id": org, "after_load_id": self.began} for org in sorted(known)]
        content = pa.Table.from_pylist(rows, schema=FULL_FORWARDS.schema)
        self.files.write(FULL_FORWARDS.name, f"{self.mark}.parquet", content)
        void = min((float(row["after_load_id"]) for row in before), default=0.0)
        self.files.delete([path for path, load_id in self._sent() if load_id <= void])

    def create_views(self, dataset: str) -> None:
        """Writes the scripts, if they are not there as they are to be."""
        for engine in ENGINES:
            text = script(engine, self.files.url, dataset, self.table_format)
            self.files.write_text(FOLDER, f"{engine}.sql", text)

    def _note(self, at: datetime | None, load_id: float, orgs: Iterable[str]) -> None:
        host, path = self.recorder.place
        row = {
            "recorder": self.recorder.name, "identity": self.recorder.identity, "host": host, "path": path,
            "orgs": json.dumps(sorted(orgs)), "forwarded_at": at, "load_id": repr(load_id) if load_id else None,
        }  # fmt: skip
        self.files.write(RECORDERS.name, f"{self.mark}.parquet", pa.Table.from_pylist([row], schema=RECORDERS.schema))

    def _own(self, table: Table) -> list[dict[str, Any]]:
        return self.files.rows(table, f"{self.mark}.parquet")

    def _sent(self) -> Iterator[tuple[str, float]]:
        """Path and load id of all files that this recorder has sent."""
        for table in TABLES if self.delta is None else ():
            for path in self.files.paths(table.name, f"{self.mark}."):
                with suppress(ValueError):  # a file that others have put there
                    yield path, float(".".join(name_of(path).split(".")[1:3]))
