"""New databases, which have every table and view from the beginning.

Creating these takes DuckDB the best part of a second, copying a file that has them some milliseconds. So the first one
is kept where Python keeps bytecode: it is derived from this version's source, too, and made again when that changes.
"""

import hashlib
import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import duckdb

from pipelines.tables import DATASET, TABLES
from pipelines.warehouse import schema, short_names
from pipelines.warehouse.atomic_file import leftovers, replacing
from pipelines.warehouse.copies import copy_bytes
from pipelines.warehouse.database_file import CATALOG, open_database, read_macro
from pipelines.warehouse.file_identity import read_identity, write_identity

# Set when the file is created, and kept by every DuckDB that writes to it later, so that DuckDB 1.4 and 1.5 can read
# the file and its copies. By default, files created by DuckDB 2.0 cannot be opened by older versions.
STORAGE_VERSION: Final = "v1.4.0"
NAME: Final = "empty_database"


class ForeignFile(Exception):
    """The kept file is a database, but not one that was made here."""


def create_database(new: Path, identity: str) -> None:
    """Turns an empty file into a database with this identity, all tables and views, and no rows. Raises OSError and
    duckdb.Error."""
    kept = _kept_file()
    try:
        with kept.open("rb") as source, new.open("wb") as copy:
            copy_bytes(source, copy)
        _identify(new, identity)
    except (OSError, duckdb.Error, ForeignFile):  # missing or damaged; what is wrong with `new` itself comes up again
        _create(new)
        _keep(new, kept)
        _identify(new, identity)


def _create(new: Path) -> None:
    for file in (new, new.with_name(f"{new.name}.wal")):  # DuckDB rejects an empty file as damaged
        file.unlink(missing_ok=True)
    with open_database(new, read_only=False, config={"storage_compatibility_version": STORAGE_VERSION}) as connection:
        connection.execute(f"create schema {DATASET}")
        schema.complete_tables(connection)
        schema.apply_views(connection)
        connection.execute(f"checkpoint {CATALOG}")  # closing does this too, but ignores errors


def _identify(new: Path, identity: str) -> None:
    with open_database(new, read_only=False) as connection:
        # Whatever else it lacks or has is made good by the load, but a file with an identity may have rows.
        if read_identity(connection) or not read_macro(connection, f"{DATASET}.{schema.APPLIED}"):
            raise ForeignFile
        write_identity(connection, identity)
        connection.execute(f"checkpoint {CATALOG}")


def _kept_file() -> Path:
    code = [Path(module.__file__ or "").read_bytes() for module in (sys.modules[__name__], schema, short_names)]
    made_of = repr((duckdb.__version__, schema.views(), TABLES, code))
    fingerprint = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    return Path(importlib.util.cache_from_source(__file__)).with_name(f"{NAME}.{fingerprint}.duckdb")


def _keep(new: Path, kept: Path) -> None:
    """As far as possible: the installation may be read-only, or its disk full."""
    with suppress(OSError):
        for other in (*kept.parent.glob(f"{NAME}.*.duckdb"), *leftovers(kept)):  # of other versions, and of killed runs
            other.unlink()
        with replacing(kept) as file, new.open("rb") as source, file.open("wb") as copy:
            copy_bytes(source, copy)
