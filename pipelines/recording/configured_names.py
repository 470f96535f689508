"""What the settings call each recorded org: kept in `orgs`, for readers of a copy, who have no settings."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

import duckdb

from pipelines.tables import DATASET

# dlt has no part in it: an org's row is also needed if its name was never asked for.
NAMED: Final = f"""
insert into {DATASET}.orgs by name
select $org_id as org_id, $url as instance_url, timestamptz 'epoch' as asked_at -- not asked yet; it may not be null
where not exists (select 1 from {DATASET}.orgs where org_id = $org_id)
    and exists (select 1 from {DATASET}.listings where org_id = $org_id)
"""
SAME: Final = f"""
update {DATASET}.orgs set configured_name = $name, left_settings_at = null
where org_id = $org_id and (configured_name is distinct from $name or left_settings_at is not null)
"""
# A name may have meant another org before: a refreshed sandbox is a new one. That one does not come back with it.
BACK: Final = f"""
update {DATASET}.orgs as o set left_settings_at = null
where configured_name in (select unnest($names)) and not exists (
    select 1 from {DATASET}.orgs as other
    where other.configured_name = o.configured_name and other.left_settings_at is null
)
"""
LEFT: Final = f"""
update {DATASET}.orgs set left_settings_at = $at
where configured_name is not null and left_settings_at is null
    and (
        configured_name not in (select unnest(cast($names as varchar[])))
        or configured_name in (select unnest(cast($signed_in as varchar[])))
        and org_id not in (select unnest(cast($org_ids as varchar[])))
    )
returning configured_name, coalesce(name, instance_url, org_id), org_id
"""


def note_configured_names(
    primary: duckdb.DuckDBPyConnection, signed_in: Mapping[str, tuple[str, str]], names: Collection[str], at: datetime
) -> list[str]:
    """Keeps the names of the orgs that were signed in to: name -> org's id and URL; of the single org, that it has
    none. `names` are all that the settings have.

    Returns a sentence for each org that the settings no longer name, the first time."""
    for name, (org_id, url) in signed_in.items():
        if name:
            primary.execute(NAMED, {"org_id": org_id, "url": url})
        primary.execute(SAME, {"name": name or None, "org_id": org_id})
    if names:
        primary.execute(BACK, {"names": list(names)})
    now_named = {"signed_in": list(signed_in), "org_ids": [org_id for org_id, _ in signed_in.values()]}
    left = primary.execute(LEFT, {"at": at, "names": list(names), **now_named}).fetchall()
    return [
        f"{name}: the settings no longer name this org ({org_id if name in names else known}). "
        "What is recorded of it stays; nothing is added."
        for name, known, org_id in sorted(left)
    ]


def note_in_listing(primary: duckdb.DuckDBPyConnection, listing_id: str, notes: Collection[str]) -> None:
    """Adds notes to those of a listing."""
    primary.execute(
        f"update {DATASET}.listings set notes = concat_ws(chr(10), notes, $notes) where listing_id = $listing_id",
        {"notes": "\n".join(notes), "listing_id": listing_id},
    )
