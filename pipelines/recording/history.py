"""What the warehouse has already recorded: what a listing is compared with, and what need not be fetched again."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import duckdb
import orjson

from pipelines.columns import Table
from pipelines.recording.feeds import QUERY, Feed
from pipelines.tables import DATASET, LISTINGS, REJECTED_RECORDS, UNLISTED_JOBS
from pipelines.warehouse.database_file import cursor_of
from pipelines.warehouse.schema import stored_columns

# An earlier version may have recorded the org under its 15-character id.
NEWEST_LISTING: Final = f"""
select max(coalesce(restarted_at, started_at)) as began_at, max(finished_at) as ended_at from {DATASET}.listings
where left(org_id, 15) = left($org_id, 15)
"""


class History:
    """What the warehouse has recorded. The caller owns the connection and closes it.

    Without a connection there is no history, and every job counts as changed. That costs only time: the merges in
    `merges.py` skip versions that the warehouse already has, and anything from an older listing.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection | None = None, claimed: Mapping[str, str] | None = None
    ) -> None:
        self._claimed = dict(claimed or {})  # columns of new fields that another org has in this run
        self.connection = cursor_of(connection) if connection else None
        self._columns: dict[str, tuple[str, ...]] = {}
        self._has: dict[str, bool] = {}

    def columns(self, table: Table) -> tuple[str, ...]:
        """The columns that the table has in the warehouse; empty if it does not exist yet."""
        if self.connection and table.name not in self._columns:
            self._columns[table.name] = stored_columns(self.connection, table)
        return self._columns.get(table.name, ())

    def has(self, table: Table) -> bool:
        """Whether the warehouse has rows of the table."""
        if self.connection and table.name not in self._has:
            found = f"select 1 from {DATASET}.{table.name} limit 1"
            self._has[table.name] = bool(self.columns(table) and self.connection.execute(found).fetchall())
        return self._has.get(table.name, False)

    def newest_listing(self, org_id: str) -> tuple[datetime | None, datetime | None]:
        """When the newest listing of the org began and ended; None if there is none."""
        if self.connection is None or not self.has(LISTINGS):
            return None, None
        (newest,) = self.connection.execute(NEWEST_LISTING, {"org_id": org_id}).fetchall()
        return newest

    def of_feed(self, feed: Feed, sql: str) -> str:
        """The query with this feed's rows in place of `feed_jobs`, `feed_listings`, `feed_absences` and
        `complete_listings`. The latter matches the view of that name, which the file may not have yet."""

        def rows(table: Table) -> str:
            # An earlier version recorded only QUERY, and had no such column.
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
        """column -> undocumented field that has this column in the feed's jobs, according to the listings that added
        it: the earliest wins."""
        if self.connection is None or "new_columns" not in self.columns(LISTINGS):
            return self._claimed
        newest_first = self.connection.execute(
            self.of_feed(
                feed, "select new_columns from feed_listings where new_columns is not null order by started_at desc"
            )
        ).fetchall()
        recorded = {column: name for (text,) in newest_first for column, name in orjson.loads(text).items()}
        return self._claimed | recorded

    def has_listed(self, org_id: str, feed: Feed) -> bool:
        """Whether a listing of this feed of the org is recorded, filtered or not."""
        if self.connection is None or not self.has(LISTINGS):
            return False
        found = self.of_feed(feed, "select 1 from feed_listings where org_id = ? limit 1")
        return bool(self.connection.execute(found, [org_id]).fetchall())

    def last_started_at(self, org_id: str, feed: Feed, filters: str) -> datetime | None:
        """When the org's newest listing with these filters started."""
        if self.connection is None or not self.has(LISTINGS):
            return None
        row = self.connection.execute(
            self.of_feed(feed, "select max(started_at) from feed_listings where org_id = ? and filters = ?"),
            [org_id, filters],
        ).fetchone()
        return row[0] if row else None

    def asked_since(self, table: Table, org_id: str, since: datetime) -> set[str]:
        """The ids of the users, or of the org, that were fetched since then."""
        if self.connection is None or not self.has(table):
            return set()
        rows = self.connection.execute(
            f"select {table.key[-1]} from {DATASET}.{table.name} where org_id = ? and asked_at >= ?", [org_id, since]
        ).fetchall()
        return {found for (found,) in rows}

    def stored(self, table: Table, org_id: str) -> dict[str, dict[str, Any]]:
        """id -> stored row of each user, or of the org."""
        if self.connection is None or not self.has(table):
            return {}
        rows = self.connection.sql(f"select * from {DATASET}.{table.name} where org_id = $1", params=[org_id])
        return {row[table.key[-1]]: row for row in rows.to_arrow_table().to_pylist()}

    def rejections(self, org_id: str) -> dict[str, tuple[str, datetime]]:
        """record_hash of a rejected record -> id and start of the first listing that showed it."""
        if self.connection is None or not self.has(REJECTED_RECORDS):
            return {}
        rows = self.connection.execute(
            f"select record_hash, first_listing_id, first_observed_at from {DATASET}.rejected_records where org_id = ?",
            [org_id],
        ).fetchall()
        return {record_hash: (listing_id, observed_at) for record_hash, listing_id, observed_at in rows}
