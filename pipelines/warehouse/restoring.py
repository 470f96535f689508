"""How to restore the primary database, as commands to run: from its newest intact copy."""

import os
import shlex
from pathlib import Path
from typing import Final

from pipelines.errors import ConfigError
from pipelines.tables import LISTINGS
from pipelines.warehouse.copies import newest_good
from pipelines.warehouse.damage import UNREADABLE, fingerprint
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.file_identity import read_identity
from pipelines.warehouse.schema import stored_columns
from pipelines.warehouse.state_folder import StateFolder

PUBLISHED: Final = "published.json"  # in the state folder: the fingerprint and contents of what was last published


def copied(source: Path, primary_file: Path) -> str:
    """The command that restores the primary database from a copy. A log left by a killed load belongs to the old file,
    so it is removed."""
    names = (str(source), str(primary_file), f"{primary_file}.wal")
    return "cp {} {} && rm -f {}".format(*map(shlex.quote, names))


def damaged(primary_file: Path, warehouse: Path, part: str) -> ConfigError:
    """The error for a damaged primary database: what is damaged, and how to restore it."""
    message = f"The primary database {primary_file} is damaged: {part}. It was not published."
    if part == UNREADABLE:
        message = (
            f"The primary database {primary_file} cannot be opened: {part} is damaged, or it is not a DuckDB file."
        )
    return ConfigError(message, restore(primary_file, warehouse))


def restore(primary_file: Path, warehouse: Path) -> str:
    """How to restore the primary database: from the newest of the published copy and the daily copies that is intact,
    belongs to it, and was not modified since."""
    state = StateFolder(primary_file)
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
        return f"Restore it from the newest good copy, then load again: {away}{copied(good, primary_file)}"
    if good := newest_good(warehouse, is_its_copy):
        return (
            f"The only readable copy, {good}, was modified after it was published. To restore the primary database "
            f"from it anyway, then load again: {copied(good, primary_file)}"
        )
    return (
        "No good copy of it was found. Restore it from a backup; if it is not a DuckDB file, change "
        "DESTINATION__DUCKDB__CREDENTIALS (see .dlt/config.toml)."
    )


def _moved_away(warehouse: Path) -> str:
    """The command that moves the published copy away, without overwriting one that was moved away earlier."""
    file = Path(os.path.realpath(warehouse))
    there = file.with_name(file.name + ".old")
    while there.exists():
        there = there.with_name(there.name + "+")
    return f"mv {shlex.quote(str(file))} {shlex.quote(str(there))}"
