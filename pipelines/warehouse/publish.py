"""Publishing: replaces the published copy by a copy of the primary database, if `publishing_guards.py` allows it."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import duckdb

from pipelines.errors import ConfigError, RecorderError, TemporaryError, is_permission_error
from pipelines.interrupts import raise_if_interrupted
from pipelines.regular_files import holds_something
from pipelines.warehouse.atomic_file import is_mount, leftovers, replacing
from pipelines.warehouse.copies import copy_bytes, free_room, has_room, keep_copy
from pipelines.warehouse.damage import DamagedFile, damaged_part, fingerprint, suspects_in
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.file_identity import read_identity
from pipelines.warehouse.file_locks import lock_alone
from pipelines.warehouse.primary import PrimaryDatabase
from pipelines.warehouse.publishing_guards import check_published
from pipelines.warehouse.restoring import PUBLISHED, damaged
from pipelines.warehouse.state_folder import StateFolder

# Bytes that must be free in addition to the new copy; else the oldest daily copies are removed
SPARE_ROOM: Final = 2**24
LOCK_WAIT: Final = 60.0  # seconds to wait for another recorder that publishes to the same path

logger = logging.getLogger(__name__)


def publish(primary: PrimaryDatabase, warehouse: Path, keep_copies: int) -> None:
    """Replaces the published copy by a copy of the primary database, atomically, if no block of it is damaged.

    The primary database stays locked while it is copied. Readers of the old copy keep it until they close it. A
    symbolic link stays one. Raises a RecorderError; the primary database is never affected."""
    target = Path(os.path.realpath(warehouse))
    try:
        with _only_publisher(target):
            for left in leftovers(target):  # by a killed load
                left.unlink()
            primary.connection.execute("checkpoint")
            _make_room(primary, target)
            with replacing(target) as new:
                with new.open("wb") as copy:
                    copy_bytes(primary.raw, copy)
                if part := damaged_part(new):
                    raise damaged(primary.path, warehouse, part)
                published = check_published(primary.connection, primary.path, target)
                if warning := keep_copy(new, target, keep_copies):
                    logger.warning("%s", warning)
                # If a program wrote into the published copy, there is a write-ahead log of the old copy, which DuckDB
                # would apply to the new one. It is removed first, so that no reader finds it beside the new file.
                target.with_name(target.name + ".wal").unlink(missing_ok=True)
                # Before it is replaced: if that fails, the remembered fingerprint does not match, and the file is
                # examined.
                last = {"fingerprint": fingerprint(new), "contents": asdict(published)}
                StateFolder(primary.path).write_json(PUBLISHED, last)
    except OSError as error:
        raise _not_published(primary.path, warehouse, error) from None


def _not_published(primary_file: Path, warehouse: Path, error: OSError) -> RecorderError:
    wrong_place = is_permission_error(error) or isinstance(error, FileNotFoundError)
    said = f"The jobs are recorded in {primary_file.name}, but the published copy {warehouse} could not be updated: "
    if is_mount(error):
        return ConfigError(
            f"{said}it is a mount point, which cannot be replaced ({error.strerror}).",
            "Mount the directory that contains it, not the single file.",
        )
    if isinstance(error, IsADirectoryError | FileExistsError):  # not the copy itself, but its lock, its log or the note
        return ConfigError(
            f"{said}{error.filename} is not a regular file.", "Move it away; the next load publishes again."
        )
    return (ConfigError if wrong_place else RecorderError)(
        f"{said}{error.strerror}.",
        "Free some space, let this user write there, or change `warehouse` under [query_jobs]; "
        "the next load publishes again.",
    )


@contextmanager
def _only_publisher(warehouse: Path) -> Iterator[None]:
    """Holds the lock for publishing to this path, and waits for it: two recorders may publish to the same path."""
    # Opened read-only: users who share the directory may not have write access to this file.
    with open(os.open(warehouse.with_name(f".{warehouse.name}.lock"), os.O_RDONLY | os.O_CREAT, 0o666)) as lock:
        lock_alone(
            lock,
            warehouse,
            lambda: TemporaryError(
                f"Another recorder has been publishing to {warehouse} for {LOCK_WAIT:.0f} seconds.",
                "The jobs are recorded; the next load publishes again.",
            ),
            LOCK_WAIT,
        )
        yield


def _make_room(primary: PrimaryDatabase, target: Path) -> None:
    """Makes room for a new copy by removing daily copies, but only if the primary database is intact."""
    needed = os.fstat(primary.raw.fileno()).st_size + SPARE_ROOM
    if has_room(target, needed):
        return
    if suspects_in(primary.raw):
        raise DamagedFile
    free_room(target, needed)


def open_published(warehouse: Path, identity: str, closing: ExitStack) -> duckdb.DuckDBPyConnection | None:
    """A read-only connection to the published copy, closed by `closing`; None if there is none, if it is locked or
    damaged, or if it was published from another primary database."""
    try:
        if not holds_something(warehouse) or damaged_part(warehouse):
            return None
        copy = closing.enter_context(open_database(warehouse, read_only=True))
        return copy if read_identity(copy) in (identity, None) else None
    except (duckdb.Error, RuntimeError, OSError) as error:
        raise_if_interrupted(error)
        return None
