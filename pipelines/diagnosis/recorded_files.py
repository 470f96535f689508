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
from pipelines.warehouse.primary import DatabaseLocked, locking_problem
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
    try:
        if holds_something(file):
            with open_database(file, read_only=True) as primary:
                refuse_demo(read_identity(primary), file)
                check_published(primary, file, warehouse)
            if part := damaged_part(file):
                found.bad(damaged(file, warehouse, part))
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if is_damage(error) and (part := damaged_part(file)):
            found.bad(damaged(file, warehouse, part))
            return
        said = str(error).splitlines()[0][:300]
        if without := locking_problem(file) if LOCK_MESSAGE in said else None:
            found.bad(without)
        elif LOCK_MESSAGE in said:
            holder = DatabaseLocked(file, said).holder
            found.note(
                f"the primary database is locked by {holder}: a load, or a program that should open the published copy"
            )
        else:
            found.bad(ConfigError(f"the primary database cannot be opened: {said}", "See docs/operations.md, Restore."))


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
