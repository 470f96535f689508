"""The listings of an org's jobs, as data: where each is, what it can be filtered by, and which tables its jobs fill.

Everything else in this folder works on any of them. The tables are in `tables.py`, the views that all jobs go through
in `views/all_jobs.sql`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.tables import QUERY_JOB_STATES, QUERY_JOBS, Table


@dataclass(frozen=True)
class Feed:
    """One listing of an org's jobs."""

    name: str  # in the column `feed` of `listings`
    path: str  # below /services/data/vXX.X/
    filter_names: Mapping[str, str]  # setting of [sources.salesforce] -> the parameter that the listing takes
    jobs: Table  # its columns' `field`s are what a record of the listing has
    states: Table

    def filters(self, settings: Mapping[str, Any]) -> dict[str, str]:
        """The filters that are set, as the listing takes them; the rest is not sent."""
        given = {parameter: settings.get(setting) for setting, parameter in self.filter_names.items()}
        return {
            parameter: str(value).lower() if isinstance(value, bool) else str(value)
            for parameter, value in given.items()
            if value not in (None, "")
        }


# "Get Information About All Query Jobs": V2 queries, and all Classic jobs, loads among them. Filters as documented in
# https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/query_get_all_jobs.htm
QUERY: Final = Feed(
    name="query",
    path="jobs/query",
    filter_names={
        "job_type": "jobType",
        "is_pk_chunking_enabled": "isPkChunkingEnabled",
        "concurrency_mode": "concurrencyMode",
    },
    jobs=QUERY_JOBS,
    states=QUERY_JOB_STATES,
)

FEEDS: Final = (QUERY,)
