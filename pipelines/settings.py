"""Where things are and how long to wait: `[query_jobs]`, `[destination.duckdb]` and the credentials, read by dlt."""

import hashlib
import logging
import os
import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.common.configuration import configspec, is_secret_hint
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.providers.toml import GLOBAL_ORIGIN_PREFIX
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.utils import get_resolved_traces
from dlt.common.runtime.run_context import active, switch_context
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from pipelines.credentials import SECTION, SalesforceCredentials
from pipelines.database_file import check_regular
from pipelines.failures import Failure, Misconfigured
from pipelines.salesforce import BUDGET_PERCENT, CURRENT_API_VERSION

PIPELINE: Final = "query_jobs"
LOADER_FILE: Final = "destination.duckdb.credentials"  # dlt's key
PROJECT: Final = Path(__file__).resolve().parents[1]
DEMO_HOME: Final = PROJECT / "demo"
DEMO_WAREHOUSE: Final = DEMO_HOME / "warehouse.duckdb"

logger = logging.getLogger(__name__)


@configspec
class RecorderConfiguration(BaseConfiguration):
    """`[query_jobs]` of .dlt/config.toml, or QUERY_JOBS__… of the environment."""

    warehouse: str = "warehouse.duckdb"
    lock_wait: float = 30.0
    details_per_run: int = 500
    extras: bool = True


@configspec
class SourceConfiguration(BaseConfiguration):
    """`[sources.salesforce]`, but for the credentials, as dlt gives it to the source."""

    api_version: str = CURRENT_API_VERSION
    api_budget_percent: float = BUDGET_PERCENT
    job_type: str | None = None
    is_pk_chunking_enabled: bool | None = None
    concurrency_mode: str | None = None


@dataclass(frozen=True)
class Settings:
    """Absolute paths of the loader's own file and the published warehouse; seconds to wait for a held file; how many
    finished jobs to ask for their details (0: none), and whether to ask for users, limits and the org's name."""

    loader_file: Path
    warehouse: Path
    lock_wait: float = 30.0
    details_per_run: int = 500
    extras: bool = True

    @property
    def pipeline(self) -> str:
        """dlt's name for the working folder and the state: one for each loader's file, so that a listing kept for one
        is never loaded into another."""
        return f"{PIPELINE}_{hashlib.sha256(str(self.loader_file).encode()).hexdigest()[:8]}"


def use_project() -> None:
    """Makes dlt read this project's `.dlt/`, whatever the working directory. DLT_PROJECT_DIR overrides it."""
    switch_context(str(PROJECT))


def read_settings() -> Settings:
    """The settings; relative paths count from the project. Raises Misconfigured, naming the key."""
    try:
        recorder = resolve_configuration(RecorderConfiguration(), sections=("query_jobs",))
    except ConfigurationException as error:
        raise misconfigured(error) from error
    if not 0 <= recorder.lock_wait < float("inf"):
        raise Misconfigured(f"`query_jobs.lock_wait` is {recorder.lock_wait:g}.", "It must be a number of seconds.")
    if recorder.details_per_run < 0:
        raise Misconfigured(
            f"`query_jobs.details_per_run` is {recorder.details_per_run}.",
            "It must be a number of jobs; 0 switches it off.",
        )
    loader_file = project_path(_loader_file())
    warehouse = project_path(recorder.warehouse)
    for key, path in ((LOADER_FILE, loader_file), ("query_jobs.warehouse", warehouse)):
        _check_path(key, path)
    if loader_file.resolve() == warehouse.resolve():
        raise Misconfigured(
            f"The loader's file and the published warehouse are the same file: {warehouse}.",
            "Readers would block the loader: give `warehouse` under [query_jobs] another name.",
        )
    return Settings(loader_file, warehouse, recorder.lock_wait, recorder.details_per_run, recorder.extras)


