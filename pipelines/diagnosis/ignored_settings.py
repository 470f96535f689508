"""Settings of other programs that dlt, or we, would use if they were read. `doctor --verbose` lists their names, never
their values."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dlt.common.configuration.specs import BaseConfiguration

from pipelines.config import dlt_variables
from pipelines.config.dlt_context import active
from pipelines.config.own_settings import KEYS, RENAMED, SettingPath, named_project
from pipelines.diagnosis.misspelt_settings import unread

# Packages whose specifications matter for a load; credentials of other destinations do not.
TAKE_PART: Final = (
    "dlt.common.data_writers", "dlt.common.destination", "dlt.common.normalizers", "dlt.common.schema",
    "dlt.common.storages", "dlt.common.configuration.specs.runtime", "dlt.destinations.impl.duckdb", "dlt.extract",
    "dlt.load", "dlt.normalize", "dlt.pipeline", "pipelines",
)  # fmt: skip


def ignored_settings() -> list[str]:
    """One line for each."""
    return [*_variables(), *_files()]


def _variables() -> Iterator[str]:
    yield from sorted(dlt_variables.aside)
    if os.environ.get("DLT_PROJECT_DIR") and named_project() is None:
        yield "DLT_PROJECT_DIR: that folder is not a project of this recorder"
    fields = {field.upper() for spec in specifications() for field in spec.get_resolvable_fields()}
    for name in sorted(os.environ):
        path = tuple(name.split("__"))
        if path[-1] in fields and not _is_read(tuple(part.lower() for part in path)):
            yield name


def _files() -> Iterator[str]:
    folder = Path(active().settings_dir)
    for file, found in active().settings.files.items():
        paths = unread(found) if file.parent == folder else _leaves(found)
        yield from (f"{'.'.join(path)} in {file}" for path in paths if not _is_read(path))


def _is_read(path: SettingPath) -> bool:
    if active().settings.is_revealed(path):  # of the destination that is forwarded to
        return True
    return path[-1] in KEYS.get(".".join(path[:-1]), ()) or path in RENAMED or ".".join(path) in KEYS


def _leaves(found: dict[str, Any], path: SettingPath = ()) -> Iterator[SettingPath]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def specifications(of: type[BaseConfiguration] = BaseConfiguration) -> Iterator[type[BaseConfiguration]]:
    """All imported specifications that matter for a load."""
    for spec in of.__subclasses__():
        if spec.__module__.startswith(TAKE_PART):
            yield spec
        yield from specifications(spec)
