"""`state_spans`, the only derived table: in which state each job was, from when to when.

It could be a view, but sorting the whole history by job takes seconds with millions of jobs. So each load updates the
rows of the jobs that it changed. The table can be rebuilt at any time, and is rebuilt when necessary.
"""

import hashlib
from typing import Any, Final

import duckdb

from pipelines.job_tables import INGEST_JOB_STATES, QUERY_JOB_STATES
from pipelines.tables import DATASET
from pipelines.warehouse.database_file import read_macro
from pipelines.warehouse.schema import views

REBUILD_MEMORY: Final = "1GB"  # sorting the whole history is the only step that is slower with less
# By order of observation, because a job's system_modstamp can move back. Versions from one listing are ordered by
# stamp, those with equal stamps by the usual order of states.
ORDER: Final = """
    observed_at, system_modstamp,
    case when state in ('Open', 'UploadComplete') then 0 when state = 'InProgress' then 1 when state = 'Closed' then 2
        else 3 end,
    state
"""
# Which stamps are plausible: see the view all_jobs.
OBSERVED: Final = f"""
select
    s.*, coalesce(e.ended_at, s.observed_at) as observed_by,
    s.system_modstamp between timestamptz '2009-01-01 00:00:00+00'
        and coalesce(e.ended_at, s.observed_at) + interval 5 minutes as is_plausible
from (%s) as s
left join ({views()["listing_ends"]}) as e
    on e.org_id = s.org_id and e.feed = s.feed and e.started_at = s.observed_at
"""
# A state was entered at its stamp if the stamp is plausible (see the view all_jobs) and later than the stamps and entry
# times of all earlier versions. Otherwise only an upper bound is known: the end of the listing that first showed it, or
# the entry of the next state.
SPANS: Final = f"""
select
    org_id, id, nth, state, state_before, entered_at,
    lead(entered_at) over job as left_at,
    date_diff('second', entered_at, lead(entered_at) over job) as seconds,
    observed_at, observed_by, by_stamp, feed
from (
    select
        *, min(case when by_stamp then system_modstamp else observed_by end) over (
            partition by org_id, id order by nth rows between current row and unbounded following
        ) as entered_at
    from (
        select
            * exclude (is_ahead),
            is_ahead and system_modstamp > coalesce(
                max(case when is_ahead then system_modstamp else observed_at end) over before, timestamptz '-infinity'
            ) as by_stamp
        from (
            select
                org_id, id, feed, state, observed_at, observed_by, system_modstamp,
                row_number() over job as nth,
                lag(state) over job as state_before,
                is_plausible and system_modstamp > coalesce(
                    max(case when is_plausible then system_modstamp end) over before, timestamptz '-infinity'
                ) as is_ahead
            from ({OBSERVED}) as states
            window
                job as (partition by org_id, id order by {ORDER}),
                before as (partition by org_id, id order by {ORDER} rows between unbounded preceding and 1 preceding)
        ) as by_stamps
        window before as (partition by org_id, id order by nth rows between unbounded preceding and 1 preceding)
    ) as compared
) as entered
window job as (partition by org_id, id order by nth)
"""
# The same for jobs that have one state each, as after a first load: sorting them all would take several times as long.
SINGLE_SPANS: Final = f"""
select
    org_id, id, 1 as nth, state, null as state_before,
    case when is_plausible then system_modstamp else observed_by end as entered_at,
    null as left_at, null as seconds, observed_at, observed_by, is_plausible as by_stamp, feed
from ({OBSERVED}) as observed
"""
STATES: Final = {"query": QUERY_JOB_STATES.name, "ingest": INGEST_JOB_STATES.name}  # feed -> table


def states_of_feeds(condition: str = "true", catalog: str = "") -> str:
    """The states of both feeds, with the feed: a job has states of one of them."""
    schema = f"{catalog}.{DATASET}" if catalog else DATASET
    return " union all ".join(
        f"select *, '{feed}' as feed from {schema}.{table} where {condition.format(table=table)}"
        for feed, table in STATES.items()
    )


