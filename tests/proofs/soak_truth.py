"""What a soak compares the warehouse with: a model in plain Python of everything that listings showed, kept beside the
org."""

import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import duckdb
from busy_org import BusyOrg
from planted import spans_by_hand

from pipelines.demo_org.records import full_job, moment_of
from pipelines.job_tables import JOB_DETAILS, QUERY_JOBS

MARGIN = timedelta(minutes=5)  # of `since`
AT_ONCE = 20_000  # jobs that are compared at a time
Row = tuple[Any, ...]


@dataclass
class Known:
    """A job as listings showed it: its last record, each version with the listing that first showed it, its absence."""

    record: dict[str, Any]
    versions: dict[tuple[str, str], datetime] = field(default_factory=dict)  # (systemModstamp, state) -> observed at
    current: datetime | None = None  # the listing that first showed the last record
    last_listed: datetime | None = None  # once it is gone
    unlisted: datetime | None = None


class Truth:
    """The model, and how a warehouse is compared with it."""

    def __init__(self, org: BusyOrg, file: Path) -> None:
        self.org = org
        self.listed: dict[str, Known] = {}
        self.listings: list[Row] = []
        self.details: dict[str, Row] = {}
        self.jobs = self.states = 0
        self._gone = sqlite3.connect(file)
        self._gone.execute("create table gone (id text primary key, job text)")

    def note(self) -> None:
        """Takes in the listing that a load has just completed, and what the load asked of single jobs after it."""
        org, at = self.org, self.org.began
        before = self.listings[-1][0] if self.listings else None
        since = before - MARGIN if before else None
        changed = late = 0
        for job_id, record in org.shown.items():
            known = self.listed.get(job_id)
            if known and known.record == record:
                continue
            changed += 1
            late += since is not None and _time(record["systemModstamp"]) < since
            if known is None:
                known = self.listed[job_id] = Known(record)
                self.jobs += 1
            version = record["systemModstamp"], record["state"]
            self.states += version not in known.versions
            known.versions.setdefault(version, at)
            known.record, known.current = record, at
        missing = self.listed.keys() - org.shown.keys()
        for job_id in missing:
            known = self.listed.pop(job_id)
            known.last_listed, known.unlisted = before, at
            self._gone.execute("insert into gone values (?, ?)", (job_id, _packed(known)))
        creators = len({record["createdById"] for record in org.shown.values()})
        unlisted = len(missing) if before else None
        shown = (org.pages_shown, len(org.shown), changed, late, unlisted, creators)
        self.listings.append((at, org.ended, since, *shown))
        for request in org.requests:
            asked = re.search(r"/jobs/query/(\w+)$", request.path)
            if asked and request.status == 200:
                self._note_details(asked[1])
            elif asked:  # deleted since its page was shown: an earlier answer is kept
                self.details.setdefault(asked[1], ("refused", None, None, None, None))
        org.requests.clear()

    def _note_details(self, job_id: str) -> None:
        job, details = self.org.jobs[job_id], self.org.details[job_id]
        answer = full_job(job, details, 68.0) | details  # the Classic API shows what the newer one hides
        names = ("state", "numberRecordsProcessed", "totalProcessingTime", "errorMessage")
        self.details[job_id] = ("answered", *(answer.get(name) for name in names))

    def differences(self, warehouse: Path) -> list[str]:
        """What a warehouse has otherwise than this model, in words; none: it is equal, row by row."""
        with duckdb.connect(warehouse, read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'; set search_path = 'salesforce'")
            return [found for check in (self._counts, self._rows, self._beside) for found in check(connection)]

    def _counts(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        (gone,) = self._gone.execute("select count(*) from gone").fetchone()
        versions = {"query_job_states": self.states, "state_spans": self.states}
        expected = {"query_jobs": self.jobs, **versions, "unlisted_jobs": gone, "rejected_records": 0}
        for table, rows in expected.items():
            yield from _unequal(f"rows of {table}", [(rows,)], _fetch(connection, f"select count(*) from {table}"))

    def _beside(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        listings = """select started_at, finished_at, since, pages, jobs_listed, jobs_changed, jobs_changed_late,
            jobs_unlisted, creators from listings
            where feed = 'query' and notes is null and restarted_at is null order by started_at"""
        yield from _unequal("listings", self.listings, _fetch(connection, listings))
        first, last = self.listings[0][0], self.listings[-1][0]
        coverage = _fetch(connection, "select covered_from, covered_to, listings from coverage where feed = 'query'")
        yield from _unequal("coverage", [(first - timedelta(days=7), last, len(self.listings))], coverage)
        yield from _unequal("coverage_holes", [], _fetch(connection, "select * from coverage_holes"))
        details = f"""select id, outcome, state, number_records_processed, total_processing_time, error_message
            from {JOB_DETAILS.name} order by id"""
        expected = [(job_id, *self.details[job_id]) for job_id in sorted(self.details)]
        yield from _unequal(JOB_DETAILS.name, expected, _fetch(connection, details))

    def _rows(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        listings = _fetch(connection, "select org_id, started_at, finished_at from listings where feed = 'query'")
        for jobs in self._some_at_a_time():
            bounds = f"where id between '{jobs[0][0]}' and '{jobs[-1][0]}'"
            columns = ", ".join(QUERY_JOBS.schema.names)
            now = [self._current(known) for _, known in jobs]
            yield from _unequal(
                "query_jobs", now, _fetch(connection, f"select {columns} from query_jobs {bounds} order by id")
            )
            states = [
                (self.org.org_id, job_id, _time(stamp), state, seen)
                for job_id, known in jobs
                for (stamp, state), seen in sorted(known.versions.items())
            ]
            stored = f"select * from query_job_states {bounds} order by id, system_modstamp, state"
            yield from _unequal("query_job_states", states, _fetch(connection, stored))
            spans = sorted(_fetch(connection, f"select * from state_spans {bounds}"), key=str)
            yield from _unequal("state_spans", spans_by_hand(states, listings), spans)
            away = [
                (
                    self.org.org_id,
                    job_id,
                    known.record["state"],
                    known.last_listed,
                    known.unlisted,
                    None,
                    False,
                    "query",
                )
                for job_id, known in jobs
                if known.unlisted
            ]
            stored = f"select * from unlisted_jobs {bounds} order by id"
            yield from _unequal("unlisted_jobs", away, _fetch(connection, stored))

    def _some_at_a_time(self) -> Iterator[list[tuple[str, Known]]]:
        """All jobs ever shown, in the order of their ids."""
        gone = self._gone.execute("select id, job from gone order by id")
        listed = sorted(self.listed.items(), key=_id)
        both = merge(listed, ((job_id, _unpacked(job)) for job_id, job in gone), key=_id)
        while some := list(islice(both, AT_ONCE)):
            yield some

    def _current(self, known: Known) -> Row:
        """The row of `query_jobs`, all columns."""
        record = known.record
        values: dict[str, Any] = {c.name: record.get(c.field) for c in QUERY_JOBS.columns if c.field}
        values["org_id"] = self.org.org_id
        values["api_version"] = float(record["apiVersion"])
        for name in ("created_date", "system_modstamp"):
            values[name] = _time(values[name])
        values["current_since"] = known.current
        values["observed_at"] = known.versions[record["systemModstamp"], record["state"]]
        return tuple(values.get(name) for name in QUERY_JOBS.schema.names)


def _id(job: tuple[str, Known]) -> str:
    return job[0]


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    return connection.execute(sql).fetchall()


def _unequal(what: str, expected: list[Row], found: list[Row]) -> Iterator[str]:
    if expected != found:
        first = next(pair for pair in zip_longest(expected, found) if pair[0] != pair[1])
        yield f"{what}: {len(expected):,} rows expected, {len(found):,} found; the first that differ: {first}"


def _time(text: str) -> datetime:
    moment = moment_of(text)
    assert moment, text
    return moment


def _packed(known: Known) -> str:
    versions = [(*version, seen.timestamp()) for version, seen in known.versions.items()]
    times = known.current, known.last_listed, known.unlisted
    assert all(times)
    return json.dumps([known.record, versions, *(time.timestamp() for time in times if time)])


def _unpacked(job: str) -> Known:
    record, versions, *times = json.loads(job)
    seen = {(stamp, state): datetime.fromtimestamp(at, UTC) for stamp, state, at in versions}
    return Known(record, seen, *(datetime.fromtimestamp(at, UTC) for at in times))
