"""Locks on files beside a database. The kernel releases them when the process ends, however it ends."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from pipelines.errors import ConfigError, RecorderError
from pipelines.regular_files import check_place

POLL: Final = 0.2  # seconds between attempts


def open_lock(path: Path) -> IO[str]:
    """The file to lock, which is created if it is missing. Raises OSError, and ConfigError if it is not a file."""
    check_place(path)
    return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")


def lock_alone(lock: IO[str], path: Path, in_use: Callable[[], RecorderError], wait: float = 0.0) -> None:
    """Locks an open file for this process, until it is closed.

    Raises `in_use()` if another process holds the lock for longer than `wait` seconds, and ConfigError if the file
    system, on which `path` is, has no locks."""
    import fcntl  # noqa: PLC0415 - POSIX only

    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise in_use() from None
            time.sleep(POLL)
        except OSError as error:
            raise locking_unsupported(path, error) from None


def note_holder(lock: IO[str]) -> None:
    """Writes this process's id into the file that it has locked."""
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def holder(lock: IO[str]) -> str:
    """The process that holds the lock, as that has noted it."""
    noted = re.match(rb"\d+", os.pread(lock.fileno(), 20, 0))  # whatever else may stand there
    return f"PID {noted[0].decode() if noted else 'unknown'}"


def locking_unsupported(path: Path, error: OSError) -> ConfigError:
    """The error for a file system without file locks, such as some network and container mounts."""
    return ConfigError(
        f"{path.parent} is on a file system that does not support file locks: {error.strerror}.",
        "Keep both databases on a local disk, or mount the file system with locks (NFS: without nolock).",
    )
