"""The rows of `listings`: proof that a listing was read to its end; the first also tells what else the run fetched."""

from typing import Any

import pyarrow as pa

from pipelines.recording.job_details import DetailsOutcome
from pipelines.recording.job_results import ResultsOutcome
from pipelines.recording.listings import Listings
from pipelines.recording.org_metadata import Metadata
from pipelines.recording.records import as_json
from pipelines.recording.snapshot import Snapshot
from pipelines.tables import LISTINGS


def listing_rows(
    listings: Listings,
    metadata: Metadata,
    details: DetailsOutcome | None = None,
    results: ResultsOutcome | None = None,
) -> pa.Table:
    """A row of `listings` for each one, written once all have ended, and again after the details, and the results."""
    rows = [_row(snapshot, metadata.listed_by_id) for snapshot in listings.snapshots]
    rows[0] |= {
        "calls_after": listings.org.calls - sum(snapshot.calls for snapshot in listings.snapshots),
        "details_asked": details.asked if details else None,
        "details_left": details.left if details else None,
        "details_stopped": details.stopped or None if details else None,
        "notes": "\n".join(all_notes(listings, metadata, details, results)) or None,
    }
    return pa.Table.from_pylist(rows, schema=LISTINGS.schema)


def _row(snapshot: Snapshot, listed_by_id: str | None) -> dict[str, Any]:
    used, allowed = snapshot.api_usage or (None, None)
    missing = snapshot.missing
    return {
        "listing_id": snapshot.listing_id,
        "org_id": snapshot.org.org_id,
        "feed": snapshot.feed.name,
        "started_at": snapshot.started_at,
        "finished_at": snapshot.finished_at,
        "restarted_at": snapshot.restarted_at,
        "since": snapshot.since,
        "pages": snapshot.shown.pages,
        "calls": snapshot.calls,
        "jobs_listed": snapshot.shown.jobs,
        "jobs_changed": snapshot.jobs_changed,
        "jobs_changed_late": snapshot.jobs_changed_late,
        "jobs_unlisted": missing.jobs_unlisted if missing else None,
        "jobs_expected": missing.jobs_expected if missing else None,
        "jobs_lost": missing.jobs_lost if missing else None,
        "reduced_since": missing.reduced_since if missing else None,
        "creators": len(snapshot.shown.creators),
        "only_creator_id": _only_creator(snapshot),
        "listed_by_id": listed_by_id,
        "rejected": len(snapshot.rejected),
        "filters": snapshot.filters_text,
        "api_version": snapshot.org.api_version,
        "api_usage": used,
        "api_usage_max": allowed,
        "new_columns": as_json(snapshot.new_columns) if snapshot.new_columns else None,
        "notes": "\n".join(snapshot.notes) or None,
    }


def all_notes(
    listings: Listings, metadata: Metadata, details: DetailsOutcome | None, results: ResultsOutcome | None
) -> tuple[str, ...]:
    """Anomalies of the first listing, and what the run could not fetch, other listings included."""
    failures = [f"/{feed.path}: {error.message}" for feed, error in listings.failures.items()]
    fetched = [note for outcome in (details, results) if outcome for note in outcome.notes]
    return (*listings.first.notes, *failures, *metadata.notes, *fetched)


def _only_creator(snapshot: Snapshot) -> str | None:
    """The one user who created everything shown, if so. A record without a creator may be any user's."""
    creators = snapshot.shown.creators.keys() | {record.created_by_id for record in snapshot.rejected.values()}
    return creators.pop() if len(creators) == 1 else None
