"""Refuses what is not a regular file (directories, FIFOs, devices) where one belongs; recognises empty files."""

import errno
import stat
from pathlib import Path

from pipelines.errors import ConfigError


def check_regular(path: Path) -> None:
    """Raises ConfigError if the path is a directory, a FIFO or a device."""
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        raise ConfigError(f"{path} is {kind_of(mode)}, not a DuckDB file.", "Give the path of a file.")


def check_place(path: Path, *, folder: bool = False) -> None:
    """Raises ConfigError if something else is in the place of a file, or a folder, that the recorder creates itself."""
    mode = _mode(path)
    if mode is None and folder and path.is_symlink():
        raise ConfigError(
            f"{path} is a symbolic link to a folder that does not exist.", "Create that folder, or remove the link."
        )
    if mode is not None and not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
        raise ConfigError(
            f"{path} is {kind_of(mode)}, where {'a folder' if folder else 'a file'} belongs.",
            "Move it away, then run this again: what belongs there is created anew.",
        )


def _mode(path: Path) -> int | None:
    """None if it is missing or not accessible: using it will report that. Raises ConfigError for a link to itself."""
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ConfigError(f"{path} is a symbolic link that leads back to itself.", "Remove this link.") from None
        return None


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
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return True  # reading it will report that
