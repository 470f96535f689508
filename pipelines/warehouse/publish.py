"""Publishing: the warehouse that people open becomes a copy of the loader's file, but never in place of something that
this file does not hold.

A warehouse is only replaced if it was published from the same loader's file (see `file_identity.py`), and holds nothing
that this file lacks. That is judged before anything is listed, and once more, under a lock, right before the copy takes
its place: two recorders may have begun at once.
"""

import fcntl
import json
import logging
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb

from pipelines.errors import Failure, Misconfigured, TryLater, not_permitted, quoted
from pipelines.interrupts import raise_if_interrupted
from pipelines.regular_files import holds_something
from pipelines.tables import DATASET, LISTINGS, QUERY_JOB_STATES, QUERY_JOBS, Table
from pipelines.warehouse.atomic_file import is_mount, leftovers, replacing
from pipelines.warehouse.copies import free_room, has_room, keep_copy, newest_good
from pipelines.warehouse.damage import UNREADABLE, DamagedFile, damaged_part, fingerprint, is_damage, suspects_in
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.file_identity import read_identity
from pipelines.warehouse.primary import LOCK_MESSAGE, POLL, LoaderFile, no_locks, no_locks_behind
from pipelines.warehouse.schema import stored_columns
from pipelines.warehouse.state_folder import StateFolder

# Tables whose rows only ever grow in number, counted together: a migration may move rows from one to another.
COUNTED: Final = {"listings": (LISTINGS,), "jobs": (QUERY_JOBS,), "states": (QUERY_JOB_STATES,)}
PUBLISHED: Final = "published.json"
SPARE_ROOM: Final = 2**24  # bytes that are to be free besides a new copy, before earlier ones go
LOCK_WAIT: Final = 60.0  # seconds for another recorder that publishes to the same place

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contents:
    """What a file holds, as far as it decides whether another file may take its place."""

    identity: str | None
    newest_listing: str | None
    newest_at: str  # when that was finished, for people
    counts: dict[str, int]

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {what}" for what, count in self.counts.items())


def contents(connection: duckdb.DuckDBPyConnection) -> Contents:
    """What a file holds. Raises duckdb.Error."""
    counts = {}
    for what, tables in COUNTED.items():
        there = [table for table in tables if stored_columns(connection, table)]
        sums = " + ".join(f"({_count(connection, table)})" for table in there)
        row = connection.execute(f"select {sums or 0}").fetchone()
        counts[what] = int(row[0]) if row else 0
    newest = None
    if counts["listings"]:
        newest = connection.execute(
            "select listing_id, strftime(finished_at at time zone 'UTC', '%Y-%m-%d %H:%M') "
            f"from {DATASET}.listings order by finished_at desc limit 1"
        ).fetchone()
    identifier, at = newest or (None, "")
    return Contents(read_identity(connection), identifier, at, counts)


def _count(connection: duckdb.DuckDBPyConnection, table: Table) -> str:
    """The query that counts a table's rows; where an org is there under both forms of its id, as the rows that are left
    when it is joined (`org_join.py`)."""
    if stored_columns(connection, LISTINGS):
        short = f"select 1 from {DATASET}.listings where length(org_id) = 15 limit 1"
        if connection.execute(short).fetchone():
            key = ", ".join(column for column in table.key if column != "org_id")
            return f"select count(*) from (select distinct left(org_id, 15), {key} from {DATASET}.{table.name})"
    return f"select count(*) from {DATASET}.{table.name}"


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
            f"history, move it away. If the loader's file was lost: {_restore(loader_file, warehouse)}",
        )
    if loader_file.exists() and state.identity and not state.is_provisional:
        raise Misconfigured(
            f"The loader's file {loader_file} is empty, but jobs were recorded in it: a new history would begin there.",
            f"To start a new history, remove the empty file; otherwise: {_restore(loader_file, warehouse)}",
        )


