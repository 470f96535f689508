"""The primary database: created once, used by one load at a time, and waited for while another program has it open."""

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

import duckdb

from pipelines.errors import ConfigError, RecorderError, TemporaryError, disk_full_error, is_permission_error
from pipelines.interrupts import raise_if_interrupted
from pipelines.regular_files import check_place, holds_something
from pipelines.warehouse.atomic_file import is_mount, leftovers, replacing
from pipelines.warehouse.database_file import LOCK_MESSAGE, open_database
from pipelines.warehouse.empty_database import create_database
from pipelines.warehouse.file_identity import new_identity
from pipelines.warehouse.file_locks import POLL, holder, lock_alone, locking_unsupported, note_holder

CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    # A million jobs at once, or ten million stored, load as fast with this as with 1 GB; beyond it, DuckDB spills to
    # disk. DuckDB's default is 80 % of the machine's memory.
    "memory_limit": "256MB",
    "checkpoint_threshold": "256MB",  # only one checkpoint, before publishing, when staged rows are gone
    "preserve_insertion_order": False,  # row order does not matter, and preserving it costs time and memory
}


class AnotherLoadRuns(TemporaryError):
    """Another load into the same primary database holds its lock."""


class DatabaseLocked(TemporaryError):
    """Another process has the primary database open, even read-only: DuckDB allows one writer, or several readers."""

    def __init__(self, path: Path, message: str = "") -> None:
        self.path = path
        process = re.search(r"held in (.+?) \(PID (\d+)\)", message)
        self.holder = f"PID {process[2]} ({Path(process[1]).name})" if process else "another process"
        super().__init__(
            f"{path.name} is locked by {self.holder}.",
            f"Close that program, and open the published copy instead: only the loader should open {path}.",
        )


@contextmanager
def exclusive_load(path: Path) -> Iterator[None]:
    """Holds the lock for loading into `path`. Raises AnotherLoadRuns at once if another load holds it."""
    lock_file = path.with_name(path.name + ".lock")
    check_place(lock_file)
    try:
        lock = lock_file.open("a+")
        if not os.access(path.parent, os.W_OK):  # the lock file exists, but DuckDB could not create its log
            lock.close()
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
    except OSError as error:
        raise ConfigError(
            f"Cannot write in the directory of the primary database {path}: {error.strerror} ({error.filename}).",
            "Let this user write there, or change DESTINATION__DUCKDB__CREDENTIALS (see .dlt/config.toml).",
        ) from None
    with lock:
        lock_alone(
            lock,
            path,
            lambda: AnotherLoadRuns(
                f"Another load into {path.name} is already running ({holder(lock)}).",
                "This load recorded nothing; the next one tries again.",
            ),
        )
        note_holder(lock)
        yield


def locking_problem(path: Path) -> ConfigError | None:
    """The error if DuckDB could not lock a file because its file system has no locks; None if another process holds the
    lock. DuckDB's message is the same for both."""
    import fcntl  # noqa: PLC0415 - POSIX only

    try:
        with path.open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.ENOENT):
            return locking_unsupported(path, error)
    return None


def is_open_elsewhere(path: Path) -> bool:
    """Whether another process has the database open, even read-only. Not to be called while this one has.

    Raises OSError if this user may not write to it."""
    import fcntl  # noqa: PLC0415 - POSIX only

    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in (errno.EAGAIN, errno.EACCES)
    return False


@dataclass(frozen=True)
class PrimaryDatabase:
    """The primary database, locked until it is closed.

    DuckDB's lock is a POSIX lock: closing any file descriptor of the file releases it for the whole process. So its
    bytes are read through `raw`, which is opened before DuckDB opens the file and closed after DuckDB has closed it;
    nothing else in this process may open the file."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    raw: BufferedReader

    def close(self) -> None:
        self.connection.close()
        self.raw.close()

    def __enter__(self) -> "PrimaryDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_primary(path: Path, wait: float, *, demo: bool = False) -> PrimaryDatabase:
    """The primary database, opened for writing. A missing file is created, with a new identity (the demo's or not).

    An empty file counts as missing: it may have been touched to set its owner and mode.
    Raises DatabaseLocked if another process still has it after `wait` seconds, ConfigError if it is not a DuckDB file.
    """
    if not holds_something(path):
        try:
            _make(path, new_identity(demo=demo))
        except OSError as error:
            if not is_mount(error):
                raise
            raise ConfigError(
                f"{path} is empty and is a mount point, which cannot be replaced ({error.strerror}).",
                "Mount the directory that contains it, not the single file.",
            ) from None
    deadline = time.monotonic() + wait
    while True:
        raw = _opened(path)  # reopened each time: the file may have been replaced meanwhile
        try:
            return PrimaryDatabase(path, open_database(path, read_only=False, config=CONFIG), raw)
        except (duckdb.Error, RuntimeError) as error:
            raw.close()
            raise_if_interrupted(error)
            if LOCK_MESSAGE not in str(error):
                raise unusable(path, error) from error  # the cause may show that the file is damaged
            if without := locking_problem(path):
                raise without from None
            if time.monotonic() >= deadline:
                raise DatabaseLocked(path, str(error)) from None
            time.sleep(POLL)
        except BaseException:
            raw.close()
            raise


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise unusable(path, error) from None


def unusable(path: Path, error: Exception) -> RecorderError:
    """The error for a primary database that this process cannot open: what stops it, and what to do."""
    if full := disk_full_error(error):
        return full
    reason = str(error).splitlines()[0][:300]
    if is_permission_error(error):
        return ConfigError(
            f"{path} cannot be opened: this user lacks permission to read and write it.",
            "Let this user do both, or change DESTINATION__DUCKDB__CREDENTIALS (see .dlt/config.toml).",
        )
    if "WAL" in reason:
        return ConfigError(
            f"{path}.wal does not belong to {path.name}: {reason}",
            f"If {path.name} was restored from a copy, remove {path.name}.wal and load again.",
        )
    return ConfigError(
        f"{path} cannot be opened: {reason}",
        "If it is not a DuckDB file, change DESTINATION__DUCKDB__CREDENTIALS; "
        "if it is damaged, restore it from the published copy (docs/operations.md, Restore).",
    )


def _make(path: Path, identity: str) -> None:
    """Creates an empty database at `path`, atomically: DuckDB would take a half-written one for a newer format."""
    for left in leftovers(path):  # by a killed load
        left.unlink()
    with replacing(path) as new:
        if without := locking_problem(new):
            raise without
        try:
            create_database(new, identity)
        finally:
            new.with_name(new.name + ".wal").unlink(missing_ok=True)
