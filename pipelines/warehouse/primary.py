"""The loader's own DuckDB file: made once, held by one load at a time, waited for when somebody else has it."""

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

from pipelines.errors import Failure, Misconfigured, TryLater, disk_full_error, is_permission_error
from pipelines.interrupts import raise_if_interrupted
from pipelines.regular_files import check_regular, holds_something
from pipelines.warehouse.atomic_file import is_mount, leftovers, replacing
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.file_identity import new_identity, write_identity

# Set when a file is made, and kept by every version that writes to it later: DuckDB 1.4 and 1.5 read the file, and its
# copies, too. By default a file made by DuckDB 2.0 opens in nothing older.
STORAGE_VERSION: Final = "v1.4.0"
CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    # A million jobs at once, or ten million known, load as fast with it as with 1 GB: beyond it DuckDB spills to disk.
    # Its own default is 80 % of the machine.
    "memory_limit": "256MB",
    "checkpoint_threshold": "256MB",  # one checkpoint, when the copy is published: not one that packs staged rows, too
    "preserve_insertion_order": False,  # rows have no order of their own; keeping the insert's costs time and memory
}
POLL: Final = 0.2  # seconds between two tries at a held file
LOCK_MESSAGE: Final = "Could not set lock on file"


class HeldBy(TryLater):
    """Another process has the loader's file open, read-only or not: DuckDB lets one process write, or many read."""

    def __init__(self, path: Path, message: str) -> None:
        process = re.search(r"held in (.+?) \(PID (\d+)\)", message)
        self.holder = f"process {process[2]} ({Path(process[1]).name})" if process else "another process"
        super().__init__(
            f"{path.name} is locked by {self.holder}.",
            f"Close it there, and open the published copy instead: only the loader should open {path}.",
        )


@contextmanager
def exclusive_load(path: Path) -> Iterator[None]:
    """Holds the right to load into `path`. Raises TryLater at once while another load holds it.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    import fcntl  # noqa: PLC0415 - which only POSIX has

    lock_file = path.with_name(path.name + ".lock")
    check_regular(lock_file)
    try:
        lock = lock_file.open("a+")
        if not os.access(path.parent, os.W_OK):  # the lock is there already; DuckDB's log is to be made
            lock.close()
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
    except OSError as error:
        raise Misconfigured(
            f"Cannot write beside the loader's file {path}: {error.strerror} ({error.filename}).",
            "Let this user write there, or change DESTINATION__DUCKDB__CREDENTIALS (see .dlt/config.toml).",
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise TryLater(
                f"Another load is running into {path.name} (process {lock.read().strip() or 'unknown'}).",
                "This one recorded nothing; the next one tries again.",
            ) from None
        except OSError as error:
            raise locking_unsupported(path, error) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def locking_unsupported(path: Path, error: OSError) -> Misconfigured:
    """What to say of a file system that has no locks, as some network and container mounts are."""
    return Misconfigured(
        f"{path.parent} is on a file system where files cannot be locked: {error.strerror}.",
        "Keep the loader's file and the warehouse on a local disk, or mount it with locks (NFS: without nolock).",
    )


def locking_problem(path: Path) -> Misconfigured | None:
    """What to say where DuckDB could not lock a file because its file system has no locks; None where another process
    has it. DuckDB says the same of both."""
    import fcntl  # noqa: PLC0415 - which only POSIX has

    try:
        with path.open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.ENOENT):
            return locking_unsupported(path, error)
    return None


@dataclass(frozen=True)
class LoaderFile:
    """The loader's file, ours alone until it is closed.

    DuckDB's lock is a POSIX lock: closing any descriptor of the file drops it, for the whole process. So its bytes are
    read through `raw`, which is opened before DuckDB opens the file, and closed after DuckDB has closed it; nothing
    else in this process may open the file.
    """

    path: Path
    connection: duckdb.DuckDBPyConnection
    raw: BufferedReader

    def close(self) -> None:
        self.connection.close()
        self.raw.close()

    def __enter__(self) -> "LoaderFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_loader_file(path: Path, wait: float, *, demo: bool = False) -> LoaderFile:
    """The loader's file, to be written to. It is made if there is none, with an identity of its own, the demo's or not.

    An empty file is taken for one that is to be made: it may have been touched to give it its owner and mode.
    Raises HeldBy when another process still has it after `wait` seconds, Misconfigured when it is no DuckDB file.
    """
    if not holds_something(path):
        try:
            _make(path, new_identity(demo=demo))
        except OSError as error:
            if not is_mount(error):
                raise
            raise Misconfigured(
                f"{path} is empty, and a mount of its own, which cannot be replaced ({error.strerror}).",
                "Mount the directory that holds it, not the single file.",
            ) from None
    deadline = time.monotonic() + wait
    while True:
        raw = _opened(path)  # anew at each try: a file that was waited for may have been replaced meanwhile
        try:
            return LoaderFile(path, open_database(path, read_only=False, config=CONFIG), raw)
        except (duckdb.Error, RuntimeError) as error:
            raw.close()
            raise_if_interrupted(error)
            if LOCK_MESSAGE not in str(error):
                raise _unusable(path, error) from error  # which may be one of a damaged file
            if without := locking_problem(path):
                raise without from None
            if time.monotonic() >= deadline:
                raise HeldBy(path, str(error)) from None
            time.sleep(POLL)
        except BaseException:
            raw.close()
            raise


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: Exception) -> Failure:
    if full := disk_full_error(error):
        return full
    said = str(error).splitlines()[0][:300]
    if is_permission_error(error):
        return Misconfigured(
            f"{path} cannot be opened: this user may not read and write it.",
            "Let this user do both, or change DESTINATION__DUCKDB__CREDENTIALS (see .dlt/config.toml).",
        )
    if "WAL" in said:
        return Misconfigured(
            f"{path}.wal does not belong to {path.name}: {said}",
            f"If {path.name} was restored from a copy, remove {path.name}.wal and load again.",
        )
    return Misconfigured(
        f"{path} cannot be opened: {said}",
        "If it is not a DuckDB file, change DESTINATION__DUCKDB__CREDENTIALS; "
        "if it is damaged, restore it from the published copy (docs/operations.md, Restore).",
    )


def _make(path: Path, identity: str) -> None:
    """An empty file appears at `path` whole: one that is made half would be taken for a file of a newer format."""
    for left in leftovers(path):  # by a load that was killed
        left.unlink()
    with replacing(path) as new:
        if without := locking_problem(new):
            raise without
        new.unlink()  # DuckDB takes an empty file for a damaged one
        try:
            with duckdb.connect(new, config={"storage_compatibility_version": STORAGE_VERSION}) as connection:
                write_identity(connection, identity)
                connection.execute("checkpoint")  # closing does so, too, but says nothing if it cannot
        finally:
            new.with_name(new.name + ".wal").unlink(missing_ok=True)
