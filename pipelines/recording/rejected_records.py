"""Quarantine: the records of a listing without a usable key, as rows. First sightings never change."""

from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from pipelines.recording.history import History
from pipelines.recording.records import Rejected
from pipelines.tables import REJECTED_RECORDS


def rejected_rows(
    rejected: Mapping[str, Rejected], history: History, org_id: str, listing_id: str, started_at: datetime
) -> pa.Table:
    """Rows of `rejected_records` for the rejected records of a listing."""
    before = history.rejections(org_id)
    rows = []
    for record_hash, record in rejected.items():
        first_id, first_at = before.get(record_hash, (listing_id, started_at))
        rows.append(
            {
                "org_id": org_id,
                "record_hash": record_hash,
                "reason": record.reason,
                "record": record.record,
                "first_listing_id": first_id,
                "first_observed_at": first_at,
                "last_listing_id": listing_id,
                "last_observed_at": started_at,
            }
        )
    return pa.Table.from_pylist(rows, schema=REJECTED_RECORDS.schema)
