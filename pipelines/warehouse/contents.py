"""What a file contains, as far as it matters for whether another file may replace it."""

from dataclasses import dataclass
from typing import Final

import duckdb

from pipelines.columns import Table
from pipelines.job_tables import INGEST_JOB_STATES, INGEST_JOBS, QUERY_JOB_STATES, QUERY_JOBS
from pipelines.tables import DATASET, LISTINGS
from pipelines.warehouse.file_identity import read_identity
from pipelines.warehouse.schema import stored_columns

# Tables whose number of rows never decreases, counted together: a migration may move rows between them.
COUNTED: Final = {
    "listings": (LISTINGS,),
    "jobs": (QUERY_JOBS, INGEST_JOBS),
    "states": (QUERY_JOB_STATES, INGEST_JOB_STATES),
}


@dataclass(frozen=True)
class Contents:
    """What a file contains, as far as it matters for whether another file may replace it."""

    identity: str | None
    newest_listing: str | None
    newest_at: str  # when that was finished, for messages
    counts: dict[str, int]

    def __str__(self) -> str:
        return ", ".join(
            f"{count:,} {what.removesuffix('s') if count == 1 else what}" for what, count in self.counts.items()
        )


def contents(connection: duckdb.DuckDBPyConnection) -> Contents:
    """The contents of an open file. Raises duckdb.Error."""
    counts = {}
    for what, tables in COUNTED.items():
        there = [table for table in tables if stored_columns(connection, table)]
        sums = " + ".join(f"({_count(connection, table)})" for table in there)
        row = connection.execute(f"select {sums or 0}").fetchone()
        counts[what] = int(row[0]) if row else 0
    newest = None
    if counts["listings"]:
        newest = connection.execute(
            "select listing_id, strftime(finished_at at time zone 'UTC', '%Y-%m-%d %H:%M') "
            f"from {DATASET}.listings order by finished_at desc limit 1"
        ).fetchone()
    identifier, at = newest or (None, "")
    return Contents(read_identity(connection), identifier, at, counts)


def _count(connection: duckdb.DuckDBPyConnection, table: Table) -> str:
    """The query that counts a table's rows. If an org is recorded under both forms of its id, it counts the rows that
    will be left when these are merged (`org_join.py`)."""
    if stored_columns(connection, LISTINGS):
        short = f"select 1 from {DATASET}.listings where length(org_id) = 15 limit 1"
        if connection.execute(short).fetchall():
            key = ", ".join(column for column in table.key if column != "org_id")
            return f"select count(*) from (select distinct left(org_id, 15), {key} from {DATASET}.{table.name})"
    return f"select count(*) from {DATASET}.{table.name}"


def has_listing(primary: duckdb.DuckDBPyConnection, listing_id: str) -> bool:
    if not stored_columns(primary, LISTINGS):
        return False
    found = primary.execute(f"select 1 from {DATASET}.listings where listing_id = ?", [listing_id])
    return bool(found.fetchall())
