"""A warehouse with chosen rows: the tables as a load creates them, the views as a load applies them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.columns import Table
from pipelines.job_tables import STATE_SPANS
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.reader import read
from pipelines.warehouse.schema import apply_views, complete_tables
from pipelines.warehouse.state_spans import refresh_spans

Row = Mapping[str, Any]
TABLES_BY_NAME = {table.name: table for table in TABLES}
ORG = "00DDm0000001000MAA"
NOW = datetime(2026, 11, 16, 6, tzinfo=UTC)  # a Monday: start of the newest listing, unless a test says otherwise
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST_PLAUSIBLE = datetime(2009, 1, 1, tzinfo=UTC)  # before the Bulk API existed

# Defaults for columns that a test does not care about.
DEFAULTS: dict[str, Row] = {
    "query_jobs": {
        "operation": "query", "object": "Account", "created_by_id": "005A", "created_date": NOW - DAY, "state": "JobComplete",
        "job_type": "V2Query", "api_version": 68.0,
    },
    "ingest_jobs": {
        "operation": "insert", "object": "Account", "created_by_id": "005A", "created_date": NOW - DAY, "state": "JobComplete",
        "job_type": "V2Ingest", "api_version": 68.0,
    },
    "listings": {"feed": "query", "started_at": NOW, "filters": "{}", "api_version": "68.0", "pages": 1, "jobs_listed": 0},
    "job_details": {"asked_at": NOW, "outcome": "answered", "attempts": 1, "listed_state": "JobComplete", "listed_modstamp": NOW},
    "unlisted_jobs": {"feed": "query", "state": "JobComplete", "last_listed_at": NOW - HOUR, "unlisted_at": NOW},
    "users": {"asked_at": NOW},
    "org_limits": {"app": "", "asked_at": NOW},
}  # fmt: skip


def plant(file: Path, *, alone: bool = False, **tables: Sequence[Row]) -> Path:
    """Makes a warehouse of the rows given by table; what a row leaves out has its default, or is null.

    Jobs get ids 750…1, 750…2 and so on where they have none, one listing at NOW where none is given, and a version in
    query_job_states (ingest_job_states) where that table is not given. Gives the file, to be read with `rows`. DuckDB takes all planted files
    for copies of one, whose logs it compares, but for one that stands `alone`.
    """
    jobs = [{"id": f"750{n:012}AAA", **row} for n, row in enumerate(tables.get("query_jobs", ()), 1)]
    loads = [{"id": f"7501{n:011}AAA", **row} for n, row in enumerate(tables.get("ingest_jobs", ()), 1)]
    tables = {"listings": [{}], **tables, "query_jobs": jobs, "ingest_jobs": loads}
    file.with_name(f"{file.name}.wal").unlink(missing_ok=True)  # as DuckDB does with a new file
    file.write_bytes(_without_rows.__wrapped__() if alone else _without_rows())
    with duckdb.connect(file) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, given in tables.items():
            rows = [_complete(name, n, row) for n, row in enumerate(given)]
            planted = pa.Table.from_pylist(rows, schema=_nullable(TABLES_BY_NAME[name]))
            connection.register("planted", planted)
            connection.execute(f"insert into {DATASET}.{name} by name select * from planted")
            connection.unregister("planted")
        for feed in ("query", "ingest"):
            if f"{feed}_job_states" not in tables:
                connection.execute(
                    f"insert into {DATASET}.{feed}_job_states by name "
                    f"select org_id, id, system_modstamp, state, observed_at from {DATASET}.{feed}_jobs"
                )
        refresh_spans(connection)
    return file


@cache
def _without_rows() -> bytes:
    """A warehouse with all tables and views, built once per process: the views take most of the time."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "warehouse.duckdb")
        with duckdb.connect(file) as connection:
            connection.execute(f"set TimeZone = 'UTC'; create schema {DATASET}")
            for table in TABLES:
                if table != STATE_SPANS:
                    connection.register("planted", _nullable(table).empty_table())
                    connection.execute(f"create table {DATASET}.{table.name} as select * from planted")
                    connection.unregister("planted")
            complete_tables(connection)
            refresh_spans(connection)
            apply_views(connection)
        return file.read_bytes()


def _nullable(table: Table) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in table.schema])


