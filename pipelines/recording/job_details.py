"""What only a job's own answer tells: counts, times, errors. Asked for once a job is first seen finished.

The listing has none of it, and the org forgets it with the job. A listing always comes first; what there was no call
left for is a backlog that later runs work off, failures first.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import dlt
import duckdb
import pyarrow as pa
from dlt.extract import DltResource

from pipelines.errors import Failure, NoAnswer, Unreadable, quoted
from pipelines.recording.detail_backlog import Job, backlog, spread
from pipelines.recording.message_templates import message_template
from pipelines.recording.records import FIELDS, as_json, text, whole_number
from pipelines.recording.snapshot import Listing
from pipelines.recording.source import merge_on
from pipelines.salesforce.api_errors import ENDED, SalesforceError, explained
from pipelines.salesforce.http_clients import CLASSIC
from pipelines.salesforce.ids import same_id
from pipelines.salesforce.org import Org
from pipelines.tables import COUNT, FLAG, JOB_DETAILS, LISTINGS

AT_ONCE: Final = 8  # calls in flight: an org takes 25 long ones, and these are short
FAILURES_IN_A_ROW: Final = 5  # then it is not the job, and asking on would waste calls
ANSWER_BYTES: Final = 2**16  # of a job's own answer, which is 1 KB: a run asks for hundreds
INGEST: Final = ("V2Ingest", "BigObjectIngest")

Row = dict[str, Any]


class Details:
    """One run's share of the backlog: what was asked for, what is left, and why it stopped if it did."""

    def __init__(
        self,
        listing: Listing,
        loader: duckdb.DuckDBPyConnection,
        at_most: int,
        on_answer: Callable[[int, int], None],
    ) -> None:
        self.listing, self.org, self.at_most, self.on_answer = listing, listing.org, at_most, on_answer
        self.jobs = backlog(listing, loader, at_most) if at_most else []  # it costs 0.4 s at 100,000 jobs
        self.waiting = self.jobs[0]["waiting"] if self.jobs else 0
        self.classic = ClassicApi()
        self._calls_left = self.org.budget.calls_left
        affordable = list(self._affordable(self.jobs[:at_most]))
        self._queue = deque(spread(affordable))
        self._wanted, self._asked, self._calls = len(affordable), 0, 0
        self._rows: list[Row] = []
        self._answers: dict[int, tuple[Job, Row]] = {}  # by the number of their question, until they are judged
        self._judged = self._failures = self._classic_failures = 0  # in a row, in the order of the questions
        self._failures_as_answered = 0

    def _cost(self, job: Job) -> int:
        return 2 if job["job_type"] == "Classic" and not self.classic.off else 1

    def _affordable(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """The first of the jobs: at most half of what the API budget leaves goes into details."""
        spent = 0
        for job in jobs:
            spent += self._cost(job)
            if self._calls_left is not None and spent > self._calls_left / 2:
                return
            yield job

    def rows(self) -> Iterator[pa.Table]:
        """The answers as rows of `job_details`; ends early at what no further call would get past."""
        stopped = ""
        with ThreadPoolExecutor(AT_ONCE, "details") as pool:
            asked: dict[Future[tuple[Row, str]], tuple[int, Job]] = {}
            try:
                while True:
                    while len(asked) < AT_ONCE and not stopped and (job := self._next()):
                        asked[pool.submit(details_of, self.org, job, self.classic)] = self._asked, job
                    if not asked:
                        break
                    for answer in wait(asked, return_when=FIRST_COMPLETED).done:
                        stopped = self._take(answer, *asked.pop(answer)) or stopped
            finally:
                pool.shutdown(cancel_futures=True)
        self._note(stopped)
        yield pa.Table.from_pylist(self._rows, schema=JOB_DETAILS.schema)

    def _next(self) -> Job | None:
        """The next job to ask. Once the Classic API is off, the jobs that need it wait, and others take their places;
        if there are places left, what the newer API has of them is asked for."""
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
        """Keeps an answer. Says why no other job should be asked, if so."""
        try:
            row, stop = answer.result()
        except Failure as failure:
            return failure.message
        self._rows.append(row)
        self._answers[number] = job, row
        self.on_answer(len(self._rows), max(self._wanted, len(self._rows)))
        while self._judged + 1 in self._answers:
            self._judged += 1
            stop = self._judge(*self._answers.pop(self._judged)) or stop
        # Judged in the order of the questions, a slow answer would have all others asked before it is its turn.
        own_error = row["error"] and not row["error"].startswith(CLASSIC_ERROR)
        self._failures_as_answered = self._failures_as_answered + 1 if own_error else 0
        if self._failures_as_answered >= 2 * AT_ONCE:
            stop = stop or _refused(self._failures_as_answered, row["error"])
        return stop

    def _judge(self, job: Job, row: Row) -> str:
        """Several failures in a row are an API's own: of the Classic one it is then known, of the other one it is said
        why no other job should be asked."""
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

    def _note(self, stopped: str) -> None:
        """What became of it, for the listing's row."""
        listing, rows = self.listing, self._rows
        failed = [row["error"] for row in rows if row["error"] and row["outcome"] != "gone"]
        counts = [error for error in failed if error.startswith(CLASSIC_ERROR)]
        # Of a job that was deleted since it was listed nothing is to be said.
        errors = [error for error in failed if not error.startswith((CLASSIC_ERROR, NOT_FOUND))]
        listing.details_asked = len(rows) - len(failed) + len(counts)
        listing.details_left = self.waiting - len(rows) + len(failed)
        if stopped:
            listing.details_stopped = stopped
            listing.note(JOB_DETAILS.name, f"{stopped} ({self.waiting - len(rows):,} jobs were not asked)")
        if errors and not stopped:
            listing.note(JOB_DETAILS.name, _and_more(errors[-1], len(errors)))
        if counts:
            listing.note(JOB_DETAILS.name, _and_more(counts[0], len(counts)))


def _refused(count: int, error: str) -> str:
    return f"{count} jobs in a row were refused, the last with {error}"


def _and_more(error: str, count: int) -> str:
    return error if count == 1 else f"{error} (and {count - 1:,} more {'job' if count == 2 else 'jobs'})"


@dlt.source(name="salesforce", section="salesforce")
def details_source(details: Details) -> tuple[DltResource, ...]:
    """The details, and the listing's row once more: now it says how many were asked for."""

    @dlt.resource(**merge_on(JOB_DETAILS))
    def job_details() -> Iterator[pa.Table]:
        yield from details.rows()

    @dlt.resource(**merge_on(LISTINGS))
    def listings() -> Iterator[pa.Table | None]:
        while details.listing.details_asked is None:
            yield None
        yield details.listing.row()

    return job_details, listings


@dataclass
class ClassicApi:
    """Whether a run goes on to ask the Classic API: `off` says why not. Threads may use it at the same time."""

    off: str | None = None
    counted_out: bool = False  # whether the run has put its jobs in another order for it

    def failed(self, error: SalesforceError | Failure) -> None:
        """Notes a call without an answer: where the refusal is of the API itself, no other job is asked. Which statuses
        it has for that is not documented: that 401, 403 and 503 are never one job's is inferred."""
        if isinstance(error, SalesforceError) and (error.status in (401, 403, 503) or error.code in OFF):
            self.off = self.off or _text(error)


OFF: Final = (*ENDED, "FeatureNotEnabled", "ExceededQuota")  # the latter, for spent calls, is inferred
CLASSIC_ERROR: Final = "Classic API: "
NOT_FOUND: Final = "HTTP 404"


def job_path(job_id: str, job_type: str | None) -> str:
    """Where a job of the listing has its own answer: a V2 load among the loads, whichever listing shows it."""
    return f"jobs/{'ingest' if job_type in INGEST else 'query'}/{quote(job_id, safe='')}"


def details_of(org: Org, job: Job, classic: ClassicApi) -> tuple[Row, str]:
    """The job's row of `job_details`, and why no other job should be asked, or "". What an earlier answer told stays
    where this one tells nothing.

    GET /services/data/vXX.X/jobs/query/{id} - "Get Information About a Query Job",
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/query_get_one_job.htm
    Raises a Failure where nothing could be asked: budget, sign-in.
    """
    row = {name: job[name] for name in JOB_DETAILS.schema.names if name in job}
    row |= {"org_id": org.org_id, "attempts": (job["attempts"] or 0) + 1, "error": None}
    row["outcome"] = job["outcome"] if job["outcome"] == "answered" else "refused"
    try:
        answer = _asked(org, job_path(job["id"], job["job_type"]), job["id"])
    except (SalesforceError, Unreadable, NoAnswer) as error:
        if not job["shown"] and isinstance(error, SalesforceError) and error.status == 404:
            row["outcome"] = "gone"  # a job that was listed a moment ago is not
        return row | {"error": _text(error), "asked_at": org.clock}, _limit(error, org)
    stop = ""
    if job["job_type"] == "Classic":
        try:
            if classic.off:
                row["error"] = f"{CLASSIC_ERROR}not asked, for another job's answer was: {classic.off}"
            else:
                answer = _with_counts(answer, _asked(org, _classic_path(org, job["id"]), job["id"]))
        except (SalesforceError, Unreadable, NoAnswer) as error:
            classic.failed(error)
            row["error"], stop = f"{CLASSIC_ERROR}{_text(error)}", _limit(error, org)
    row |= {"outcome": "answered", "asked_at": org.clock, **_values(answer)}
    message = row.get("error_message")
    row["error_template"] = None if message is None else message_template(message)
    return row | {"provisional": _provisional(job, row)}, stop


def _classic_path(org: Org, job_id: str) -> str:
    return f"{CLASSIC}{org.api_version}/job/{quote(job_id, safe='')}"


def _text(error: SalesforceError | Failure) -> str:
    return error.message if isinstance(error, Failure) else str(error)


def _limit(error: SalesforceError | Failure, org: Org) -> str:
    """What to say where an answer means that the org takes no more calls just now; else ""."""
    if isinstance(error, SalesforceError) and (error.status in (420, 429) or error.code == "REQUEST_LIMIT_EXCEEDED"):
        return explained(error, org.api_version).message
    return ""


def _asked(org: Org, path: str, job_id: str) -> dict[str, Any]:
    """The job's own answer. Raises SalesforceError, or a Failure: Unreadable where it is about another job, too."""
    body = org.ask(path, at_most=ANSWER_BYTES, patient=False)
    if not isinstance(body, dict):
        raise Unreadable(f"GET {org.url(path)} answered with a JSON {type(body).__name__}, not an object.")
    found = body.get("id")
    if not isinstance(found, str) or not same_id(found, job_id):
        raise Unreadable(f"GET {org.url(path)} answered with another job, or none: id {quoted(found, 40)}.")
    return body


def _with_counts(answer: dict[str, Any], classic: dict[str, Any]) -> dict[str, Any]:
    """The REST answer and the Classic API's, which alone counts a Classic job's records and batches.

    That the REST answer has no counts was recorded; that the Classic API has them is inferred from its documentation:
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/asynch_api_jobs_get_details.htm
    It writes numbers as text in some answers and calls `retries` `numberRetries`.
    """
    counts = {name: value for name, value in classic.items() if name not in FIELDS}
    if "numberRetries" in counts:
        counts["retries"] = counts.pop("numberRetries")
    told = {name: value for name, value in answer.items() if value is not None}
    return counts | told  # where both tell, the newer API's word counts


def _values(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer's values by column; what has no column, or does not fit its own, goes into more_fields."""
    values: dict[str, Any] = {}
    more = {name: value for name, value in answer.items() if name not in FIELDS}
    for column in JOB_DETAILS.columns:
        value = answer.get(column.field) if column.field else None  # an answer may have a field without a name
        if value is None or column.name == "id":
            continue
        if column.type == COUNT:
            read: Any = whole_number(value)
        elif column.type == FLAG:
            read = value if isinstance(value, bool) else None
        else:
            read = text(value)
        if read is not None:
            values[column.name] = read
            more.pop(column.field or "", None)
    more = {name: value for name, value in more.items() if value is not None}
    return values | {"more_fields": as_json(more) if more else None}


def _provisional(job: dict[str, Any], row: dict[str, Any]) -> bool | None:
    """Closed means that no more batches may be added: finished it is when all of them are (JobInfo)."""
    if job["job_type"] != "Classic" or (row.get("state") or job["listed_state"]) != "Closed":
        return False
    total, completed, failed = (row.get(f"number_batches_{which}") for which in ("total", "completed", "failed"))
    return None if total is None or completed is None or failed is None else bool(total > completed + failed)
