"""Earlier copies of the published warehouse: one a day, each a file of its own, the oldest removed first.

They lie in `<name of the warehouse>.copies` beside it, named by their days (UTC). Where `keep_copies` is 0, none is
made, and those that are there stay.
"""

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
FICLONE: Final = 0x40049409  # of Linux's fs.h: ioctl_ficlone(2), on Btrfs, XFS and others


def copies(warehouse: Path) -> list[Path]:
    """The copies that there are, the oldest first. Raises OSError."""
    folder = _folder(warehouse)
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if NAME.fullmatch(path.name) and path.is_file())


def space_taken(warehouse: Path) -> int:
    """Bytes of all copies; what they share with each other on a file system that clones files counts more than once.
    Raises OSError."""
    return sum(path.stat().st_size for path in copies(warehouse))


def keep_copy(verified: Path, warehouse: Path, keep: int, now: datetime | None = None) -> str | None:
    """Makes today's copy from a file just found whole, if there is none yet, and removes the oldest beyond `keep`.

    Never raises for what a disk or its permissions can do: gives a sentence to warn with. `verified` must not be open
    in DuckDB in this process, and nobody else may be publishing this warehouse.
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
        return (
            f"The daily copy {today} could not be made: {error.strerror or error}. "
            "Free some space or let this user write there; keep_copies = 0 under [query_jobs] turns daily copies off."
        )
    return None


def has_room(warehouse: Path, needed: int) -> bool:
    """Whether so many bytes are free beside the warehouse. Raises OSError."""
    return _room(_folder(warehouse).parent) >= needed


def free_room(warehouse: Path, needed: int) -> bool:
    """Removes the oldest copies until `needed` bytes are free beside the warehouse, or no copy is left; whether they
    are free now. Copies on another disk stay. Never raises OSError."""
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
    """The newest of the published warehouse and its copies that is not damaged, that no write-ahead log lies beside,
    and that `usable` says yes to; None if there is none. None of them may be open in DuckDB in this process."""
    with suppress(OSError):
        for path in [warehouse, *reversed(copies(warehouse))]:
            with suppress(OSError, duckdb.Error):  # one that cannot be looked into now is none to rely on
                if not _log(path).exists() and path.is_file() and damaged_part(path) is None and usable(path):
                    return path
    return None


def _folder(warehouse: Path) -> Path:
    place = warehouse.resolve()
    return place.with_name(place.name + ".copies")


def _make(copy: Path, verified: Path, warehouse: Path) -> None:
    """Makes room for a copy, if it takes any, by removing the oldest; the newest one stays for as long as this one is
    not there."""
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
    """The same bytes in a file of its own: shared by the file system until one of both is written to, where it can do
    so, else copied. A copy leaves room for publishing once more."""
    private = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as old, open(private, "wb") as file:
        if not _shared(old, file):
            if _room(new.parent) < 2 * os.fstat(old.fileno()).st_size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(new))
            copy_bytes(old, file)
        file.flush()
        os.fsync(file.fileno())


def _shared(source: BinaryIO, new: BinaryIO) -> bool:
    """Whether the file system lets a new file share the bytes of another."""
    import fcntl  # noqa: PLC0415 - which only POSIX has

    try:
        fcntl.ioctl(new, FICLONE, source.fileno())
    except OSError:
        return False
    return True


def copy_bytes(source: BinaryIO, new: BinaryIO) -> None:
    """Copies what an open file holds, from its beginning, into another one. Raises OSError."""
    source.seek(0)
    shutil.copyfileobj(source, new, 4 * 2**20)


def _room(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _remove(copy: Path) -> None:
    copy.unlink(missing_ok=True)
    _log(copy).unlink(missing_ok=True)


def _remove_unfinished(folder: Path) -> None:
    for left in folder.glob(".*.duckdb.*.new"):  # by a load that was killed
        left.unlink(missing_ok=True)


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
