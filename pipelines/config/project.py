"""Where the project is: the folder with this code or, if it is installed as a package, the working directory.

Settings come from the project's `.dlt`, and relative paths start at the project. The working directory may belong to
another program that uses dlt: like that of DLT_PROJECT_DIR, its `.dlt` is read only if it has settings of a recorder.
"""

import os
import tomllib
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "salesforce-bulk-query-jobs"
PROJECT_FILES: Final = "pyproject.toml", "pipelines/query_jobs.py"  # every copy of this project has them


def is_copy(folder: Path) -> bool:
    """Whether a folder is a copy of this project."""
    return all(os.path.isfile(folder / name) for name in PROJECT_FILES)


_AROUND: Final = Path(__file__).resolve().parents[2]
# pip and uv put a package's metadata beside its code. (A copied folder may lack some files of the project.)
INSTALLED: Final = any(_AROUND.glob(f"{DISTRIBUTION.replace('-', '_')}-*.dist-info"))
PROJECT: Final = Path(os.path.realpath(".")) if INSTALLED else _AROUND


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path for people: relative if it is below the working directory, else absolute."""
    relative = os.path.relpath(path)
    return os.path.abspath(path) if relative.startswith(os.pardir) else relative


def command_for(name: str) -> str:
    """How to run a command of this recorder: in a copy of the project, there is a target of this name for make."""
    return f"bulk-jobs {name}" if INSTALLED else f"make {name}"


def version() -> str:
    """The version of this code; "unknown" for a copy without pyproject.toml."""
    if INSTALLED:
        return installed_version(DISTRIBUTION)
    try:
        return str(tomllib.loads((PROJECT / PROJECT_FILES[0]).read_text(encoding="utf-8"))["project"]["version"])
    except FileNotFoundError:
        return "unknown"
