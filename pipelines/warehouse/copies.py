"""Daily copies of the published copy: each a separate file, the oldest removed first.

They are in `<warehouse>.copies` beside it, named by day (UTC). With `keep_copies = 0` none is created, and existing
ones stay."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import duckdb

from pipelines.warehouse.damage import damaged_part

NAME: Final = re.compile(r"\d{4}-\d{2}-\d{2}\.duckdb")
FICLONE: Final = 0x40049409  # from Linux's fs.h: ioctl_ficlone(2), on Btrfs, XFS and others


def copies(warehouse: Path) -> list[Path]:
    """The existing copies, oldest first. Raises OSError."""
    folder = _folder(warehouse)
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if NAME.fullmatch(path.name) and path.is_file())


def space_taken(warehouse: Path) -> int:
    """The size of all copies in bytes; blocks that they share on a file system with cloning are counted for each.
    Raises OSError."""
    return sum(path.stat().st_size for path in copies(warehouse))


def keep_copy(verified: Path, warehouse: Path, keep: int, now: datetime | None = None) -> str | None:
    """Creates today's copy from a file just verified, if there is none yet, and removes the oldest beyond `keep`.

    Does not raise for disk or permission errors, but returns a warning. `verified` must not be open in DuckDB in this
    process, and no other process may be publishing to this path.
    """
    if keep < 1:
        return None
    folder = _folder(warehouse)
    today = folder / f"{now or datetime.now(UTC):%Y-%m-%d}.duckdb"
    try:
        folder.mkdir(exist_ok=True)
        _remove_unfinished(folder)
        if not today.exists():
            _make(today, verified, warehouse)
        earlier = [path for path in copies(warehouse) if path != today]
        for path in earlier[: max(0, len(earlier) + 1 - keep)]:
            _remove(path)
    except OSError as error:
        remedy = "Free some space or let this user write there"
        if folder.exists() and not folder.is_dir():
            remedy = f"Move away {folder}, which is not a folder"
        return (
            f"Could not create the daily copy {today}: {error.strerror or error}. "
            f"{remedy}; keep_copies = 0 under [query_jobs] turns daily copies off."
        )
    return None


def has_room(warehouse: Path, needed: int) -> bool:
    """Whether that many bytes are free beside the warehouse. Raises OSError."""
    return _room(_folder(warehouse).parent) >= needed


def free_room(warehouse: Path, needed: int) -> bool:
    """Removes the oldest copies until `needed` bytes are free beside the warehouse or no copy is left; returns whether
    they are free. Copies on another disk stay. Never raises OSError."""
    beside, folder = _folder(warehouse).parent, _folder(warehouse)
    with suppress(OSError):
        if folder.is_dir() and folder.stat().st_dev == beside.stat().st_dev and _room(beside) < needed:
            _remove_unfinished(folder)
            for path in copies(warehouse):
                if _room(beside) >= needed:
                    break
                _remove(path)
        return _room(beside) >= needed
    return False


def newest_good(warehouse: Path, usable: Callable[[Path], bool] = lambda path: True) -> Path | None:
    """The newest of the published copy and the daily copies that is undamaged, has no write-ahead log beside it, and
    that `usable` accepts; None if there is none. None of them may be open in DuckDB in this process."""
    with suppress(OSError):
        for path in [warehouse, *reversed(copies(warehouse))]:
            with suppress(OSError, duckdb.Error):  # do not rely on one that cannot be read now
                if not _log(path).exists() and path.is_file() and damaged_part(path) is None and usable(path):
                    return path
    return None


def _folder(warehouse: Path) -> Path:
    place = warehouse.resolve()
    return place.with_name(place.name + ".copies")


def _make(copy: Path, verified: Path, warehouse: Path) -> None:
    """Creates a copy, removing the oldest ones if the disk is full; the newest one stays until the new one exists."""
    while True:
        new = copy.with_name(f".{copy.name}.{os.getpid()}.new")
        try:
            _clone(verified, new)
            new.chmod((warehouse if warehouse.exists() else verified).stat().st_mode & 0o777)
            new.rename(copy)
            _sync(copy.parent)
            return
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            *older, _ = copies(warehouse) or [copy]
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not older:
                raise
            _remove(older[0])


def _clone(source: Path, new: Path) -> None:
    """Clones the file if the file system supports it, or else copies it. A copy leaves enough space for publishing once
    more."""
    private = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as old, open(private, "wb") as file:
        if not _shared(old, file):
            if _room(new.parent) < 2 * os.fstat(old.fileno()).st_size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(new))
            _copied(old, file)
        file.flush()
        os.fsync(file.fileno())


def _shared(source: BinaryIO, new: BinaryIO) -> bool:
    """Clones a file; False if the file system does not support that."""
    import fcntl  # noqa: PLC0415 - which only POSIX has

    try:
        fcntl.ioctl(new, FICLONE, source.fileno())
    except OSError:
        return False
    return True


def copy_bytes(source: BinaryIO, new: BinaryIO) -> None:
    """Copies an open file into a new one: by sharing its blocks until one of the two changes, where the file system can
    do that, as XFS and Btrfs can. Raises OSError."""
    if not _shared(source, new):
        _copied(source, new)


def _copied(source: BinaryIO, new: BinaryIO) -> None:
    source.seek(0)
    shutil.copyfileobj(source, new, 4 * 2**20)


def _room(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _remove(copy: Path) -> None:
    copy.unlink(missing_ok=True)
    _log(copy).unlink(missing_ok=True)


def _remove_unfinished(folder: Path) -> None:
    for left in folder.glob(".*.duckdb.*.new"):  # by a killed load
        left.unlink(missing_ok=True)


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