DEFINED: Final = "spans_definition"  # a macro in the file: the definition its spans were built with
DEFINITION: Final = hashlib.sha256(SPANS.encode()).hexdigest()
# What was observed before $since is not looked for: an org of which nothing newer is known has no span that is newer. A
# job is observed after its creation, give or take a minute or two, which limits what has to be read.
CHANGED: Final = f"""
with until as (
    select org_id, max(observed_at) as observed_at from {DATASET}.state_spans
    where observed_at >= $since
    group by org_id
),
changed as (
    select distinct s.org_id, s.id
    from ({{states}}) as s
    left join until as u on u.org_id = s.org_id
    where s.observed_at >= $since and s.observed_at > coalesce(u.observed_at, timestamptz '-infinity')
),
jobs as (
    select org_id, id, created_date, observed_at from {DATASET}.query_jobs
    union all
    select org_id, id, created_date, observed_at from {DATASET}.ingest_jobs
)
select c.org_id, c.id, min(case when j.created_date < j.observed_at then j.created_date - interval '1' day
    else timestamptz '-infinity' end) over () as earliest
from changed as c
left join jobs as j on j.org_id = c.org_id and j.id = c.id
"""
RECENT: Final = "interval 8 days"  # nearly all that a load brings is newer, whatever was kept or failed before
OF_CHANGED: Final = """observed_at >= (select min(earliest) from changed_jobs)
    and exists (select 1 from changed_jobs as c where c.org_id = {table}.org_id and c.id = {table}.id)"""


def refresh_spans(primary: duckdb.DuckDBPyConnection) -> None:
    """Updates `state_spans` from the states of both feeds and all orgs; it has one row for each row there.

    Rows of those tables are only ever added, or moved between them with their spans deleted, so if the numbers of rows
    are equal there is nothing to do.
    """
    if not _is_defined(primary):
        _rebuild(primary)
        return
    if _is_current(primary):
        return
    if primary.execute(f"select count(*) from {DATASET}.state_spans").fetchone() == (0,):
        _rebuild(primary)
        return
    newest = f"select max(observed_at) - {RECENT} from ({states_of_feeds()})"
    ((recent,),) = primary.execute(newest).fetchall()
    for since in (recent, "-infinity"):
        _update(primary, since)
        if _is_current(primary):
            return
    _rebuild(primary)  # kept listings older than what is recorded, or changes by another program


def _update(primary: duckdb.DuckDBPyConnection, since: Any) -> None:
    primary.execute("begin")
    changed = CHANGED.format(states=states_of_feeds())
    primary.execute(f"create or replace temp table changed_jobs as {changed}", {"since": since})
    primary.execute(f"delete from {DATASET}.state_spans where {OF_CHANGED.format(table='state_spans')}")
    primary.execute(f"insert into {DATASET}.state_spans by name {SPANS % states_of_feeds(OF_CHANGED)}")
    primary.execute("drop table changed_jobs; commit")


def _is_defined(primary: duckdb.DuckDBPyConnection) -> bool:
    """Whether the spans were built with this version's definition."""
    return read_macro(primary, f"{DATASET}.{DEFINED}") == DEFINITION


def _is_current(primary: duckdb.DuckDBPyConnection) -> bool:
    counts = [f"(select count(*) from {DATASET}.{table})" for table in STATES.values()]
    row = primary.execute(f"select {' + '.join(counts)}, (select count(*) from {DATASET}.state_spans)").fetchone()
    return row is not None and row[0] == row[1]


def _rebuild(primary: duckdb.DuckDBPyConnection) -> None:
    """Rebuilds the table in order of observation, so that later loads read only its newest part."""
    states = states_of_feeds()
    differ = f"select count(*) = count(distinct hash(org_id, id)) from ({states})"
    single = primary.execute(differ).fetchone() == (True,)
    spans = SINGLE_SPANS % states if single else f"{SPANS % states} order by observed_at"
    (limit,) = primary.execute("select current_setting('memory_limit')").fetchall()[0]
    primary.execute(f"set memory_limit = '{REBUILD_MEMORY}'")
    primary.execute(
        f"begin; truncate {DATASET}.state_spans; insert into {DATASET}.state_spans by name {spans}; "
        f"create or replace macro {DATASET}.{DEFINED}() as '{DEFINITION}'; commit"
    )
    primary.execute(f"set memory_limit = '{limit}'")
