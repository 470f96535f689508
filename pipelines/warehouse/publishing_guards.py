"""What publishing must not replace: the warehouse of another loader's file, or one that holds what this file lacks.

A warehouse is only replaced if it was published from the same loader's file (see `file_identity.py`), and holds nothing
that this file lacks. That is judged before anything is listed, and once more, under a lock, right before the copy takes
its place: two recorders may have begun at once.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from pipelines.errors import Misconfigured, TryLater, is_permission_error, sanitize
from pipelines.interrupts import raise_if_interrupted
from pipelines.regular_files import holds_something
from pipelines.tables import LISTINGS
from pipelines.warehouse.contents import Contents, contents, has_listing
from pipelines.warehouse.damage import fingerprint, is_damage
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.primary import LOCK_MESSAGE, locking_problem
from pipelines.warehouse.restoring import PUBLISHED, copied, restore
from pipelines.warehouse.schema import stored_columns
from pipelines.warehouse.state_folder import StateFolder


def check_begun(loader_file: Path, warehouse: Path) -> None:
    """Raises Misconfigured where a new history would be begun over the copy of another one, or in a file that is empty
    but held one."""
    if holds_something(loader_file):
        return
    state = StateFolder(loader_file)
    if holds_something(warehouse):
        raise Misconfigured(
            f"The loader's file {loader_file} is {'empty' if loader_file.exists() else 'missing'}, but the warehouse "
            f"{warehouse} exists: a new history would replace it.",
            "If another recorder publishes there, give `warehouse` under [query_jobs] another name; to start a new "
            f"history, move it away. If the loader's file was lost: {restore(loader_file, warehouse)}",
        )
    if loader_file.exists() and state.identity and not state.is_provisional:
        raise Misconfigured(
            f"The loader's file {loader_file} is empty, but jobs were recorded in it: a new history would begin there.",
            f"To start a new history, remove the empty file; otherwise: {restore(loader_file, warehouse)}",
        )


def check_published(loader: duckdb.DuckDBPyConnection, loader_file: Path, warehouse: Path) -> Contents:
    """What the loader's file holds. Raises Misconfigured where publishing would replace what it does not hold: the
    warehouse of another loader's file, a newer or fuller one than this, or a file that is no warehouse at all. Raises
    TryLater where that cannot be found out, because somebody writes into it."""
    mine = contents(loader)
    if holds_something(warehouse):
        there = _remembered(StateFolder(loader_file), warehouse) or _contents_of(warehouse)
        _compare(loader, mine, there, loader_file, warehouse)
    return mine


def _remembered(state: StateFolder, warehouse: Path) -> Contents | None:
    """What the warehouse holds, if it is what was published from here last, and as it was then; else None."""
    last = state.read_json(PUBLISHED)
    try:
        if last.get("fingerprint") != fingerprint(warehouse):
            return None
        return Contents(**last["contents"])
    except (OSError, KeyError, TypeError):  # not to be read, or as another version remembers it
        return None


def _contents_of(warehouse: Path) -> Contents:
    """What a warehouse holds. Where somebody writes into it, or did and left a log, that is what it holds without."""
    try:
        return _contents_in(warehouse, warehouse)
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if LOCK_MESSAGE not in str(error) and "WAL" not in str(error):
            raise _no_warehouse(warehouse, error) from None
        said = str(error).splitlines()[0][:200]
    try:
        with TemporaryDirectory() as folder:
            return _contents_in(Path(shutil.copyfile(warehouse, Path(folder) / "copy.duckdb")), warehouse)
    except (duckdb.Error, RuntimeError, OSError) as error:
        raise_if_interrupted(error)
        raise locking_problem(warehouse) or TryLater(
            f"{warehouse} cannot be read: {said}",
            "Close the program that has it open for writing; until then it is not replaced.",
        ) from None


def _contents_in(file: Path, warehouse: Path) -> Contents:
    with open_database(file, read_only=True) as copy:
        there = contents(copy)
        if there.identity is None and not stored_columns(copy, LISTINGS):
            raise _no_warehouse(warehouse)
    return there


def _no_warehouse(warehouse: Path, error: Exception | None = None) -> Misconfigured:
    remedy = "Move it away, or give `warehouse` under [query_jobs] another name: publishing would replace it."
    if error and (is_damage(error) or is_permission_error(error)):
        return Misconfigured(f"{warehouse} cannot be read: {sanitize(str(error).splitlines()[0])}", remedy)
    return Misconfigured(f"{warehouse} exists, but is not a warehouse that this recorder published.", remedy)


def _compare(
    loader: duckdb.DuckDBPyConnection, mine: Contents, there: Contents, loader_file: Path, warehouse: Path
) -> None:
    if there.identity and there.identity != mine.identity:
        raise Misconfigured(
            f"{warehouse} was published from another loader's file (identity {there.identity}), not from {loader_file} "
            f"(identity {mine.identity}): publishing would replace that history.",
            "Give each recorder a `warehouse` of its own under [query_jobs], or move that one away.",
        )
    if there.newest_listing and not has_listing(loader, there.newest_listing):
        raise Misconfigured(
            f"{warehouse} has a listing of {there.newest_at} UTC that the loader's file {loader_file} lacks: "
            "publishing would lose it.",
            f"If the loader's file was lost or is older, restore it: {copied(warehouse, loader_file)} - "
            "otherwise move the warehouse away, or give `warehouse` under [query_jobs] another name.",
        )
    if any(mine.counts.get(what, 0) < count for what, count in there.counts.items()):
        raise Misconfigured(
            f"The loader's file {loader_file} holds {mine}, but {warehouse} holds {there}: publishing would lose rows.",
            f"If they should still be there, restore the loader's file: {copied(warehouse, loader_file)} - if they "
            "were removed on purpose, move the warehouse away and load again.",
        )
