"""Checks that this code runs with its own project's Python, or with one outside any copy of the project."""

import sys
from pathlib import Path

from pipelines.config.project import is_copy
from pipelines.errors import ConfigError


def check_interpreter() -> None:
    """Raises ConfigError if Python's virtual environment belongs to another copy of this project than the code.

    Two copies have their own settings, orgs and histories; mixing them would record one org where the other belongs.
    An environment outside any copy, such as /opt/venv, may run any of them.
    """
    place = Path(sys.prefix)
    theirs = _project_around(place.parent.resolve() / place.name)  # .venv may be a link to anywhere
    ours = _project_around(Path(__file__).resolve())
    if theirs is not None and theirs != ours:
        raise ConfigError(
            f"The Python of {theirs} ({place}) runs the code of {ours or Path(__file__).resolve().parents[2]}: "
            "it is unclear which of the two you want.",
            "Run `make setup` in the folder you want, then use its .venv/bin/python from that folder or from outside "
            "both. PYTHONPATH must not name either.",
        )


def _project_around(path: Path) -> Path | None:
    """The innermost folder around a path that is a copy of this project."""
    return next(filter(is_copy, path.parents), None)
