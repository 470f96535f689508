"""Where the project is: the folder with this code, or, where the code is installed as a package, the working directory.

Settings come from the project's `.dlt`, and relative paths count from the project. A working directory may belong to
another program that uses dlt: its `.dlt` is read if it has settings of a recorder, as that of DLT_PROJECT_DIR is.
"""

import os
import tomllib
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "salesforce-bulk-query-jobs"
MARKS: Final = "pyproject.toml", "pipelines/query_jobs.py"  # what every copy of this project holds


def is_copy(folder: Path) -> bool:
    """Whether a folder holds a copy of this project."""
    return all(os.path.isfile(folder / mark) for mark in MARKS)


_AROUND: Final = Path(__file__).resolve().parents[2]
# pip and uv write what they know of a package beside its code. A copied folder need not hold all of the project.
INSTALLED: Final = any(_AROUND.glob(f"{DISTRIBUTION.replace('-', '_')}-*.dist-info"))
PROJECT: Final = Path(os.path.realpath(".")) if INSTALLED else _AROUND


def version() -> str:
    """The version of this code; "unknown" of a copy that has no pyproject.toml."""
    if INSTALLED:
        return installed_version(DISTRIBUTION)
    try:
        return str(tomllib.loads((PROJECT / MARKS[0]).read_text(encoding="utf-8"))["project"]["version"])
    except FileNotFoundError:
        return "unknown"
