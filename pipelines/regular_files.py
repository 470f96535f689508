"""Refuses paths that are not regular files (directories, FIFOs, devices); recognises empty files."""

import stat
from pathlib import Path

from pipelines.errors import ConfigError


def check_regular(path: Path) -> None:
    """Raises ConfigError if the path is a directory, a FIFO or a device."""
    try:
        mode = path.stat().st_mode
    except OSError:  # missing or not accessible: opening it will report that
        return
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path} is {kind_of(mode)}, not a DuckDB file.", "Give the path of a file.")


def kind_of(mode: int) -> str:
    """The kind of file, from its mode (`st_mode`), with an article."""
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFREG: "a file"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def holds_something(path: Path) -> bool:
    """Whether the file exists and is not empty. DuckDB treats an empty file (from `touch`) as a damaged database; here
    it means a database that is still to be created."""
    try:
        return path.stat().st_size > 0 or not path.is_file()
    except FileNotFoundError:
        return False
