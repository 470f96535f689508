"""The identity of a file: created with the primary database and stored in it, and so in all its copies.

It is also in the folder beside the file (see `state_folder.py`), where it can be read while the file is locked. A
recording with a simulated clock also stores the time of its last load, which readers then use as "now".
"""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from pipelines.errors import ConfigError
from pipelines.warehouse.database_file import read_macro

MACRO: Final = "main.recorder_identity"  # a macro, so that it does not appear in lists of tables
MOMENT: Final = "main.recorded_at"
DEMO: Final = "demo-"  # prefix of the identity of a demo file


def new_identity(*, demo: bool = False) -> str:
    """A unique identity."""
    return f"{DEMO if demo else ''}{uuid.uuid4()}"


def read_identity(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The identity of a file; None if an earlier version or another program created it."""
    return read_macro(connection, MACRO)


def write_identity(connection: duckdb.DuckDBPyConnection, identity: str) -> None:
    """Sets a file's identity, replacing an existing one."""
    connection.execute(f"create or replace macro {MACRO}() as '{identity}'")


def read_moment(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """The time that readers of this file use as "now"; None for the machine's clock."""
    moment = read_macro(connection, MOMENT)
    return datetime.fromisoformat(moment) if moment else None


def write_moment(connection: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    """Sets the time that readers of this file use as "now"."""
    connection.execute(f"create or replace macro {MOMENT}() as '{moment.astimezone(UTC).isoformat()}'")


def refuse_demo(identity: str | None, path: Path) -> None:
    """Raises ConfigError if the file belongs to a demo."""
    if is_demo(identity):
        raise ConfigError(
            f"{path} is a recording of the demo org; your own org cannot be recorded into it.",
            "Set DESTINATION__DUCKDB__CREDENTIALS to another path (see .dlt/config.toml).",
        )


def is_demo(identity: str | None) -> bool:
    """Whether the identity is a demo file's."""
    return bool(identity and identity.startswith(DEMO))
