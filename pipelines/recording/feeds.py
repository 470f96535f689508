"""The listings of an org's jobs, as data: the path of each, its filters, and the tables that its jobs fill.

Everything else in this folder works with any feed. The tables are defined in `tables.py`, the view through which all
jobs pass in `views/base/all_jobs.sql`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.columns import Table
from pipelines.job_tables import QUERY_JOB_STATES, QUERY_JOBS


@dataclass(frozen=True)
class Feed:
    """One listing of an org's jobs."""

    name: str  # in the column `feed` of `listings`
    path: str  # below /services/data/vXX.X/
    filter_names: Mapping[str, str]  # setting in [sources.salesforce] -> query parameter of the listing
    jobs: Table  # the `field`s of its columns are the documented fields of a record
    states: Table

    def filters(self, settings: Mapping[str, Any]) -> dict[str, str]:
        """The filters that are set, as query parameters."""
        given = {parameter: settings.get(setting) for setting, parameter in self.filter_names.items()}
        return {
            parameter: str(value).lower() if isinstance(value, bool) else str(value)
            for parameter, value in given.items()
            if value not in (None, "")
        }


# "Get Information About All Query Jobs": V2 queries, and all Classic jobs, including loads. Filters as documented in
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
