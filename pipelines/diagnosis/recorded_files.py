"""Checks the primary database, the published copy, and the files beside them."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from pipelines.answers.findings.words import duration
from pipelines.config.settings import Settings
from pipelines.diagnosis.examination import Diagnosis
from pipelines.errors import ConfigError, RecorderError
from pipelines.interrupts import raise_if_interrupted
from pipelines.recording.kept_listings import waiting
from pipelines.regular_files import holds_something
from pipelines.warehouse.copies import copies, space_taken
from pipelines.warehouse.damage import damaged_part, is_damage
from pipelines.warehouse.database_file import LOCK_MESSAGE, open_database
from pipelines.warehouse.file_identity import read_identity, refuse_demo
from pipelines.warehouse.primary import (
    AnotherLoadRuns,
    DatabaseLocked,
    exclusive_load,
    is_open_elsewhere,
    locking_problem,
    unusable,
)
from pipelines.warehouse.publishing_guards import check_begun, check_published
from pipelines.warehouse.reader import read
from pipelines.warehouse.restoring import damaged
from pipelines.warehouse.state_folder import StateFolder

# As in `check`: filtered listings prove nothing about the whole org, unless there are no others. Each feed that is
# recorded counts by itself; of several orgs, the one that was recorded last.
LAST: Final = """
select feed, max(coalesce(covered_to, listed_at)) as last from recorded_feeds
where is_current
group by 1 order by 1 desc
"""


def examine_files(found: Diagnosis, settings: Settings) -> None:
    """Raises a RecorderError if no load could start."""
    for name, file in (("primary database", settings.primary_file), ("published copy", settings.warehouse)):
        if not os.access(file.parent, os.W_OK):
            found.bad(ConfigError(f"{name} {file}: the directory is not writable.", "Let this user write there."))
        else:
            found.good(f"{name}: {file}{'' if file.exists() else ' (will be created)'}")
    check_begun(settings.primary_file, settings.warehouse)
    _examine_primary(found, settings.primary_file, settings.warehouse)
    state = StateFolder(settings.primary_file)
    try:
        state.check()
    except ConfigError as error:
        found.bad(error)
    _examine_kept(found, state)
    _examine_copies(found, settings)
    _examine_history(found, settings.warehouse)


def _examine_primary(found: Diagnosis, file: Path, warehouse: Path) -> None:
    if not holds_something(file):
        return
    try:
        with open_database(file, read_only=True) as primary:
            refuse_demo(read_identity(primary), file)
            check_published(primary, file, warehouse)
        if part := damaged_part(file):
            found.bad(damaged(file, warehouse, part))
        if is_open_elsewhere(file):
            _examine_lock(found, DatabaseLocked(file))
    except (duckdb.Error, RuntimeError, OSError) as error:
        raise_if_interrupted(error)
        if is_damage(error) and (part := damaged_part(file)):
            found.bad(damaged(file, warehouse, part))
        elif LOCK_MESSAGE not in str(error):
            found.bad(unusable(file, error))
        elif without := locking_problem(file):
            found.bad(without)
        else:
            _examine_lock(found, DatabaseLocked(file, str(error)))


def _examine_lock(found: Diagnosis, locked: DatabaseLocked) -> None:
    """By a load, as it should be, or by a program that keeps every load from recording."""
    try:
        with exclusive_load(locked.path):
            found.bad(locked)
    except AnotherLoadRuns:
        found.note(f"a load is running ({locked.holder})")


def _examine_copies(found: Diagnosis, settings: Settings) -> None:
    try:
        daily = copies(settings.warehouse)
        if daily:
            size = space_taken(settings.warehouse) / 1e6
            found.good(f"daily copies in {daily[0].parent}: {len(daily)}, {size:,.0f} MB in total")
    except OSError as error:
        found.note(f"the daily copies of {settings.warehouse} cannot be read: {error.strerror}")
        return
    _examine_blocks(found, settings.warehouse, "If a load published it, the next load publishes it again.")
    for copy in daily:
        _examine_blocks(found, copy, "Remove it, and check the disk: a restore takes the newest intact copy.")


def _examine_blocks(found: Diagnosis, file: Path, remedy: str) -> None:
    try:
        if holds_something(file) and (part := damaged_part(file)):
            found.bad(ConfigError(f"{file} is damaged: {part}.", remedy))
    except (OSError, duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        found.note(f"{file} cannot be read: {str(error).splitlines()[0][:300]}")


def _examine_kept(found: Diagnosis, state: StateFolder) -> None:
    for kept in waiting(state):
        whose = "" if kept.identity in (state.identity, "None") else " into another primary database, not this one"
        found.note(f"a listing is waiting to be loaded{whose}: {kept.folder}")
    for folder in sorted(state.set_aside.glob("*/")):
        found.note(f"a kept listing could not be loaded and was moved to {folder}")


def _examine_history(found: Diagnosis, warehouse: Path) -> None:
    if not holds_something(warehouse):
        found.note("nothing is recorded yet")
        return
    try:
        feeds = read(LAST, warehouse).to_pylist()
    except (duckdb.Error, RecorderError) as error:
        raise_if_interrupted(error)
        found.note(f"the published copy cannot be read: {str(error).splitlines()[0][:300]}")
        return
    for feed in feeds:
        age = max(datetime.now(UTC) - feed["last"], timedelta(0))
        of_which = f" of /jobs/{feed['feed']}" if len(feeds) > 1 else ""
        last_listing = f"last complete listing{of_which}: {duration(age)} ago"
        if age > timedelta(hours=24):
            found.note(f"{last_listing}; the org forgets a finished job after seven days")
        else:
            found.good(last_listing)
