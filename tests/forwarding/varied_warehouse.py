"""One warehouse with everything that views can meet: the demo org's problems, the recorded story, and odd rows.

Each of them is one org, or several: views never mix orgs, so one reading of a view in a slow engine tests them all.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
from planted import NOW, plant
from recorded_story import FILES, Story, credentials, working_in

from pipelines.columns import COUNT, FLAG, NUMBER, TEXT, Column, Table
from pipelines.demo_org.server import serving
from pipelines.job_tables import INGEST_JOB_STATES, QUERY_JOB_STATES, STATE_SPANS
from pipelines.recording.load import record
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.schema import apply_views, complete_tables

ORGS = 3
SINCE = NOW - timedelta(days=40)
# Most are implausible.
ODD_TIMES = [datetime(year, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC) for year in (1, 1900, 1970, 2008, 2026, 2999, 9999)]
# By table and column, or by column; all others by type.
WORDS = ["", "a", "b", "x = 'y'; z", "ÄÖ %_", "10 of 20"]
BY_TYPE: dict[pa.DataType, Sequence[Any]] = {
    TEXT: WORDS,
    NUMBER: [0.5, 2.0],
    COUNT: [0, 1, 1, 2, 3, 10, 7_200, 10_001],
    FLAG: [True, False],
}
VALUES: dict[str, Sequence[Any]] = {
    "operation": ["query", "query", "queryAll", "insert", "upsert", "delete", "hardDelete"],
    "object": ["Account", "Account", "Case", ""],
    "created_by_id": ["005A", "005A", "005B"],
    "state": ["JobComplete", "Failed", "Failed", "Aborted", "Closed", "InProgress", "UploadComplete", "Open", "Lost"],
    "state_before": ["InProgress", "Open", "Failed"],
    "api_version": [52.0, 68.0],
    "feed": ["query", "query", "ingest"],
    "id": [f"750{n:012}AAA" for n in range(90)],
    "level": ["record", "record", "batch", "job"],
    "outcome": ["answered", "answered", "gone", "refused"],
    "results_outcome": ["read", "first 10 of 20", "first 0 of 7", "refused"],
    "error_message": ["InvalidBatch : Field a", "A : A : b", "a b : c", "A : ", "none", " : "],
    "query_jobs.job_type": ["V2Query", "V2Query", "Classic"],
    "ingest_jobs.job_type": ["V2Ingest", "BigObjectIngest", "Classic"],
    "listings.api_version": ["68.0", "52.0"],
    "listings.filters": ["{}", "{}", "{}", '{"jobType":"V2Query"}'],
    "listings.listing_id": [f"listing {n}" for n in range(60)],
    "org_limits.listing_id": [f"listing {n}" for n in range(60)],
    "org_limits.limit_name": ["DailyBulkV2QueryJobs", "DailyApiRequests"],
    "org_limits.app": ["", "", "App"],
    "org_limits.max": [0, 15_000, 15_000],
    "orgs.org_id": [f"org {n}" for n in range(ORGS)],
    "users.id": ["005A", "005B", "005C"],
    "org_id": [f"org {n}" for n in range(ORGS)],
}
ROWS = {"query_jobs": 150, "ingest_jobs": 80, "listings": 60, "record_errors": 200, "org_limits": 200}


def odd_warehouse(file: Path, seed: int) -> Path:
    """Random rows with a null at least once in every column that can be null, times to the microsecond, and times that
    cannot be true. Jobs, details and errors share few ids, so that they meet."""
    dice = Random(seed)
    derived = (STATE_SPANS, QUERY_JOB_STATES, INGEST_JOB_STATES)
    return plant(file, alone=True, **{t.name: list(_odd_rows(t, dice)) for t in TABLES if t not in derived})


def _odd_rows(table: Table, dice: Random) -> Iterator[dict[str, Any]]:
    seen = set()
    for _ in range(ROWS.get(table.name, 90)):
        row = {column.name: _odd_value(table, column, dice) for column in table.columns}
        if (key := tuple(row[name] for name in table.key)) not in seen:
            nulls = [column.name for column in _nullable(table)][len(seen) :: ORGS] if len(seen) < ORGS else ()
            seen.add(key)
            yield {**row, **dict.fromkeys(nulls)}


def _nullable(table: Table) -> list[Column]:
    return [column for column in table.columns if column.nullable and column.name not in table.key]


def _odd_value(table: Table, column: Column, dice: Random) -> Any:
    if column in _nullable(table) and dice.random() < 0.15:
        return None
    if given := VALUES.get(f"{table.name}.{column.name}", VALUES.get(column.name)):
        return dice.choice(given)
    if values := BY_TYPE.get(column.type):
        return dice.choice(values)
    if column.name in ("created_date", "system_modstamp") and dice.random() < 0.1:
        return dice.choice(ODD_TIMES)
    moment = SINCE + timedelta(hours=dice.randrange(960))
    return moment + dice.choice([timedelta(), timedelta(seconds=dice.randrange(3600)), timedelta(microseconds=900_001)])


def story_warehouse(home: Path) -> Path:
    """The published copy of the recorded story, to its end."""
    story = Story()
    with working_in(home), serving(story.org), serving(story.sandbox):
        for chapter in (story.begin, story.move, story.expire, story.be_locked_out, story.go_on, story.end):
            chapter()
            for org in (story.org, story.sandbox):
                record(FILES, credentials(org))
    return home / FILES.warehouse


def together(file: Path, warehouses: Iterable[Path]) -> Path:
    """All rows of these warehouses in one, each with orgs and listings of its own."""
    with duckdb.connect(file) as connection:
        connection.execute(f"set TimeZone = 'UTC'; create schema {DATASET}")
        complete_tables(connection)
        for number, other in enumerate(warehouses):
            connection.execute(f"attach '{other}' as other (read_only)")
            for table in TABLES:
                columns = ", ".join(_of_its_own(column.name, number) for column in table.columns)
                connection.execute(
                    f"insert into {DATASET}.{table.name} select {columns} from other.{DATASET}.{table.name}"
                )
            connection.execute("detach other")
        apply_views(connection)
    return file


def _of_its_own(column: str, number: int) -> str:
    """Orgs and listings of different warehouses differ."""
    return f"'{number} ' || {column}" if column == "org_id" or column.endswith("listing_id") else column


def stored_tables(file: Path) -> dict[str, pa.Table]:
    """All tables of a warehouse, to be loaded into an engine."""
    with duckdb.connect(file, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        columns = {table.name: ", ".join(column.name for column in table.columns) for table in TABLES}
        return {
            name: connection.sql(f"select {listed} from {DATASET}.{name}").to_arrow_table()
            for name, listed in columns.items()
        }