def _complete(table: str, number: int, given: Row) -> dict[str, Any]:
    row = {"org_id": ORG, **DEFAULTS.get(table, {}), **given}
    if table in ("query_jobs", "ingest_jobs"):
        row.setdefault("system_modstamp", row["created_date"] or NOW)
        row.setdefault("observed_at", max(row["system_modstamp"], NOW - HOUR))
    if table == "listings":
        row.setdefault("listing_id", f"listing {number}")
        row.setdefault("finished_at", row["started_at"])
    return row


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, as people read them: in UTC, and with table names without the schema."""
    return [tuple(row.values()) for row in read(sql, file).to_pylist()]


def rows_elsewhere(file: Path, view: str) -> list[tuple[Any, ...]]:
    """All rows of a view, read by a session in Los Angeles. Times are returned in UTC: to Python, no two times are
    equal that daylight saving makes ambiguous."""
    with duckdb.connect(file, read_only=True) as connection:
        connection.execute("set TimeZone = 'America/Los_Angeles'")
        there = connection.sql(f"select * from {DATASET}.{view}").to_arrow_table().to_pylist()
    return [tuple(v.astimezone(UTC) if getattr(v, "tzinfo", None) else v for v in row.values()) for row in there]


def random_listings(dice: Random, since: datetime, orgs: Sequence[str] = (ORG,)) -> list[dict[str, Any]]:
    """Listings of the orgs from `since` to NOW: some take up to an hour to read, some restart, some are filtered."""
    listings, start = [], since
    while start < NOW:
        took = dice.choice((0, 7, 90, 3_000)) * timedelta(seconds=1)
        again = start + took / 2 if dice.random() < 0.3 else None
        filters = dice.choice(("{}", "{}", '{"jobType": "V2Query"}'))
        listings += [
            {"org_id": org, "started_at": start, "restarted_at": again, "finished_at": start + took, "filters": filters}
            for org in orgs
        ]
        start += dice.randrange(3_600, 20_000) * timedelta(seconds=1)
    return [*listings, *({"org_id": org} for org in orgs)]


def plausible(time: datetime | None, seen_by: datetime) -> datetime | None:
    """The time, or None if it is implausible: the Bulk API was introduced in 2009, and a job cannot be newer than the
    listing that showed it."""
    return time if time and FIRST_PLAUSIBLE <= time <= seen_by + timedelta(minutes=5) else None


def covered_percent(listed: Iterable[datetime], start: datetime, end: datetime) -> float:
    """The share of this time that complete listings at these times cover: each covers the week before it."""
    seconds, reach = 0.0, start
    for at in sorted(listed):
        since, until = max(at - 7 * DAY, reach), min(at, end)
        if since < until:
            seconds, reach = seconds + (until - since).total_seconds(), until
    return 100 * seconds / (end - start).total_seconds()


def kind(operation: str | None) -> str | None:
    """What the views call `kind`."""
    return {"query": "query", "queryAll": "query", None: None}.get(operation, "load")


def spans_by_hand(
    states: Sequence[tuple[Any, ...]], listings: Sequence[tuple[Any, ...]] = (), feed: str = "query"
) -> list[tuple[Any, ...]]:
    """The rows of `state_spans`, sorted as text, computed from those of a feed's states, job by job; `listings` are
    (org_id, started_at, finished_at), where the clock advances while a listing is read."""
    rank = {"Open": 0, "UploadComplete": 0, "InProgress": 1, "Closed": 2}
    ends = {(org_id, start): end for org_id, start, end in sorted(listings)}
    jobs: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for org_id, job, stamp, state, seen in states:
        jobs.setdefault((org_id, job), []).append((seen, stamp, rank.get(state, 3), state))
    spans: list[tuple[Any, ...]] = []
    for (org_id, job), versions in jobs.items():
        versions.sort()
        seen_by = [ends.get((org_id, seen), seen) for seen, *_ in versions]
        # Entered at its system_modstamp if that is later than all before; else by the end of the listing, or when the
        # next one was entered.
        known = [
            FIRST_PLAUSIBLE <= stamp <= by + timedelta(minutes=5)
            for (_, stamp, *_), by in zip(versions, seen_by, strict=True)
        ]
        plausible = [version[1] for version in versions]
        ahead = [
            known[n] and all(plausible[n] > plausible[m] for m in range(n) if known[m]) for n in range(len(versions))
        ]
        from_when = [stamp if ahead[n] else seen for n, (seen, stamp, *_) in enumerate(versions)]
        stamped = [ahead[n] and all(from_when[n] > from_when[m] for m in range(n)) for n in range(len(versions))]
        latest = [plausible[n] if stamped[n] else seen_by[n] for n in range(len(versions))]
        entered = [min(latest[n:]) for n in range(len(versions))]
        for n, (seen, _, _, state) in enumerate(versions):
            left = entered[n + 1] if n + 1 < len(versions) else None
            seconds = int((left - entered[n]).total_seconds()) if left else None
            before = versions[n - 1][3] if n else None
            spans.append(
                (org_id, job, n + 1, state, before, entered[n], left, seconds, seen, seen_by[n], stamped[n], feed)
            )
    return sorted(spans, key=str)
