"""Gives a test process an empty project and an empty home, whatever the user's environment. Import it before anything
of ours: dlt reads some variables at import time."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from pipelines.config.dlt_variables import KEPT, OURS

# First part of the names of our own sections, and of those that version 0.1.0 could be configured by.
SECTIONS = ("SOURCES", "DESTINATION", "QUERY_JOBS", "CHECK", "ALERTS", "RUNTIME", "LOAD", "CREDENTIALS")


def isolate() -> Path:
    """Removes the user's settings from the environment; returns the folder with the empty project and home."""
    for name in list(os.environ):
        if name.split("__")[0] in SECTIONS or name.startswith(("DLT_", "XDG_")):
            del os.environ[name]
    place = Path(tempfile.mkdtemp(prefix="empty_"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    project, home, data = place / "project", place / "home", place / "data"
    for folder in (project / ".dlt", home, data / "dlt"):
        folder.mkdir(parents=True)
    (project / ".dlt" / "config.toml").write_text("[query_jobs]\n")  # marks it as a project of this recorder
    os.environ |= OURS | {
        "DLT_PROJECT_DIR": str(project),
        "DLT_DATA_DIR": str(home / "dlt"),
        "HOME": str(home),
        "XDG_DATA_HOME": str(data),  # for root, the only way to use a folder other than /var/dlt
    }
    assert os.environ.keys() >= KEPT
    return place


isolate()
