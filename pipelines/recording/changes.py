"""What the warehouse already holds: of the jobs just listed, which are new to it or differ from it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc

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
from pipelines.warehouse.database_file import cursor_of
from pipelines.warehouse.schema import stored_columns

OBSERVED: Final = "observed_at"
CURRENT: Final = "current_since"
POSITION: Final = "_dlt_position"  # of a row in its listing; no field becomes a column of this name: `_dlt` is refused
VERSION: Final = set(QUERY_JOB_STATES.key)  # equal in any case where a listed job is the stored one

# A listing that has lost so many, and more than half, of the jobs that cannot have expired shows a reduced view.
LOST: Final = 20
RETENTION: Final = "interval 168 hours"  # of a finished job, from its creation: the org removes it when it is older

# A finished job is gone after seven days: one that was older than twice that when last listed was none that could go.
# Jobs that are not finished may go at any age, and are few. What went before the last listing that was compared is in
# the table; one that was kept while the file was held may not have been.
AWAY: Final = f"""
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
"""
# What cannot have expired (`lasting`) goes by the earliest time at which a job can have finished: after the listing
# that last showed it unfinished, else its creation. One that was not finished, of a user whose newer jobs are shown,
# may have ended and been deleted since: some clients delete each of their jobs at once.
# A job that is away may have been shown since, by a listing that was compared with nothing: then it was there again.
UNLISTED: Final = f"""
{AWAY},
back as (
    select id, max(listed_again_at) as listed_again_at from {DATASET}.unlisted_jobs
    where org_id = $org_id and listed_again_at > (select listed_at from before)
    group by id
),
known as materialized (
    select
        j.id, j.state, j.shown_at, l.id as listed,
        greatest(j.shown_at, b.listed_at, r.listed_again_at) as last_listed_at,
        coalesce(
            case
                when j.state in {FINISHED} then j.created_date
                when l.id is not null then $at
                when c.newest > last_listed_at then null
                else greatest(j.created_date, last_listed_at)
            end > $at - {RETENTION},
            false
        ) as lasting
    from (
        select id, state, created_by_id, created_date, observed_at, coalesce(current_since, observed_at) as shown_at
        from {DATASET}.query_jobs where org_id = $org_id
    ) as j
    cross join before as b
    left join (select distinct id from listed) as l on l.id = j.id
    left join creators as c on c.id = j.created_by_id
    left join back as r on r.id = j.id
    where j.shown_at < $at
        and (j.observed_at >= (select since from before) or j.state not in {FINISHED})
        and not exists (select 1 from away as a where a.id = j.id and a.unlisted_at >= j.shown_at)
)
select
    id, state, last_listed_at, $at as unlisted_at, cast(null as timestamptz) as listed_again_at, lasting,
    (select count(*) from known where lasting) as expected
from known
where listed is null
union all
select a.*, coalesce(k.shown_at, $at), false, null
from away as a
left join known as k on k.id = a.id and k.shown_at > a.unlisted_at
where k.id is not null or exists (select 1 from listed as l where l.id = a.id)
"""
LISTED_AGAIN: Final = f"""
{AWAY}
select *, $at as listed_again_at from away as a where exists (select 1 from listed as l where l.id = a.id)
"""

# The newest listing that was compared: since when it had been reduced, and how much it showed.
COMPARED: Final = f"""
select reduced_since, coalesce(restarted_at, started_at) as listed_at, jobs_listed
from {DATASET}.listings
where org_id = $org_id and filters = '{{}}' and jobs_unlisted is not null and coalesce(restarted_at, started_at) < $at
order by listed_at desc
limit 1
"""
# Of the jobs that were lost since $since and cannot have expired since: how many there are, and how many are still away
# while no job of their creator is shown.
STILL_LOST: Final = f"""
select
    count(*) as lost,
    count(*) filter (
        where u.listed_again_at is null and u.id not in (select id from listed where id is not null)
            and not exists (select 1 from creators as c where c.id is not distinct from j.created_by_id)
    ) as hidden
from (
    select * from {DATASET}.unlisted_jobs
    where org_id = $org_id and unlisted_at >= $since
    qualify row_number() over (partition by id order by unlisted_at desc) = 1
) as u
inner join {DATASET}.query_jobs as j on j.org_id = u.org_id and j.id = u.id
where case when u.state in {FINISHED} then j.created_date else greatest(j.created_date, u.last_listed_at) end
        > $at - {RETENTION}
