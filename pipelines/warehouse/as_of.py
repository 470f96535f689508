"""`--as-of TIME`: a warehouse as it was at an earlier moment, from what had been recorded by then.

An in-memory catalog has a view for each table that shows only what was known at TIME, and the views of `views/` on top.
Nothing is written. Values that a later load has replaced are no longer known:

- the details of a job that were fetched again later (missing before that), and the last listing of a rejected record
  (assumed to be in every listing since the first);
- former names of users and orgs (today's are shown);
- for a job whose state changed later, all columns but state, system_modstamp and observed_at.

A listing that was kept on disk while the database was locked counts from the time of the listing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from pipelines.errors import UsageError, sanitize
from pipelines.tables import DATASET
from pipelines.warehouse.database_file import CATALOG
from pipelines.warehouse.reader import Warehouse, lacking, opened
from pipelines.warehouse.schema import unqualified, views
from pipelines.warehouse.state_spans import ORDER, SPANS, states_of_feeds

REMEDY: Final = "Use a form like 2026-11-16T06:00 (UTC), 2026-11-16T06:00+01:00, or 2026-11-16 (start of that day)."
THEN: Final = "back_then"  # a schema for what is computed once

# Per org and feed, the start of the newest listing that had ended by then: rows carry the start of the listing that
# showed them. Before the end of a feed's first listing, the org's newest counts up to the start of that one: rows may
# have come from the other table since.
SEEN: Final = f"""
with listed as (
    select org_id, feed, started_at, coalesce(restarted_at, started_at) as listed_at, finished_at <= $at as ended
    from {CATALOG}.{DATASET}.listings
)
select
    o.org_id, f.feed,
    coalesce(
        max(l.listed_at) filter (where l.ended),
        least(any_value(o.listed_at), min(l.started_at) - interval 1 microsecond)
    ) as seen_to
from (select org_id, max(listed_at) as listed_at from listed where ended group by all) as o
cross join (select unnest(['query', 'ingest']) as feed) as f
left join listed as l on l.org_id = o.org_id and l.feed = f.feed
group by all
"""
# Jobs whose current row comes from a later listing are shown by their earlier versions, and their spans recomputed.
STATES: Final = f"""
select s.* from ({states_of_feeds(catalog=CATALOG)}) as s
inner join {THEN}.seen as t on t.org_id = s.org_id and t.feed = s.feed and s.observed_at <= t.seen_to
where exists (
    select 1
    from (
        select org_id, id, current_since, observed_at from {CATALOG}.{DATASET}.query_jobs
        union all
        select org_id, id, current_since, observed_at from {CATALOG}.{DATASET}.ingest_jobs
    ) as j
    where j.org_id = s.org_id and j.id = s.id and coalesce(j.current_since, j.observed_at) > t.seen_to
)
"""
NEWEST: Final = f"""
select *, row_number() over job as nth, count(*) over (partition by org_id, id) as versions
from {THEN}.states
window job as (partition by org_id, id order by {ORDER})
qualify nth = versions
"""
JOBS: Final = f"""
select j.* from {{table}} as j
inner join {THEN}.seen as t
    on t.org_id = j.org_id and t.feed = '{{feed}}' and coalesce(j.current_since, j.observed_at) <= t.seen_to
union all by name
select
    j.* replace (
        s.state as state, s.system_modstamp as system_modstamp, s.observed_at as observed_at,
        cast(null as timestamptz) as current_since
    )
