"""Where `report` and `show` write: files are replaced atomically; stdout (`-`), devices and FIFOs are written to."""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipelines.errors import ConfigError, RecorderError, disk_full_error
from pipelines.warehouse.atomic_file import is_mount, replacing

STDOUT: Final = Path("-")


def check_output(output: Path, option: str, what: str, beginning: bytes) -> None:
    """Checks that `output` may be written: it does not exist, but its folder does; it is empty or a stream; or it
    begins like what replaces it, in upper or lower case and after any white space. Nothing else is replaced, least of
    all a warehouse.

    Raises ConfigError, naming the option for another file.
    """
    if output == STDOUT:
        return
    try:
        if _is_stream(output):
            if output.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return
        with output.open("rb") as file:
            begins = file.read(100).lstrip().lower()
    except FileNotFoundError:
        if not output.parent.is_dir():  # said now, not once everything is computed
            raise ConfigError(
                f"Cannot write {output}: the folder {output.parent} does not exist.",
                f"Create it, or name another file: {option}.",
            ) from None
        return
    except OSError as error:
        raise _cannot_write(output, option, error) from None
    if begins and not begins.startswith(beginning):
        raise ConfigError(
            f"{output} exists and is not a {what}: it would be replaced.", f"Name another file: {option}."
        )


def write_output(output: Path, option: str, text: str) -> None:
    """Writes the text. Raises RecorderError if that is not possible, BrokenPipeError if the reader closed the pipe."""
    write_copy(output, option, lambda new: new.write_bytes(text.encode()))


def write_copy(output: Path, option: str, fill: Callable[[Path], object]) -> None:
    """Writes what `fill` writes to the file that it is given. Raises like `write_output`."""
    try:
        if output != STDOUT and not _is_stream(output):
            with replacing(output) as new:
                fill(new)
            return
        with tempfile.TemporaryDirectory() as folder:
            fill(copy := Path(folder, "copy"))
            sys.stdout.flush()
            stream = sys.stdout.fileno() if output == STDOUT else _open_stream(output)
            _write(stream, copy, close=output != STDOUT)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(output, option, error) from None


def write_bytes(output: Path, option: str, content: bytes) -> None:
    """Writes a file, in a folder that is made if it is missing. Raises RecorderError if that is not possible."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output) as new:
            new.write_bytes(content)
    except OSError as error:
        raise _cannot_write(output, option, error) from None


def _is_stream(output: Path) -> bool:
    """Whether it is a device, a pipe or a descriptor of this process: these are written to, never replaced."""
    return output.exists() and (not output.is_file() or output.is_relative_to("/dev") or output.is_relative_to("/proc"))


def _open_stream(output: Path) -> int:
    """Opens it without waiting for a FIFO's reader, which may never come."""
    return os.open(output, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)


def _write(descriptor: int, copy: Path, *, close: bool) -> None:
    if os.name == "posix":  # `_open_stream`, or the process that started us, may have set it otherwise
        os.set_blocking(descriptor, True)
    with copy.open("rb") as file, open(descriptor, "wb", closefd=close) as stream:
        shutil.copyfileobj(file, stream)


def _cannot_write(output: Path, option: str, error: OSError) -> RecorderError:
    if disk_full_error(error):
        return RecorderError(f"Cannot write {output}: {error.strerror}.", f"Free space, or name another: {option}.")
    why = "this FIFO has no reader" if error.errno == errno.ENXIO else error.strerror
    if is_mount(error):
        why = f"it is a mount point, which cannot be replaced ({why})"
    return ConfigError(f"Cannot write {output}: {why}.", f"Name another file: {option}.")
