"""The variables that dlt reads by itself, `DLT_…`: two of them count here, the others are set aside.

dlt reads some while it is imported (its naming convention, its JSON, its time zone) and some whenever it likes (the
interval of a scheduler). Other dlt projects set them for themselves; here they would rename columns or leave jobs out.
This module imports nothing of dlt's, so that it can run first.
"""

import os
from typing import Final

# DLT_PROJECT_DIR: another project of this recorder (see `dlt_context.py`); DLT_DATA_DIR: where version 0.1.0 had
# dlt's home (see `kept_listings.py`).
KEPT: Final = frozenset({"DLT_PROJECT_DIR", "DLT_DATA_DIR"})
# Packages beside dlt may plug themselves into it, and replace what it does. Only dlt's own part is loaded.
OURS: Final = {"DLT_DISABLE_PLUGINS": "true"}

aside: Final[dict[str, str]] = {}  # the variables as they were given


def set_aside() -> None:
    """Takes every variable of dlt's that does not count here out of this process's environment. For a process that is
    ours alone, before it imports dlt."""
    for name in [name for name in os.environ if name.startswith("DLT_") and name not in KEPT]:
        aside[name] = os.environ.pop(name)
    os.environ |= OURS
