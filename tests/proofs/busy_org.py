"""A demo org of any load, with a record of the truth: what each of its listings showed, noted as it was shown."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import moment_of

MINUTE, HOUR, DAY = 60, 3_600, 86_400  # seconds
PAGE_TAKES = timedelta(seconds=4)
OBJECTS = ("Account", "Contact", "Lead", "Opportunity", "Case", "Order", "Invoice__c", "Task")
CLASSIC = {"jobType": "Classic", "contentType": "XML", "apiVersion": "52.0"}
ALLOWED = 1_000_000  # calls and query jobs a day: a soak does not test allowances

Event = tuple[float, int, Callable[[], None]]  # seconds since 1970, a sequence number, what happens


class BusyOrg(DemoOrg):
    """Jobs come by weekday and hour, change in every way that a listing can show or miss, and go. Time passes and jobs
    change even while a listing is being read."""

    def __init__(self, *, now: datetime, jobs_a_day: int, seed: int, page_size: int = 1_000) -> None:
        super().__init__(now=now, seed=seed, page_size=page_size, daily_api_requests=ALLOWED, daily_query_jobs=ALLOWED)
        self._dice, self._jobs_a_day = Random(seed), jobs_a_day
        self._events: list[Event] = []
        self._count_of_events = 0
        self._people = [self.add_user(f"Integration {n}", f"integration.{n}@demo-org.example") for n in range(12)]
        self.before_answer = _takes_time
        # The listing that is being read, or was read last
        self.began = self.ended = now
        self.pages_shown = 0
        self.shown: dict[str, dict[str, Any]] = {}
        self._at(now.timestamp(), self._come)
        self.on_time = self._play

    def records_of(self, surface: str, keys: list[str]) -> list[Any]:
        """What a page shows. Everything that the warehouse is checked against is noted here, where no other code can
        alter it. The ingest listing, read at the same time, shows nothing but the Classic jobs again."""
        records = super().records_of(surface, keys)
        if surface != "query":
            return records
        self.shown |= {record["id"]: record.copy() for record in records}
        self.pages_shown += 1
        self.ended = self.now
        return records

    def begin(self) -> None:
        """A listing begins."""
        self.began, self.pages_shown, self.shown = self.now, 0, {}

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

    def _appear(self, created: datetime) -> None:
        dice, classic = self._dice, self._dice.random() < 0.25
        fields = {"object": dice.choice(OBJECTS), "createdById": dice.choice(self._people), "createdDate": created}
        if classic:
            fields |= CLASSIC | {"operation": dice.choice(("query", "insert", "upsert", "delete"))}
        elif dice.random() < 0.7:
            fields["state"] = "UploadComplete"
        job = self.add_job(**fields)
        lasts = 10 ** dice.uniform(0.5, 4.6)  # three seconds to eleven hours
        if fields.get("state"):
            self._later(job, lasts * dice.random(), lambda: self._move(job, "InProgress"))
        if dice.random() < 0.995:  # the others stay as they are until the org removes them
            ends = "Closed" if classic else "JobComplete"
            self._later(job, lasts, lambda: self._move(job, dice.choices((ends, "Failed", "Aborted"), (94, 4, 2))[0]))
        if classic and dice.random() < 0.05:  # Closed says nothing about batches still to come
            self._later(job, lasts + 10 ** dice.uniform(1, 4.5), lambda: self._move(job, "Failed"))
        if dice.random() < 0.06:
            self._later(job, lasts + 10 ** dice.uniform(1, 5.5), lambda: self.delete_job(job))
        if dice.random() < 0.01:  # without a new stamp
            self._later(job, 10 ** dice.uniform(2, 5.5), lambda: self.edit_job(job, concurrencyMode="Serial"))

    def _later(self, job: str, seconds: float, happens: Callable[[], None]) -> None:
        def unless_gone() -> None:
            if job in self.jobs:
                happens()

        self._at(self.now.timestamp() + seconds, unless_gone)

    def _move(self, job: str, state: str) -> None:
        luck, stamp = self._dice.random(), moment_of(self.jobs[job]["systemModstamp"])
        details: dict[str, Any] = {"errorMessage": "Timeout : It took too long"} if state == "Failed" else {}
        if state != "InProgress":
            details |= {"numberRecordsProcessed": self._dice.randrange(10**6), "totalProcessingTime": int(luck * 10**6)}
        late = max(stamp or self.now, self.now - timedelta(minutes=luck * 200))
        self.move_job(job, state, stamp=False if luck < 0.04 else late if luck < 0.08 else True, **details)


def _takes_time(org: DemoOrg, listing: str, page: int) -> None:
    assert isinstance(org, BusyOrg)
    if listing != "query":
        return
    if page == 1:
        org.begin()
    elif page % 5 == 2:
        org.advance(5 * PAGE_TAKES)
