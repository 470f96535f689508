"""What one demo org showed, listing by listing, and what a warehouse may and must contain of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from planted import spans_by_hand

from pipelines.demo_org.org import DemoOrg

Version = tuple[str, str, str]  # id, systemModstamp and state, as the org writes them
WEEK = timedelta(days=7)
SPELLED = {
    "operation": "operation", "object": "object", "createdById": "created_by_id", "concurrencyMode": "concurrency_mode",
    "contentType": "content_type", "apiVersion": "api_version", "jobType": "job_type", "lineEnding": "line_ending",
    "columnDelimiter": "column_delimiter", "state": "state",
}  # fmt: skip


FEEDS = ("query", "ingest")
OF_QUERY = ("V2Query", "Classic")  # jobs that /jobs/query lists; the ingest listing has Classic ones, too


@dataclass
class Listing:
    """One load's reading of one listing, as the org saw it."""

    feed: str
    filters: str
    starts: list[datetime] = field(default_factory=list)  # of each answer to a request for the first page
    pages: dict[int, list[Any]] = field(default_factory=dict)  # of the last pass, as last answered
    shown: set[Version] = field(default_factory=set)  # by any answer, whether or not it arrived

    @property
    def received(self) -> set[Version]:
        """The feed's own jobs, as a load that completed this listing has certainly seen them."""
        records = [record for page in self.pages.values() for record in page]
        return {version for record in records if (version := version_of(record)) and feed_of(record) == self.feed}

    @property
    def rejected(self) -> set[str]:
        """Its records without a usable key."""
        return {canonical(r) for page in self.pages.values() for r in page if not version_of(r)}


Reading = dict[str, Listing]  # by feed, what one load reads side by side


