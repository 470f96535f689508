"""Which file is this? An identity that is made once with the loader's file and kept inside it; copies carry it along.

It also lies in the folder beside the file (see `state_folder.py`), where it can be read while somebody holds the file.
A recording whose clock is not this machine's carries the moment of its last load as well: it is read as of then.
"""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from pipelines.errors import Misconfigured
from pipelines.warehouse.database_file import read_macro

MACRO: Final = "main.recorder_identity"  # not a table: people's lists of tables stay as they are
MOMENT: Final = "main.recorded_at"
DEMO: Final = "demo-"  # how the identity of a file of the demo org begins


def new_identity(*, demo: bool = False) -> str:
    """An identity that no other file has."""
    return f"{DEMO if demo else ''}{uuid.uuid4()}"


def read_identity(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The identity inside a file; None in one that a version before identities made, or another program."""
    return read_macro(connection, MACRO)


def write_identity(connection: duckdb.DuckDBPyConnection, identity: str) -> None:
    """Gives a file its identity. One that it has already is replaced."""
    connection.execute(f"create or replace macro {MACRO}() as '{identity}'")


def read_moment(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """The moment as of which a file is to be read; None where that is this machine's now."""
    moment = read_macro(connection, MOMENT)
    return datetime.fromisoformat(moment) if moment else None


def write_moment(connection: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    """Has a file be read as of this moment from now on."""
    connection.execute(f"create or replace macro {MOMENT}() as '{moment.astimezone(UTC).isoformat()}'")


def refuse_demo(identity: str | None, path: Path) -> None:
    """Raises Misconfigured where a file of one's own turns out to be a demo's."""
    if is_demo(identity):
        raise Misconfigured(
            f"{path} is a recording of the demo org: nothing of your own is recorded into it.",
            "Give the loader's file another name: DESTINATION__DUCKDB__CREDENTIALS (see .dlt/config.toml).",
        )


def is_demo(identity: str | None) -> bool:
    """Whether it is that of a file of the demo org."""
    return bool(identity and identity.startswith(DEMO))
