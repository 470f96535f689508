"""A month of the built-in org on a simulated clock, and where `make demo` records it."""

from typing import Final

from pipelines.config.project import PROJECT

DEMO_HOME: Final = PROJECT / "demo"
FLEET_HOME: Final = PROJECT / "demo-fleet"
DEMO_WAREHOUSE: Final = DEMO_HOME / "warehouse.duckdb"
