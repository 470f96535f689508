"""What the warehouse has recorded already: what a listing is compared with, and what need not be asked for again."""

import re
from datetime import datetime
from typing import Any, Final

import duckdb
import orjson

from pipelines.recording.feeds import QUERY, Feed
from pipelines.tables import DATASET, LISTINGS, REJECTED_RECORDS, UNLISTED_JOBS, Table
from pipelines.warehouse.database_file import cursor_of
from pipelines.warehouse.schema import stored_columns

# An earlier version may have recorded the org by the 15 characters of its id.
NEWEST_LISTING: Final = f"""
select max(coalesce(restarted_at, started_at)) as began_at, max(finished_at) as ended_at from {DATASET}.listings
where left(org_id, 15) = left($org_id, 15)
"""


class History:
    """What the warehouse has recorded, by a connection that whoever made it closes.

    Without a connection there is none, and every job counts as changed. That costs time and nothing else: the merges
    of `merges.py` let no version through that the warehouse has already, and nothing of an older listing.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        self.connection = cursor_of(connection) if connection else None
        self._columns: dict[str, tuple[str, ...]] = {}

    def columns(self, table: Table) -> tuple[str, ...]:
        """The columns that the table has in the warehouse; none if it is not there yet."""
        if self.connection and table.name not in self._columns:
            self._columns[table.name] = stored_columns(self.connection, table)
        return self._columns.get(table.name, ())

    def has(self, table: Table) -> bool:
        """Whether the warehouse has the table already."""
        return bool(self.columns(table))

    def newest_listing(self, org_id: str) -> tuple[datetime | None, datetime | None]:
        """When the newest listing of the org began, and when it ended; None where there is none."""
        if self.connection is None or not self.has(LISTINGS):
            return None, None
        (newest,) = self.connection.execute(NEWEST_LISTING, {"org_id": org_id}).fetchall()
        return newest

    def of_feed(self, feed: Feed, sql: str) -> str:
        """The query with what the warehouse has of this feed for `feed_jobs`, `feed_listings`, `feed_absences` and
        `complete_listings`, which is what the view of this name says; the file may not have it yet."""

        def rows(table: Table) -> str:
            # An earlier version recorded QUERY alone, and had no column that says so.
            its_own = f"feed = '{feed.name}'" if "feed" in self.columns(table) else str(feed == QUERY).lower()
            return f"(select * from {DATASET}.{table.name} where {its_own})"

        named = {"feed_jobs": f"{DATASET}.{feed.jobs.name}", "feed_listings": rows(LISTINGS)}
        named["feed_absences"] = rows(UNLISTED_JOBS)
        named["complete_listings"] = (
            f"(select *, coalesce(restarted_at, started_at) as listed_at from {named['feed_listings']} "
            "where filters = '{}')"
        )
        return re.sub("|".join(rf"\b{name}\b" for name in named), lambda name: named[name[0]], sql)

    def fields(self, feed: Feed) -> dict[str, str]:
        """column -> field of the undocumented fields that have a column of the feed's jobs, by the listings that gave
        it to them: the first keeps it."""
        if self.connection is None or "new_columns" not in self.columns(LISTINGS):
            return {}
        newest_first = self.connection.execute(
            self.of_feed(
                feed, "select new_columns from feed_listings where new_columns is not null order by started_at desc"
            )
        ).fetchall()
        return {column: name for (text,) in newest_first for column, name in orjson.loads(text).items()}

    def last_started_at(self, org_id: str, feed: Feed, filters: str) -> datetime | None:
        """When the newest listing of the org with these filters started."""
        if self.connection is None or not self.has(LISTINGS):
            return None
        row = self.connection.execute(
            self.of_feed(feed, "select max(started_at) from feed_listings where org_id = ? and filters = ?"),
            [org_id, filters],
        ).fetchone()
        return row[0] if row else None

    def asked_since(self, table: Table, org_id: str, since: datetime) -> set[str]:
        """The ids of the users, or of the org, that were asked for since then."""
        if self.connection is None or not self.has(table):
            return set()
        rows = self.connection.execute(
            f"select {table.key[-1]} from {DATASET}.{table.name} where org_id = ? and asked_at >= ?", [org_id, since]
        ).fetchall()
        return {found for (found,) in rows}

    def stored(self, table: Table, org_id: str) -> dict[str, dict[str, Any]]:
        """id -> row of all users, or of the org, that are stored."""
        if self.connection is None or not self.has(table):
            return {}
        rows = self.connection.sql(f"select * from {DATASET}.{table.name} where org_id = $1", params=[org_id])
        return {row[table.key[-1]]: row for row in rows.to_arrow_table().to_pylist()}

    def rejections(self, org_id: str) -> dict[str, tuple[str, datetime]]:
        """record_hash -> id and start of the first listing that showed the rejected record."""
        if self.connection is None or not self.has(REJECTED_RECORDS):
            return {}
        rows = self.connection.execute(
            f"select record_hash, first_listing_id, first_observed_at from {DATASET}.rejected_records where org_id = ?",
            [org_id],
        ).fetchall()
        return {record_hash: (listing_id, observed_at) for record_hash, listing_id, observed_at in rows}
