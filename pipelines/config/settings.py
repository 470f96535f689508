"""The settings of `[query_jobs]` and `[destination.duckdb]`, and the credentials, read and checked."""

import logging
import os
import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from dlt.common.configuration import configspec, is_secret_hint
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.utils import get_resolved_traces
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from pipelines.config import dlt_variables
from pipelines.config.credentials import SECTION, SalesforceCredentials
from pipelines.config.defaults import BUDGET_PERCENT, CURRENT_API_VERSION, FEEDS
from pipelines.config.dlt_context import active, named, resolved, section
from pipelines.config.own_settings import PRIMARY_FILE as PRIMARY_FILE_PATH
from pipelines.config.own_settings import Found
from pipelines.config.project import command_for
from pipelines.errors import ConfigError, RecorderError, is_long_name, sanitize
from pipelines.regular_files import check_regular

DEFAULT_PRIMARY: Final = "query_jobs.duckdb"
PRIMARY_FILE: Final = ".".join(PRIMARY_FILE_PATH)
MAX_DETAILS_PER_RUN: Final = 1_000_000_000
MAX_CLOCK_TOLERANCE_HOURS: Final = 1_000_000
MAX_QUIET_HOURS: Final = 1_000_000

# DuckDB 1.5 and 2.0 put `.wal` before a question mark, as in a URL, and read a backslash as a slash.
UNUSABLE: Final = frozenset("?\\")

logger = logging.getLogger(__name__)


@section("query_jobs")
@configspec
class RecorderConfiguration(BaseConfiguration):
    """`[query_jobs]` in .dlt/config.toml, or QUERY_JOBS__… in the environment."""

    warehouse: str = "warehouse.duckdb"
    lock_wait: float = 30.0
    details_per_run: int = 500
    record_errors: bool = True
    record_error_messages: bool = False
    fetch_org_metadata: bool = True
    keep_copies: int = 7
    clock_tolerance_hours: float = 24.0
    quiet_hours: float = 6.0


@section("sources.salesforce")
@configspec
class SourceConfiguration(BaseConfiguration):
    """`[sources.salesforce]` without the credentials, as dlt passes it to the source."""

    api_version: str = CURRENT_API_VERSION
    feeds: list[str] = field(default_factory=lambda: list(FEEDS))
    api_budget_percent: float = BUDGET_PERCENT
    job_type: str | None = None
    is_pk_chunking_enabled: bool | None = None
    concurrency_mode: str | None = None


@dataclass(frozen=True)
class Settings:
    """The settings of a run, with absolute paths."""

    primary_file: Path  # the primary database
    warehouse: Path  # the published copy
    lock_wait: float = 30.0  # seconds to wait while the primary database is locked
    details_per_run: int = 500  # finished jobs whose details are fetched; 0: none
    fetch_org_metadata: bool = True  # users, limits and the org's name
    keep_copies: int = 0  # daily copies
    clock_tolerance_hours: float = 24.0  # allowed difference between the org's clock and this machine's; 0: any
    feeds: tuple[str, ...] = FEEDS  # the listings to record
    record_errors: bool = True  # read why the records of loads failed
    record_error_messages: bool = False  # keep messages that are not Salesforce's own, too
    quiet_hours: float = 6.0  # how long `--quiet` is silent about temporary failures
    demo: bool = False  # whether these are the demo's files
    moment: datetime | None = None  # what the published copy takes as "now"; None: this machine's clock


