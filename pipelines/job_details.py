"""What only a job's own answer tells: counts, times, errors. Asked for once a job is first seen finished.

The listing has none of it, and the org forgets it with the job. A listing always comes first; what there was no call
left for is a backlog that later runs work off, failures first.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import quote

import dlt
import duckdb
import pyarrow as pa
from dlt.extract import DltResource

from pipelines.failures import Failure, Unreadable
from pipelines.listed_jobs import Listing
from pipelines.records import FIELDS, as_json, text, whole_number
from pipelines.salesforce import CLASSIC, Org, SalesforceError, explained
from pipelines.source import merge_on
from pipelines.tables import COUNT, DATASET, FINISHED, FLAG, JOB_DETAILS, LISTINGS

AT_ONCE: Final = 8  # calls in flight: an org takes 25 long ones, and these are short
REFUSALS_IN_A_ROW: Final = 5  # then it is not the job, and asking on would waste calls
SPENT: Final = ("REQUEST_LIMIT_EXCEEDED", "ExceededQuota")  # the latter is the Classic API's word, which is inferred
ANSWER_BYTES: Final = 2**16  # of a job's own answer, which is 1 KB: a run asks for hundreds
ATTEMPTS: Final = 3  # for a job whose answer is refused, or of a Classic one its counts

# observed_at bounds what is read: a version first seen more than seven days ago belongs to a job that is gone by now.
# Failures come first, then Closed jobs, whose state does not tell whether all their records failed, then the newest.
# Provisional details are asked for again when they are twice as old as they were: ten times at most in a week.
BACKLOG: Final = f"""
select
    j.id, j.job_type, j.state as listed_state, j.system_modstamp as listed_modstamp,
    d.* exclude (org_id, id, listed_state, listed_modstamp),
    count(*) over () as waiting
from {DATASET}.query_jobs as j
left join (
    select * from {DATASET}.job_details where org_id = $org_id and asked_at >= $now - interval 60 days
) as d on d.id = j.id
left join (
    select id from {DATASET}.unlisted_jobs
    where org_id = $org_id and listed_again_at is null and unlisted_at >= $now - interval 60 days
) as u on u.id = j.id
where j.org_id = $org_id
    and j.state in {FINISHED}
    and j.observed_at >= $now - interval 7 days
    and u.id is null
    and (
        d.id is null
        or (d.error is not null and d.outcome <> 'gone' and d.attempts < {ATTEMPTS})
        or (d.outcome = 'answered' and (d.listed_state <> j.state or d.listed_modstamp <> j.system_modstamp))
        or (d.outcome = 'answered' and d.provisional and $now - d.asked_at >= d.asked_at - j.created_date)
    )
order by
    case j.state when 'Failed' then 0 when 'Closed' then 1 else 2 end,
    coalesce(d.attempts, 0),
    j.created_date desc,
    j.id
limit $at_most
"""


class Details:
    """One run's share of the backlog: what was asked for, what is left, and why it stopped if it did."""

    def __init__(
        self,
        listing: Listing,
        loader: duckdb.DuckDBPyConnection,
        at_most: int,
        on_answer: Callable[[int, int], None],
    ) -> None:
        self.listing, self.org, self.on_answer = listing, listing.org, on_answer
        parameters = {"org_id": self.org.org_id, "now": self.org.clock, "at_most": at_most}
        first: list[dict[str, Any]] = loader.sql(BACKLOG, params=parameters).to_arrow_table().to_pylist()
        self.waiting = first[0]["waiting"] if first else 0
        self.jobs = list(self._affordable(first))

    def _affordable(self, jobs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The first of the jobs: at most half of what the API budget leaves goes into details."""
        left = self.org.calls_left
        spent = 0
        for job in jobs:
            spent += 2 if job["job_type"] == "Classic" else 1
            if left is not None and spent > left / 2:
                return
            yield job

    def rows(self) -> Iterator[pa.Table]:
        """The answers as rows of `job_details`; ends early at what no further call would get past."""
        with ThreadPoolExecutor(AT_ONCE, "details") as pool:
            answers = [pool.submit(details_of, self.org, job) for job in self.jobs]
            try:
                self._wait_for(answers)
            except Failure as failure:
                self.listing.note(JOB_DETAILS.name, failure.message)
            finally:
                pool.shutdown(cancel_futures=True)
        rows = [answer.result() for answer in answers if not answer.cancelled() and not answer.exception()]
        self.listing.details_asked = len(rows)
        self.listing.details_left = self.waiting - len(rows)
        yield pa.Table.from_pylist(rows, schema=JOB_DETAILS.schema)

    def _wait_for(self, answers: list[Future[dict[str, Any]]]) -> None:
        refused, noted = 0, False
        for number, answer in enumerate(answers, 1):
            try:
                row = answer.result()
                error = row["error"] if row["outcome"] == "refused" else None
            except Unreadable as failure:  # this job's alone, perhaps: to stop here would stop every later run here
                error = failure.message
                if not noted:
                    self.listing.note(JOB_DETAILS.name, error)
                    noted = True
            self.on_answer(number, len(answers))
            refused = refused + 1 if error else 0
            if refused == REFUSALS_IN_A_ROW:
                raise Failure(f"{refused} jobs in a row were refused, the last with {error}")


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


def details_of(org: Org, job: dict[str, Any]) -> dict[str, Any]:
    """The job's row of `job_details`. What an earlier answer told stays where this one tells nothing.

    GET /services/data/vXX.X/jobs/query/{id} - "Get Information About a Query Job",
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/query_get_one_job.htm
    Raises a Failure where asking for other jobs makes no sense either: budget, network, sign-in.
    """
    stored = {name: job[name] for name in JOB_DETAILS.schema.names if name in job}
    row = stored | {"org_id": org.org_id, "attempts": (job["attempts"] or 0) + 1, "error": None}
    try:
        answer = _asked(org, f"jobs/query/{quote(job['id'], safe='')}")
    except SalesforceError as error:
        outcome = "gone" if error.status == 404 else "refused"
        return row | {"outcome": outcome, "error": str(error), "asked_at": org.clock}
    if job["job_type"] == "Classic":
        try:
            answer = _with_counts(answer, _asked(org, f"{CLASSIC}{org.api_version}/job/{quote(job['id'], safe='')}"))
        except SalesforceError as error:
            row["error"] = f"Classic API: {error}"
        except Unreadable as error:
            row["error"] = f"Classic API: {error.message}"
    row |= {"outcome": "answered", "asked_at": org.clock, **_values(answer)}
    return row | {"provisional": _provisional(job, row)}


def _asked(org: Org, path: str) -> dict[str, Any]:
    try:
        body = org.ask(path, at_most=ANSWER_BYTES)
    except SalesforceError as error:
        if error.status in (401, 420, 429) or error.status >= 500 or error.code in SPENT:
            raise explained(error, org) from error
        raise
    if not isinstance(body, dict):
        raise Unreadable(f"GET {org.url(path)} answered with a JSON {type(body).__name__}, not an object.")
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
