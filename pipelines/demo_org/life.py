"""A realistic simulation of the demo org: a queue of events, played as the org's clock advances."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime

from pipelines.demo_org.cast import DAY, NEWCOMER, ORDERS, PEOPLE, day_of
from pipelines.demo_org.ids import salesforce_id
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.plans import BatchPlan, Plan, Records

FIRST_APART = 8 * 62**4 + 1_000_000  # where the numbers of jobs begin whose ids are to leave the others' as they are
CALLS_PER_JOB = 7  # to create it, to ask after it a few times, to fetch the results
INTERNAL_BATCH = 10_000  # records. SOURCE: datafiles_understanding_bulk2_ingest.htm
_CREATE, _DELETE = -1, -2  # events; a number from 0 is the move of that place in the plan

_Event = tuple[int, int, int, Plan, str]  # seconds since 1970, a running number, what, of which plan and job


class Life:
    """The jobs that come, move and go in an org, from `start` on and without end.

    The story comes to its point at `until`: a nightly extract has then failed for 21 nights in a row, a job has
    been in progress for five days, a user has been new for four, a load of the last week is Closed with every
    record failed, and loads have lost records to the reasons that `load_cast.py` plants. The same seed, start and
    `until` give the same life, however the clock is moved. About 23,000 jobs in 30 days, and some 800 Bulk API 2.0
    loads.
    """

    def __init__(self, org: DemoOrg, *, start: datetime, until: datetime, seed: int = 0) -> None:
        self._org, self._seed = org, seed
        self._start, self._until = int(start.timestamp()), int(until.timestamp())
        self._next_day = self._start // DAY
        self._events: list[_Event] = []
        self._count = 0
        self._apart = 0
        self._users = {name: org.add_user(name, _username(name)) for name in PEOPLE}

    def play(self, now: datetime) -> None:
        """Let everything happen that is due by `now`, each at its own time."""
        end = int(now.timestamp())
        while self._next_day * DAY <= end:
            for plan in day_of(self._next_day, self._seed, self._until):
                if plan.at >= self._start:
                    self._push(plan.at, _CREATE, plan, "")
            self._next_day += 1
        try:
            while self._events and self._events[0][0] <= end:
                at, _, what, plan, job_id = heapq.heappop(self._events)
                self._org.hold(datetime.fromtimestamp(at, UTC))
                self._happen(what, plan, job_id)
        finally:
            self._org.hold(None)

    def _push(self, at: int, what: int, plan: Plan, job_id: str) -> None:
        self._count += 1  # keeps events of the same second in the order in which they were thought of
        heapq.heappush(self._events, (at, self._count, what, plan, job_id))

    def _happen(self, what: int, plan: Plan, job_id: str) -> None:
        org = self._org
        if what == _CREATE:
            self._create(plan)
        elif job_id not in org.jobs and job_id not in org.ingest_jobs:
            return  # it was deleted meanwhile
        elif what == _DELETE:
            org.delete_job(job_id)
        else:
            move = plan.moves[what]
            org.move_job(job_id, move.state, stamp=move.stamp, **move.details)
            if move.records is not None:
                _end_records(org, job_id, move.records)
            for place, batch in enumerate(move.batches):
                _bring_batch(org, job_id, place, batch)

    def _create(self, plan: Plan) -> None:
        org = self._org
        is_query = plan.fields.get("jobType", "V2Query") == "V2Query"
        if is_query and org.usage.query_jobs(org.now) >= org.daily_query_jobs:
            return  # refused, as tests/fixtures/e_37_query_jobs_limit.json shows
        if plan.user == NEWCOMER and NEWCOMER not in self._users:
            self._users[NEWCOMER] = org.add_user(NEWCOMER, _username(NEWCOMER))
        fields = {"createdById": self._users[plan.user], **plan.fields}
        if plan.apart:
            self._apart += 1
            fields["id"] = salesforce_id("750", FIRST_APART + self._apart)
        job_id = org.add_job(**fields)
        if plan.refused:
            org.refuse_results(job_id)
        org.usage.count_calls(org.now, CALLS_PER_JOB, app=plan.user if plan.user == ORDERS else None)
        for place, move in enumerate(plan.moves):
            self._push(plan.at + move.after, place, plan, job_id)
        if plan.deleted_after is not None:
            self._push(plan.at + plan.deleted_after, _DELETE, plan, job_id)


def _end_records(org: DemoOrg, job_id: str, records: Records) -> None:
    for reason, count in records.failed:
        org.fail_records(job_id, [(reason, records.row, records.sf_id)], times=count)
    if records.saved:
        org.succeed_records(job_id, [(records.row, records.sf_id, not records.sf_id)], times=records.saved)
    if records.unprocessed:
        org.leave_unprocessed(job_id, [records.row], times=records.unprocessed)
    extra = -(-org.details[job_id]["numberRecordsProcessed"] // INTERNAL_BATCH) - 1
    for _ in range(extra):  # the first was counted with the job
        org.usage.count_batch(org.now)


def _bring_batch(org: DemoOrg, job_id: str, place: int, plan: BatchPlan) -> None:
    """Add the batch of this place, or bring it up to its plan."""
    batches, failures = org.batches.get(job_id, []), dict(plan.failed)
    if place < len(batches):
        if batches[place].state != plan.state:
            batch_id = batches[place].id
            org.move_batch(batch_id, plan.state, records=plan.records, failures=failures, message=plan.message)
        return
    created = org.job(job_id)["createdDate"]
    org.add_batch(
        job_id,
        state=plan.state,
        records=plan.records,
        failures=failures,
        message=plan.message,
        createdDate=created,
    )


def live(org: DemoOrg, *, until: datetime, start: datetime | None = None, seed: int = 0) -> Life:
    """Return an org a life that is played whenever its clock moves, from `start` (or now) on.

    With a simulated clock, `org.advance(...)` moves the life along; a start in the past is caught up with at
    once.
    """
    life = Life(org, start=start or org.now, until=until, seed=seed)
    with org.lock:
        org.on_time = life.play
        org.tick()
        org.purge()
    return life


def _username(name: str) -> str:
    return f"{name.lower().replace(' ', '.')}@demo-org.example"
