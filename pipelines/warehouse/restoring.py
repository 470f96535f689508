"""How to get the loader's file back, as commands to run: from the newest of its copies that is whole."""

import os
import shlex
from pathlib import Path
from typing import Final

from pipelines.errors import Misconfigured
from pipelines.tables import LISTINGS
from pipelines.warehouse.copies import newest_good
from pipelines.warehouse.damage import UNREADABLE, fingerprint
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.file_identity import read_identity
from pipelines.warehouse.schema import stored_columns
from pipelines.warehouse.state_folder import StateFolder

PUBLISHED: Final = "published.json"  # beside the loader's file: what was published last, and what that file was


def copied(source: Path, loader_file: Path) -> str:
    """The command that restores the loader's file from another one. What a killed load left in its log is of the file
    that was there before."""
    names = (str(source), str(loader_file), f"{loader_file}.wal")
    return "cp {} {} && rm -f {}".format(*map(shlex.quote, names))


def damaged(loader_file: Path, warehouse: Path, part: str) -> Misconfigured:
    """What to say where the loader's file cannot be read whole: what is damaged, and how to restore it."""
    said = f"The loader's file {loader_file} is damaged: {part}. It is not published."
    if part == UNREADABLE:
        said = f"The loader's file {loader_file} cannot be opened: {part} is damaged, or it is not a DuckDB file."
    return Misconfigured(said, restore(loader_file, warehouse))


def restore(loader_file: Path, warehouse: Path) -> str:
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
