"""Which Python runs this code: that of its own project folder, or of no project folder at all."""

import sys
from pathlib import Path

from pipelines.config.project import is_copy
from pipelines.errors import Misconfigured


def check_interpreter() -> None:
    """Raises Misconfigured if Python's virtual environment lies in another copy of this project than the code.

    Two copies have two configurations, orgs and histories, and the one would be recorded where the other was meant.
    An environment outside any copy, such as /opt/venv, may run each of them.
    """
    place = Path(sys.prefix)
    theirs = _project_around(place.parent.resolve() / place.name)  # .venv may be a link to anywhere
    ours = _project_around(Path(__file__).resolve())
    if theirs is not None and theirs != ours:
        raise Misconfigured(
            f"The Python of {theirs} ({place}) runs the code of {ours or Path(__file__).resolve().parents[2]}: "
            "it is not clear which of the two is meant.",
            "Run `make setup` in the folder that is meant, and call its .venv/bin/python, in that folder or outside "
            "both; PYTHONPATH must name neither.",
        )


def _project_around(path: Path) -> Path | None:
    """The innermost folder around a path that holds a copy of this project."""
    return next(filter(is_copy, path.parents), None)