def _check_path(key: str, path: Path) -> None:
    if path.is_dir():
        raise Misconfigured(f"`{key}` is {path}, which is a directory.", "Give the path of a file, existing or new.")
    if not path.parent.is_dir():
        raise Misconfigured(f"`{key}` is {path}, whose directory does not exist.", "Make it, or see .dlt/config.toml.")
    try:
        check_regular(path)
    except Misconfigured as wrong:
        raise Misconfigured(f"`{key}`: {wrong.message}", wrong.remedy) from None


def _loader_file() -> str:
    """`credentials` of [destination.duckdb]: a path, as text or as `database`."""
    key = LOADER_FILE
    given: Any = dlt.secrets.get(key) or dlt.config.get(key) or f"{PIPELINE}.duckdb"
    if isinstance(given, dict):
        given = given.get("database")
    try:
        spec = DuckDbCredentials()
        spec.parse_native_representation(given)
    except (ValueError, TypeError, ConfigurationException):
        raise Misconfigured(f"`{key}` must be the path of the loader's file.", "See .dlt/config.toml.") from None
    return str(spec.database)


def warehouse_to_read(given: Path | None) -> Path:
    """The warehouse that a reader means: the one given, else the published one, else the demo's.

    Raises Misconfigured where there is none of these, naming what makes one.
    """
    if given:
        if not given.is_file():
            raise Misconfigured(f"There is no warehouse {given}.", "Give the path of a published warehouse.")
        return given.resolve()
    settings = read_settings()
    if settings.warehouse.is_file():
        return settings.warehouse
    if settings.loader_file.exists():
        raise Misconfigured(f"There is no warehouse {settings.warehouse}.", "The next load publishes it: make load.")
    if DEMO_WAREHOUSE.is_file():
        return DEMO_WAREHOUSE
    raise Misconfigured(f"There is no warehouse {settings.warehouse} yet.", "Make one: make demo, or make load.")


def _warn(failure: Failure) -> None:
    logger.warning("%s", failure)


def read_credentials(on_exposed: Callable[[Failure], None] = _warn) -> SalesforceCredentials:
    """The credentials, complete and of one way. Raises Misconfigured before any request is made.

    `on_exposed` hears of each file they come from that others can read. By default it is a warning, which `--quiet`
    prints, too: cron mails it, the load goes on, and one chmod ends it.
    """
    traces = get_resolved_traces()
    traces.clear()
    try:
        credentials = resolve_configuration(SalesforceCredentials(), sections=tuple(SECTION.split(".")))
        read = {_file(trace.provider_location) for trace in traces.resolved_traces if is_secret_hint(trace.hint)}
    except ConfigurationException as error:
        raise misconfigured(error) from None
    finally:
        # dlt pickles all that it resolved with the next run's trace. It leaves secrets out of that, but not what came
        # with an address: a password, or the session of a link out of the browser.
        traces.clear()
    if key_file := credentials.key_file:
        read.add(key_file)
    for file in filter(_is_exposed, sorted(read)):
        shown = shlex.quote(str(file))
        on_exposed(Misconfigured(f"{file} can be read by other users of this machine: chmod 600 {shown}"))
    return credentials


def _file(location: str) -> Path:
    """The file that dlt names as a setting's location: of the project's .dlt/, or with a prefix of the user's own."""
    name = location.removeprefix(GLOBAL_ORIGIN_PREFIX)
    return Path(active().settings_dir if name == location else active().global_dir) / name


def _is_exposed(file: Path) -> bool:
    """Whether others can read it. If it is not ours, its group may: we could not read it otherwise."""
    try:
        found = file.stat()
    except (OSError, ValueError):  # a key that is neither PEM nor a path is told at the sign-in
        return False
    others = stat.S_IROTH | (stat.S_IRGRP if found.st_uid == os.geteuid() else 0)
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & others)


def misconfigured(error: ConfigurationException) -> Misconfigured:
    """dlt's configuration error without its pages of places it looked in."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return Misconfigured(" ".join(lines[:3])[:400], "See .dlt/config.toml and .dlt/secrets.example.toml.")


def project_path(path: str) -> Path:
    """The path, made absolute as dlt does: relative ones count from the project (or DLT_LOCAL_DIR)."""
    return Path(os.path.abspath(Path(active().local_dir) / Path(path).expanduser()))
