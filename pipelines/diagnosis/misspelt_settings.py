"""Unknown settings: misspelt, in the wrong section, or meant for dlt, which does not get to see them."""

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pipelines.alerts import settings as alert_settings  # noqa: F401 - importing them registers their keys
from pipelines.answers.findings import thresholds  # noqa: F401
from pipelines.config import settings  # noqa: F401
from pipelines.config.dlt_context import PINNED, active
from pipelines.config.own_settings import KEYS, ORGS, PRIMARY_FILE, RENAMED, SettingPath, keys_of
from pipelines.errors import ConfigError
from pipelines.forwarding import settings as forward_settings  # noqa: F401

# Sections of dlt, which version 0.1.0 read, too.
DLTS: Final = frozenset({"load", "extract", "normalize", "schema", "data_writer", "pipeline", "providers"})
# Other programs that use dlt have these, too
SHARED: Final = {"runtime", ".".join(PRIMARY_FILE[:-1]), ".".join(PRIMARY_FILE)}
PARENTS: Final = {"sources", "destination", ORGS}


def misspelt_settings() -> list[ConfigError]:
    """An error for each unknown setting in the project's `.dlt/`, and in our sections of the environment."""
    return [*_in_files(), *_in_environment()]


def _in_files() -> Iterator[ConfigError]:
    folder = Path(active().settings_dir)
    for file, found in active().settings.files.items():
        if file.parent == folder:
            for path in unread(found):
                yield _problem(path, f".dlt/{file.name}")


def unread(found: dict[str, Any], path: SettingPath = ()) -> Iterator[SettingPath]:
    """The unknown settings of a file, except in sections of other programs."""
    keys = keys_of(path)
    for key, value in found.items():
        here = (*path, key)
        name = ".".join(here)
        if isinstance(value, dict) and (keys_of(here) is not None or name in PARENTS or here[0] in DLTS):
            yield from unread(value, here)
        elif keys is not None:
            if not (key in keys or here in RENAMED or PINNED.get(here) == value):
                yield here
        elif not isinstance(value, dict):
            if PINNED.get(here) != value:
                yield here
        elif get_close_matches(name, {*KEYS, *PARENTS}, n=1, cutoff=0.75):
            yield here


def _in_environment() -> Iterator[ConfigError]:
    for name in sorted(os.environ):
        path = tuple(name.lower().split("__"))
        section, key = ".".join(path[:-1]), path[-1]
        keys = None if section in SHARED else keys_of(path[:-1])
        if keys is not None and not (key in keys or path in RENAMED or keys_of(path) is not None):
            yield _problem(path, "the environment", as_variable=True)


def _problem(path: SettingPath, where: str, as_variable: bool = False) -> ConfigError:
    section, key = ".".join(path[:-1]), path[-1]

    def shown(sections: str, name: str) -> str:  # as the user has to write it
        return "__".join((*sections.split("."), name)).upper() if as_variable else name

    homes = [name for name, known in KEYS.items() if key in known and name != section]
    renamed = {old[-1]: new for old, new in RENAMED.items()}
    keys = keys_of(path[:-1])
    known = None if keys is None else keys | {old[-1] for old in RENAMED if ".".join(old[:-1]) == section}
    close = get_close_matches(key if section else ".".join(path), known or {*KEYS, *PARENTS}, n=1, cutoff=0.6)
    if homes:
        remedy = f"Did you mean {shown(homes[0], key)}?" if as_variable else f"It belongs under [{homes[0]}]."
    elif key in renamed:
        home = ".".join(renamed[key][:-1])
        under = "" if as_variable else f", and belongs under [{home}]"
        remedy = f"It is now called {shown(home, renamed[key][-1])}{under}."
    elif close:
        remedy = f"Did you mean {shown(section, renamed[close[0]][-1] if close[0] in renamed else close[0])}?"
    elif path[0] in DLTS or section in SHARED | PARENTS:
        remedy = "Remove it: the recorder configures dlt itself, and ignores this."
    else:
        remedy = "See .dlt/config.toml."
    name = "__".join(path).upper() if as_variable else ".".join(path)
    return ConfigError(f"`{name}` in {where} is an unknown setting.", remedy)
