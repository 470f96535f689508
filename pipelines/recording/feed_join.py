"""Brings together what several answers say of one job: it is in the table of one feed, which also gets what only the
job's details say."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.columns import TIME
from pipelines.recording.feeds import FEEDS, INGEST, QUERY, QUERY_TYPES, Feed
from pipelines.tables import DATASET, LISTINGS

# Jobs that the tables of both feeds have. One that this run's listing of INGEST shows as a load, changed or not,
# belongs there. Any other belongs to the feed that last showed it changed, because the other listing may not be
# recorded any more, or have failed. To join a million jobs of each takes half a second, so only these are looked up:
# jobs that changed since the newest version in `state_spans`, which `refresh_spans` brings up to date afterwards, and
# jobs of types that the other listing is for, which an earlier version may have recorded.
TYPED: Final = f"coalesce({{0}}.job_type in {QUERY_TYPES}, false)"
SHOWN_AT: Final = "coalesce({0}.current_since, {0}.observed_at)"
CANDIDATES: Final = f"""
create or replace temp table candidates as
with joined as (
    select org_id, coalesce(max(s.observed_at), timestamptz '-infinity') as until
    from (select distinct org_id from {DATASET}.{LISTINGS.name}) as l
    left join {DATASET}.state_spans as s using (org_id)
    group by org_id
)
select q.org_id, q.id from {DATASET}.{QUERY.jobs.name} as q where not {TYPED.format("q")}
union
select i.org_id, i.id from {DATASET}.{INGEST.jobs.name} as i where {TYPED.format("i")}
union
select q.org_id, q.id from {DATASET}.{QUERY.jobs.name} as q
inner join joined as j on j.org_id = q.org_id and {SHOWN_AT.format("q")} >= j.until
union
select i.org_id, i.id from {DATASET}.{INGEST.jobs.name} as i
inner join joined as j on j.org_id = i.org_id and {SHOWN_AT.format("i")} >= j.until
"""
# Ids tell roughly when a job was created: their range limits what is read.
IN_BOTH: Final = f"""
create or replace temp table in_both as
select
    c.org_id, c.id, {SHOWN_AT.format("q")} as in_query_at, {SHOWN_AT.format("i")} as in_ingest_at,
    {TYPED.format("q")} as typed_in_query, {TYPED.format("i")} as typed_in_ingest
from candidates as c
inner join {DATASET}.{QUERY.jobs.name} as q on q.org_id = c.org_id and q.id = c.id
inner join {DATASET}.{INGEST.jobs.name} as i on i.org_id = c.org_id and i.id = c.id
where q.id between $first and $last and i.id between $first and $last
"""
# By this run's listing of INGEST, changed or not; if the job is of another type by now, QUERY shows it as that.
LISTED_AS_LOAD: Final = "(l.listed_at is not null and not b.typed_in_query)"
PLACED: Final = f"""
create or replace temp table placed as
select
    b.org_id, b.id, b.in_query_at,
    greatest(b.in_ingest_at, case when {LISTED_AS_LOAD} then l.listed_at end) as in_ingest_at,
    case
        when b.typed_in_ingest then b.in_ingest_at > b.in_query_at
        else {LISTED_AS_LOAD} or b.in_ingest_at >= b.in_query_at
    end as to_ingest
