"""Which finished jobs a run fetches details for, and in which order: new ones before those that failed before."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipelines.job_tables import FINISHED
from pipelines.recording.listings import Listings
from pipelines.tables import DATASET

ATTEMPTS: Final = 3  # for a job whose details cannot be fetched, one per run; then retries become rarer

# observed_at limits what is read: a version first seen more than seven days ago belongs to a job that is gone by now.
# Jobs whose request failed come after all that have not been tried yet: a hundred of them delay no other job.
# Among the rest, failures come first, then Closed jobs, whose state does not tell whether all their records failed,
# then the newest.
# Provisional details are fetched again each time their age has doubled: ten times at most in a week. So are, after
# ATTEMPTS, those that failed, but at most once an hour and at least twice a day: this recovers what an outage of the
# Classic API cost.
# The query returns up to a run's limit of Classic jobs, and as many others: once the Classic API cannot be used, the
# others take their places.
JOBS: Final = f"""
select
    '{{feed.name}}' as feed, org_id, id, job_type, state, system_modstamp, created_date, observed_at, current_since
from {DATASET}.{{feed.jobs.name}}
"""
BACKLOG: Final = f"""
with waiting as (
    select
        j.feed, j.id, j.job_type, j.state as listed_state, j.system_modstamp as listed_modstamp,
        s.id is not null as shown,
        d.* exclude (org_id, id, listed_state, listed_modstamp),
        coalesce(j.created_date, j.observed_at) as since,
        case when d.error is null then 0 else d.attempts end as failures,
        row_number() over (
            order by
                failures,
                case j.state when 'Failed' then 0 when 'Closed' then 1 else 2 end,
                j.created_date desc,
                j.id
        ) as place
    from ({{jobs}}) as j
    left join (
        select * from {DATASET}.job_details where org_id = $org_id and asked_at >= $now - interval 60 days
    ) as d on d.id = j.id
    left join (select distinct id from shown) as s on s.id = j.id
    where j.org_id = $org_id
        and j.state in {FINISHED}
        and j.observed_at >= $now - interval 7 days
        and (
            s.id is not null
            or not exists (
                select 1 from {DATASET}.unlisted_jobs as u
                where u.org_id = $org_id and u.feed = j.feed and u.id = j.id and u.listed_again_at is null
                    and u.unlisted_at >= $now - interval 60 days
                    and u.unlisted_at >= coalesce(j.current_since, j.observed_at)
            )
        )
        and (
            d.id is null
            or (
                d.error is not null
                and (d.outcome <> 'gone' or s.id is not null)
                and (
                    d.attempts < {ATTEMPTS}
                    or $now - d.asked_at
                        >= least(greatest(d.asked_at - since, interval 1 hour), interval 12 hours)
                )
            )
            or (d.outcome = 'answered' and (d.listed_state <> j.state or d.listed_modstamp <> j.system_modstamp))
            or (d.outcome = 'answered' and d.provisional and $now - d.asked_at >= d.asked_at - since)
        )
)
select *, count(*) over () as waiting
from waiting
qualify row_number() over (partition by job_type = 'Classic' order by place) <= $at_most
order by place
"""

Job = dict[str, Any]


def backlog(listings: Listings, primary: duckdb.DuckDBPyConnection, at_most: int) -> list[Job]:
    """The jobs to fetch details for, most urgent first, plus enough others to take the places of Classic ones."""
    parameters = {"org_id": listings.org.org_id, "now": listings.org.clock, "at_most": at_most}
    primary.register("shown", pa.table({"id": listings.shown_ids}))
    of_feeds = "union all".join(JOBS.format(feed=feed) for feed in listings.feeds)
    try:
        jobs: list[Job] = primary.sql(BACKLOG.format(jobs=of_feeds), params=parameters).to_arrow_table().to_pylist()
    finally:
        primary.unregister("shown")
    return jobs


def spread(jobs: Iterable[Job]) -> Iterator[Job]:
    """Takes jobs in turn from the front, the end, the front and the middle. Any five in a row are thus a mix, so that
    five failures in a row are unlikely to come from similar jobs."""
    left = deque(jobs)
    while left:
        yield left.popleft()
        if left:
            yield left.pop()
        if left:
            yield left.popleft()
        if left:
            left.rotate(-(len(left) // 2))
            yield left.popleft()
            left.rotate(len(left) // 2)
