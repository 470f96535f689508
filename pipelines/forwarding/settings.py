"""`[forward]`: where the recorded jobs are forwarded to, and as whom.

The credentials are dlt's own keys, under [destination.<name>]. Of all settings of other programs, these are the only
ones that reach dlt, and only while something is forwarded or examined.
"""

import re
from dataclasses import dataclass
from typing import Final

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration

from pipelines.config.dlt_context import active, named, resolved, section
from pipelines.config.own_settings import PRIMARY_FILE
from pipelines.errors import ConfigError, sanitize
from pipelines.tables import DATASET

# Destinations of dlt that have no tables, or none that a view could read
UNSUITABLE: Final = frozenset({"destination", "dummy", "lance", "lancedb", "qdrant", "weaviate"})
LAKE: Final = "filesystem"
TABLE_FORMATS: Final = ("delta",)
# What dlt would name differently in the destination, such as two underscores in a row, is no name of a dataset.
DATASET_NAME: Final = re.compile(r"[a-z](?:_?[a-z0-9])*")
MAX_DATASET: Final = 30  # the staging datasets have longer names, and Postgres allows 63 characters
RECORDER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,99}")


@section("forward")
@configspec
class ForwardConfiguration(BaseConfiguration):
    """`[forward]` in .dlt/config.toml, or FORWARD__… in the environment."""

    destination: str | None = None
    dataset: str = DATASET
    recorder: str | None = None
    views: bool = True
    table_format: str | None = None


@dataclass(frozen=True)
class ForwardSettings:
    """Where to, and as whom."""

    destination: str  # dlt's name of it, such as postgres
    dataset: str = DATASET  # the schema, or folder, that all recorders share
    recorder: str | None = None  # its name there; None: the identity of its file
    views: bool = True  # whether to create the views, too
    table_format: str | None = None  # of a lake: None is plain Parquet

    @property
    def is_lake(self) -> bool:
        """Whether files are written, and not tables of a database."""
        return self.destination == LAKE


def read_forward_settings() -> ForwardSettings | None:
    """The settings; None if there is no destination. Raises ConfigError with the key and where it is set."""
    given = resolved(ForwardConfiguration(), "forward")
    if not given.destination:
        return None
    name = given.destination.strip().lower()
    known = sorted(set(dlt.destinations.__all__) - UNSUITABLE - {PRIMARY_FILE[1]})
    if name == PRIMARY_FILE[1]:
        raise ConfigError(
            f"{named('forward.destination')} is duckdb, whose settings are those of the primary database.",
            "The published copy is a DuckDB file already. To share one DuckDB among recorders: motherduck or ducklake.",
        )
    if name not in known:
        raise ConfigError(
            f"{named('forward.destination')} is {sanitize(repr(given.destination), 60)}.",
            f"It must be one of dlt's destinations: {', '.join(known)}.",
        )
    if not DATASET_NAME.fullmatch(given.dataset) or len(given.dataset) > MAX_DATASET:
        raise ConfigError(
            f"{named('forward.dataset')} is {sanitize(repr(given.dataset), 60)}.",
            f"It must be a name of at most {MAX_DATASET} lower-case letters, digits and single underscores.",
        )
    if given.recorder is not None and not RECORDER_NAME.fullmatch(given.recorder):
        raise ConfigError(
            f"{named('forward.recorder')} is {sanitize(repr(given.recorder), 60)}.",
            "It must be at most 100 letters, digits, spaces, dots, dashes and underscores, such as emea.",
        )
    if given.table_format is not None and (name != LAKE or given.table_format not in TABLE_FORMATS):
        raise ConfigError(
            f"{named('forward.table_format')} is {sanitize(repr(given.table_format), 60)}.",
            f"The only value is {' or '.join(TABLE_FORMATS)}, with destination {LAKE}; without it, a lake is of plain "
            "Parquet files.",
        )
    active().settings.reveal(("destination", name))
    return ForwardSettings(name, given.dataset, given.recorder, given.views, given.table_format)
