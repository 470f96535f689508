"""Listings that could not be loaded yet because the primary database was locked, or the load was killed: they are kept
as Parquet files beside it.

Each is a folder named by its place in the order, `000007-<dlt's load id>`, with a file `kept.json` that says which
primary database it is for, which orgs it contains, and the files' checksums. The folder appears atomically.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from dlt.common.runtime.run_context import global_dir

from pipelines.columns import Table
from pipelines.tables import LISTINGS, TABLES
from pipelines.warehouse.atomic_file import replacing
from pipelines.warehouse.dlt_packages import PIPELINE, TABLES_OF_DLT, Package, packages_in
from pipelines.warehouse.renamed_columns import with_new_names
from pipelines.warehouse.sealed_json import DamagedText, seal, unseal
from pipelines.warehouse.state_folder import StateFolder

FORMAT: Final = 1  # of these folders; a later version has to read this format, too
META: Final = "kept.json"
PLACES: Final = 6  # digits of a listing's place in the order
NAME: Final = re.compile(rf"\d{{{PLACES}}}-.*")


class UnreadableListing(Exception):
    """A kept listing that cannot be loaded, and why."""


@dataclass(frozen=True)
class KeptListing:
    """One listing waiting to be loaded."""

    folder: Path
    meta: dict[str, Any]

    @property
    def identity(self) -> str:
        """The identity of the primary database that it is kept for."""
        return str(self.meta.get("file"))

    @property
    def orgs(self) -> set[str]:
        """The ids of the orgs whose rows it contains."""
        return set(self.meta.get("orgs", ()))

    def tables(self) -> dict[str, list[Path]]:
        """Table -> its files, with checksums verified. Raises UnreadableListing."""
        if not self.meta:
            raise UnreadableListing(f"its {META} is damaged or missing")
        if self.meta.get("format") != FORMAT:
            raise UnreadableListing(f"its format is {self.meta.get('format')!r}, and this version reads {FORMAT}")
        known = {table.name for table in TABLES}
        found: Package = {}
        noted = self.meta.get("files", {})
        if unknown := {file.name for file in self.folder.glob("*.parquet")} - noted.keys():
            raise UnreadableListing(f"its {META} does not name {min(unknown)}")
        for name, checksum in noted.items():
            file, table = self.folder / name, name.split(".")[0]
            try:
                if _checksum(file) != checksum:
                    raise UnreadableListing(f"{name} has changed since it was written")
            except FileNotFoundError:
                raise UnreadableListing(f"{name} is not there") from None
            except IsADirectoryError:
                raise UnreadableListing(f"{name} is a directory") from None
            if table not in known:
                raise UnreadableListing(f"{name} is for a table that this version does not know")
            found.setdefault(table, []).append(file)
        return found

    def give_to(self, identity: str) -> None:
        """Reassigns it to the primary database with this identity."""
        with replacing(self.folder / META) as new:
            new.write_text(seal(self.meta | {"file": identity}), encoding="utf-8")

    def remove(self) -> None:
        """Removes it after loading. Renamed first, so that a kill cannot leave half a listing waiting."""
        gone = self.folder.with_name(f".{self.folder.name}.gone")
        self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def set_aside(self, state: StateFolder) -> Path:
        """Moves it out of the way of the listings that can be loaded; returns its new path."""
        state.make(state.set_aside)
        there = state.set_aside / self.folder.name
        while there.exists():
            there = there.with_name(there.name + "+")
        return self.folder.rename(there)


def waiting(state: StateFolder) -> list[KeptListing]:
    """All listings waiting beside this primary database, oldest first, including those kept for another file."""
    return [KeptListing(folder, _meta(folder)) for folder in _folders(state.kept)]


def listings_in(folder: Path) -> list[KeptListing]:
    """All listings in a folder beside a primary database, under any name, except half-written or half-removed ones."""
    return [KeptListing(one, _meta(one)) for one in sorted(folder.glob("*/")) if not one.name.startswith(".")]


def _folders(folder: Path) -> list[Path]:
    return sorted(listing for listing in folder.glob("*/") if NAME.fullmatch(listing.name))


def rows_of(files: list[Path], table: Table) -> Iterator[pa.Table]:
    """The rows of a table as they were extracted, one row group at a time, without dlt's own columns. Columns that have
    been renamed since have their new names; columns added since are null."""
    for file in files:
        with pq.ParquetFile(file) as parquet:
            for number in range(parquet.num_row_groups):
                rows = parquet.read_row_group(number)
                rows = rows.drop_columns([name for name in rows.column_names if name.startswith(TABLES_OF_DLT)])
                rows = with_new_names(rows, table)
                for field in table.schema:
                    if field.name not in rows.column_names:
                        rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
                yield rows


def keep(working: Path, state: StateFolder, identity: str, but_for: Collection[str] = ()) -> list[str]:
    """Keeps what dlt extracted into a pipeline's working folder and did not load; returns dlt's ids of these packages.

    The files are hard-linked, so they take no extra space, and stay where they are.
    """
    there = {name.partition("-")[2]: int(name[:PLACES]) for name in (folder.name for folder in _folders(state.kept))}
    last = max(there.values(), default=0)
    kept: list[str] = []
    for load_id, tables in packages_in(working).items():
        if load_id not in there and load_id not in but_for:
            kept.append(load_id)
            _keep(tables, state, f"{last + len(kept):0{PLACES}}-{load_id}", identity)
    return kept


def keep_left_behind(state: StateFolder) -> None:
    """Keeps the listings that killed or failed runs had extracted but not loaded."""
    for left in sorted(state.work.glob("*/")):
        keep(left / PIPELINE, state, left.name.partition(".")[0])
        shutil.rmtree(left, ignore_errors=True)


def keep_of_version_0_1_0(state: StateFolder, identity: str) -> None:
    """Keeps the listings that version 0.1.0 left in dlt's home, in a folder named after a hash of the file's path; then
    removes that folder. dlt's home is no longer used."""
    name = f"{PIPELINE}_{hashlib.sha256(str(state.primary_file).encode()).hexdigest()[:8]}"
    home = Path(os.environ.get("DLT_DATA_DIR") or global_dir()) / "pipelines" / name
    try:
        if home.stat().st_uid != os.geteuid():  # dlt's home may have been in /tmp, where any user can create files
            return
    except OSError:
        return
    taken = (state.read("taken_from_dlts_home") or "").split()
    taken += keep(home, state, identity, but_for=taken)
    shutil.rmtree(home, ignore_errors=True)
    if home.exists() and taken:  # it could not be removed, and must not be read again
        state.write("taken_from_dlts_home", "\n".join(taken))