from {{table}} as j
inner join {THEN}.newest as s on s.org_id = j.org_id and s.id = j.id
"""
JOB_STATES: Final = f"""
select s.* from {{table}} as s
inner join {THEN}.seen as t on t.org_id = s.org_id and t.feed = '{{feed}}' and s.observed_at <= t.seen_to
"""
TABLES_THEN: Final = {
    "query_jobs": JOBS.replace("{feed}", "query"),
    "query_job_states": JOB_STATES.replace("{feed}", "query"),
    "ingest_jobs": JOBS.replace("{feed}", "ingest"),
    "ingest_job_states": JOB_STATES.replace("{feed}", "ingest"),
    "listings": "select * from {table} where finished_at <= timestamptz '{at}'",
    "state_spans": f"""
        select s.* from {{table}} as s
        inner join {THEN}.seen as t on t.org_id = s.org_id and t.feed = s.feed and s.observed_at <= t.seen_to
        where not exists (select 1 from {THEN}.spans as a where a.org_id = s.org_id and a.id = s.id)
        union all by name
        select * from {THEN}.spans
    """,
    "unlisted_jobs": f"""
        select
            u.* replace (
                case when u.listed_again_at <= t.seen_to then u.listed_again_at end as listed_again_at
            )
        from {{table}} as u
        inner join {THEN}.seen as t on t.org_id = u.org_id and t.feed = u.feed and u.unlisted_at <= t.seen_to
    """,
    "job_details": "select * from {table} where asked_at <= timestamptz '{at}'",
    "record_errors": "select * from {table} where read_at <= timestamptz '{at}'",
    "job_batches": "select * from {table} where read_at <= timestamptz '{at}'",
    "org_limits": "select * from {table} where asked_at <= timestamptz '{at}'",
    "rejected_records": f"""
        select r.* replace (
            case when r.last_observed_at > t.seen_to then t.seen_to else r.last_observed_at end as last_observed_at
        )
        from {{table}} as r
        inner join (select org_id, max(seen_to) as seen_to from {THEN}.seen group by 1) as t
            on t.org_id = r.org_id and r.first_observed_at <= t.seen_to
    """,
    "users": "select * from {table}",
    # The views judge by this one whether an org is still recorded.
    "orgs": """
        select
            o.* replace (
                case when o.left_settings_at <= timestamptz '{at}' then o.left_settings_at end as left_settings_at
            )
        from {table} as o
    """,
}


@contextmanager
def opened_as_of(path: Path, time: str | None) -> Iterator[Warehouse]:
    """The warehouse as it was at a time, given as text; without a time, as it is (see `reader.opened`).

    Raises UsageError if the time is invalid, in the future, or before the first listing; and like `reader.opened`.
    """
    at = None if time is None else read_time(time)
    with opened(path) as file:
        yield file if at is None else rewound(file, at)


def read_time(given: str) -> datetime:
    """A time or a date in ISO 8601, in UTC unless it says otherwise. Raises UsageError."""
    try:
        time = datetime.fromisoformat(given.strip())
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"--as-of {sanitize(given, 60)} is not a time.", REMEDY) from None


def rewound(file: Warehouse, at: datetime) -> Warehouse:
    """The same open file as it was at a moment. From then on the connection shows nothing else.

    Raises UsageError if that is in the future, by the file's clock, or before the first listing.
    """
    (recorded,) = file.rows("select min(finished_at) as first, max(finished_at) as last from listings")
    now = max(filter(None, (file.clock, recorded["last"])))
    if at > now:
        raise UsageError(f"--as-of {_shown(at)} is in the future: it is now {_shown(now)}.", REMEDY)
    if recorded["first"] is None or at < recorded["first"]:
        first = f"the first listing was at {_shown(recorded['first'])}" if recorded["first"] else "there is no listing"
        raise UsageError(f"Nothing was recorded yet at {_shown(at)}: {first}.", "Use a later time with --as-of.")
    then = Warehouse(file.path, file.connection, at)
    is_demo = file.is_demo  # read now: the file's own schemas are not visible after this
    try:
        _rewind(file.connection, at)
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise lacking(file.path, error) from None
    then.__dict__["is_demo"] = is_demo
    return then


def _rewind(connection: duckdb.DuckDBPyConnection, at: datetime) -> None:
    connection.execute(f"create schema memory.{THEN}; create schema memory.{DATASET}")
    connection.execute(f"set search_path = 'memory.{DATASET}'")
    connection.execute(f"create table {THEN}.seen as {SEEN}", {"at": at})
    connection.execute(f"create table {THEN}.states as {STATES}; create table {THEN}.newest as {NEWEST}")
    for name, sql in TABLES_THEN.items():
        if name == "state_spans":  # computed from the listings as they were then
            connection.execute(f"create table {THEN}.spans as {SPANS % f'select * from {THEN}.states'}")
        table = f"{CATALOG}.{DATASET}.{name}"
        connection.execute(f"create view {DATASET}.{name} as {sql.format(table=table, at=at.isoformat())}")
    for name, sql in views().items():
        connection.execute(f"create view {DATASET}.{name} as {unqualified(sql)}")


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