def copied(source: Path, loader_file: Path) -> str:
    """The command that restores the loader's file from another one. What a killed load left in its log is of the file
    that was there before."""
    names = (str(source), str(loader_file), f"{loader_file}.wal")
    return "cp {} {} && rm -f {}".format(*map(shlex.quote, names))


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
        raise no_locks_behind(warehouse) or TryLater(
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
    if error and (is_damage(error) or not_permitted(error)):
        return Misconfigured(f"{warehouse} cannot be read: {quoted(str(error).splitlines()[0])}", remedy)
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


def has_listing(loader: duckdb.DuckDBPyConnection, listing_id: str) -> bool:
    if not stored_columns(loader, LISTINGS):
        return False
    found = loader.execute(f"select 1 from {DATASET}.listings where listing_id = ?", [listing_id])
    return found.fetchone() is not None


def publish(loader: LoaderFile, warehouse: Path, keep_copies: int) -> None:
    """Replaces the published warehouse by a copy of the loader's file, in one step, if no block of it is damaged.

    The loader's file stays locked while its bytes are copied. Readers of the old copy keep it until they close it. A
    warehouse that is a symbolic link stays one. Raises Misconfigured, TryLater or Failure; the loader's file is not
    touched by any.
    """
    target = Path(os.path.realpath(warehouse))
    try:
        with _only_publisher(target):
            for left in leftovers(target):  # by a load that was killed
                left.unlink()
            loader.connection.execute("checkpoint")
            _make_room(loader, target)
            with replacing(target) as new:
                _copy(loader, new)
                if part := damaged_part(new):
                    raise damaged(loader.path, warehouse, part)
                published = check_published(loader.connection, loader.path, target)
                if warning := keep_copy(new, target, keep_copies):
                    logger.warning("%s", warning)
                # Who wrote into the published copy left a write-ahead log. It belongs to the old copy, and DuckDB would
                # apply it to whatever has the name: it goes first, so that no reader finds it beside the new file.
                target.with_name(target.name + ".wal").unlink(missing_ok=True)
                # Before it takes its place: if that does not come about, another file lies there than is remembered.
                last = {"fingerprint": fingerprint(new), "contents": asdict(published)}
                StateFolder(loader.path).write(PUBLISHED, json.dumps(last))
    except OSError as error:
        raise _not_published(loader.path, warehouse, error) from None


def damaged(loader_file: Path, warehouse: Path, part: str) -> Misconfigured:
    """What to say where the loader's file cannot be read whole: what is damaged, and how to restore it."""
    said = f"The loader's file {loader_file} is damaged: {part}. It is not published."
    if part == UNREADABLE:
        said = f"The loader's file {loader_file} cannot be opened: {part} is damaged, or it is not a DuckDB file."
    return Misconfigured(said, _restore(loader_file, warehouse))


def _restore(loader_file: Path, warehouse: Path) -> str:
    """How to get the loader's file back: from the newest of the published warehouse and the daily copies that is whole,
    of this file, and as it was published."""
    state = StateFolder(loader_file)
    published = state.read_json(PUBLISHED).get("fingerprint")

    def is_its_copy(copy: Path) -> bool:
        with open_database(copy, read_only=True) as connection:
            mine = not state.identity or read_identity(connection) in (state.identity, None)
            return mine and bool(stored_columns(connection, LISTINGS))

    def is_as_published(copy: Path) -> bool:
        return (copy != warehouse or published in (None, fingerprint(warehouse))) and is_its_copy(copy)

    good = newest_good(warehouse, is_as_published)
    if good:
        away = "" if good == warehouse or not warehouse.exists() else f"{_moved_away(warehouse)}; "
        return f"Restore it from the newest good copy, and load: {away}{copied(good, loader_file)}"
    if good := newest_good(warehouse, is_its_copy):
        return (
            f"The only copy that can be read, {good}, was written into since it was published. To restore the "
            f"loader's file from it all the same, and load: {copied(good, loader_file)}"
        )
    return (
        "No good copy of it was found. Restore it from a backup; if it is not a DuckDB file, change "
        "DESTINATION__DUCKDB__CREDENTIALS (see .dlt/config.toml)."
    )


def _moved_away(warehouse: Path) -> str:
    """The command that moves the warehouse away, and nothing that was moved away earlier."""
    file = Path(os.path.realpath(warehouse))
    there = file.with_name(file.name + ".old")
    while there.exists():
        there = there.with_name(there.name + "+")
    return f"mv {shlex.quote(str(file))} {shlex.quote(str(there))}"


def _not_published(loader_file: Path, warehouse: Path, error: OSError) -> Failure:
    wrong_place = not_permitted(error) or isinstance(error, FileNotFoundError | IsADirectoryError)
    said = f"The jobs are recorded in {loader_file.name}, but the copy {warehouse} could not be published: "
    if is_mount(error):
        return Misconfigured(
            f"{said}it is a mount of its own, which cannot be replaced ({error.strerror}).",
            "Mount the directory that holds it, not the single file.",
        )
    return (Misconfigured if wrong_place else Failure)(
        f"{said}{error.strerror}.",
        "Free some space, let this user write there, or change `warehouse` under [query_jobs]; "
        "the next load publishes again.",
    )


@contextmanager
def _only_publisher(warehouse: Path) -> Iterator[None]:
    """The right to replace this warehouse, waited for: two recorders may have been given the same one."""
    deadline = time.monotonic() + LOCK_WAIT
    # To be read only: who shares the directory need not share the file.
    with open(os.open(warehouse.with_name(f".{warehouse.name}.lock"), os.O_RDONLY | os.O_CREAT, 0o666)) as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TryLater(
                        f"Another recorder has been publishing to {warehouse} for {LOCK_WAIT:.0f} seconds.",
                        "The jobs are recorded; the next load publishes again.",
                    ) from None
                time.sleep(POLL)
            except OSError as error:
                raise no_locks(warehouse, error) from None
        yield


def _make_room(loader: LoaderFile, target: Path) -> None:
    """Room for a new copy: earlier ones go for it, but only where the loader's file is whole and does not need them."""
    needed = os.fstat(loader.raw.fileno()).st_size + SPARE_ROOM
    if has_room(target, needed):
        return
    if suspects_in(loader.raw):
        raise DamagedFile
    free_room(target, needed)


def _copy(loader: LoaderFile, new: Path) -> None:
    loader.raw.seek(0)
    with new.open("wb") as copy:
        shutil.copyfileobj(loader.raw, copy, 4 * 2**20)


def open_published(warehouse: Path, identity: str, closing: ExitStack) -> duckdb.DuckDBPyConnection | None:
    """A read-only connection to the published warehouse, closed by `closing`; None if there is none, if it is held, or
    if it was published from another loader's file."""
    try:
        if not holds_something(warehouse):
            return None
        copy = closing.enter_context(open_database(warehouse, read_only=True))
        return copy if read_identity(copy) in (identity, None) else None
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        return None
