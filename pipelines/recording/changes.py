"""Which of the jobs just listed are new to the warehouse, or differ from what it has."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.columns import TIME, Table
from pipelines.recording.feeds import INGEST, QUERY, QUERY_TYPES, SHOWN_BY_BOTH, Feed
from pipelines.recording.history import History
from pipelines.tables import DATASET
from pipelines.warehouse.renamed_columns import old_names

OBSERVED: Final = "observed_at"
CURRENT: Final = "current_since"
POSITION: Final = "_dlt_position"  # of a row in its listing; cannot clash: no field becomes a `_dlt…` column


def changes(
    history: History, feed: Feed, listed: pa.Table, started_at: datetime, handed_over: list[pa.ChunkedArray]
) -> tuple[pa.Table, pa.Table]:
    """The rows of jobs and of states that this part of a listing adds or changes; those of jobs with their POSITION,
    which `listed` has.

    A job is unchanged only if every column is: its state can change without its system_modstamp.
    A job whose id is in `handed_over` counts as changed: dlt already has a row of it, from earlier in this listing.
    `current_since` is `started_at`; so is `observed_at`, except for a version that was observed before.
    """
    recorded = history.has(feed.jobs) and history.has(feed.states)
    if history.connection is None or not recorded or not listed.num_rows:
        return _with_observed(feed, listed, pa.nulls(listed.num_rows, TIME), started_at)
    again = pa.chunked_array([chunk for ids in handed_over for chunk in ids.chunks], pa.string())
    found = _compare(history.connection, feed, history.columns(feed.jobs), listed, again)
    return _with_observed(feed, listed.take(found["at"]), found["first_observed_at"], started_at)


def recorded_here(
    history: History, feed: Feed, listed: pa.Table, others: Collection[Feed]
) -> tuple[pa.Table, pa.Table]:
    """The jobs of a page that this feed records, with these others listed at the same time, and those that it leaves to
    the other. /jobs/ingest leaves out jobs that both show; /jobs/query leaves out V2 loads that /jobs/ingest has shown.
    Whether /jobs/query ever shows V2 loads is open: its documentation names the type as a filter."""
    types = listed["job_type"]
    if feed == INGEST:
        left = pc.equal(types, SHOWN_BY_BOTH).fill_null(False)
    else:
        left = pc.invert(pc.is_in(types, value_set=pa.array(QUERY_TYPES)))
    if not others or not pc.any(left).as_py():
        return listed, listed.slice(0, 0)
    if feed == QUERY:
        known = _recorded(history, INGEST, listed.filter(left))["id"].combine_chunks()
        left = pc.and_(left, pc.is_in(listed["id"], value_set=known))
    return listed.filter(pc.invert(left)), listed.filter(left)


def not_recorded_there(history: History, feed: Feed, left: pa.Table) -> pa.Table:
    """Of jobs that this feed left to the other, those that the other has not recorded in this version."""
    found = _recorded(history, INGEST if feed == QUERY else QUERY, left)
    same = found.filter(found["same"])["id"].combine_chunks()
    return left.filter(pc.invert(pc.is_in(left["id"], value_set=same)))


def _recorded(history: History, feed: Feed, jobs: pa.Table) -> pa.Table:
    """Those of these jobs that the feed's table has: the id, and whether it is the same version.

    A job's created_date never changes, so it limits what is read."""
    if history.connection is None or not history.has(feed.jobs):
        return pa.table({"id": pa.array([], pa.string()), "same": pa.array([], pa.bool_())})
    created = pc.min_max(jobs["created_date"]).as_py()
    history.connection.register("those_left", jobs.select(feed.states.key))
    try:
        return history.connection.sql(
            f"""
            select l.id, l.system_modstamp = j.system_modstamp and l.state = j.state as same
            from those_left as l inner join {DATASET}.{feed.jobs.name} as j using (org_id, id)
            where j.created_date between $min and $max or j.created_date is null
            """,
            params=created,
        ).to_arrow_table()
    finally:
        history.connection.unregister("those_left")


def _compare(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    columns: tuple[str, ...],
    listed: pa.Table,
    again: pa.ChunkedArray,
) -> pa.Table:
    """Positions of the changed rows, in page order, and when each one's version was first observed, if it was.

    An unchanged row has the stored system_modstamp, so the range of the listed ones limits what is read.
    """
    renamed = old_names(feed.jobs)  # a published copy that stands in for a locked file may be an earlier version's
    stored = {renamed.get(c, c): c for c in columns if c not in (OBSERVED, CURRENT) and not c.startswith("_dlt")}
    version = set(feed.states.key)  # compared by the join itself
    listed_columns = set(listed.column_names) - {POSITION}
    untold = {c.name for c in feed.jobs.columns if c.only_in_details and not listed[c.name].null_count < len(listed)}
    listed_columns, stored = listed_columns - untold, {new: old for new, old in stored.items() if new not in untold}
    same = [
        *(f's."{stored[c]}" is not distinct from l."{c}"' for c in sorted(listed_columns & stored.keys() - version)),
        *(f'l."{c}" is null' for c in sorted(listed_columns - stored.keys())),
        *(f's."{stored[c]}" is null' for c in sorted(stored.keys() - listed_columns)),
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
                    select 1 from {DATASET}.{feed.jobs.name} as s
                    where s.system_modstamp between $min and $max
                        and s.org_id = l.org_id and s.id = l.id
                        and s.system_modstamp = l.system_modstamp and s.state = l.state
                        and {" and ".join(same)}
                ) {or_again}
            )
            select c.{POSITION} - $first as at, s.observed_at as first_observed_at
            from changed as c
            left join (
                select * from {DATASET}.{feed.states.name} where system_modstamp between $min and $max
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
    feed: Feed, changed: pa.Table, first: pa.Array | pa.ChunkedArray, started_at: datetime
) -> tuple[pa.Table, pa.Table]:
    started = pa.scalar(started_at, TIME)
    jobs = changed.append_column(OBSERVED, pc.coalesce(first, started))
    jobs = jobs.append_column(CURRENT, pa.repeat(started, jobs.num_rows))
    states = jobs.filter(pc.is_null(first)).select(feed.states.schema.names)
    positions = jobs.schema.get_field_index(POSITION)
    rows = typed(jobs.remove_column(positions), feed.jobs).append_column(POSITION, jobs[POSITION])
    return rows, typed(states, feed.states)


def typed(rows: pa.Table, table: Table) -> pa.Table:
    """The rows in the table's column order and types, followed by columns the table does not define, as text."""
    known = table.schema.names
    more = [c for c in rows.column_names if c not in known]
    schema = pa.schema([*table.schema, *(pa.field(c, pa.string()) for c in more)])
    return rows.select([*known, *more]).cast(schema)
