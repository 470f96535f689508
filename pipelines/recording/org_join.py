"""Merges an org that earlier versions recorded under both forms of its id, 15 and 18 characters, into one."""

from typing import Final

import duckdb

from pipelines.job_tables import JOB_BATCHES, RECORD_ERRORS, STATE_SPANS
from pipelines.recording.feeds import FEEDS, QUERY
from pipelines.salesforce.ids import full_id
from pipelines.tables import DATASET, LISTINGS, REJECTED_RECORDS, TABLES, UNLISTED_JOBS
from pipelines.warehouse.schema import stored_columns

# Of two rows with the same key, the first in this order is kept, as in `merges.py`.
ORDER: Final = {
    **{feed.jobs: "coalesce(current_since, observed_at) desc" for feed in FEEDS.values()},
    **{feed.states: "observed_at" for feed in FEEDS.values()},
    UNLISTED_JOBS: "listed_again_at",
    REJECTED_RECORDS: "last_observed_at desc",
    LISTINGS: "started_at",
    RECORD_ERRORS: "read_at",
    JOB_BATCHES: "read_at desc",
}
NEWEST_ANSWER: Final = "asked_at desc"  # for the other tables
OF_ORG: Final = "org_id in ($short, $full)"

# What is carried over from the row that is deleted: when a version, or a rejected record, was first seen.
FIRST_SEEN: Final = f"""
update {DATASET}.rejected_records as r set first_listing_id = f.listing_id, first_observed_at = f.observed_at
from (
    select record_hash, arg_min(first_listing_id, first_observed_at) as listing_id,
        min(first_observed_at) as observed_at
    from {DATASET}.rejected_records where {OF_ORG} group by 1
) as f
where {OF_ORG} and f.record_hash = r.record_hash
"""
FIRST_OBSERVED: Final = f"""
update {DATASET}.{{feed.jobs.name}} as j set observed_at = s.observed_at
from {DATASET}.{{feed.states.name}} as s
where j.org_id = $full and s.org_id = $full and s.id = j.id and s.system_modstamp = j.system_modstamp
    and s.state = j.state and s.observed_at < j.observed_at
"""
# A job that was listed only under one form of the id, while later listings are under the other: it went in between.
WENT: Final = f"""
insert into {DATASET}.unlisted_jobs by name
with whole as (
    select org_id, coalesce(restarted_at, started_at) as listed_at from {DATASET}.listings
    where {OF_ORG} and filters = '{{}}'
),
went as (
    select j.org_id, j.id, j.state, max(same.listed_at) as listed_at,
        coalesce(j.current_since, j.observed_at) as shown_at
    from {DATASET}.query_jobs as j
    left join whole as same on same.org_id = j.org_id
    where j.{OF_ORG}
        and not exists (
            select 1 from {DATASET}.query_jobs as o where o.{OF_ORG} and o.org_id <> j.org_id and o.id = j.id
        )
        and not exists (
            select 1 from {DATASET}.unlisted_jobs as u
            where u.{OF_ORG} and u.id = j.id and u.listed_again_at is null
        )
    group by all
)
select
    w.org_id, w.id, w.state, greatest(w.shown_at, w.listed_at) as last_listed_at, min(o.listed_at) as unlisted_at,
    '{QUERY.name}' as feed -- the only listing that versions which recorded both forms knew
from went as w
inner join whole as o on o.org_id <> w.org_id and o.listed_at > greatest(w.shown_at, w.listed_at)
group by all
"""
# Listings under both forms found the same absence, each at its own time: the earliest row is kept. A job that was
# listed under the other form after its absence began was back.
ABSENCES: Final = f"""
create or replace temp table absences as
with rows_of_a_job as (
    select
        id, last_listed_at, unlisted_at, listed_again_at,
        coalesce(last_listed_at > lag(unlisted_at) over by_time, true)
            or coalesce(max(listed_again_at) over before between lag(unlisted_at) over by_time and unlisted_at, false)
            as is_new
    from {DATASET}.unlisted_jobs
    where org_id = $full
    window
        by_time as (partition by id order by unlisted_at),
        before as (partition by id order by unlisted_at rows between unbounded preceding and 1 preceding)
),
numbered as (
    select *, sum(cast(is_new as integer)) over (partition by id order by unlisted_at) as nth from rows_of_a_job
),
absences as (
    select
        id, nth, min(unlisted_at) as unlisted_at, max(last_listed_at) as last_listed_at,
        min(listed_again_at) as listed_again_at, min(last_listed_at) as first_listed_at
    from numbered
    group by id, nth
)
select
    id, unlisted_at, last_listed_at,
    least(listed_again_at, lead(first_listed_at) over (partition by id order by nth)) as listed_again_at
from absences
"""
ONE_ABSENCE: Final = (
    ABSENCES,
    f"""
    update {DATASET}.unlisted_jobs as u
    set last_listed_at = a.last_listed_at, listed_again_at = a.listed_again_at
    from absences as a
    where u.org_id = $full and u.id = a.id and u.unlisted_at = a.unlisted_at
    """,
    f"""
    delete from {DATASET}.unlisted_jobs as u
    where u.org_id = $full
        and not exists (select 1 from absences as a where a.id = u.id and a.unlisted_at = u.unlisted_at)
    """,
    "drop table absences",
)


def join_orgs(primary: duckdb.DuckDBPyConnection) -> None:
    """Changes 15-character org ids to the 18-character form, in one transaction; of two rows that then have the same
    key, one is kept. The tables must already have all columns of this version (`complete_tables`)."""
    if not stored_columns(primary, LISTINGS):
        return
    shorts = primary.execute(f"select distinct org_id from {DATASET}.listings where length(org_id) = 15").fetchall()
    for (short,) in shorts:
        _join(primary, {"short": short, "full": full_id(short)})


def _join(primary: duckdb.DuckDBPyConnection, ids: dict[str, str]) -> None:
    def run(sql: str) -> None:
        given = {name: value for name, value in ids.items() if f"${name}" in sql}
        primary.execute(sql, given)

    primary.execute("begin")
    try:
        run(WENT)
        run(FIRST_SEEN)
        for table in TABLES:
            name = f"{DATASET}.{table.name}"
            if table == STATE_SPANS:  # `refresh_spans` rebuilds it
                run(f"delete from {name} where {OF_ORG}")
                continue
            key = ", ".join(column for column in table.key if column != "org_id") or "1"
            order = ORDER.get(table, NEWEST_ANSWER)
            run(
                f"delete from {name} where rowid in (select rowid from (select rowid, row_number() over (partition by "
                f"{key} order by {order}, org_id = $full desc) as nth from {name} where {OF_ORG}) where nth > 1)"
            )
            run(f"update {name} set org_id = $full where org_id = $short")
        for feed in FEEDS.values():
            run(FIRST_OBSERVED.format(feed=feed))
        for statement in ONE_ABSENCE:
            run(statement)
        primary.execute("commit")
    except BaseException:
        primary.execute("rollback")
        raise
