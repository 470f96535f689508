"""Fetches the details of finished jobs: counts, times, errors.

The listing does not have them, and the org forgets them with the job. The listing always comes first; jobs that no API
call was left for stay in a backlog for later runs, failures first.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa

from pipelines.errors import RecorderError
from pipelines.job_tables import JOB_DETAILS
from pipelines.org_log import for_same_org
from pipelines.plural import counted
from pipelines.recording.detail_backlog import Job, backlog, spread
from pipelines.recording.incomplete import warn_incomplete
from pipelines.recording.job_answer import CLASSIC_ERROR, NOT_FOUND, ClassicApi, Row, details_of
from pipelines.recording.listings import Listings

logger = logging.getLogger(__name__)

AT_ONCE: Final = 8  # calls in flight: an org allows 25 long-running ones, and these are short
FAILURES_IN_A_ROW: Final = 5  # then the cause is not the job, and further requests would waste calls


@dataclass(frozen=True)
class DetailsOutcome:
    """How far a run got with its share of the backlog."""

    asked: int  # jobs whose details were fetched
    left: int  # jobs left to later runs
    stopped: str = ""  # why no further job was requested
    notes: tuple[str, ...] = ()


class Details:
    """One run's share of the backlog, and its outcome, which is None until `answers` has returned."""

    def __init__(
        self,
        listings: Listings,
        primary: duckdb.DuckDBPyConnection,
        at_most: int,
        on_answer: Callable[[int, int], None],
    ) -> None:
        self.org, self.at_most, self.on_answer = listings.org, at_most, on_answer
        self.jobs = backlog(listings, primary, at_most) if at_most else []  # it costs 0.4 s at 100,000 jobs
        self.waiting = self.jobs[0]["waiting"] if self.jobs else 0
        self.classic = ClassicApi()
        self._calls_left = self.org.budget.calls_left
        affordable = list(self._affordable(self.jobs[:at_most]))
        self._queue = deque(spread(affordable))
        self._wanted, self._asked, self._calls = len(affordable), 0, 0
        self._rows: list[Row] = []
        self._answers: dict[int, tuple[Job, Row]] = {}  # by the number of their request, until they are judged
        self._judged = self._failures = self._classic_failures = 0  # in a row, in the order of the requests
        self._failures_as_answered = 0
        self.outcome: DetailsOutcome | None = None

    def _cost(self, job: Job) -> int:
        return 2 if job["job_type"] == "Classic" and not self.classic.off else 1

    def _affordable(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """As many of the first jobs as fit into half of what is left of the API budget."""
        spent = 0
        for job in jobs:
            spent += self._cost(job)
            if self._calls_left is not None and spent > self._calls_left / 2:
                return
            yield job

    def answers(self) -> pa.Table:
        """Fetches details and returns them as rows of `job_details`; stops early if further calls would fail, too."""
        if not self.jobs:
            return JOB_DETAILS.schema.empty_table()
        stopped = ""
        with ThreadPoolExecutor(AT_ONCE, "details") as pool:
            asked: dict[Future[tuple[Row, str]], tuple[int, Job]] = {}
            try:
                while True:
                    while len(asked) < AT_ONCE and not stopped and (job := self._next()):
                        asked[pool.submit(for_same_org(details_of), self.org, job, self.classic)] = self._asked, job
                    if not asked:
                        break
                    for answer in wait(asked, return_when=FIRST_COMPLETED).done:
                        stopped = self._take(answer, *asked.pop(answer)) or stopped
            finally:
                pool.shutdown(cancel_futures=True)
        self.outcome = self._outcome(stopped)
        for note in self.outcome.notes:
            warn_incomplete(note, "details_per_run = 0")
        return pa.Table.from_pylist(self._rows, schema=JOB_DETAILS.schema)

    def _next(self) -> Job | None:
        """The next job to request. Once the Classic API is off, jobs that need it wait, and others take their places;
        if places are left, what the newer API knows about the waiting ones is fetched."""
        if self.classic.off and not self.classic.counted_out:
            self.classic.counted_out = True
            left = [*self._queue, *(job for job in self.jobs[self._wanted :])]
            others = [job for job in left if job["job_type"] != "Classic"]
            unknown = [job for job in left if job["job_type"] == "Classic" and job["outcome"] != "answered"]
            self._queue = deque([*others, *unknown])
        if not self._queue or self._asked == self.at_most:
            return None
        self._calls += self._cost(self._queue[0])
        if self._calls_left is not None and self._calls > self._calls_left / 2:
            return None
        self._asked += 1
        return self._queue.popleft()

    def _take(self, answer: Future[tuple[Row, str]], number: int, job: Job) -> str:
        """Keeps an answer. Returns why no further job should be requested, or ""."""
        try:
            row, stop = answer.result()
        except RecorderError as failure:
            return failure.message
        self._rows.append(row)
        self._answers[number] = job, row
        self.on_answer(len(self._rows), max(self._wanted, len(self._rows)))
        while self._judged + 1 in self._answers:
            self._judged += 1
            stop = self._judge(*self._answers.pop(self._judged)) or stop
        # Failures are judged in the order of the requests, so one slow answer could let all others be sent first.
        # Therefore, a longer series of failures in the order of arrival counts, too.
        own_error = row["error"] and not row["error"].startswith(CLASSIC_ERROR)
        self._failures_as_answered = self._failures_as_answered + 1 if own_error else 0
        if self._failures_as_answered >= 2 * AT_ONCE:
            stop = stop or _refused(self._failures_as_answered, row["error"])
        return stop

    def _judge(self, job: Job, row: Row) -> str:
        """Several failures in a row mean that an API itself fails. If it is the Classic API, it is switched off for
        this run; if it is the other one, returns why no further job should be requested."""
        error = row["error"] or ""
        counts = error.startswith(CLASSIC_ERROR)
        self._failures = self._failures + 1 if error and not counts else 0
        if job["job_type"] == "Classic" and (counts or not error):
            self._classic_failures = self._classic_failures + 1 if counts else 0
        if self._classic_failures == FAILURES_IN_A_ROW:
            self.classic.off = self.classic.off or error.removeprefix(CLASSIC_ERROR)
        if self._failures == FAILURES_IN_A_ROW:
            return _refused(FAILURES_IN_A_ROW, error)
        return ""

    def _outcome(self, stopped: str) -> DetailsOutcome:
        rows = self._rows
        failed = [row["error"] for row in rows if row["error"] and row["outcome"] != "gone"]
        counts = [error for error in failed if error.startswith(CLASSIC_ERROR)]
        # A job that was deleted since it was listed is not worth a note.
        errors = [error for error in failed if not error.startswith((CLASSIC_ERROR, NOT_FOUND))]
        notes = []
        if stopped:
            left = self.waiting - len(rows)
            notes.append(f"{stopped} ({counted(left, 'job was', 'jobs were')} not asked)")
        elif errors:
            notes.append(_and_more(errors[-1], len(errors)))
        if counts:
            notes.append(_and_more(counts[0], len(counts)))
        return DetailsOutcome(
            asked=len(rows) - len(failed) + len(counts),
            left=self.waiting - len(rows) + len(failed),
            stopped=stopped,
            notes=tuple(f"{JOB_DETAILS.name}: {note}" for note in notes),
        )


def _refused(count: int, error: str) -> str:
    return f"{count} jobs in a row were refused, the last with {error}"


def _and_more(error: str, count: int) -> str:
    return error if count == 1 else f"{error} (and {counted(count - 1, 'more job')})"
