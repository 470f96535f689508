"""The dlt source: one listing of an org's jobs, and what else a run asks of the org, become rows of tables.

What makes a replayed, doubled or late load harmless stands in the `source_filter`s below: dlt merges only staged
rows that pass them, so that no stored version is replaced by an older one and no `observed_at` ever moves.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from pipelines.config.credentials import SalesforceCredentials
from pipelines.config.defaults import BUDGET_PERCENT, CURRENT_API_VERSION
from pipelines.recording.known_jobs import KnownJobs
from pipelines.recording.listing_rows import listing_row, rejected_rows
from pipelines.recording.org_metadata import questions
from pipelines.recording.snapshot import Listing
from pipelines.salesforce.job_pages import Page
from pipelines.salesforce.org import Org
from pipelines.tables import (
    DATASET,
    LISTINGS,
    QUERY_JOB_STATES,
    QUERY_JOBS,
    REJECTED_RECORDS,
    UNLISTED_JOBS,
    Table,
)

STAGING: Final = f"{DATASET}_staging"  # where dlt stages a merge
# A version that the history has already stays as it is, with the time at which it was first observed.
# `min(system_modstamp)` keeps the look to the newest part of the table: 6 ms instead of 2.6 s at 30 million rows.
NOT_YET_OBSERVED: Final = f"""not exists (
    select 1 from (
        select org_id as o, id as i, system_modstamp as m, state as s
        from {DATASET}.query_job_states
        where system_modstamp >= (select min(system_modstamp) from {STAGING}.query_job_states)
    ) as stored
    where stored.o = org_id and stored.i = id and stored.m = system_modstamp and stored.s = state
)"""
# What a later listing showed is never replaced by what an earlier one did, whatever their system_modstamps say: those
# can move back. Nor is a version that was observed earlier by the same one, which may come of a listing that was
# compared with nothing. `created_date` never changes, so it bounds the look, too; jobs whose createdDate could not be
# read are looked up on their own, and then among all.
_NEWER: Final = f"""not exists (
    select 1 from (
        select org_id as o, id as i, system_modstamp as m, state as s, observed_at as t,
            coalesce(current_since, observed_at) as c
        from {DATASET}.query_jobs where created_date %s
    ) as stored
    where stored.o = org_id and stored.i = id
        and (stored.c > current_since or (stored.m = system_modstamp and stored.s = state and stored.t < observed_at))
)"""
_OLDEST_STAGED: Final = f""">= (
    select case when count(*) = count(created_date) then min(created_date) else timestamptz '-infinity' end
    from {STAGING}.query_jobs
)"""
NOT_STALE: Final = f"{_NEWER % _OLDEST_STAGED} and {_NEWER % 'is null'}"
FIRST_STAYS_FIRST: Final = f"""not exists (
    select 1 from (select org_id as o, record_hash as h, first_observed_at as t from {DATASET}.rejected_records) as
    stored where stored.o = org_id and stored.h = record_hash and stored.t < first_observed_at
)"""

# An absence that has ended stays so, and ends where it first did.
ENDED_STAYS_ENDED: Final = f"""not exists (
    select 1 from (
        select org_id as o, id as i, unlisted_at as u, listed_again_at as a from {DATASET}.unlisted_jobs
        where listed_again_at is not null
    ) as stored
    where stored.o = org_id and stored.i = id and stored.u = unlisted_at
        and stored.a < coalesce(listed_again_at, timestamptz 'infinity')
)"""


@dataclass(frozen=True)
class Merge:
    """How staged rows of a table become rows: which of them may, and of several with one key, which one does."""

    source_filter: str | None = None
    dedup_sort: tuple[str, str] | None = None  # a column and its order: the first row in it stays


MERGES: Final = {
    QUERY_JOBS: Merge(NOT_STALE, ("current_since", "desc")),
    QUERY_JOB_STATES: Merge(NOT_YET_OBSERVED, ("observed_at", "asc")),
    REJECTED_RECORDS: Merge(FIRST_STAYS_FIRST),
    UNLISTED_JOBS: Merge(ENDED_STAYS_ENDED),
}


def merge_on(table: Table) -> dict[str, Any]:
    """dlt's hints for a table. delete-insert with dedup_sort is the one strategy that neither doubles rows after a
    crash nor gets stuck on a job that is listed twice."""
    merge, columns = MERGES.get(table, Merge()), table.hints
    for column in columns:  # None, too: earlier versions sorted by other columns, and dlt remembers it
        columns[column]["dedup_sort"] = None
    if merge.dedup_sort:
        column, order = merge.dedup_sort
        columns[column]["dedup_sort"] = order
    write = {"disposition": "merge", "strategy": "delete-insert"}
    return {
        "name": table.name,
        "primary_key": table.key,
        "columns": columns,
        "write_disposition": write | ({"source_filter": merge.source_filter} if merge.source_filter else {}),
        # A type that does not fit fails while it can still be refused, not when the package is already made.
        "schema_contract": {"tables": "evolve", "columns": "evolve", "data_type": "freeze"},
    }


def filters(job_type: str | None, is_pk_chunking_enabled: bool | None, concurrency_mode: str | None) -> dict[str, str]:
    """The listing's own filters as it takes them, in Salesforce's spelling; without those that are not set."""
    given = {
        "jobType": job_type,
        "isPkChunkingEnabled": None if is_pk_chunking_enabled is None else str(is_pk_chunking_enabled).lower(),
        "concurrencyMode": concurrency_mode,
    }
    return {name: value for name, value in given.items() if value}


@dlt.source(name="salesforce", section="salesforce")
def salesforce(  # noqa: PLR0917 - dlt fills these from the configuration
    credentials: SalesforceCredentials = dlt.secrets.value,
    api_version: str = CURRENT_API_VERSION,
    job_type: str | None = None,
    is_pk_chunking_enabled: bool | None = None,
    concurrency_mode: str | None = None,
    api_budget_percent: float = BUDGET_PERCENT,
    fetch_org_metadata: bool = True,
    clock_tolerance_hours: float = 24.0,
    known: KnownJobs | None = None,
    on_page: Callable[[Page], None] | None = None,
    on_listed: Callable[[Listing], None] | None = None,
) -> tuple[DltResource, ...]:
    """The Bulk API jobs that an org lists now, and what changed among them since they were last recorded.

    Settings come from `[sources.salesforce]`; unset filters are not sent. `known` is a look into the warehouse:
    without one, all jobs are loaded, and the merge keeps what is stored. `fetch_org_metadata` asks for users,
    org and limits, too. `on_page` hears of every page, `on_listed` of the completed listing. The resources belong
    together.
    """
    sent = filters(job_type, is_pk_chunking_enabled, concurrency_mode)
    org = Org(credentials, api_version, api_budget_percent, clock_tolerance_hours)
    listing = Listing(org, sent, known or KnownJobs(), on_page or (lambda page: None))

    @dlt.resource(**merge_on(QUERY_JOBS))
    def query_jobs(
        modified: dlt.sources.incremental[datetime] = dlt.sources.incremental(  # noqa: B008
            "system_modstamp",
            allow_external_schedulers=False,  # or Airflow's interval, or DLT_INTERVAL_END, would leave jobs out
        ),
    ) -> Iterator[pa.Table]:
        yield from listing.job_tables(modified)

    @dlt.resource(**merge_on(QUERY_JOB_STATES))
    def query_job_states() -> Iterator[pa.Table | None]:
        for _ in listing.until_finished():
            yield listing.changes.states.popleft() if listing.changes.states else None
        yield from listing.changes.states

    @dlt.resource(**merge_on(REJECTED_RECORDS))
    def rejected_records() -> Iterator[pa.Table | None]:
        yield from listing.until_finished()
        yield from rejected_rows(listing)

    @dlt.resource(**merge_on(UNLISTED_JOBS))
    def unlisted_jobs() -> Iterator[pa.Table | None]:
        yield from listing.until_finished()
        yield from listing.unlisted_rows()

    def asked(table: Table, ask: Callable[[], pa.Table | None]) -> DltResource:
        @dlt.resource(**merge_on(table))
        def rows() -> Iterator[pa.Table | None]:
            yield from listing.until_finished()
            yield from listing.asked(table, ask)

        listing.outstanding.add(table.name)
        return rows

    # To dlt each costs time, rows or none.
    besides = [asked(table, ask) for table, ask in questions(listing).items() if fetch_org_metadata]

    @dlt.resource(**merge_on(LISTINGS))
    def listings() -> Iterator[pa.Table | None]:
        yield from listing.until_finished()
        while listing.outstanding:  # its counts and notes are not all there yet
            yield None
        yield listing_row(listing)
        if on_listed:
            on_listed(listing)

    return query_jobs, query_job_states, rejected_records, unlisted_jobs, *besides, listings


@dlt.source(name="salesforce", section="salesforce")
def kept_rows(tables: Mapping[Table, Iterable[pa.Table]]) -> tuple[DltResource, ...]:
    """Rows that an earlier run extracted and kept, by table; they merge as they would have then."""

    def rows_for(table: Table, rows: Iterable[pa.Table]) -> DltResource:
        @dlt.resource(**merge_on(table))
        def kept() -> Iterator[pa.Table]:
            yield from rows

        return kept

    return tuple(rows_for(table, rows) for table, rows in tables.items())
