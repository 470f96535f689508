"""What publishing must not replace: the copy of another primary database, or one with data that this one lacks.

A published copy is only replaced if it came from the same primary database (see `file_identity.py`) and contains
nothing that this one lacks. This is checked before anything is listed, and again under a lock right before the copy is
replaced: two recorders may have started at the same time."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from pipelines.errors import ConfigError, TemporaryError, is_permission_error, sanitize
from pipelines.interrupts import raise_if_interrupted
from pipelines.regular_files import holds_something
from pipelines.tables import LISTINGS
from pipelines.warehouse.contents import Contents, contents, has_listing
from pipelines.warehouse.damage import fingerprint, is_damage
from pipelines.warehouse.database_file import LOCK_MESSAGE, open_database
from pipelines.warehouse.primary import locking_problem
from pipelines.warehouse.restoring import PUBLISHED, copied, restore
from pipelines.warehouse.schema import stored_columns
from pipelines.warehouse.state_folder import StateFolder


def check_begun(primary_file: Path, warehouse: Path) -> None:
    """Raises ConfigError if a new history would replace the copy of an existing one, or start in a file that is empty
    now but was not before."""
    if holds_something(primary_file):
        return
    state = StateFolder(primary_file)
    if holds_something(warehouse):
        raise ConfigError(
            f"The primary database {primary_file} is {'empty' if primary_file.exists() else 'missing'}, but its "
            f"published copy {warehouse} exists: a new history would replace it.",
            f"{restore(primary_file, warehouse)}\nIf another recorder publishes there, set `warehouse` under "
            "[query_jobs] to another path. To start a new history, move the published copy away.",
        )
    if primary_file.exists() and state.identity and not state.is_provisional:
        raise ConfigError(
            f"The primary database {primary_file} is empty, but jobs were recorded in it: a new history would start.",
            f"{restore(primary_file, warehouse)}\nTo start a new history instead, remove the empty file.",
        )


def check_published(primary: duckdb.DuckDBPyConnection, primary_file: Path, warehouse: Path) -> Contents:
    """The contents of the primary database. Raises ConfigError if publishing would lose data: the existing file is
    the copy of another primary database, is newer or has more rows than this one, or is not a published copy at all.
    Raises TemporaryError if that cannot be determined because another program is writing into it."""
    mine = contents(primary)
    if holds_something(warehouse):
        there = _remembered(StateFolder(primary_file), warehouse) or _contents_of(warehouse)
        _compare(primary, mine, there, primary_file, warehouse)
    return mine


def _remembered(state: StateFolder, warehouse: Path) -> Contents | None:
    """The contents of the published copy, if it is exactly what was last published from here; else None."""
    last = state.read_json(PUBLISHED)
    try:
        if last.get("fingerprint") != fingerprint(warehouse):
            return None
        return Contents(**last["contents"])
    except (OSError, KeyError, TypeError):  # unreadable, or remembered by another version
        return None


def _contents_of(warehouse: Path) -> Contents:
    """The contents of a published copy. Uncommitted changes of another program, and those in its log, are ignored."""
    try:
        return _contents_in(warehouse, warehouse)
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if LOCK_MESSAGE not in str(error) and "WAL" not in str(error):
            raise _no_warehouse(warehouse, error) from None
        reason = str(error).splitlines()[0][:200]
    try:
        with TemporaryDirectory() as folder:
            return _contents_in(Path(shutil.copyfile(warehouse, Path(folder) / "copy.duckdb")), warehouse)
    except (duckdb.Error, RuntimeError, OSError) as error:
        raise_if_interrupted(error)
        raise locking_problem(warehouse) or TemporaryError(
            f"{warehouse} cannot be read: {reason}",
            "Close the program that has it open for writing; until then it is not replaced.",
        ) from None


def _contents_in(file: Path, warehouse: Path) -> Contents:
    with open_database(file, read_only=True) as copy:
        there = contents(copy)
        if there.identity is None and not stored_columns(copy, LISTINGS):
            raise _no_warehouse(warehouse)
    return there


def _no_warehouse(warehouse: Path, error: Exception | None = None) -> ConfigError:
    remedy = "Publishing would replace it: move it away, or set `warehouse` under [query_jobs] to another path."
    if error and (is_damage(error) or is_permission_error(error)):
        return ConfigError(f"{warehouse} cannot be read: {sanitize(str(error).splitlines()[0])}", remedy)
    return ConfigError(f"{warehouse} exists, but is not a file that this recorder published.", remedy)


def _compare(
    primary: duckdb.DuckDBPyConnection, mine: Contents, there: Contents, primary_file: Path, warehouse: Path
) -> None:
    if there.identity and there.identity != mine.identity:
        raise ConfigError(
            f"{warehouse} was published from another primary database (identity {there.identity}), not from "
            f"{primary_file} (identity {mine.identity}): publishing would replace that history.",
            "Set a different `warehouse` under [query_jobs] for each recorder, or move this file away.",
        )
    if there.newest_listing and not has_listing(primary, there.newest_listing):
        raise ConfigError(
            f"{warehouse} has a listing of {there.newest_at} UTC that the primary database {primary_file} lacks: "
            "publishing would lose it.",
            f"If the primary database was lost or is older, restore it: {copied(warehouse, primary_file)} - "
            "otherwise move the published copy away, or set `warehouse` under [query_jobs] to another path.",
        )
    if any(mine.counts.get(what, 0) < count for what, count in there.counts.items()):
        raise ConfigError(
            f"The primary database {primary_file} has {mine}, but {warehouse} has {there}: publishing would lose rows.",
            f"If rows are missing by accident, restore the primary database: {copied(warehouse, primary_file)} - if "
            "they were removed on purpose, move the published copy away and load again.",
        )
