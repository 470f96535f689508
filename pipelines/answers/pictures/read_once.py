"""What several pictures of a report read of views that take long: read once, for all orgs."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, time, timedelta
from typing import Final

from pipelines.answers.selection import Selection
from pipelines.warehouse.narrowed import answered_once, recent_jobs
from pipelines.warehouse.reader import Warehouse

# For each view, how many days before the time shown the jobs were created or last changed that its rows are about.
# None: all of history.
DAYS_BEFORE: Final[Mapping[str, int | None]] = {
    "allowance_by_hour": 2,  # any 24 hours
    "allowance_by_day": 2,
    "allowance_by_user": 2,
    "failures": None,  # the report says since when something has failed
    "jobs_at_once": None,  # it counts the hours since a kind's first job
}
# The org that is shown from the earliest day on decides what is read; rows from before that day are left out.
TIMED: Final[Mapping[str, str]] = {
    "allowance_by_hour": "hour", "allowance_by_day": "day", "allowance_by_user": "day", "jobs_at_once": "hour",
}  # fmt: skip


def read_once(file: Warehouse, selections: Sequence[Selection]) -> AbstractContextManager[None]:
    """Until the block ends, these pictures read the rows of DAYS_BEFORE in `narrowed` from memory.

    Raises ConfigError like `Warehouse.rows`.
    """
    first = min(selection.since for selection in selections)
    start = datetime.combine(first, time(), UTC)
    return answered_once(
        file,
        {
            view: (
                f"from {view}" + (f" where {TIMED[view]} >= date '{first}'" if view in TIMED else ""),
                recent_jobs(file, None if days is None else start - timedelta(days=days)),
            )
            for view, days in DAYS_BEFORE.items()
        },
    )
