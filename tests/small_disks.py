"""Disks of a few megabytes that can be filled to the last block, for the tests that need one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTES = 64
FILLER = "filler"


@contextmanager
def mounted(where: Path) -> Iterator[Path]:
    """A file system in memory: mounted at `where`, or in a name space of its own where that needs more rights.

    Skips the test where neither is allowed.
    """
    options = f"size={MEGABYTES}m"
    where.mkdir(parents=True, exist_ok=True)
    if _succeeds(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)]):
        try:
            yield where
        finally:
            subprocess.run(["umount", "--lazy", str(where)], check=True)
        return
    # The file system lives as long as a process that nobody else needs; others reach it through that one's root.
    script = f"mount -t tmpfs -o {options} tmpfs /mnt && echo mounted && exec cat"
    try:
        holder = subprocess.Popen(
            ["unshare", "-Urm", "sh", "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no small disk here: mounting a tmpfs needs root, or `unshare`")
    with holder:
        assert holder.stdout
        if not holder.stdout.readline():
            pytest.skip("no small disk here: mounting a tmpfs needs root, or user name spaces (`unshare -Urm`)")
        try:
            yield Path(f"/proc/{holder.pid}/root/mnt")
        finally:
            holder.kill()


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def fill(disk: Path, leaving: int) -> None:
    """Leaves so many bytes of room on the disk."""
    make_room(disk)
    room = os.statvfs(disk)
    with (disk / FILLER).open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, room.f_bavail * room.f_frsize - leaving)


def make_room(disk: Path) -> None:
    """Takes away what fills it."""
    (disk / FILLER).unlink(missing_ok=True)
