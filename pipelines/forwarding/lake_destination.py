"""dlt's destination `filesystem`, as a lake that can be read while it is written.

dlt copies a file into a local folder byte by byte: a reader could meet half of it, and after `kill -9` the half would
stay, unreadable. Here it appears as a whole. On S3, a file always does.

The name of each file says who sent it, and in which order: <recorder>.<load id>.<any>.parquet.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any, Final

import dlt
import pyarrow as pa
from dlt.common.destination.client import LoadJob, StorageSchemaInfo
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.storages.load_package import load_package_state
from dlt.common.typing import DictStrAny
from dlt.destinations.impl.filesystem.filesystem import (
    CURRENT_VERSION,
    INIT_FILE_NAME,
    FilesystemClient,
    FilesystemLoadJob,
)

from pipelines.columns import Table
from pipelines.errors import ConfigError
from pipelines.forwarding.lake_errors import PLACE
from pipelines.forwarding.lake_views import LOAD_ID
from pipelines.job_tables import ORG_ID
from pipelines.warehouse.atomic_file import replacing

LAYOUT: Final = "{{table_name}}/{mark}.{{load_id}}.{{file_id}}.{{ext}}"


class _LocalJob(FilesystemLoadJob):
    def run(self) -> None:
        target = Path(self.make_remote_path())
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as new:
            copyfile(self._file_path, new)


class LakeClient(FilesystemClient):
    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        """dlt creates the folder and the note of its version in turn: another recorder could come in between."""
        note = Path(self.init_file_path)
        if self.is_local_filesystem and not note.exists():
            note.parent.mkdir(parents=True, exist_ok=True)
            with replacing(note) as new:
                new.write_text(json.dumps({"initial_version": CURRENT_VERSION, "current_version": CURRENT_VERSION}))
        super().initialize_storage(truncate_tables or ())

    def get_storage_versions(self) -> tuple[int, int]:
        try:
            return super().get_storage_versions()
        except (ValueError, IsADirectoryError):
            raise ConfigError(
                f"The file {INIT_FILE_NAME} of {PLACE}, dlt's note of its version, is damaged.",
                "Remove it, then forward again: it is written anew.",
            ) from None

    def _get_stored_schema_by_hash_or_newest(self, *args: Any, **kwargs: Any) -> StorageSchemaInfo | None:
        """A damaged note of a schema counts as none: dlt writes another one, and nothing of ours reads them."""
        try:
            return super()._get_stored_schema_by_hash_or_newest(*args, **kwargs)
        except (ValueError, KeyError, TypeError):
            return None

    def get_load_job_class(self, table: PreparedTableSchema, file_path: str) -> type[LoadJob]:
        kind = super().get_load_job_class(table, file_path)
        return _LocalJob if self.is_local_filesystem and kind is FilesystemLoadJob else kind

    def _write_to_json_file(self, filepath: str, data: DictStrAny) -> None:
        """dlt's own notes, which it reads the next time: half of one would stop every forward from then on."""
        if not self.is_local_filesystem:
            super()._write_to_json_file(filepath, data)
            return
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(filepath)) as new:
            super()._write_to_json_file(str(new), data)


class LakeDestination(dlt.destinations.filesystem):
    """Made by `lake_destination`: dlt takes its settings from the arguments of its own `__init__`."""

    destination_type = "dlt.destinations.filesystem"  # as its settings are called

    @property
    def client_class(self) -> type[FilesystemClient]:
        return LakeClient


def lake_destination(mark: str) -> LakeDestination:
    """`mark` is the recorder's name, as part of file names."""
    return LakeDestination(destination_name="filesystem", layout=LAYOUT.format(mark=mark))


def hints_in_lake(table: Table, table_format: str | None, replaced: Sequence[str]) -> dict[str, Any]:
    """How dlt is to write rows of a table; those of `replaced` orgs are all that there are to be."""
    if table_format is None:
        return {"write_disposition": "append"}
    merge = {"disposition": "merge", "strategy": "upsert"}
    if replaced:
        orgs = ", ".join("'" + org.replace("'", "''") + "'" for org in replaced)
        merge = {"disposition": "merge", "strategy": "cdc", "destination_scope": f"{{table}}.{ORG_ID.name} in ({orgs})"}
    key = tuple(dict.fromkeys([ORG_ID.name, *table.key]))  # with the org, merges of different orgs do not conflict
    return {"write_disposition": merge, "primary_key": key, "table_format": table_format}


def with_load_id(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows with the id of the package that they are extracted for. dlt adds none to Arrow data by default."""
    load_id = str(load_package_state()["load_id"])
    for batch in batches:
        yield batch.append_column(LOAD_ID.name, pa.repeat(pa.scalar(load_id, LOAD_ID.type), len(batch)))