class Truth:
    """Notes everything that an org answers to requests for a page of its listings."""

    def __init__(self, org: DemoOrg) -> None:
        self.org = org
        self.readings: list[Reading] = []
        # Those that were read to their end: brought into the warehouse; kept in dlt's home, because the file was held;
        # and those of loads that failed later on, which are in dlt's home or in the primary database already.
        self.loaded: list[Listing] = []
        self.kept: list[Listing] = []
        self.unpublished: list[Listing] = []
        self.meanwhile: Callable[[str, int], None] = lambda feed, page: None  # before a page is answered
        self._records_of = org.records_of
        self._page = dict.fromkeys(FEEDS, 0)
        org.before_answer = self._before
        org.records_of = self._answered  # type: ignore[method-assign]

    @property
    def listings(self) -> list[Listing]:
        return [listing for reading in self.readings for listing in reading.values()]

    def begin(self, filters: str) -> Reading:
        """A load begins, which filters its query listing; answers from now on belong to it."""
        self.readings.append({"query": Listing("query", filters), "ingest": Listing("ingest", "{}")})
        return self.readings[-1]

    def _before(self, org: DemoOrg, feed: str, page: int) -> None:
        self.meanwhile(feed, page)
        self._page[feed] = page

    def _answered(self, feed: str, keys: list[str]) -> list[Any]:
        records, page = self._records_of(feed, keys), self._page[feed]
        listing = self.readings[-1][feed]
        if page == 1:
            listing.pages = {}
            listing.starts.append(self.org.now)
        listing.pages[page] = json.loads(json.dumps(records))
        listing.shown |= {version for record in records if (version := version_of(record))}
        return records

    def check(self, rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
        """Compares a warehouse, given by a function that queries it, with this truth. The newest listings were complete
        and unfiltered, and nothing has changed since."""
        mine = f"where org_id = '{self.org.org_id}'"
        for feed in FEEDS:
            self._check_current(rows, mine, feed)
            self._check_listings(rows, f"{mine} and feed = '{feed}'", feed)
        self._check_states(rows, mine)
        rejected = {canonical(json.loads(record)) for (record,) in rows(f"select record from rejected_records {mine}")}
        assert set().union(*(listing.rejected for listing in self.loaded)) <= rejected
        assert rejected <= {canonical(record) for record in self.org.raw}
        both = f"select id from query_jobs {mine} union all select id from ingest_jobs {mine}"
        for table in ("job_details", f"({both})"):
            of_org = mine if table == "job_details" else ""
            assert rows(f"select id from {table} {of_org} group by all having count(*) > 1") == []

    def _check_current(self, rows: Callable[[str], list[tuple[Any, ...]]], mine: str, feed: str) -> None:
        stamp, columns = "'%Y-%m-%dT%H:%M:%S.000+0000'", ", ".join(SPELLED.values())
        stored = {
            job: dict(zip(("systemModstamp", "createdDate", *SPELLED), values, strict=True))
            for job, *values in rows(
                f"select id, strftime(system_modstamp, {stamp}), strftime(created_date, {stamp}), {columns} "
                f"from {feed}_jobs {mine}"
            )
        }
        records = self._records_of(feed, self.org.listed(feed))
        listed = {record["id"]: record for record in records if version_of(record)}
        for job, record in listed.items():
            if feed_of(record) == feed:
                number = float(record["apiVersion"])  # text or number: the API writes both
                assert stored[job] == {name: record.get(name) for name in stored[job]} | {"apiVersion": number}, job
        away = rows(f"select id from unlisted_jobs {mine} and listed_again_at is null and feed = '{feed}'")
        assert {job for (job,) in away} == stored.keys() - listed.keys()
        assert len(away) == len(set(away))

    def _check_states(self, rows: Callable[[str], list[tuple[Any, ...]]], mine: str) -> None:
        states = {feed: rows(f"select * from {feed}_job_states {mine}") for feed in FEEDS}
        observed = {
            (job, spelled(stamp), state): seen for of_feed in states.values() for _, job, stamp, state, seen in of_feed
        }
        assert len(observed) == sum(map(len, states.values()))
        for listing in self.loaded:
            for version in listing.received:
                assert observed[version] <= listing.starts[-1], (version, "was shown before, or is missing")
        for version, seen in observed.items():
            assert any(seen in listing.starts and version in listing.shown for listing in self.listings), version
        spans = []
        for feed in FEEDS:
            listings = rows(f"select org_id, started_at, finished_at from listings {mine} and feed = '{feed}'")
            spans += spans_by_hand(states[feed], listings, feed)
            jobs = {job for _, job, *_ in states[feed]}
            assert jobs == {job for (job,) in rows(f"select id from {feed}_jobs {mine}")}
        assert sorted(rows(f"select * from state_spans {mine}"), key=str) == sorted(spans, key=str)

    def _check_listings(self, rows: Callable[[str], list[tuple[Any, ...]]], mine: str, feed: str) -> None:
        stored = rows(
            f"select coalesce(restarted_at, started_at), started_at, filters, jobs_listed from listings {mine}"
        )
        reduced = rows(f"select reduced_from, reduced_to, jobs_lost from reduced_views {mine}")
        recorded = {complete: rest for complete, *rest in stored}
        assert len(recorded) == len(stored)
        listings = [listing for listing in self.listings if listing.feed == feed]
        by_start = {start: listing for listing in listings for start in listing.starts}
        for complete, (started, filters, jobs) in recorded.items():
            listing = by_start[complete]
            assert started in listing.starts
            assert filters == listing.filters
            assert jobs == sum(map(len, listing.pages.values()))
        loaded = [listing for listing in self.loaded if listing.feed == feed]
        assert all(any(start in recorded for start in listing.starts) for listing in loaded)
        whole = sorted(complete for complete, (_, filters, _) in recorded.items() if filters == "{}")
        for start, _, lost in reduced:
            shown = {version[0] for version in by_start[start].received}
            before = {v[0] for each in self.listings if each.starts and each.starts[0] < start for v in each.shown}
            assert 20 <= lost <= len(before - shown)
        proofs = [at for at in whole if not any(start <= at <= end for start, end, _ in reduced)]
        assert rows(f"select covered_from, covered_to, listings from coverage {mine} order by 1") == coverage(proofs)


def feed_of(record: Any) -> str:
    """The feed that a listed job belongs to."""
    return "query" if record.get("jobType") in OF_QUERY else "ingest"


def version_of(record: Any) -> Version | None:
    """None for records without a usable key."""
    key = ("id", "systemModstamp", "state")
    return tuple(record[k] for k in key) if isinstance(record, dict) and all(record.get(k) for k in key) else None


def spelled(time: datetime) -> str:
    """A time as the org writes it."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def canonical(record: Any) -> str:
    """JSON that is equal if the values are."""
    return json.dumps(record, sort_keys=True)


def coverage(listed: list[datetime]) -> list[tuple[datetime, datetime, int]]:
    """The spans of complete listings at most a week apart: from, to, and the number of listings."""
    spans: list[tuple[datetime, datetime, int]] = []
    for at in listed:
        if spans and at - WEEK <= spans[-1][1]:
            spans[-1] = (spans[-1][0], at, spans[-1][2] + 1)
        else:
            spans.append((at - WEEK, at, 1))
    return spans
