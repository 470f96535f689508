"""A file, replaced in one step: whoever reads meanwhile has the old one or the new one, never a part of either."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a new, empty file beside `path`, to be written. It takes that one's place when the block ends, and is
    removed when the block raises. A symlink stays, and what it points to is replaced. Mode and owner stay as they were,
    as far as this user may set them; a file that is new gets what the umask leaves of rw-rw-rw-.

    Raises OSError: FileExistsError where something other than a regular file has the name, or whatever writing,
    flushing to the disk and replacing raise.
    """
    target = Path(os.path.realpath(path))
    before = _regular(target)
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        new.unlink(missing_ok=True)  # of a run that was killed, and had this number
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if before else 0o666))
        yield new
        with new.open("r+b") as written:  # Windows flushes only what is open for writing
            os.fsync(written.fileno())
        if before:
            _give(new, before)
        new.replace(target)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def is_mount(error: OSError) -> bool:
    """Whether a file could not be replaced because it is a mount of its own, as a container's single file is."""
    return error.errno in (errno.EBUSY, errno.EXDEV)


def leftovers(path: Path) -> list[Path]:
    """New files beside `path` that runs which were killed have left."""
    target = Path(os.path.realpath(path))
    return [file for file in target.parent.iterdir() if _is_leftover(file.name, target.name)]


def _is_leftover(name: str, target: str) -> bool:
    return name.startswith(f".{target}.") and name.endswith(".new") and name[len(target) + 2 : -4].isdecimal()


def _regular(target: Path) -> os.stat_result | None:
    """What is there now; None where nothing is."""
    try:
        before = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(before.st_mode):
        raise FileExistsError(errno.EEXIST, "not a regular file", str(target))
    return before


def _give(new: Path, before: os.stat_result) -> None:
    """The owner before the mode: changing the owner clears bits of the mode."""
    mode = stat.S_IMODE(before.st_mode)
    if not hasattr(os, "chown"):  # Windows, whose files have other owners and modes
        return
    for owner, group in ((before.st_uid, before.st_gid), (-1, before.st_gid)):  # only root may give a file away
        with suppress(OSError):
            os.chown(new, owner, group)
            break
    else:
        mode &= ~stat.S_IRWXG  # another group than before is given nothing
    os.chmod(new, mode)
