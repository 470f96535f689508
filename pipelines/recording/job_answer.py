"""One finished job's own answer, as a row of `job_details`; of a Classic job with the Classic API's counts."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from pipelines.errors import InvalidResponse, NoResponse, RecorderError, sanitize
from pipelines.recording.feeds import Feed
from pipelines.recording.message_templates import message_template
from pipelines.recording.records import as_json, text, whole_number
from pipelines.salesforce.api_errors import ENDED, SalesforceError, explained
from pipelines.salesforce.http_clients import CLASSIC
from pipelines.salesforce.ids import same_id
from pipelines.salesforce.org import Org
from pipelines.tables import COUNT, FLAG, JOB_DETAILS

ANSWER_BYTES: Final = 2**16  # of a job's own answer, which is 1 KB: a run asks for hundreds
INGEST: Final = ("V2Ingest", "BigObjectIngest")

Row = dict[str, Any]


@dataclass
class ClassicApi:
    """Whether a run goes on to ask the Classic API: `off` says why not. Threads may use it at the same time."""

    off: str | None = None
    counted_out: bool = False  # whether the run has put its jobs in another order for it

    def failed(self, error: SalesforceError | RecorderError) -> None:
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


def details_of(org: Org, feed: Feed, job: Row, classic: ClassicApi) -> tuple[Row, str]:
    """The job's row of `job_details`, and why no other job should be asked, or "". What an earlier answer told stays
    where this one tells nothing.

    GET /services/data/vXX.X/jobs/query/{id} - "Get Information About a Query Job",
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/query_get_one_job.htm
    Raises a RecorderError where nothing could be asked: budget, sign-in.
    """
    row = {name: job[name] for name in JOB_DETAILS.schema.names if name in job}
    row |= {"org_id": org.org_id, "attempts": (job["attempts"] or 0) + 1, "error": None}
    row["outcome"] = job["outcome"] if job["outcome"] == "answered" else "refused"
    try:
        answer = _asked(org, job_path(job["id"], job["job_type"]), job["id"])
    except (SalesforceError, InvalidResponse, NoResponse) as error:
        if not job["shown"] and isinstance(error, SalesforceError) and error.status == 404:
            row["outcome"] = "gone"  # a job that was listed a moment ago is not
        return row | {"error": _text(error), "asked_at": org.clock}, _limit(error, org)
    stop = ""
    if job["job_type"] == "Classic":
        try:
            if classic.off:
                row["error"] = f"{CLASSIC_ERROR}not asked, for another job's answer was: {classic.off}"
            else:
                answer = _with_counts(feed, answer, _asked(org, _classic_path(org, job["id"]), job["id"]))
        except (SalesforceError, InvalidResponse, NoResponse) as error:
            classic.failed(error)
            row["error"], stop = f"{CLASSIC_ERROR}{_text(error)}", _limit(error, org)
    row |= {"outcome": "answered", "asked_at": org.clock, **_values(feed, answer)}
    message = row.get("error_message")
    row["error_template"] = None if message is None else message_template(message)
    return row | {"provisional": _provisional(job, row)}, stop


def _classic_path(org: Org, job_id: str) -> str:
    return f"{CLASSIC}{org.api_version}/job/{quote(job_id, safe='')}"


def _text(error: SalesforceError | RecorderError) -> str:
    return error.message if isinstance(error, RecorderError) else str(error)


def _limit(error: SalesforceError | RecorderError, org: Org) -> str:
    """What to say where an answer means that the org takes no more calls just now; else ""."""
    if isinstance(error, SalesforceError) and (error.status in (420, 429) or error.code == "REQUEST_LIMIT_EXCEEDED"):
        return explained(error, org.api_version).message
    return ""


def _asked(org: Org, path: str, job_id: str) -> dict[str, Any]:
    """The job's own answer. Raises SalesforceError, or a RecorderError: also InvalidResponse if it is another job's."""
    body = org.request(path, at_most=ANSWER_BYTES, patient=False)
    if not isinstance(body, dict):
        raise InvalidResponse(f"GET {org.url(path)} answered with a JSON {type(body).__name__}, not an object.")
    found = body.get("id")
    if not isinstance(found, str) or not same_id(found, job_id):
        raise InvalidResponse(f"GET {org.url(path)} answered with another job, or none: id {sanitize(found, 40)}.")
    return body


def _with_counts(feed: Feed, answer: dict[str, Any], classic: dict[str, Any]) -> dict[str, Any]:
    """The REST answer and the Classic API's, which alone counts a Classic job's records and batches.

    That the REST answer has no counts was recorded; that the Classic API has them is inferred from its documentation:
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/asynch_api_jobs_get_details.htm
    It writes numbers as text in some answers and calls `retries` `numberRetries`.
    """
    counts = {name: value for name, value in classic.items() if name not in feed.jobs.fields}
    if "numberRetries" in counts:
        counts["retries"] = counts.pop("numberRetries")
    told = {name: value for name, value in answer.items() if value is not None}
    return counts | told  # where both tell, the newer API's word counts


def _values(feed: Feed, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer's values by column; what has no column, or does not fit its own, goes into extra_fields."""
    values: dict[str, Any] = {}
    more = {name: value for name, value in answer.items() if name not in feed.jobs.fields}
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
    return values | {"extra_fields": as_json(more) if more else None}


def _provisional(job: dict[str, Any], row: dict[str, Any]) -> bool | None:
    """Closed means that no more batches may be added: finished it is when all of them are (JobInfo)."""
    if job["job_type"] != "Classic" or (row.get("state") or job["listed_state"]) != "Closed":
        return False
    total, completed, failed = (row.get(f"number_batches_{which}") for which in ("total", "completed", "failed"))
    return None if total is None or completed is None or failed is None else bool(total > completed + failed)
