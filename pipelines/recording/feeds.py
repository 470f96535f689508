"""The listings of an org's jobs, as data: the path of each, its filters, and the tables that its jobs fill.

Everything else in this folder works with any feed. The tables are defined in `tables.py`, the view through which all
jobs pass in `views/base/all_jobs.sql`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.columns import Table
from pipelines.job_tables import INGEST_JOB_STATES, INGEST_JOBS, QUERY_JOB_STATES, QUERY_JOBS


@dataclass(frozen=True, eq=False)  # there is one of each
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

# "Get Information About All Jobs": V2 loads, and all Classic jobs, which QUERY has, too. Its filter by type is not
# sent: filtered listings would never show a type that is not known yet. Whether a locator remembers a filter is open.
# https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/get_all_jobs.htm
INGEST: Final = Feed(
    name="ingest",
    path="jobs/ingest",
    filter_names={},
    jobs=INGEST_JOBS,
    states=INGEST_JOB_STATES,
)

FEEDS: Final = {feed.name: feed for feed in (QUERY, INGEST)}

# Types of jobs that /jobs/query lists without fail. A job of any other type belongs to INGEST if that shows it.
QUERY_TYPES: Final = ("V2Query", "Classic")
SHOWN_BY_BOTH: Final = "Classic"  # recorded with QUERY, unless only INGEST is recorded, or shows a job
