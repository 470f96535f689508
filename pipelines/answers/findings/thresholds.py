"""The thresholds of `check`: `[check]` in .dlt/config.toml."""

from dataclasses import field
from typing import Final

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration

from pipelines.config.dlt_context import named, resolved, section
from pipelines.errors import ConfigError

MAX_THRESHOLD: Final = 1_000_000


@section("check")
@configspec
class Thresholds(BaseConfiguration):
    """`[check]` of .dlt/config.toml, or CHECK__… of the environment."""

    failures_in_a_row: int = 3
    failed_percent: float = 50.0
    failed_jobs: int = 4
    lost_percent: float = 50.0
    lost_records: int = 100
    new_reason_records: int = 10
    grown_times: float = 3.0
    grown_records: int = 100
    unfinished_hours: float = 24.0
    allowance_percent: float = 80.0
    api_percent: float = 80.0
    unusual_percent: float = 50.0
    unusual_jobs: int = 20
    export_rows: int = 50_000
    export_times: float = 5.0
    export_objects: int = 3
    listing_age_hours: float = 24.0
    muted_findings: list[str] = field(default_factory=list)


def read_thresholds() -> Thresholds:
    """The thresholds. Raises ConfigError, naming the key and where it is set."""
    thresholds = resolved(Thresholds(), "check")
    for name, value in thresholds.items():
        if isinstance(value, int | float) and not 0 <= value <= MAX_THRESHOLD:
            raise ConfigError(
                f"{named(f'check.{name}')} is {value}.", f"It must be a number from 0 to {MAX_THRESHOLD:,}."
            )
    return thresholds
