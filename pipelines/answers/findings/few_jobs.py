"""The few jobs that most rules are about: those that failed or may have lost records lately, those that may be
unfinished, and the last ones of each series that may go on failing.

They are found in the tables themselves, with one look at each job. What the views say of a job, such as how and when it
ended, takes several times as long, and is asked of these only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from pipelines.warehouse.narrowed import schema_of, temporary_schema
from pipelines.warehouse.reader import Warehouse

SCHEMA: Final = "memory.few_jobs"
FOUND: Final = "memory.found_jobs"
TABLES: Final = ("query_jobs", "ingest_jobs", "job_details", "unlisted_jobs", "state_spans")
VIEWS: Final = ("failure_streaks", "failures", "stuck_jobs")
SAME_SERIES: Final = """
    {0}.org_id = {1}.org_id and {0}.job_type is not distinct from {1}.job_type
    and {0}.operation is not distinct from {1}.operation and {0}.object is not distinct from {1}.object
    and {0}.created_by_id is not distinct from {1}.created_by_id
"""
STEPS: Final = {
    # whose state alone does not say how they ended
    "suspects": """
        select org_id, id from job_details
        where number_records_failed > 0 or number_batches_failed > 0 or provisional
    """,
    # all jobs but those that were certainly done
    "possible": f"""
        select
            j.org_id, j.id, j.job_type, j.operation, j.object, j.created_by_id, j.created_date, j.state,
            s.id is not null as is_suspect,
            s.id is not null or not coalesce(j.is_finished, false)
                or j.created_date >= $since or j.observed_at >= $since or j.shown_at >= $since as is_news
        from listed_jobs as j
        left join {FOUND}.suspects as s on s.org_id = j.org_id and s.id = j.id
        where coalesce(j.state, '') not in ('JobComplete', 'Closed') or s.id is not null
    """,
    # the last job of a series that was certainly done, and created at a plausible time (see all_jobs)
    "done": f"""
        select j.org_id, j.job_type, j.operation, j.object, j.created_by_id, max(j.created_date) as last_at
        from listed_jobs as j
        anti join {FOUND}.suspects as s on s.org_id = j.org_id and s.id = j.id
        where j.state in ('JobComplete', 'Closed')
            and j.created_date >= timestamptz '2009-01-01 00:00:00+00:00' and j.created_date <= j.observed_at
        group by all
    """,
    # with failures after that; a job that was done in the same second counts as having come first
    "failing_series": f"""
        select p.org_id, p.job_type, p.operation, p.object, p.created_by_id, any_value(d.last_at) as last_done_at
        from {FOUND}.possible as p
        left join {FOUND}.done as d on {SAME_SERIES.format("d", "p")}
        where (p.state = 'Failed' or p.is_suspect) and (d.last_at is null or p.created_date >= d.last_at)
        group by all
        having count(*) >= 2
    """,
    "ids": f"""
        select org_id, id from {FOUND}.possible where is_news
        union
        select j.org_id, j.id
        from listed_jobs as j
        inner join {FOUND}.failing_series as s on {SAME_SERIES.format("s", "j")}
        where s.last_done_at is null or j.created_date >= s.last_done_at
    """,
}
# Other series have only their failures here, so they would look like streaks: they are left out.
LASTING_STREAKS: Final = f"""
    select k.* from failure_streaks as k
    semi join {FOUND}.failing_series as s on {SAME_SERIES.format("s", "k")}
    where k.status <> 'recovered'
"""


@contextmanager
def few_jobs(file: Warehouse, since: datetime | None) -> Iterator[str]:
    """The name of a schema with these jobs only, and with some views, until the block ends. Of the failed ones, it has
    those that were created or changed since then.

    Correct in it are `failures` for each of these jobs, the whole view `stuck_jobs`, and LASTING_STREAKS.
    Raises ConfigError like `Warehouse.rows`.
    """
    with temporary_schema(file, FOUND):
        with file.explained():
            for name, sql in STEPS.items():
                given = {"since": since} if "$since" in sql else None
                file.connection.execute(f"create table {FOUND}.{name} as {sql}", given)
        chosen = {
            table: f"select t.* from {table} as t semi join {FOUND}.ids as i on i.org_id = t.org_id and i.id = t.id"
            for table in TABLES
        }
        with schema_of(file, SCHEMA, chosen, VIEWS):
            yield SCHEMA
