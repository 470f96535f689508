"""A demo org of any load, with a record of the truth: what each of its listings showed, noted as it was shown."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from pipelines.demo_org.ids import salesforce_id
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import moment_of

MINUTE, HOUR, DAY = 60, 3_600, 86_400  # seconds
PAGE_TAKES = timedelta(seconds=4)
OBJECTS = ("Account", "Contact", "Lead", "Opportunity", "Case", "Order", "Invoice__c", "Task")
CLASSIC = {"jobType": "Classic", "contentType": "XML", "apiVersion": "52.0"}
ERRORS = (  # of records, as results have them
    "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
    "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION:{n} Anna Meier has no account yet:AccountId, Name --",
)
WHOLE = "InvalidBatch : Field name not found : Salery"  # why a batch failed, or a job
ALLOWED = 1_000_000  # calls and query jobs a day: a soak does not test allowances
EVERYWHERE = 8 * 62**4  # where the numbers of jobs begin that all orgs have
TWINS = (("V2Query", "JobComplete"), ("Classic", "Closed"), ("V2Ingest", "JobComplete"))

Event = tuple[float, int, Callable[[], None]]  # seconds since 1970, a sequence number, what happens


@dataclass
class Reading:
    """One listing that is being read, or was read last."""

    began: datetime
    ended: datetime
    pages: int = 0
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)


class BusyOrg(DemoOrg):
    """Queries, Classic jobs and loads come by weekday and hour, change in every way that a listing can show or miss,
    and go; records and batches of loads fail. Time passes and jobs change even while the listings are being read."""

    def __init__(
        self, *, now: datetime, jobs_a_day: float, seed: int, page_size: int = 1_000, hours_behind: float = 0
    ) -> None:
        super().__init__(now=now, seed=seed, page_size=page_size, daily_api_requests=ALLOWED, daily_query_jobs=ALLOWED)
        self._dice, self._jobs_a_day, self._behind = Random(seed), jobs_a_day, hours_behind * HOUR
        self._events: list[Event] = []
        self._count_of_events = 0
        self._people = [self.add_user(f"Integration {n}", f"integration.{n}@demo-org.example") for n in range(12)]
        self.before_answer = _takes_time
        self.page = {"query": 1, "ingest": 1}  # that is asked for
        self.readings: dict[str, Reading] = {}
        self.failures: dict[str, dict[str, int]] = {}  # job -> error -> records of it
        self._at(now.timestamp(), self._come)
        self._at(now.timestamp(), self._come_everywhere)
        self.on_time = self._play

    def records_of(self, surface: str, keys: list[str]) -> list[Any]:
        """What a page shows. Everything that the warehouse is checked against is noted here, where no other code can
        alter it."""
        records = super().records_of(surface, keys)
        if self.page[surface] == 1:
            self.readings[surface] = Reading(self.now, self.now)
        reading = self.readings[surface]
        reading.shown |= {record["id"]: record.copy() for record in records}
        reading.pages += 1
        reading.ended = self.now
        return records

    # --- what happens ---

    def _at(self, seconds: float, happens: Callable[[], None]) -> None:
        self._count_of_events += 1
        heapq.heappush(self._events, (seconds, self._count_of_events, happens))

    def _play(self, now: datetime) -> None:
        end = now.timestamp()
        try:
            while self._events and self._events[0][0] <= end:
                at, _, happens = heapq.heappop(self._events)
                self.hold(datetime.fromtimestamp(at, UTC))
                happens()
        finally:
            self.hold(None)

    def _come(self) -> None:
        now, dice = self.now, self._dice
        by_day = self._jobs_a_day if now.weekday() < 5 else self._jobs_a_day / 3
        by_hour = 1.5 if 6 <= now.hour < 18 else 0.5
        self._at(now.timestamp() + dice.expovariate(by_day * by_hour / DAY), self._come)
        # Some only appear in the listing long after they were created.
        hidden = 10 ** dice.uniform(1, 4.8) if dice.random() < 0.03 else 0.0
        self._at(now.timestamp() + hidden, lambda: self._appear(now))

    def _come_everywhere(self) -> None:
        """Each day, jobs that are the same in all orgs, but are not listed in all of them at the same time."""
        created = self.now
        self._at(created.timestamp() + DAY, self._come_everywhere)
        first = EVERYWHERE + 3 * created.toordinal()
        twins = [
            {"id": salesforce_id("750", first + n), "jobType": kind, "createdById": self._people[0], "state": state}
            for n, (kind, state) in enumerate(TWINS)
        ]
        times = {"createdDate": created, "systemModstamp": created}
        for twin in twins:
            self._at(created.timestamp() + self._behind, lambda twin=twin: self.add_job(**times, **twin))

    def _appear(self, created: datetime) -> None:
        dice = self._dice
        (kind,) = dice.choices(("V2Query", "Classic", "V2Ingest"), (55, 20, 25))
        classic, loads = kind == "Classic", kind == "V2Ingest"
        fields = {"object": dice.choice(OBJECTS), "createdById": dice.choice(self._people), "createdDate": created}
        if classic:
            fields |= CLASSIC | {"operation": dice.choice(("query", "insert", "upsert", "delete"))}
        elif loads:
            fields |= {"jobType": kind, "operation": dice.choice(("insert", "update", "delete"))}
        if not classic and dice.random() < 0.7:
            fields["state"] = "Open" if loads else "UploadComplete"
        job = self.add_job(**fields)
        lasts = 10 ** dice.uniform(0.5, 4.6)  # three seconds to eleven hours
        if fields.get("state"):
            self._later(job, lasts * dice.random(), lambda: self._move(job, "InProgress"))
        if dice.random() < 0.995:  # the others stay as they are until the org removes them
            ends = "Closed" if classic else "JobComplete"
            self._later(job, lasts, lambda: self._end(job, ends))
        if classic and dice.random() < 0.05:  # Closed says nothing about batches still to come
            self._later(job, lasts + 10 ** dice.uniform(1, 4.5), lambda: self._move(job, "Failed"))
        if dice.random() < 0.06:
            self._later(job, lasts + 10 ** dice.uniform(1, 5.5), lambda: self.delete_job(job))
        if dice.random() < 0.01:  # without a new stamp
            self._later(job, 10 ** dice.uniform(2, 5.5), lambda: self.edit_job(job, concurrencyMode="Serial"))

    def _later(self, job: str, seconds: float, happens: Callable[[], None]) -> None:
        def unless_gone() -> None:
            if job in self.jobs or job in self.ingest_jobs:
                happens()

        self._at(self.now.timestamp() + seconds, unless_gone)

    def _end(self, job: str, well: str) -> None:
        """A job ends, well or not. Its records may fail either way, or be left."""
        (state,), record = self._dice.choices((well, "Failed", "Aborted"), (94, 4, 2)), self.jobs.get(job)
        if record is None:
            self._fail_some(job)
            if state != well:
                self.leave_unprocessed(job, [{"Name": "Anna"}], times=self._dice.randint(1, 9))
        elif well == "Closed" and record["operation"] != "query":
            self._fail_batches(job)
        self._move(job, state)

    def _fail_some(self, job: str) -> None:
        if self._dice.random() < 0.3:
            failures = self._failures()
            for error, records in failures.items():
                self.fail_records(job, [(error, {"Name": "Anna"})], times=records)
            self.failures[job] = failures

    def _fail_batches(self, job: str) -> None:
        if self._dice.random() < 0.3:
            failures = self._failures()
            self.add_batch(job, records=200, failures=failures)
            self.failures[job] = failures
        if self._dice.random() < 0.1:
            self.add_batch(job, state="Failed", message=WHOLE)

    def _failures(self) -> dict[str, int]:
        errors = self._dice.sample(ERRORS, self._dice.randint(1, len(ERRORS)))
        return {error: self._dice.randint(1, 20) for error in errors}

    def _remove(self, job_id: str) -> None:
        super()._remove(job_id)
        self.failures.pop(job_id, None)

    def _move(self, job: str, state: str) -> None:
        luck, stamp = self._dice.random(), moment_of(self.job(job)["systemModstamp"])
        details: dict[str, Any] = {"errorMessage": WHOLE} if state == "Failed" else {}
        if state != "InProgress":
            details |= {"numberRecordsProcessed": self._dice.randrange(10**6), "totalProcessingTime": int(luck * 10**6)}
        late = max(stamp or self.now, self.now - timedelta(minutes=luck * 200))
        self.move_job(job, state, stamp=False if luck < 0.04 else late if luck < 0.08 else True, **details)


def _takes_time(org: DemoOrg, listing: str, page: int) -> None:
    assert isinstance(org, BusyOrg)
    org.page[listing] = page
    if listing == "query" and page % 5 == 2:
        org.advance(5 * PAGE_TAKES)
