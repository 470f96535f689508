"""Brings together what several answers tell of one job: it stands in the table of one feed, and that has what only the
job's details tell."""

from typing import Final

import duckdb

from pipelines.recording.feeds import FEEDS, INGEST, QUERY, QUERY_TYPES, Feed
from pipelines.tables import DATASET

# Jobs that the tables of both feeds have. A V2 load belongs to INGEST, whatever else shows it; a Classic job to the
# feed that last showed it changed: INGEST has some only if it was recorded without QUERY for a while. Each of the two
# halves first looks at a column of types, as there is hardly ever such a job.
IN_BOTH: Final = f"""
create or replace temp table in_both as
select org_id, id, true as to_ingest
from {DATASET}.{QUERY.jobs.name} as q
where coalesce(q.job_type not in {QUERY_TYPES}, true)
    and exists (
        select 1 from {DATASET}.{INGEST.jobs.name} as i where i.org_id = q.org_id and i.id = q.id
    )
union all
select i.org_id, i.id, coalesce(i.current_since, i.observed_at) > coalesce(q.current_since, q.observed_at)
from {DATASET}.{INGEST.jobs.name} as i
inner join {DATASET}.{QUERY.jobs.name} as q on q.org_id = i.org_id and q.id = i.id
where i.job_type in {QUERY_TYPES}
"""
VERSION: Final = ", ".join(QUERY.states.schema.names)


def join_feeds(primary: duckdb.DuckDBPyConnection) -> None:
    """Moves jobs that stand in the tables of both feeds, with their states and absences, to the one they belong to."""
    primary.execute(IN_BOTH)
    if primary.execute("select 1 from in_both limit 1").fetchone():
        statements = [*_moves(QUERY, INGEST, "b.to_ingest"), *_moves(INGEST, QUERY, "not b.to_ingest")]
        primary.execute(";\n".join(["begin", *statements, "commit"]))
    primary.execute("drop table in_both")


def _moves(here: Feed, there: Feed, which: str) -> list[str]:
    def of(row: str) -> str:
        return f"exists (select 1 from in_both as b where b.org_id = {row}.org_id and b.id = {row}.id and {which})"

    states, states_there = f"{DATASET}.{here.states.name}", f"{DATASET}.{there.states.name}"
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
        f"update {DATASET}.unlisted_jobs as u set feed = '{there.name}' where {of('u')}",
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
