"""Where a demo puts its files, and which files of an earlier demo it removes first.

What may be removed depends on what a file contains, never on where it is: a demo's file has a demo's identity (see
`file_identity.py`) and only rows of the demo org. Version 0.1.0 gave its demos no identity, but put a marker file
beside them. Any other file is left alone, whatever its name.
"""

import os
import shlex
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import duckdb

from pipelines.config.settings import Settings, unusable_in
from pipelines.errors import ConfigError, RecorderError, TemporaryError, disk_full_error
from pipelines.interrupts import raise_if_interrupted
from pipelines.recording.kept_listings import listings_in
from pipelines.regular_files import holds_something
from pipelines.tables import DATASET
from pipelines.warehouse.atomic_file import is_mount
from pipelines.warehouse.database_file import CATALOG, LOCK_MESSAGE, open_database
from pipelines.warehouse.file_identity import is_demo, read_identity
from pipelines.warehouse.primary import DatabaseLocked, exclusive_load, locking_problem
from pipelines.warehouse.state_folder import StateFolder

MARKER_OF_0_1_0: Final = ".made_by_demo"
SCHEMAS: Final = {DATASET, f"{DATASET}_staging"}  # the only ones in a demo of version 0.1.0
# DuckDB's message for a log of an earlier state of this file: it identifies files by an id in their header.
STALE_LOG: Final = "created for this database file"
ELSEWHERE: Final = "give another --home"


@contextmanager
def cleared(settings: Settings, *org_ids: str) -> Iterator[None]:
    """Prepares the directory for a new demo of the orgs with these ids: removes an earlier demo's files, and holds the
    lock until the block ends.

    Raises TemporaryError if another demo or load is running, or a file is open elsewhere; ConfigError if the directory
    cannot be used, or holds something that is not known to be a demo's. Then nothing has been touched.
    """
    home = settings.primary_file.parent
    try:
        _check(settings, org_ids)
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_use(home, error) from None
    with ExitStack() as held:
        try:
            held.enter_context(exclusive_load(settings.primary_file))
        except TemporaryError as busy:
            raise TemporaryError(busy.message, f"Wait until it has ended, or {ELSEWHERE}.") from None
        except ConfigError as unusable:
            raise ConfigError(
                unusable.message, f"Let this user write there, or {ELSEWHERE}, on a local disk."
            ) from None
        try:
            _check(settings, org_ids)  # again: a demo may have started, or a load ended, since
            _check_not_held(settings.primary_file)
            _remove(settings)
        except OSError as error:
            raise _cannot_use(home, error) from None
        yield


def _check(settings: Settings, org_ids: Collection[str]) -> None:
    home = settings.primary_file.parent
    if unusable := unusable_in(home):
        raise ConfigError(
            f"{home} has {unusable} in its name: DuckDB would misread it.",
            f"{ELSEWHERE.capitalize()}.",
        )
    if home.exists() and not home.is_dir():
        raise ConfigError(f"{home} is not a directory.", f"{ELSEWHERE.capitalize()}.")
    if os.path.realpath(settings.primary_file) == os.path.realpath(settings.warehouse):
        raise ConfigError(
            f"{settings.primary_file} and {settings.warehouse} are the same file, by a symbolic link.",
            f"Remove the link, or {ELSEWHERE}.",
        )
    for file in (settings.primary_file, settings.warehouse):
        _check_file(file, org_ids)
    _check_state(StateFolder(settings.primary_file), org_ids)


def _check_file(file: Path, org_ids: Collection[str]) -> None:
    log = _log(file)
    if not holds_something(file):
        if holds_something(log):
            raise ConfigError(
                f"{log} is the log of a DuckDB file that is not there.",
                f"If a demo left it, remove it: rm {shlex.quote(str(log))} - otherwise {ELSEWHERE}.",
            )
        return
    try:
        why_not = _why_no_demo(file, org_ids)
    except ConfigError as wrong:  # a directory, a FIFO, a device
        raise ConfigError(wrong.message, f"{ELSEWHERE.capitalize()}.") from None
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if LOCK_MESSAGE in str(error):
            raise locking_problem(file) or _held(file, error) from None
        names = shlex.join(map(str, (file, log)))
        raise ConfigError(
            f"{file} cannot be read, so it is not known whether a demo made it: {str(error).splitlines()[0][:300]}",
            f"If one did, remove it: rm -f {names} - otherwise {ELSEWHERE}.",
        ) from None
    if why_not:
        raise ConfigError(f"{file} {why_not}, and a demo would replace it.", f"{ELSEWHERE.capitalize()}.")