"""
# Listings that were compared with nothing, between the last that was compared and this one, are taken for reduced where
# they showed no more than half of what that one did.
FIRST_REDUCED: Final = f"""
select min(coalesce(restarted_at, started_at))
from {DATASET}.listings
where org_id = $org_id and filters = '{{}}' and jobs_unlisted is null and jobs_listed * 2 <= $jobs_before
    and coalesce(restarted_at, started_at) > $before and coalesce(restarted_at, started_at) < $at
"""


@dataclass(frozen=True)
class Comparison:
    """What a complete listing shows beside what was known: the rows of `unlisted_jobs` that it adds or ends; how many
    jobs cannot have expired by then, and how many of these it lost; since when listings have shown a fraction only."""

    rows: pa.Table
    jobs_expected: int
    jobs_lost: int
    reduced_since: datetime | None


class KnownJobs:
    """A look into the warehouse while a listing runs, through a connection that somebody else opened and closes.

    Without a connection nothing is known, and every job counts as changed. That costs time and nothing else: the
    merges of `source.py` let no version through that the warehouse has already, and nothing of an older listing.
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

    def changes(
        self, listed: pa.Table, started_at: datetime, handed_over: list[pa.ChunkedArray]
    ) -> tuple[pa.Table, pa.Table]:
        """The rows of `query_jobs` and of `query_job_states` that this part of a listing adds or changes; the former
        with their POSITION, which `listed` has.

        A job is unchanged only if every column is: its state can change while system_modstamp stands still.
        One whose id is in `handed_over` counts as changed: dlt has another row of it, from earlier in this listing.
        `current_since` is `started_at`, and so is `observed_at`, but for a version that was observed before.
        """
        recorded = self.has(QUERY_JOBS) and self.has(QUERY_JOB_STATES)
        if self.connection is None or not recorded or not listed.num_rows:
            return self._with_observed(listed, pa.nulls(listed.num_rows, TIME), started_at)
        again = pa.chunked_array([chunk for ids in handed_over for chunk in ids.chunks], pa.string())
        found = self._compare(self.connection, listed, again)
        return self._with_observed(listed.take(found["at"]), found["first_observed_at"], started_at)

    def _compare(self, connection: duckdb.DuckDBPyConnection, listed: pa.Table, again: pa.ChunkedArray) -> pa.Table:
        """Where the changed rows are, in page order, and when each one's version was first observed, if it was.

        An unchanged row has the system_modstamp that is stored, so the range of those listed bounds what is read.
        """
        stored = {c for c in self.columns(QUERY_JOBS) if c not in (OBSERVED, CURRENT) and not c.startswith("_dlt")}
        listed_columns = set(listed.column_names) - {POSITION}
        same = [
            *(f's."{c}" is not distinct from l."{c}"' for c in sorted(listed_columns & stored - VERSION)),
            *(f'l."{c}" is null' for c in sorted(listed_columns - stored)),
            *(f's."{c}" is null' for c in sorted(stored - listed_columns)),
        ]
        stamps = pc.min_max(listed["system_modstamp"]).as_py()
        connection.register("listed", listed)
        connection.register("again", pa.table({"id": again}))
        or_again = "or l.id in (select id from again)" if len(again) else ""
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
                    ) {or_again}
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
            connection.unregister("again")

    def _with_observed(
        self, changed: pa.Table, first: pa.Array | pa.ChunkedArray, started_at: datetime
    ) -> tuple[pa.Table, pa.Table]:
        started = pa.scalar(started_at, TIME)
        jobs = changed.append_column(OBSERVED, pc.coalesce(first, started))
        jobs = jobs.append_column(CURRENT, pa.repeat(started, jobs.num_rows))
        states = jobs.filter(pc.is_null(first)).select(QUERY_JOB_STATES.schema.names)
        positions = jobs.schema.get_field_index(POSITION)
        rows = typed(jobs.remove_column(positions), QUERY_JOBS).append_column(POSITION, jobs[POSITION])
        return rows, typed(states, QUERY_JOB_STATES)

    def newest_listing(self, org_id: str) -> tuple[datetime | None, datetime | None]:
        """When the newest listing of the org began, and when it ended; None where there is none."""
        if self.connection is None or not self.has(LISTINGS):
            return None, None
        (newest,) = self.connection.execute(NEWEST_LISTING, {"org_id": org_id}).fetchall()
        return newest

    def compared(
        self, listed: pa.ChunkedArray, creators: dict[Any, datetime | None], org_id: str, at: datetime
    ) -> Comparison | None:
        """A complete listing, given by the ids that it shows and the newest job of each creator, beside what is known.

        None where there is nothing to compare with.
        """
        if self.connection is None or not self._can_compare():
            return None
        newest = {"id": pa.array(creators, pa.string()), "newest": pa.array(creators.values(), TIME)}
        self.connection.register("listed", pa.table({"id": listed}))
        self.connection.register("creators", pa.table(newest))
        try:
            found = self.connection.sql(UNLISTED, params={"org_id": org_id, "at": at}).to_arrow_table()
            lost, expected = pc.sum(found["lasting"]).as_py() or 0, pc.max(found["expected"]).as_py()
            since = self._reduced_since(org_id, at, lost >= LOST and 2 * lost > expected)
        finally:
            self.connection.unregister("listed")
            self.connection.unregister("creators")
        rows = _absences(found.drop_columns(["lasting", "expected"]), org_id, hidden=since is not None)
        return Comparison(rows, expected or 0, lost, since)

    def listed_again(self, listed: pa.ChunkedArray, org_id: str, at: datetime) -> pa.Table | None:
        """The rows of `unlisted_jobs` that a filtered listing, given by the ids that it shows, ends; None where there
        is nothing to compare with."""
        if self.connection is None or not self._can_compare():
            return None
        self.connection.register("listed", pa.table({"id": listed}))
        try:
            found = self.connection.sql(LISTED_AGAIN, params={"org_id": org_id, "at": at}).to_arrow_table()
        finally:
            self.connection.unregister("listed")
        return _absences(found, org_id)

    def _can_compare(self) -> bool:
        looks = {QUERY_JOBS: CURRENT, LISTINGS: "reduced_since", UNLISTED_JOBS: "hidden"}  # earlier versions had none
        return all(column in self.columns(table) for table, column in looks.items())

    def _reduced_since(self, org_id: str, at: datetime, now: bool) -> datetime | None:
        """Since when listings have shown a reduced view, if they do: from the one on that lost most of what it had to
        show (`now`: this one), until most of that is shown again, its creators are, or it has expired."""
        if self.connection is None:
            return None
        known = {"org_id": org_id, "at": at}
        for since, before, jobs_before in self.connection.execute(COMPARED, known).fetchall():
            if since:
                ((lost, hidden),) = self.connection.execute(STILL_LOST, known | {"since": since}).fetchall()
                if now or 2 * hidden > lost:
                    return since  # type: ignore[no-any-return]
            if now:
                between = known | {"before": before, "jobs_before": jobs_before}
                ((first,),) = self.connection.execute(FIRST_REDUCED, between).fetchall()
                return first or at
        return at if now else None

    def fields(self) -> dict[str, str]:
        """column -> field of the undocumented fields that have a column of `query_jobs`, by the listings that gave it
        to them: the first keeps it."""
        if self.connection is None or "new_columns" not in self.columns(LISTINGS):
            return {}
        newest_first = self.connection.execute(
            f"select new_columns from {DATASET}.listings where new_columns is not null order by started_at desc"
        ).fetchall()
        return {column: name for (text,) in newest_first for column, name in orjson.loads(text).items()}

    def last_started_at(self, org_id: str, filters: str) -> datetime | None:
        """When the newest listing of the org with these filters started."""
        if self.connection is None or not self.has(LISTINGS):
            return None
        row = self.connection.execute(
            f"select max(started_at) from {DATASET}.listings where org_id = ? and filters = ?", [org_id, filters]
        ).fetchone()
        return row[0] if row else None

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


# An earlier version may have recorded the org by the 15 characters of its id.
NEWEST_LISTING: Final = f"""
select max(coalesce(restarted_at, started_at)) as began_at, max(finished_at) as ended_at from {DATASET}.listings
where left(org_id, 15) = left($org_id, 15)
"""


def _absences(found: pa.Table, org_id: str, *, hidden: bool = False) -> pa.Table:
    """Rows of `unlisted_jobs`; of those that a listing ends it is not known whether the job was hidden."""
    rows = found.add_column(0, "org_id", pa.array([org_id] * found.num_rows, pa.string()))
    away = pc.is_null(rows["listed_again_at"])
    rows = rows.append_column("hidden", pc.if_else(away, pa.scalar(hidden), pa.scalar(None, pa.bool_())))
    return typed(rows, UNLISTED_JOBS)


def typed(rows: pa.Table, table: Table) -> pa.Table:
    """The rows in the table's column order and types; columns that it does not know follow, as text."""
    known = table.schema.names
    more = [c for c in rows.column_names if c not in known]
    schema = pa.schema([*table.schema, *(pa.field(c, pa.string()) for c in more)])
    return rows.select([*known, *more]).cast(schema)
