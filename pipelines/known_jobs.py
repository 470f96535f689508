"""What the warehouse already holds: of the jobs just listed, which are new to it or differ from it."""

from datetime import datetime
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.database_file import cursor_of
from pipelines.tables import (
    DATASET,
    FINISHED,
    LISTINGS,
    QUERY_JOB_STATES,
    QUERY_JOBS,
    REJECTED_RECORDS,
    TIME,
    UNLISTED_JOBS,
    Table,
)
from pipelines.warehouse import stored_columns

OBSERVED: Final = "observed_at"
POSITION: Final = "_dlt_position"  # of a row in its listing; no field becomes a column of this name: `_dlt` is refused
VERSION: Final = set(QUERY_JOB_STATES.key)  # equal in any case where a listed job is the stored one

# A finished job is gone after seven days: one that was older than twice that when last listed was none that could go.
# Jobs that are not finished may go at any age, and are few. What went before the last listing that was compared is in
# the table; one that was kept while the file was held may not have been.
UNLISTED: Final = f"""
with before as (
    select
        max(coalesce(restarted_at, started_at)) as listed_at,
        coalesce(listed_at - interval 15 days, timestamptz '-infinity') as since
    from {DATASET}.listings
    where org_id = $org_id and filters = '{{}}' and jobs_unlisted is not null
        and coalesce(restarted_at, started_at) < $at
),
away as (
    select id, state, last_listed_at, unlisted_at from {DATASET}.unlisted_jobs
    where org_id = $org_id and listed_again_at is null
        and (unlisted_at >= (select since from before) or state not in {FINISHED})
)
select
    j.id,
    j.state,
    greatest(j.observed_at, (select listed_at from before)) as last_listed_at,
    $at as unlisted_at,
    cast(null as timestamptz) as listed_again_at
from {DATASET}.query_jobs as j
where j.org_id = $org_id and j.observed_at < $at
    and (j.observed_at >= (select since from before) or j.state not in {FINISHED})
    and not exists (select 1 from listed as l where l.id = j.id)
    and not exists (select 1 from away as a where a.id = j.id and a.unlisted_at >= j.observed_at)
union all
select a.*, $at from away as a where exists (select 1 from listed as l where l.id = a.id)
"""


class KnownJobs:
    """A look into the warehouse while a listing runs, through a connection that somebody else opened and closes.

    Without a connection nothing is known, and every job counts as changed. That costs time and nothing else: the
    merges of `source.py` let no row through that the warehouse has already, and none that is older.
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

    def changes(self, listed: pa.Table, started_at: datetime) -> tuple[pa.Table, pa.Table]:
        """The rows of `query_jobs` and of `query_job_states` that this part of a listing adds or changes; the former
        with their POSITION, which `listed` has.

        A job is unchanged only if every column is: its state can change while system_modstamp stands still.
        `observed_at` is `started_at`, but for a version that was observed before.
        """
        recorded = self.has(QUERY_JOBS) and self.has(QUERY_JOB_STATES)
        if self.connection is None or not recorded or not listed.num_rows:
            return self._with_observed(listed, pa.nulls(listed.num_rows, TIME), started_at)
        found = self._compare(self.connection, listed)
        return self._with_observed(listed.take(found["at"]), found["first_observed_at"], started_at)

    def _compare(self, connection: duckdb.DuckDBPyConnection, listed: pa.Table) -> pa.Table:
        """Where the changed rows are, in page order, and when each one's version was first observed, if it was.

        An unchanged row has the system_modstamp that is stored, so the range of those listed bounds what is read.
        """
        stored = {c for c in self.columns(QUERY_JOBS) if c != OBSERVED and not c.startswith("_dlt")}
        listed_columns = set(listed.column_names) - {POSITION}
        same = [
            *(f's."{c}" is not distinct from l."{c}"' for c in sorted(listed_columns & stored - VERSION)),
            *(f'l."{c}" is null' for c in sorted(listed_columns - stored)),
            *(f's."{c}" is null' for c in sorted(stored - listed_columns)),
        ]
        stamps = pc.min_max(listed["system_modstamp"]).as_py()
        connection.register("listed", listed)
        try:
            result: pa.Table = connection.sql(
                f"""
                with changed as (
                    select l.{POSITION}, l.org_id, l.id, l.system_modstamp, l.state
                    from listed as l
                    where not exists (
                        select 1 from {DATASET}.query_jobs as s
                        where s.system_modstamp between $min and $max
                            and s.org_id = l.org_id and s.id = l.id
                            and s.system_modstamp = l.system_modstamp and s.state = l.state
                            and {" and ".join(same)}
                    )
                )
                select c.{POSITION} - $first as at, s.observed_at as first_observed_at
                from changed as c
                left join (
                    select * from {DATASET}.query_job_states where system_modstamp between $min and $max
                ) as s using (org_id, id, system_modstamp, state)
                order by c.{POSITION}
                """,
                params=stamps | {"first": listed[POSITION][0].as_py()},
            ).to_arrow_table()
            return result
        finally:
            connection.unregister("listed")

    def _with_observed(
        self, changed: pa.Table, first: pa.Array | pa.ChunkedArray, started_at: datetime
    ) -> tuple[pa.Table, pa.Table]:
        jobs = changed.append_column(OBSERVED, pc.coalesce(first, pa.scalar(started_at, TIME)))
        states = jobs.filter(pc.is_null(first)).select(QUERY_JOB_STATES.schema.names)
        positions = jobs.schema.get_field_index(POSITION)
        rows = typed(jobs.remove_column(positions), QUERY_JOBS).append_column(POSITION, jobs[POSITION])
        return rows, typed(states, QUERY_JOB_STATES)

    def unlisted(self, listed: pa.ChunkedArray, org_id: str, at: datetime) -> pa.Table | None:
        """The rows of `unlisted_jobs` that a complete listing adds: jobs it shows no longer, and those that are back.

        None where there is nothing to compare with.
        """
        looks = QUERY_JOBS, LISTINGS, UNLISTED_JOBS
        if (
            self.connection is None
            or not all(self.has(t) for t in looks)
            or "jobs_unlisted" not in self.columns(LISTINGS)
        ):
            return None
        self.connection.register("listed", pa.table({"id": listed}))
        try:
            found = self.connection.sql(UNLISTED, params={"org_id": org_id, "at": at}).to_arrow_table()
        finally:
            self.connection.unregister("listed")
        return typed(found.add_column(0, "org_id", pa.array([org_id] * found.num_rows, pa.string())), UNLISTED_JOBS)

    def asked(self, table: Table, org_id: str, since: datetime) -> set[str]:
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


def typed(rows: pa.Table, table: Table) -> pa.Table:
    """The rows in the table's column order and types; columns that it does not know follow, as text."""
    known = table.schema.names
    more = [c for c in rows.column_names if c not in known]
    schema = pa.schema([*table.schema, *(pa.field(c, pa.string()) for c in more)])
    return rows.select([*known, *more]).cast(schema)
