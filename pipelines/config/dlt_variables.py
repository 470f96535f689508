"""Environment variables that dlt reads directly (`DLT_…`): all but two are removed.

dlt reads some while it is imported (naming convention, JSON, time zone) and some later (a scheduler's interval). Other
dlt projects set them for their own use; here they would rename columns or skip jobs. This module does not import dlt,
so that it can run first.
"""

import os
from typing import Final

# DLT_PROJECT_DIR: another project of this recorder (see `dlt_context.py`); DLT_DATA_DIR: where version 0.1.0 had
# dlt's home (see `kept_listings.py`).
KEPT: Final = frozenset({"DLT_PROJECT_DIR", "DLT_DATA_DIR"})
# Other packages can plug into dlt and change what it does; no plugin is loaded.
OURS: Final = {"DLT_DISABLE_PLUGINS": "true"}

aside: Final[dict[str, str]] = {}  # the removed variables


def set_aside() -> None:
    """Removes dlt's other variables from this process's environment. Only for a process of our own, before it imports
    dlt."""
    for name in [name for name in os.environ if name.startswith("DLT_") and name not in KEPT]:
        aside[name] = os.environ.pop(name)
    os.environ |= OURS