def _why_no_demo(file: Path, org_ids: Collection[str]) -> str | None:
    """Why a file is not a demo's, as the end of a sentence; None if it is a demo's. Raises duckdb.Error."""
    with ExitStack() as closing:
        try:
            connection = closing.enter_context(open_database(file, read_only=True))
        except duckdb.Error as error:
            if STALE_LOG not in str(error):
                raise
            # A copy, not a link, which DuckDB would follow: a copy has no log beside it.
            copy = Path(closing.enter_context(tempfile.TemporaryDirectory())) / "copy.duckdb"
            shutil.copyfile(file, copy)
            connection = closing.enter_context(open_database(copy, read_only=True))
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = $1 order by all", [CATALOG]
        ).fetchall()
        identity = read_identity(connection)
        of_0_1_0 = file.with_name(MARKER_OF_0_1_0).exists() and {schema for schema, _ in tables} <= SCHEMAS
        if not (is_demo(identity) or (identity is None and of_0_1_0)):
            return "was not made by a demo"
        for schema, table in tables:
            name = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))
            columns = connection.execute(f"select * from {name} limit 0").description or ()
            if "org_id" in {str(column[0]).lower() for column in columns}:
                other = connection.execute(
                    f"select 1 from {name} where cast(org_id as varchar) not in (select unnest($1)) limit 1",
                    [[*org_ids, *(org_id[:15] for org_id in org_ids)]],
                ).fetchone()
                if other:
                    return f"has rows of an org other than the demo's in {schema}.{table}"
    return None


def _check_state(state: StateFolder, org_ids: Collection[str]) -> None:
    if state.path.exists() and not state.path.is_dir():
        raise ConfigError(f"{state.path} is not a directory.", f"Move it away, or {ELSEWHERE}.")
    kept = [*listings_in(state.kept), *listings_in(state.set_aside)]
    identities = {state.identity, *(listing.identity for listing in kept)} - {None}
    identities |= {folder.name.partition(".")[0] for folder in state.work.glob("*/")}
    other_orgs = {org for listing in kept for org in listing.orgs} - set(org_ids)
    if other_orgs or not all(is_demo(identity) for identity in identities):
        raise ConfigError(
            f"{state.path} belongs to a recording that is not a demo, and may hold its listings.",
            f"Move it back to its primary database, or {ELSEWHERE}.",
        )


def _check_not_held(file: Path) -> None:
    """Raises TemporaryError if another process has the primary database open."""
    if not holds_something(file):
        return
    try:
        open_database(file, read_only=False).close()
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if LOCK_MESSAGE in str(error):
            raise locking_problem(file) or _held(file, error) from None


def _held(file: Path, error: Exception) -> TemporaryError:
    holder = DatabaseLocked(file, str(error)).holder
    return TemporaryError(
        f"{file} is locked by {holder}.",
        f"Wait until it has ended, close it there, or {ELSEWHERE}.",
    )


def _remove(settings: Settings) -> None:
    """Removes an earlier demo's files, in such an order that what is left is recognizable as a demo's at any moment. A
    symbolic link is kept; its target is removed."""
    for file in (settings.warehouse, settings.primary_file):
        target = Path(os.path.realpath(file))
        for gone in (_log(file), _log(target), target):
            gone.unlink(missing_ok=True)
    StateFolder(settings.primary_file).remove()
    settings.primary_file.with_name(MARKER_OF_0_1_0).unlink(missing_ok=True)


def _log(file: Path) -> Path:
    return file.with_name(file.name + ".wal")


def _cannot_use(home: Path, error: OSError) -> RecorderError:
    why = "it is a mount point, which cannot be replaced" if is_mount(error) else error.strerror
    where = "" if error.filename in (None, str(home)) else f" ({error.filename})"
    return disk_full_error(error) or ConfigError(
        f"A demo cannot put its files into {home}: {why}{where}.",
        f"{ELSEWHERE.capitalize()}, a directory where this user may write.",
    )
