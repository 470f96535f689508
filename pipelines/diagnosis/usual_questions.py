"""What people ask when they look at the doctor: the last lines that it prints."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import duckdb

from pipelines.config.settings import Settings
from pipelines.diagnosis.examination import Diagnosis
from pipelines.errors import RecorderError
from pipelines.plural import counted
from pipelines.recording.run import more_runs
from pipelines.regular_files import holds_something
from pipelines.warehouse.reader import rows

RECORDED: Final = """
select
    (select count(*) from listed_jobs) as jobs,
    (select count(*) from recorded_orgs) as orgs,
    (select strftime(min(covered_from) at time zone 'UTC', '%Y-%m-%d') from recorded_orgs) as since,
    (select strftime(max(listed_at) at time zone 'UTC', '%Y-%m-%d %H:%M UTC') from recorded_orgs) as last,
    (select count(*) from job_details) as details,
    (
        select sum(details_left) from listings
        where (org_id, finished_at) in (select org_id, max(finished_at) from listings group by 1)
    ) as details_left
"""


def usual_questions(found: Diagnosis, settings: Settings) -> Iterator[tuple[str, str]]:
    """Each question with its answer, as far as there is one."""
    creators = {str(record.get("createdById")) for record in found.page}
    if len(creators) > 1:
        yield "Are jobs of other users seen?", "Yes."
    elif creators:
        yield "Are jobs of other users seen?", "None so far; see the note above."
    if not holds_something(settings.warehouse):
        yield "Is anything recorded?", "Not yet; the first load begins the record."
        return
    with suppress(RecorderError, duckdb.Error):  # an unreadable file was reported above
        (recorded,) = rows(RECORDED, settings.warehouse)
        orgs = f" of {recorded['orgs']:,} orgs" if recorded["orgs"] > 1 else ""
        since = f", without a gap since {recorded['since']}" if recorded["since"] else ""
        yield (
            "Is anything recorded?",
            f"{counted(recorded['jobs'], 'job')}{orgs}{since}; last listed {recorded['last']}.",
        )
        if left := recorded["details_left"]:
            yield (
                "Why do some jobs lack counts and errors?",
                f"Error details are fetched for {counted(recorded['details'], 'job')}, and still to fetch for "
                f"{int(left):,}, {more_runs(int(left), settings)}.",
            )
