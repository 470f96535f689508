"""Loads rows into the primary database with dlt: what was just extracted, and listings kept by earlier runs."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import dlt
import duckdb
import pyarrow as pa
from dlt.common.schema.exceptions import DataValidationError
from dlt.load.exceptions import LoadClientJobFailed

from pipelines.errors import exception_chain
from pipelines.interrupts import causing_signal
from pipelines.job_tables import JOB_DETAILS
from pipelines.recording.feeds import FEEDS
from pipelines.recording.kept_listings import KeptListing, UnreadableListing, rows_of, waiting
from pipelines.recording.org_join import join_orgs
from pipelines.recording.source import kept_rows
from pipelines.tables import DATASET, LISTINGS, TABLES, UNLISTED_JOBS
from pipelines.warehouse.dlt_packages import interruptible, synced_pipeline
from pipelines.warehouse.primary import PrimaryDatabase
from pipelines.warehouse.schema import complete_tables, stored_columns
from pipelines.warehouse.state_folder import StateFolder

DOES_NOT_FIT = (
    DataValidationError,
    LoadClientJobFailed,
    pa.ArrowException,
    duckdb.DataError,
    duckdb.ConstraintException,
)  # errors that would recur on each attempt to load a kept listing

# A listing that was compared with nothing, as others were waiting before it, ends no absence itself.
BACK: Final = f"""
update {DATASET}.{UNLISTED_JOBS.name} as u set listed_again_at = s.shown_at, hidden = null
from (select org_id, id, min(coalesce(current_since, observed_at)) as shown_at from shown group by all) as s
where u.org_id = s.org_id and u.id = s.id and u.listed_again_at is null and u.unlisted_at < s.shown_at
"""

logger = logging.getLogger(__name__)


def pipeline_into(primary: PrimaryDatabase, state: StateFolder, identity: str) -> tuple[dlt.Pipeline, Path]:
    """dlt's pipeline into the primary database, with the state and schema stored there, and its working folder."""
    working = state.working_folder(identity)
    return synced_pipeline(primary.connection, working), working


def load_package(pipeline: dlt.Pipeline) -> None:
    """Loads what the pipeline has extracted. Raises dlt's exceptions, and KeyboardInterrupt."""
    interruptible(pipeline.normalize)
    interruptible(pipeline.load)


def load_kept(primary: PrimaryDatabase, state: StateFolder, identity: str) -> int:
    """Loads the listings that are kept for this file, oldest first; returns how many. Call it before listing."""
    loaded = 0
    _bring_up_to_date(primary.connection)
    for kept in waiting(state):
        if kept.meta and kept.identity != identity:
            logger.warning("%s is a listing kept for another primary database; it stays there.", kept.folder)
            continue
        try:
            _load_one(primary, state, kept)
            loaded += 1
        except Exception as error:
            chain = list(exception_chain(error))
            unfit = next((one for one in chain if isinstance(one, (UnreadableListing, *DOES_NOT_FIT))), None)
            if unfit is None or causing_signal(chain):
                raise
            forget(primary.connection, _listings_with_jobs(kept))
            there = kept.set_aside(state)
            said = str(unfit).splitlines()[0][:300]
            logger.warning("A kept listing could not be loaded, and was moved to %s: %s", there, said)
    if loaded:
        _bring_up_to_date(primary.connection)
    return loaded


def _load_one(primary: PrimaryDatabase, state: StateFolder, kept: KeptListing) -> None:
    tables = kept.tables()
    working = state.temporary / "kept"  # not in `work`: if this is killed, the listing is still kept
    pipeline = synced_pipeline(primary.connection, working)
    rows = {table: rows_of(tables[table.name], table) for table in TABLES if table.name in tables}
    try:
        pipeline.extract(kept_rows(rows))
        load_package(pipeline)
    finally:
        shutil.rmtree(working)  # a package that does not fit must not be loaded with the next one
    complete_tables(primary.connection)
    for feed in FEEDS.values():
        for rows in rows_of(tables.get(feed.jobs.name, []), feed.jobs):
            primary.connection.register("shown", rows)
            primary.connection.execute(BACK)
            primary.connection.unregister("shown")
    kept.remove()


def _listings_with_jobs(kept: KeptListing) -> list[str]:
    """The ids of its listings; none if it has details, which come after the listing, with the listing's row again."""
    try:
        tables = kept.tables()
    except UnreadableListing:  # so nothing of it was loaded
        return []
    files = [] if JOB_DETAILS.name in tables else tables.get(LISTINGS.name, [])
    return [listing_id for rows in rows_of(files, LISTINGS) for listing_id in rows["listing_id"].to_pylist()]


def forget(primary: duckdb.DuckDBPyConnection, listing_ids: Sequence[str]) -> None:
    """Removes the rows of listings that could not be loaded whole. dlt may have loaded these rows before the jobs that
    they count, and as long as they are there, they say that all of these are recorded."""
    if stored_columns(primary, LISTINGS):
        primary.execute(
            f"delete from {DATASET}.{LISTINGS.name} where listing_id in (select unnest(?::varchar[]))", [listing_ids]
        )


def _bring_up_to_date(primary: duckdb.DuckDBPyConnection) -> None:
    """Gives what an earlier version recorded, or kept, this version's columns and ids, before it is compared with."""
    if stored_columns(primary, LISTINGS):
        complete_tables(primary)
        join_orgs(primary)
