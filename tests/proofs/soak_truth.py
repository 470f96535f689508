"""What a soak compares the warehouse with: a model in plain Python of everything that one listing of one org showed, kept
beside the org."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice, zip_longest
from typing import Any

import duckdb
from busy_org import BusyOrg, Reading
from planted import spans_by_hand

from pipelines.demo_org.records import moment_of
from pipelines.recording.feeds import FEEDS

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


class FeedTruth:
    """The model of one listing of an org, and how a warehouse is compared with it."""

    def __init__(self, org: BusyOrg, feed: str, gone: sqlite3.Connection) -> None:
        self.org, self.feed = org, FEEDS[feed]
        self.listed: dict[str, Known] = {}
        self.listings: list[Row] = []
        self.jobs = self.states = 0
        self._gone, self._table = gone, f"{feed}_of_{org.seed}"
        gone.execute(f"create table {self._table} (id text primary key, job text)")

    def note(self, reading: Reading, others: dict[str, dict[str, Any]], left: set[str], moving: "FeedTruth") -> None:
        """Takes in the listing that a load has just completed. `others` are the jobs that the load's other listing
        showed, `left` those of this one that are the other feed's; a job that it records comes from `moving`, if that
        has it."""
        at, before = reading.began, self.listings[-1][0] if self.listings else None
        since = before - MARGIN if before else None
        changed = late = 0
        shown = {job_id: record for job_id, record in reading.shown.items() if job_id not in left}
        for job_id, record in shown.items():
            known = self.listed.get(job_id)
            if known and known.record == record:
                continue
            changed += 1
            late += since is not None and time_of(record["systemModstamp"]) < since
            if known is None:
                known = self.listed[job_id] = moving.give_up(job_id) or Known(record)
                self.jobs += 1
                self.states += len(known.versions)
            version = _version(record)
            self.states += version not in known.versions
            known.versions.setdefault(version, at)
            known.record, known.current = record, at
        missing = self.listed.keys() - reading.shown.keys() - others.keys()
        for job_id in missing:
            known = self.listed.pop(job_id)
            known.last_listed, known.unlisted = before, at
            self._gone.execute(f"insert into {self._table} values (?, ?)", (job_id, _packed(known)))
        creators = len({record["createdById"] for record in reading.shown.values()})
        counts = (reading.pages, len(reading.shown), changed, late, len(missing) if before else None, creators)
        self.listings.append((at, reading.ended, since, *counts))

    def give_up(self, job_id: str) -> Known | None:
        """A job that the other feed records from now on."""
        known = self.listed.pop(job_id, None)
        if known:
            self.jobs -= 1
            self.states -= len(known.versions)
        return known

    def has(self, job_id: str, record: dict[str, Any]) -> bool:
        """Whether this feed has the job, in the version that this record shows."""
        known = self.listed.get(job_id)
        return known is not None and _version(known.record) == _version(record)

    def differences(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        """What the tables have otherwise than this model, row by row."""
        yield from self._counts(connection)
        yield from self._listings(connection)
        yield from self._rows(connection)

    def _counts(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        (gone,) = self._gone.execute(f"select count(*) from {self._table}").fetchone()
        of_feed = f"{self._mine} and feed = '{self.feed.name}'"
        expected = {
            f"{self.feed.jobs.name} {self._mine}": self.jobs,
            f"{self.feed.states.name} {self._mine}": self.states,
            f"state_spans {of_feed}": self.states,
            f"unlisted_jobs {of_feed}": gone,
        }
        for table, rows in expected.items():
            yield from unequal(f"rows of {table}", [(rows,)], fetch(connection, f"select count(*) from {table}"))

    def _listings(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        of_feed = f"{self._mine} and feed = '{self.feed.name}'"
        listings = f"""select started_at, finished_at, since, pages, jobs_listed, jobs_changed, jobs_changed_late,
            jobs_unlisted, creators
            from listings {of_feed} and notes is null and restarted_at is null order by started_at"""
        yield from unequal(f"listings {of_feed}", self.listings, fetch(connection, listings))
        first, last = self.listings[0][0], self.listings[-1][0]
        coverage = fetch(connection, f"select covered_from, covered_to, listings from coverage {of_feed}")
        expected = [(first - timedelta(days=7), last, len(self.listings))]
        yield from unequal(f"coverage {of_feed}", expected, coverage)

    def _rows(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        org_id, jobs_table, states_table = self.org.org_id, self.feed.jobs, self.feed.states.name
        of_feed = f"and feed = '{self.feed.name}'"
        started = f"select org_id, started_at, finished_at from listings {self._mine} {of_feed}"
        listings = fetch(connection, started)
        for jobs in self._some_at_a_time():
            bounds = f"{self._mine} and id between '{jobs[0][0]}' and '{jobs[-1][0]}'"
            columns = ", ".join(jobs_table.schema.names)
            now = [self._current(known) for _, known in jobs]
            stored = f"select {columns} from {jobs_table.name} {bounds} order by id"
            yield from unequal(jobs_table.name, now, fetch(connection, stored))
            states = [
                (org_id, job_id, time_of(stamp), state, seen)
                for job_id, known in jobs
                for (stamp, state), seen in sorted(known.versions.items())
            ]
            stored = f"select * from {states_table} {bounds} order by id, system_modstamp, state"
            yield from unequal(states_table, states, fetch(connection, stored))
            spans = sorted(fetch(connection, f"select * from state_spans {bounds} {of_feed}"), key=str)
            yield from unequal("state_spans", spans_by_hand(states, listings, self.feed.name), spans)
            away = [
                (org_id, job_id, each.record["state"], each.last_listed, each.unlisted, None, False, self.feed.name)
                for job_id, each in jobs
                if each.unlisted
            ]
            stored = f"select * from unlisted_jobs {bounds} {of_feed} order by id"
            yield from unequal("unlisted_jobs", away, fetch(connection, stored))

    @property
    def _mine(self) -> str:
        return f"where org_id = '{self.org.org_id}'"

    def _some_at_a_time(self) -> Iterator[list[tuple[str, Known]]]:
        """All jobs ever shown, in the order of their ids."""
        gone = self._gone.execute(f"select id, job from {self._table} order by id")
        listed = sorted(self.listed.items(), key=_id)
        both = merge(listed, ((job_id, _unpacked(job)) for job_id, job in gone), key=_id)
        while some := list(islice(both, AT_ONCE)):
            yield some

    def _current(self, known: Known) -> Row:
        """The row of `query_jobs` or `ingest_jobs`, all columns."""
        record = known.record
        values: dict[str, Any] = {c.name: record.get(c.field) for c in self.feed.jobs.columns if c.field}
        values["org_id"] = self.org.org_id
        values["api_version"] = float(record["apiVersion"])
        for name in ("created_date", "system_modstamp"):
            values[name] = time_of(values[name])
        values["current_since"] = known.current
        values["observed_at"] = known.versions[record["systemModstamp"], record["state"]]
        return tuple(values.get(name) for name in self.feed.jobs.schema.names)


def _version(record: dict[str, Any]) -> tuple[str, str]:
    return record["systemModstamp"], record["state"]


def _id(job: tuple[str, Known]) -> str:
    return job[0]


def fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    return connection.execute(sql).fetchall()


def unequal(what: str, expected: list[Row], found: list[Row]) -> Iterator[str]:
    if expected != found:
        first = next(pair for pair in zip_longest(expected, found) if pair[0] != pair[1])
        yield f"{what}: {len(expected):,} rows expected, {len(found):,} found; the first that differ: {first}"


def time_of(text: str) -> datetime:
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
