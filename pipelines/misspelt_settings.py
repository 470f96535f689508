"""Settings that nobody reads: misspelt, or in the wrong section. dlt passes over them in silence."""

import os
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from dlt.common.runtime.run_context import active
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration

from pipelines.check import Thresholds
from pipelines.credentials import SECTION, SalesforceCredentials
from pipelines.failures import Misconfigured
from pipelines.settings import RecorderConfiguration, SourceConfiguration

SECTIONS: Final[dict[str, set[str]]] = {
    "query_jobs": set(RecorderConfiguration().get_resolvable_fields()),
    "check": set(Thresholds().get_resolvable_fields()),
    "sources.salesforce": set(SourceConfiguration().get_resolvable_fields()),
    SECTION: set(SalesforceCredentials().get_resolvable_fields()),
    "destination.duckdb": set(DuckDbClientConfiguration().get_resolvable_fields()),
}
PARENTS: Final = {"sources", "destination"}
OURS: Final = {*SECTIONS, *PARENTS}
BELOW: Final = {"sources.salesforce": {"credentials"}, "destination.duckdb": {"credentials"}}


def misspelt_settings() -> list[Misconfigured]:
    """One for each setting in our sections of `.dlt/` and of the environment that no code reads."""
    return [*_in_files(), *_in_environment()]


def _in_files() -> Iterator[Misconfigured]:
    for name in ("config.toml", "secrets.toml"):
        file = Path(active().settings_dir) / name
        if not file.is_file():  # dlt passes over a FIFO, too
            continue
        try:
            found = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # dlt says what is wrong with a file that it cannot read
            continue
        for key in _unread(found, ""):
            yield _problem(key, f".dlt/{name}")


def _unread(settings: dict[str, Any], section: str) -> Iterator[str]:
    """The keys, with their sections, that belong to us and that nobody reads."""
    for key, value in settings.items():
        path = f"{section}.{key}" if section else key
        if isinstance(value, dict) and path in OURS:
            yield from _unread(value, path)
        elif section in SECTIONS:
            if key not in SECTIONS[section] | BELOW.get(section, set()):
                yield path
        elif isinstance(value, dict) and get_close_matches(path, OURS, n=1, cutoff=0.75):
            yield path  # other sections are dlt's own


def _in_environment() -> Iterator[Misconfigured]:
    for name in sorted(os.environ):
        section, _, key = name.lower().replace("__", ".").rpartition(".")
        if section in SECTIONS and key not in SECTIONS[section] | BELOW.get(section, set()):
            yield _problem(f"{section}.{key}", "the environment")


def _problem(path: str, where: str) -> Misconfigured:
    section, _, key = path.rpartition(".")
    homes = [name for name, known in SECTIONS.items() if key in known and name != section]
    close = get_close_matches(key, SECTIONS.get(section, OURS), n=1, cutoff=0.6)
    remedy = (
        f"It belongs under [{homes[0]}]." if homes else f"Is {close[0]} meant?" if close else "See .dlt/config.toml."
    )
    return Misconfigured(f"`{path}` in {where} is a setting that nothing reads.", remedy)
