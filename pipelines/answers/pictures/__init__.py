"""What report and notebook show, question by question: the answer in numbers, in words, and as a chart.

Everything is read from the views, through `reader.rows`. The `summary` of a picture says in words what its chart shows,
for readers who cannot see it or have no time; it is made from the picture's `numbers`, which `report --numbers` writes.
"""

from collections.abc import Iterator
from typing import Final

from pipelines.answers.pictures.average_week import week
from pipelines.answers.pictures.created_jobs import volume
from pipelines.answers.pictures.failed_jobs import failures
from pipelines.answers.pictures.failed_records import reasons
from pipelines.answers.pictures.failing_series import streaks
from pipelines.answers.pictures.limits_used import allowance, batches, users
from pipelines.answers.pictures.other_limits import limits
from pipelines.answers.pictures.picture import Picture
from pipelines.answers.pictures.record_gaps import coverage
from pipelines.answers.pictures.time_taken import at_once, durations
from pipelines.answers.selection import Selection

__all__ = [
    "PICTURES", "Picture", "allowance", "at_once", "batches", "coverage", "durations", "failures", "limits", "pictures",
    "reasons", "streaks", "users", "volume", "week",
]  # fmt: skip

PICTURES: Final = (
    volume, failures, reasons, streaks, allowance, users, batches, limits, at_once, durations, week, coverage,
)  # fmt: skip


def pictures(selection: Selection) -> Iterator[Picture]:
    """All pictures, top to bottom, each queried only when reached. Raises the same errors as `reader.rows`."""
    for picture in PICTURES:
        yield picture(selection)
