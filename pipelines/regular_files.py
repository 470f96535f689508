"""Files that are not what their name promises: directories, FIFOs, devices, empty ones."""

import stat
from pathlib import Path

from pipelines.errors import Misconfigured


def check_regular(path: Path) -> None:
    """Raises Misconfigured where a directory, a FIFO or a device has this name."""
    try:
        mode = path.stat().st_mode
    except OSError:  # not there, or not to be seen: opening it says so
        return
    if not stat.S_ISREG(mode):
        raise Misconfigured(f"{path} is {kind_of(mode)}, not a DuckDB file.", "Give the path of a file.")


def kind_of(mode: int) -> str:
    """What a file's mode (`st_mode`) says that it is, with its article."""
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFREG: "a file"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def holds_something(path: Path) -> bool:
    """Whether there is a file that is not empty. DuckDB takes an empty one, as `touch` makes it, for a damaged
    database; here it is one that is still to be made."""
    try:
        return path.stat().st_size > 0 or not path.is_file()
    except FileNotFoundError:
        return False