def read_settings() -> Settings:
    """The settings; relative paths start at the project. Raises ConfigError with the key and where it is set."""
    recorder = resolved(RecorderConfiguration(), "query_jobs")
    if not 0 <= recorder.lock_wait < float("inf"):
        raise ConfigError(
            f"{named('query_jobs.lock_wait')} is {recorder.lock_wait:g}.", "It must be a number of seconds, 0 or more."
        )
    if not 0 <= recorder.details_per_run <= MAX_DETAILS_PER_RUN:
        raise ConfigError(
            f"{named('query_jobs.details_per_run')} is {sanitize(recorder.details_per_run, 60)}.",
            f"It must be a number of jobs from 0 to {MAX_DETAILS_PER_RUN:,}; 0 turns it off.",
        )
    if recorder.keep_copies < 0:
        raise ConfigError(
            f"{named('query_jobs.keep_copies')} is {recorder.keep_copies}.",
            "It must be a number of daily copies, 0 or more; 0 turns them off.",
        )
    if not 0 <= recorder.clock_tolerance_hours <= MAX_CLOCK_TOLERANCE_HOURS:
        raise ConfigError(
            f"{named('query_jobs.clock_tolerance_hours')} is {recorder.clock_tolerance_hours:g}.",
            f"It must be a number of hours from 0 to {MAX_CLOCK_TOLERANCE_HOURS:,}; 0 accepts any clock.",
        )
    if not 0 <= recorder.quiet_hours <= MAX_QUIET_HOURS:
        raise ConfigError(
            f"{named('query_jobs.quiet_hours')} is {recorder.quiet_hours:g}.",
            f"It must be a number of hours from 0 to {MAX_QUIET_HOURS:,}; 0 reports every failure at once.",
        )
    key, given = _primary_file()
    primary_file = project_path(given)
    warehouse = project_path(recorder.warehouse)
    _check_not_left_behind(given, primary_file)
    _check_path(key, primary_file)
    _check_path("query_jobs.warehouse", warehouse)
    if primary_file.resolve() == warehouse.resolve() or (
        warehouse.exists() and primary_file.exists() and warehouse.samefile(primary_file)
    ):
        raise ConfigError(
            f"The primary database and the published copy are the same file: {warehouse}.",
            "Readers would block the loader: set `warehouse` under [query_jobs] to another path.",
        )
    return Settings(
        primary_file,
        warehouse,
        lock_wait=recorder.lock_wait,
        details_per_run=recorder.details_per_run,
        fetch_org_metadata=recorder.fetch_org_metadata,
        keep_copies=recorder.keep_copies,
        clock_tolerance_hours=recorder.clock_tolerance_hours,
        feeds=read_feeds("sources.salesforce"),
        record_errors=recorder.record_errors,
        record_error_messages=recorder.record_error_messages,
        quiet_hours=recorder.quiet_hours,
    )


def read_feeds(section: str) -> tuple[str, ...]:
    """The listings that this section asks for, in the usual order."""
    feeds = resolved(SourceConfiguration(), section).feeds
    unknown = sorted({sanitize(repr(feed), 40) for feed in feeds if feed not in FEEDS})
    if unknown or not feeds:
        known = " and ".join(f'"{feed}"' for feed in FEEDS)
        raise ConfigError(
            f"{named(f'{section}.feeds')} is {', '.join(unknown) if unknown else 'empty'}.",
            f"It must be a list of one or both of {known}.",
        )
    return tuple(feed for feed in FEEDS if feed in feeds)


def _check_path(key: str, path: Path) -> None:
    try:
        path.stat()
    except OSError as error:
        if is_long_name(error):
            raise ConfigError(
                f"{named(key)} is too long for the file system: {sanitize(path, 100)}…", "Choose a shorter path."
            ) from None
    if path.is_dir():
        raise ConfigError(
            f"{named(key)} is {path}, which is a directory.",
            "Set it to the path of a file; the file need not exist yet.",
        )
    if not path.parent.is_dir():
        raise ConfigError(
            f"{named(key)} is {path}, whose directory does not exist.",
            "Create the directory, or change the setting (see .dlt/config.toml).",
        )
    if unusable := unusable_in(path):
        raise ConfigError(
            f"{named(key)} is {path}, which contains {unusable}: DuckDB misreads that and cannot write there.",
            "Choose a path without it.",
        )
    try:
        check_regular(path)
    except ConfigError as wrong:
        raise ConfigError(f"{named(key)}: {wrong.message}", wrong.remedy) from None


def unusable_in(path: Path) -> str:
    """What DuckDB misreads in a path, as text for a message; empty if nothing."""
    try:
        str(path).encode()
    except UnicodeEncodeError:  # file names are bytes; Python keeps those it cannot decode
        return "a character that is not UTF-8"
    return " and ".join(sorted(set(str(path)) & UNUSABLE))


