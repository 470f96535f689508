"""Replaces files atomically: a reader sees the old file or the new one, never a part."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a new, empty file beside `path`, to write to. It replaces `path` when the block ends, and is removed
    if the block raises. If `path` is a symlink, its target is replaced. Mode and owner are preserved as far as this
    user may set them; a new file gets mode rw-rw-rw- minus the umask.

    Raises OSError; FileExistsError if `path` is not a regular file.
    """
    target = Path(os.path.realpath(path))
    before = _regular(target)
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        new.unlink(missing_ok=True)  # from a killed run with the same process id
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if before else 0o666))
        yield new
        with new.open("r+b") as written:  # Windows flushes only files that are open for writing
            os.fsync(written.fileno())
        if before:
            _give(new, before)
        new.replace(target)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def is_mount(error: OSError) -> bool:
    """Whether a file could not be replaced because it is a mount point, such as a single file mounted into a
    container."""
    return error.errno in (errno.EBUSY, errno.EXDEV)


def leftovers(path: Path) -> list[Path]:
    """Unfinished new files beside `path`, left by killed runs."""
    target = Path(os.path.realpath(path))
    return [file for file in target.parent.iterdir() if _is_leftover(file.name, target.name)]


def _is_leftover(name: str, target: str) -> bool:
    return name.startswith(f".{target}.") and name.endswith(".new") and name[len(target) + 2 : -4].isdecimal()


def _regular(target: Path) -> os.stat_result | None:
    """The existing file; None if there is none."""
    try:
        before = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(before.st_mode):
        raise FileExistsError(errno.EEXIST, "not a regular file", str(target))
    return before


def _give(new: Path, before: os.stat_result) -> None:
    """Owner first, then mode: changing the owner clears mode bits."""
    mode = stat.S_IMODE(before.st_mode)
    if not hasattr(os, "chown"):  # Windows has other owners and modes
        return
    for owner, group in ((before.st_uid, before.st_gid), (-1, before.st_gid)):  # only root may give a file away
        with suppress(OSError):
            os.chown(new, owner, group)
            break
    else:
        mode &= ~stat.S_IRWXG  # the group differs from before: it gets no access
    os.chmod(new, mode)
