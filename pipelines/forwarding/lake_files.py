"""The files of a lake that dlt does not write: each is there as a whole, or not at all."""

import errno
import io
import os
import posixpath
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

from pipelines.columns import Table
from pipelines.errors import ConfigError
from pipelines.forwarding.lake_errors import PLACE
from pipelines.warehouse.atomic_file import replacing


class LakeFiles:
    """The folder of one dataset, in a bucket or on a disk."""

    def __init__(self, client: FilesystemClient) -> None:
        self.system = client.fs_client
        self.is_local = client.is_local_filesystem
        self.root = client.dataset_path.rstrip("/")
        self.url = self.root if self.is_local else client.make_remote_url(client.dataset_path).rstrip("/")
        self.bucket = posixpath.dirname(self.root)

    def check_place(self) -> None:
        """Raises ConfigError if there is no such bucket: the driver would create one of that name. Raises AccessDenied
        if nothing can be written in the folder; of a bucket, only writing tells."""
        if self.is_local:
            there = next(place for place in (Path(self.root), *Path(self.root).parents) if place.exists())
            if not there.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(there))
            if not os.access(there, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "no permission to write", str(there))
            return
        bucket = self.bucket.partition("/")[0]
        try:
            self.system.ls(bucket, refresh=True)  # `exists` says no also if the server is down
        except FileNotFoundError:
            raise ConfigError(
                f"There is no bucket {bucket}, or it is not this user's.",
                "Create it, or correct bucket_url under [destination.filesystem].",
            ) from None

    def exists(self, folder: str, name: str) -> bool:
        return bool(self.system.exists(self._path(folder, name)))

    def paths(self, folder: str, prefix: str = "") -> list[str]:
        """The Parquet files of a folder whose names begin so."""
        self.system.invalidate_cache()
        try:
            found = self.system.find(
                self._path(folder, ""), maxdepth=1, **({} if self.is_local else {"prefix": prefix})
            )
        except FileNotFoundError:
            return []
        paths = [str(path) for path in found]
        return [path for path in paths if name_of(path).startswith(prefix) and path.endswith(".parquet")]

    def rows(self, table: Table, name: str = "", columns: list[str] | None = None) -> list[dict[str, Any]]:
        """All rows of a table, or of one file of it."""
        found: list[dict[str, Any]] = []
        for path in self.paths(table.name, name):
            with suppress(FileNotFoundError):  # another forward has just replaced it
                found += self._read(path, table, columns or table.schema.names)
        return found

    def _read(self, path: str, table: Table, columns: list[str]) -> list[dict[str, Any]]:
        content = io.BytesIO(self.system.cat_file(path))
        wanted = pa.schema([table.schema.field(name).with_nullable(True) for name in columns])
        try:
            read = pq.read_table(content, columns=columns, page_checksum_verification=True)
            return list(read.select(columns).cast(wanted).to_pylist())
        except (pa.ArrowException, OSError, ValueError, KeyError):  # of what is in memory: never of the disk
            raise ConfigError(
                f"The file {posixpath.relpath(path, self.root)} of {PLACE} is damaged, or not written by `forward`.",
                "Restore it, for example from an earlier version that the bucket has kept. If that is not possible, "
                "delete it, and send everything again: forward --full",
            ) from None

    def write(self, folder: str, name: str, rows: pa.Table) -> None:
        """Writes a Parquet file, in place of one of this name."""
        content = io.BytesIO()
        pq.write_table(rows, content, write_page_checksum=True)
        self._put(self._path(folder, name), content.getvalue())

    def write_text(self, folder: str, name: str, text: str) -> None:
        """Writes a text, unless it is there already."""
        path = self._path(folder, name)
        try:
            if self.system.cat_file(path) == text.encode():
                return
        except FileNotFoundError:
            pass
        self._put(path, text.encode())

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self.system.rm_file(path)

    def _path(self, folder: str, name: str) -> str:
        return posixpath.join(self.root, folder, name)

    def _put(self, path: str, content: bytes) -> None:
        if not self.is_local:
            self.system.pipe_file(path, content)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as new:
            new.write_bytes(content)


def name_of(path: str) -> str:
    return posixpath.basename(path.replace("\\", "/"))