def _primary_file() -> tuple[str, str]:
    """The primary database: the key that sets it, and its path, given as `credentials` or as `credentials.database`."""
    keys = (PRIMARY_FILE_PATH, (*PRIMARY_FILE_PATH, "database"))
    found = [(".".join(key), one) for key in keys if (one := active().settings.find(key, secret=True))]
    found = [(key, one) for key, one in found if not isinstance(one.value, dict)]
    # The environment takes precedence over files, whichever key it uses.
    key, one = min(found, key=lambda item: isinstance(item[1].place, Path), default=(PRIMARY_FILE, None))
    try:
        spec = DuckDbCredentials()
        spec.parse_native_representation((one.value.strip() if one else "") or DEFAULT_PRIMARY)
    except (ValueError, TypeError, AttributeError, ConfigurationException):
        raise ConfigError(f"{named(key)} must be the path of the primary database.", "See .dlt/config.toml.") from None
    return key, str(spec.database)


def _check_not_left_behind(given: str, primary_file: Path) -> None:
    """In version 0.1.0, relative paths started at DLT_LOCAL_DIR if that was set. What it recorded there is continued
    only if its full path is set. Raises ConfigError where a new history would start unnoticed."""
    elsewhere = dlt_variables.aside.get("DLT_LOCAL_DIR", os.environ.get("DLT_LOCAL_DIR"))
    if not elsewhere or primary_file.exists():
        return
    left = Path(os.path.abspath(Path(elsewhere) / Path(given).expanduser()))
    if left.is_file():
        raise ConfigError(
            f"{primary_file} does not exist yet, but {left} does: DLT_LOCAL_DIR made version 0.1.0 record there.",
            "Relative paths now start at the project. To continue that history, set its full path as `credentials` "
            "under [destination.duckdb], and that of its copy as `warehouse` under [query_jobs]. To start a new "
            "history, unset DLT_LOCAL_DIR.",
        )


def warehouse_to_read(given: Path | None, demo: Path | None) -> Path:
    """The warehouse to read: the one given, else the published copy, else the demo's, if that may take its place and
    nothing is recorded yet.

    Raises ConfigError if there is none, and says how to create one.
    """
    if given:
        if not given.is_file():
            raise ConfigError(f"There is no warehouse at {given}.", "Give the path of a published copy.")
        return given.resolve()
    settings = read_settings()
    if settings.warehouse.is_file():
        return settings.warehouse
    if settings.primary_file.exists():
        raise ConfigError(
            f"There is no warehouse at {settings.warehouse}.", f"The next load publishes it: {command_for('load')}."
        )
    if demo and demo.is_file():
        return demo
    instead = (
        f"To try it without an org: {command_for('demo')}"
        if demo
        else "The demo is read only if --warehouse names its file."
    )
    raise ConfigError(
        f"There is no warehouse at {settings.warehouse} yet.",
        f"The first load creates it: {command_for('load')}. {instead}",
    )


def warn(failure: RecorderError) -> None:
    logger.warning("%s", failure)


def read_credentials(on_exposed: Callable[[RecorderError], None] = warn, name: str = SECTION) -> SalesforceCredentials:
    """The credentials, complete, for one sign-in method. Raises ConfigError before any request is sent.

    `on_exposed` is called for each of their files that other users can read. By default it logs a warning, which also
    appears with `--quiet`: cron mails it, and the load continues.
    """
    try:
        credentials = resolved(SalesforceCredentials().set_in(name), name)
    finally:
        # dlt pickles every value that it resolved into the next run's trace. It leaves out secrets, but not those
        # inside a URL: a password, or the session id of a link copied from the browser.
        get_resolved_traces().clear()
    found = [
        active().settings.find((*name.split("."), key), secret=True)
        for key, hint in credentials.get_resolvable_fields().items()
        if is_secret_hint(hint) and getattr(credentials, key)
    ]
    read = {one.place for one in found if isinstance(one, Found) and isinstance(one.place, Path)}
    if key_file := credentials.key_file:
        read.add(key_file)
    for file in filter(_is_exposed, sorted(read)):
        shown = shlex.quote(str(file))
        on_exposed(ConfigError(f"{file} can be read by other users of this machine. Run: chmod 600 {shown}"))
    return credentials


def _is_exposed(file: Path) -> bool:
    """Whether other users can read it. If the file is not ours, group access is fine: we may need it ourselves."""
    try:
        found = file.stat()
    except (OSError, ValueError):  # a key that is neither PEM nor a path is reported at sign-in
        return False
    others = stat.S_IROTH | (stat.S_IRGRP if found.st_uid == os.geteuid() else 0)
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & others)


def project_path(path: str) -> Path:
    """The path, made absolute: relative paths start at the project."""
    return Path(os.path.abspath(Path(active().local_dir) / Path(path).expanduser()))
