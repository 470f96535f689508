"""Disks of a few megabytes that can be filled to the last block, for tests that need one."""

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
    """An in-memory file system, mounted at `where`. Skips the test if this process may not mount."""
    where.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(where)]
    try:
        run = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("There is no `mount` here, so no disk can be filled.")
    if run.returncode:
        pytest.skip(
            f"No disk can be filled here: {run.stderr.strip()} Root may mount one, and so may whoever is root of a "
            "name space: unshare -Urm .venv/bin/python -m pytest tests/proofs/test_full_disk.py tests/warehouse/test_read_only.py"
        )
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def remount(disk: Path, how: str) -> None:
    """Remounts the disk read-only ("ro") or writable ("rw")."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def fill(disk: Path, leaving: int) -> None:
    """Leaves this many bytes free on the disk."""
    make_room(disk)
    room = os.statvfs(disk)
    with (disk / FILLER).open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, room.f_bavail * room.f_frsize - leaving)


def make_room(disk: Path) -> None:
    """Removes what fills it."""
    (disk / FILLER).unlink(missing_ok=True)


@contextmanager
def mounted_alone(file: Path) -> Iterator[Path]:
    """A file that is itself a mount point, like a container's volume of one file. Returns the file behind it."""
    behind = file.with_name(f"{file.name}.behind")
    behind.write_bytes(file.read_bytes() if file.exists() else b"")
    file.touch()
    try:
        run = subprocess.run(["mount", "--bind", behind, file], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("There is no `mount` here.")
    if run.returncode:
        pytest.skip(f"Nothing can be mounted here: {run.stderr.strip()}")
    try:
        yield behind
    finally:
        subprocess.run(["umount", "--lazy", str(file)], check=True)