from in_both as b
left join listed_as_loads as l on l.org_id = b.org_id and l.id = b.id
"""
LISTED_AS_LOADS: Final = pa.schema({"org_id": pa.string(), "id": pa.string(), "listed_at": TIME})
VERSION: Final = ", ".join(QUERY.states.schema.names)


def join_feeds(
    primary: duckdb.DuckDBPyConnection, listed_as_loads: Mapping[str, tuple[datetime, pa.ChunkedArray] | None]
) -> None:
    """Moves jobs that stand in the tables of both feeds, with their states and absences, to the one they belong to.

    `listed_as_loads` is when this run listed INGEST, and which jobs that showed, by the org's id; None if that listing
    was not complete."""
    any_jobs = f"select 1 from {DATASET}.%s limit 1"
    if not all(primary.execute(any_jobs % feed.jobs.name).fetchall() for feed in FEEDS.values()):
        return
    ((first, last),) = primary.execute(f"{CANDIDATES}; select min(id), max(id) from candidates").fetchall()
    primary.execute(IN_BOTH, {"first": first, "last": last})
    in_both = primary.sql("select id from in_both").to_arrow_table()["id"]
    if len(in_both):
        shown = [_shown_of(org_id, *listed, in_both) for org_id, listed in listed_as_loads.items() if listed]
        primary.register("listed_as_loads", pa.concat_tables([LISTED_AS_LOADS.empty_table(), *shown]))
        primary.execute(PLACED)
        primary.unregister("listed_as_loads")
        statements = [
            *_moves(QUERY, INGEST, "b.to_ingest", "b.in_ingest_at"),
            *_moves(INGEST, QUERY, "not b.to_ingest", "b.in_query_at"),
        ]
        primary.execute(";\n".join(["begin", *statements, "commit", "drop table placed"]))
    primary.execute("drop table in_both; drop table candidates")


def _shown_of(org_id: str, listed_at: datetime, ids: pa.ChunkedArray, among: pa.ChunkedArray) -> pa.Table:
    ids = pc.unique(ids.filter(pc.is_in(ids, value_set=among.combine_chunks())))
    columns = [pa.repeat(org_id, len(ids)), ids, pa.repeat(pa.scalar(listed_at, TIME), len(ids))]
    return pa.Table.from_arrays(columns, schema=LISTED_AS_LOADS)


def _moves(here: Feed, there: Feed, which: str, shown_at: str) -> list[str]:
    def of(row: str, more: str = "true") -> str:
        same = f"b.org_id = {row}.org_id and b.id = {row}.id"
        return f"exists (select 1 from placed as b where {same} and {which} and {more})"

    states, states_there = f"{DATASET}.{here.states.name}", f"{DATASET}.{there.states.name}"
    absences, open_here = f"{DATASET}.unlisted_jobs", f"u.feed = '{here.name}' and u.listed_again_at is null"
    known = " and ".join(f"t.{column} = s.{column}" for column in there.states.key)
    return [
        f"update {states_there} as t set observed_at = s.observed_at from {states} as s "
        f"where {known} and s.observed_at < t.observed_at and {of('t')}",
        f"update {DATASET}.{there.jobs.name} as t set observed_at = s.observed_at from {states} as s "
        f"where {known} and s.observed_at < t.observed_at and {of('t')}",
        f"insert into {states_there} by name select {VERSION} from {states} as s where {of('s')} "
        f"and not exists (select 1 from {states_there} as t where {known})",
        f"delete from {states} as s where {of('s')}",
        f"delete from {DATASET}.{here.jobs.name} as j where {of('j')}",
        f"delete from {DATASET}.state_spans as p where {of('p')}",  # `refresh_spans` rebuilds them
        f"update {absences} as u set listed_again_at = {shown_at} from placed as b "
        f"where {open_here} and b.org_id = u.org_id and b.id = u.id and {which} and u.unlisted_at < {shown_at}",
        f"delete from {absences} as u where {open_here} and {of('u')} and exists (select 1 from {absences} as o "
        f"where o.org_id = u.org_id and o.id = u.id and o.feed = '{there.name}' and o.listed_again_at is null)",
        f"update {absences} as u set feed = '{there.name}' where {of('u')}",
    ]


def fill_from_details(primary: duckdb.DuckDBPyConnection) -> None:
    """Fills the columns of jobs that no listing tells from `job_details`: a job that a listing shows changed loses
    them."""
    for feed in FEEDS.values():
        for column in (column.name for column in feed.jobs.columns if column.only_in_details):
            primary.execute(
                f"update {DATASET}.{feed.jobs.name} as j set {column} = d.{column} from {DATASET}.job_details as d "
                f"where d.{column} is not null and j.{column} is null and d.org_id = j.org_id and d.id = j.id"
            )
