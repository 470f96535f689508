"""Which jobs a listing no longer shows, which it shows again, and whether it shows only a fraction of the org."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.columns import TIME
from pipelines.job_tables import FINISHED
from pipelines.recording.changes import CURRENT, typed
from pipelines.recording.feeds import Feed
from pipelines.recording.history import History
from pipelines.recording.shown_jobs import ShownJobs
from pipelines.tables import LISTINGS, UNLISTED_JOBS

# A listing that lacks this many, and more than half, of the jobs that cannot have expired shows a reduced view.
LOST: Final = 20
RETENTION: Final = "interval 168 hours"  # of a finished job, from its creation: the org removes older ones

# A finished job is gone after seven days, so jobs that were older than twice that when last compared need no look.
# Unfinished jobs may go at any age, and are few. Whatever went before the last compared listing is in the table
# already, but a listing that was kept while the file was locked may not have been compared.
AWAY: Final = f"""
with before as (
    select
        max(c.listed_at) as listed_at,
        coalesce(max(c.listed_at) - interval 15 days, timestamptz '-infinity') as since
    from complete_listings as c
    where c.org_id = $org_id and c.jobs_unlisted is not null and c.listed_at < $at
),
away as (
    select id, state, last_listed_at, unlisted_at from feed_absences
    where org_id = $org_id and listed_again_at is null
        and (unlisted_at >= (select since from before) or state not in {FINISHED})
)
"""
# Whether a job cannot have expired (`lasting`) depends on the earliest time at which it can have finished: after the
# listing that last showed it unfinished, else its creation. An unfinished job of a user whose newer jobs are shown may
# have ended and been deleted since: some clients delete each of their jobs at once.
# An absent job may have been shown since, by a listing that was compared with nothing: then its absence has ended.
UNLISTED: Final = f"""
{AWAY},
back as (
    select id, max(listed_again_at) as listed_again_at from feed_absences
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
        from feed_jobs where org_id = $org_id
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
    k.id, k.state, k.last_listed_at, $at as unlisted_at, cast(null as timestamptz) as listed_again_at, k.lasting,
    exists (select 1 from elsewhere as e where e.id = k.id) as elsewhere,
    n.expected
from (select count(*) as expected from known where lasting) as n
left join known as k on k.listed is null  -- without missing jobs: one row, without an id
union all
select a.*, coalesce(k.shown_at, $at), false, false, null
from away as a
left join known as k on k.id = a.id and k.shown_at > a.unlisted_at
where k.id is not null or exists (select 1 from listed as l where l.id = a.id)
    or exists (select 1 from elsewhere as e where e.id = a.id)
"""
LISTED_AGAIN: Final = f"""
{AWAY}
select *, $at as listed_again_at from away as a where exists (select 1 from listed as l where l.id = a.id)
"""

# The newest listing that was compared: since when listings were reduced by then, and how many jobs it showed.
COMPARED: Final = """
select reduced_since, listed_at, jobs_listed
from complete_listings
where org_id = $org_id and jobs_unlisted is not null and listed_at < $at
order by listed_at desc
limit 1
"""
# The jobs lost since $since that cannot have expired by now: how many there are, and how many of them are still absent
# while none of their creator's jobs is shown.
STILL_LOST: Final = f"""
select
    count(*) as lost,
    count(*) filter (
        where u.listed_again_at is null and u.id not in (select id from listed where id is not null)
            and not exists (select 1 from creators as c where c.id is not distinct from j.created_by_id)
    ) as hidden
from (
    select * from feed_absences
    where org_id = $org_id and unlisted_at >= $since
    qualify row_number() over (partition by id order by unlisted_at desc) = 1
) as u
inner join feed_jobs as j on j.org_id = u.org_id and j.id = u.id
where case when u.state in {FINISHED} then j.created_date else greatest(j.created_date, u.last_listed_at) end
        > $at - {RETENTION}
"""
# Listings between the last compared one and this one that were compared with nothing count as reduced if they showed
# no more than half as many jobs as the compared one.
FIRST_REDUCED: Final = """
select min(listed_at)
from complete_listings
where org_id = $org_id and jobs_unlisted is null and jobs_listed * 2 <= $jobs_before
    and listed_at > $before and listed_at < $at
"""


@dataclass(frozen=True)
class Comparison:
    """How a complete listing differs from what was known: the rows of `unlisted_jobs` that it adds or ends; how many
    jobs cannot have expired by then, and how many of these it lacks; since when listings have shown only a fraction."""

    rows: pa.Table
    jobs_unlisted: int
    jobs_expected: int
    jobs_lost: int
    reduced_since: datetime | None


def compared(  # noqa: PLR0917
    history: History,
    feed: Feed,
    shown: ShownJobs,
    elsewhere: pa.ChunkedArray,
    org_id: str,
    at: datetime,
) -> Comparison | None:
    """Compares a complete listing with what is known; None if there is nothing to compare with. `elsewhere` are jobs
    that the run's other listings show: these are not gone, though a listing that lacks them may be a reduced view."""
    if history.connection is None or not _can_compare(history, feed, org_id):
        return None
    newest = {"id": pa.array(shown.creators, pa.string()), "newest": pa.array(shown.creators.values(), TIME)}
    history.connection.register("listed", pa.table({"id": shown.all_ids}))
    history.connection.register("elsewhere", pa.table({"id": elsewhere}))
    history.connection.register("creators", pa.table(newest))
    try:
        found = history.connection.sql(
            history.of_feed(feed, UNLISTED), params={"org_id": org_id, "at": at}
        ).to_arrow_table()
        lost, expected = pc.sum(found["lasting"]).as_py() or 0, pc.max(found["expected"]).as_py()
        since = _reduced_since(history, feed, org_id, at, lost >= LOST and 2 * lost > expected)
    finally:
        for registered in ("listed", "elsewhere", "creators"):
            history.connection.unregister(registered)
    found = found.filter(pc.and_(pc.is_valid(found["id"]), pc.invert(found["elsewhere"])))
    rows = _absences(found.drop_columns(["lasting", "elsewhere", "expected"]), feed, org_id, hidden=since is not None)
    return Comparison(rows, rows["listed_again_at"].null_count, expected, lost, since)


def listed_again(  # noqa: PLR0917
    history: History, feed: Feed, shown: ShownJobs, elsewhere: pa.ChunkedArray, org_id: str, at: datetime
) -> pa.Table | None:
    """The rows of `unlisted_jobs` that a filtered listing ends; None if there is nothing to compare with."""
    if history.connection is None or not _can_compare(history, feed, org_id):
        return None
    ids = pa.chunked_array([*shown.all_ids.chunks, *elsewhere.chunks], pa.string())
    history.connection.register("listed", pa.table({"id": ids}))
    try:
        found = history.connection.sql(
            history.of_feed(feed, LISTED_AGAIN), params={"org_id": org_id, "at": at}
        ).to_arrow_table()
    finally:
        history.connection.unregister("listed")
    return _absences(found, feed, org_id)


def _can_compare(history: History, feed: Feed, org_id: str) -> bool:
    """Whether an earlier listing of this org's feed is recorded, by a version that noted what a comparison reads."""
    looks = {feed.jobs: CURRENT, LISTINGS: "reduced_since", UNLISTED_JOBS: "hidden"}
    return all(column in history.columns(table) for table, column in looks.items()) and history.has_listed(org_id, feed)


def _reduced_since(history: History, feed: Feed, org_id: str, at: datetime, now: bool) -> datetime | None:
    """Since when listings have shown a reduced view, if they do: from the first that lacked most of what it had to show
    (`now`: this one), until most of these jobs, or others of their creators, are shown again, or they have expired."""

    def rows(sql: str, **more: Any) -> list[tuple[Any, ...]]:
        parameters = {"org_id": org_id, "at": at, **more}
        return history.connection.execute(history.of_feed(feed, sql), parameters).fetchall()  # type: ignore[union-attr]

    for since, before, jobs_before in rows(COMPARED):
        if since:
            ((lost, hidden),) = rows(STILL_LOST, since=since)
            if now or 2 * hidden > lost:
                return since  # type: ignore[no-any-return]
        if now:
            ((first,),) = rows(FIRST_REDUCED, before=before, jobs_before=jobs_before)
            return first or at
    return at if now else None


def _absences(found: pa.Table, feed: Feed, org_id: str, *, hidden: bool = False) -> pa.Table:
    """Rows of `unlisted_jobs`. Whether a job was hidden is left null where the absence has ended."""
    rows = found.append_column("org_id", pa.repeat(org_id, found.num_rows))
    rows = rows.append_column("feed", pa.repeat(feed.name, found.num_rows))
    away = pc.is_null(rows["listed_again_at"])
    rows = rows.append_column("hidden", pc.if_else(away, pa.scalar(hidden), pa.scalar(None, pa.bool_())))
    return typed(rows, UNLISTED_JOBS)
