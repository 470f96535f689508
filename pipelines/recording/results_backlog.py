"""The loads whose results a run reads: finished, with failures, not read yet and not known to be gone; newest first."""

from datetime import datetime
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipelines.recording.feeds import FEEDS
from pipelines.recording.job_answer import V2_LOADS
from pipelines.tables import DATASET

ATTEMPTS: Final = 3  # at results that break off, one per run; then they become rarer, as for details
MAX_JOBS: Final = 1_000  # considered in one run: more than it can read

_LISTED: Final = " union all ".join(
    f"select '{feed.name}' as feed, org_id, id, job_type, operation, created_date, observed_at, current_since, "
    f"column_delimiter from {DATASET}.{feed.jobs.name}"
    for feed in FEEDS.values()
)

# Of a V2 load, its failed records, and if it ended early, the number of those that were never processed. Of a Classic
# load, its batches, and the results of those with failures; of one that is still running, later. A failed job without
# either needs no call: its own text is the reason; if the Classic API did not say whether there are batches, only after
# a few tries. Other details that are not known are no reason to wait.
BACKLOG: Final = f"""
with loads as (
    select
        d.*, j.job_type, j.column_delimiter, coalesce(j.created_date, j.observed_at) as since,
        coalesce(j.job_type, '') = 'Classic' as is_classic,
        coalesce(d.state, d.listed_state) as ended_as
    from (
        select * from fresh_details
        union all by name
        select * from {DATASET}.job_details
        where org_id = $org_id and not exists (select 1 from fresh_details as f where f.id = job_details.id)
    ) as d
    join ({_LISTED}) as j on j.org_id = d.org_id and j.id = d.id
    where d.org_id = $org_id
        and d.outcome = 'answered'
        and d.results_outcome is null
        and j.observed_at >= $now - interval 7 days
        and d.asked_at >= $now - interval 60 days
        and not coalesce(d.provisional, false)
        and case j.job_type
            when 'Classic' then j.operation not in ('query', 'queryAll')
            else j.feed = 'ingest' or j.job_type in {V2_LOADS}
        end
        and not exists (
            select 1 from {DATASET}.unlisted_jobs as u
            where u.org_id = j.org_id and u.feed = j.feed and u.id = j.id and u.listed_again_at is null
                and u.unlisted_at >= $now - interval 60 days
                and u.unlisted_at >= coalesce(j.current_since, j.observed_at)
        )
        and (
            d.results_attempts is null
            or d.results_attempts < {ATTEMPTS}
            or $now - d.results_asked_at
                >= least(greatest(d.results_asked_at - since, interval 1 hour), interval 12 hours)
        )
),
wanted as (
    select
        *,
        coalesce(number_records_failed > 0, not is_classic) as has_failed_records,
        not is_classic and ended_as in ('Failed', 'Aborted') as has_unprocessed,
        is_classic and coalesce(
            number_records_failed > 0 or number_batches_failed > 0
            or (ended_as in ('Failed', 'Aborted') and number_batches_total > 0), false
        ) as has_batches,
        ended_as = 'Failed' and error_message is not null and (
            not is_classic or number_batches_total is not null or error is null or attempts >= {ATTEMPTS}
        ) as has_own_reason
    from loads
)
select *, count(*) over () as waiting
from wanted
where has_failed_records or has_unprocessed or has_batches or has_own_reason
order by coalesce(results_attempts, 0), since desc, id
limit {MAX_JOBS}
"""

Job = dict[str, Any]


def loads_to_read(primary: duckdb.DuckDBPyConnection, details: pa.Table, org_id: str, now: datetime) -> list[Job]:
    """The loads with their rows of `job_details`, or of `details` if they are there, and what there is to read of
    each."""
    primary.register("fresh_details", details)
    try:
        jobs: list[Job] = primary.sql(BACKLOG, params={"org_id": org_id, "now": now}).to_arrow_table().to_pylist()
    finally:
        primary.unregister("fresh_details")
    return jobs
