"""One run that records several orgs, each with a record of the truth."""

from typing import Any
from unittest.mock import patch

from truth import Listing, Truth

from pipelines.config.dlt_context import resolved
from pipelines.config.orgs import ConfiguredOrg
from pipelines.config.settings import SourceConfiguration, read_feeds, read_settings
from pipelines.demo.command import credentials_for
from pipelines.recording.fleet import record_fleet
from pipelines.recording.fleet_run import FleetRun
from pipelines.recording.package_writer import PackageWriter

SOURCE = "sources.salesforce"
Complete = dict[str, list[Listing]]  # by the name of an org, its listings that were loaded, or kept


def settings_of_load(fetch_more: bool) -> dict[str, str]:
    """The environment of a load, with everything beside the listings, or nothing."""
    return {
        "QUERY_JOBS__FETCH_ORG_METADATA": str(fetch_more).lower(),
        "QUERY_JOBS__DETAILS_PER_RUN": "3" if fetch_more else "0",
        "QUERY_JOBS__RECORD_ERRORS": str(fetch_more).lower(),
        "RUNTIME__LOG_LEVEL": "CRITICAL",
    }


def record_all(truths: dict[str, Truth], complete: Complete) -> FleetRun:
    """Records the orgs of these names. `complete` gets what is safe, also if the run fails later."""
    readings = {name: truth.begin("{}") for name, truth in truths.items()}
    real = PackageWriter.write_listings

    def write_listings(writer: PackageWriter, listed: Any, *given: Any) -> Any:
        failures = real(writer, listed, *given)
        for name, one in listed:
            if name not in failures:
                complete[name] = [readings[name][snapshot.feed.name] for snapshot in one.listings.snapshots]
        return failures

    source, feeds = resolved(SourceConfiguration(), SOURCE), tuple(read_feeds(SOURCE))
    orgs = [ConfiguredOrg(name, source, feeds, credentials_for(truth.org)) for name, truth in truths.items()]
    with patch.object(PackageWriter, "write_listings", write_listings):
        return record_fleet(read_settings(), orgs, list(truths))