def _keep(tables: Package, state: StateFolder, name: str, identity: str) -> None:
    orgs: set[str] = set()
    state.make(state.kept)
    for left in state.kept.glob(".*"):  # by a load that was killed
        shutil.rmtree(left, ignore_errors=True)
    new = state.kept / f".{name}.new"
    state.make(new)
    checksums: dict[str, str] = {}
    for table, files in tables.items():
        for number, file in enumerate(files):
            copy = new / f"{table}.{number}.parquet"
            _link(file, copy)
            state.share(copy)
            checksums[copy.name] = _checksum(copy)
            try:  # after a crash of the machine, a file may be truncated
                rows = pq.read_table(copy)
            except pa.ArrowException:
                checksums[copy.name] = "cannot be read"  # never matches: the listing is set aside with a warning
                continue
            if table == LISTINGS.name:
                orgs |= set(rows["org_id"].to_pylist())
    meta = {"format": FORMAT, "file": identity, "orgs": sorted(orgs), "files": checksums}
    with (new / META).open("w", encoding="utf-8") as written:
        written.write(seal(meta))
        written.flush()
        os.fsync(written.fileno())
    state.share(new / META)
    new.rename(state.kept / name)
    folder = os.open(state.kept, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _link(file: Path, to: Path) -> None:
    try:
        os.link(file, to)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, to)
    with to.open("rb") as written:
        os.fsync(written.fileno())


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _meta(folder: Path) -> dict[str, Any]:
    try:
        return unseal((folder / META).read_bytes())
    except (FileNotFoundError, IsADirectoryError, DamagedText):
        return {}
