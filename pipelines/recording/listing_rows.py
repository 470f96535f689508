"""What a listing that was read to its end proves: its row of `listings`, and its records that have no key."""

from collections.abc import Iterator

import pyarrow as pa

from pipelines.recording.org_metadata import USER_ID
from pipelines.recording.records import as_json
from pipelines.recording.snapshot import Listing
from pipelines.tables import LISTINGS, REJECTED_RECORDS, USERS


def listing_row(listing: Listing) -> pa.Table:
    """The row of `listings`: the proof that this listing was read to its end."""
    used, allowed = listing.api_usage or (None, None)
    values = {
        "listing_id": listing.listing_id,
        "org_id": listing.org.org_id,
        "started_at": listing.started_at,
        "finished_at": listing.finished_at,
        "restarted_at": listing.restarted_at,
        "since": listing.since,
        "pages": listing.pages,
        "calls": listing.calls,
        "jobs_listed": listing.jobs_listed,
        "jobs_changed": listing.jobs_changed,
        "jobs_changed_late": listing.jobs_changed_late,
        "jobs_unlisted": listing.jobs_unlisted,
        "jobs_expected": listing.jobs_expected,
        "jobs_lost": listing.jobs_lost,
        "reduced_since": listing.reduced_since,
        "creators": len(listing.creators),
        "only_creator_id": _only_creator(listing),
        "listed_by_id": _listed_by(listing),
        "rejected": len(listing.rejected),
        "filters": listing.filters_text,
        "api_version": listing.org.api_version,
        "api_usage": used,
        "api_usage_max": allowed,
        "calls_after": listing.org.calls - listing.calls,
        "details_asked": listing.details_asked,
        "details_left": listing.details_left,
        "details_stopped": listing.details_stopped,
        "new_columns": as_json(listing.new_fields.new_owners) if listing.new_fields.new_owners else None,
        "notes": "\n".join(listing.notes) or None,
    }
    return pa.Table.from_pylist([values], schema=LISTINGS.schema)


def _only_creator(listing: Listing) -> str | None:
    """The one user who created all that was shown. A record without a creator may be anybody's."""
    creators = listing.creators.keys() | {rejected.created_by_id for rejected in listing.rejected.values()}
    return creators.pop() if len(creators) == 1 else None


def _listed_by(listing: Listing) -> str | None:
    """The user whose access listed the jobs: by the sign-in, or by the username that it gave, which is one user's
    in all of Salesforce, whatever its case."""
    user_id, username = listing.listed_by
    if USER_ID.fullmatch(user_id):
        return user_id
    users = (listing.known.stored(USERS, listing.org.org_id) if username else {}) | listing.users
    found = [user for user, row in users.items() if (row.get("username") or "").lower() == username.lower()]
    return found[0] if username and len(found) == 1 else None


def rejected_rows(listing: Listing) -> Iterator[pa.Table]:
    """The rows of `rejected_records`: what a record was first seen by stays what it was."""
    if not listing.rejected:
        return
    before = listing.known.rejections(listing.org.org_id)
    rows = []
    for rejected in listing.rejected.values():
        first_id, first_at = before.get(rejected.record_hash, (listing.listing_id, listing.started_at))
        rows.append(
            {
                "org_id": listing.org.org_id,
                "record_hash": rejected.record_hash,
                "reason": rejected.reason,
                "record": rejected.record,
                "first_listing_id": first_id,
                "first_observed_at": first_at,
                "last_listing_id": listing.listing_id,
                "last_observed_at": listing.started_at,
            }
        )
    yield pa.Table.from_pylist(rows, schema=REJECTED_RECORDS.schema)
