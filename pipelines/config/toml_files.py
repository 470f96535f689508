"""Reads a file of settings; says what is wrong with one that cannot be read."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pipelines.errors import ConfigError, sanitize
from pipelines.regular_files import kind_of

UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")  # byte order marks, as PowerShell writes them
SECTION_HEAD: Final = re.compile(r"^\s*\[\s*(query_jobs|sources\.salesforce|orgs\.[^\]]+)\b", re.MULTILINE)


def read_toml(file: Path, ours: bool = False) -> dict[str, Any]:
    """The settings in a file; none if it does not exist. Raises ConfigError if it cannot be read and is `ours`, or
    may be; a foreign file that cannot be read is ignored."""
    content = b""
    try:
        if not file.is_file():
            if ours:
                _check_absent(file)
            return {}
        content = file.read_bytes()
        return tomllib.loads(_utf_8(content))
    except (OSError, ValueError) as error:
        encoding = "utf-16" if content.startswith(UTF_16) else "utf-8"
        may_be_ours = not content or SECTION_HEAD.search(content.decode(encoding, errors="replace"))
        if not ours and not may_be_ours:
            return {}
        said = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{file} cannot be read: {sanitize(said)}", "It must be a text file of valid TOML: correct it."
        ) from None


def _utf_8(content: bytes) -> str:
    """The text of a file, with or without a byte order mark. Raises ValueError, in words, for another encoding."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if content.startswith(UTF_16):
            raise ValueError("it is encoded as UTF-16: save it as UTF-8") from None
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"it is not encoded as UTF-8 (line {line}): save it as UTF-8") from None


def _check_absent(file: Path) -> None:
    """Raises OSError or ValueError if there is something in the place of a file of settings: a directory, as Docker
    makes for a mount without a source, or a link to nowhere."""
    if file.is_symlink() and not file.exists():
        raise ValueError(f"it is a link to {os.readlink(file)}, which does not exist")
    if file.exists():
        raise ValueError(f"it is {kind_of(file.stat().st_mode)}, not a file")
