"""What several pictures of a report read of views that take long: read once, for all orgs."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, time, timedelta
from typing import Final

from pipelines.answers.selection import Selection
from pipelines.warehouse.narrowed import answered_once, recent_jobs
from pipelines.warehouse.reader import Warehouse

# For each view, how many days before the time shown the jobs were created or last changed that its rows are about.
# None: all of history. What is read of the days before is incomplete, and no picture shows it.
DAYS_BEFORE: Final[Mapping[str, int | None]] = {
    "allowance_by_hour": 2,  # any 24 hours
    "allowance_by_day": 2,
    "allowance_by_user": 2,
    "failures": None,  # the report says since when something has failed
    "jobs_at_once": None,  # it counts the hours since a kind's first job
}


def read_once(file: Warehouse, selections: Sequence[Selection]) -> AbstractContextManager[None]:
    """Until the block ends, these pictures read the rows of DAYS_BEFORE in `narrowed` from memory.

    Raises ConfigError like `Warehouse.rows`.
    """
    start = datetime.combine(min(selection.since for selection in selections), time(), UTC)
    return answered_once(
        file,
        {
            view: (f"from {view}", recent_jobs(file, None if days is None else start - timedelta(days=days)))
            for view, days in DAYS_BEFORE.items()
        },
    )
