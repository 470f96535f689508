"""Fetches the details of one finished job as a row of `job_details`; for a Classic job, with the Classic API's
counts."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from pipelines.columns import COUNT, FLAG
from pipelines.errors import InvalidResponse, NoResponse, RecorderError, sanitize
from pipelines.job_tables import JOB_DETAILS
from pipelines.recording.feeds import FEEDS, INGEST, Feed
from pipelines.recording.message_templates import message_template
from pipelines.recording.records import as_json, text, whole_number
from pipelines.salesforce.api_errors import ENDED, SalesforceError, explained
from pipelines.salesforce.http_clients import CLASSIC
from pipelines.salesforce.ids import same_id
from pipelines.salesforce.org import Org

ANSWER_BYTES: Final = 2**16  # limit for one job's response, which is usually 1 KB: a run requests hundreds
V2_LOADS: Final = ("V2Ingest", "BigObjectIngest")

Row = dict[str, Any]


@dataclass
class ClassicApi:
    """Whether a run still uses the Classic API: `off` says why not. Shared between threads."""

    off: str | None = None
    counted_out: bool = False  # whether the run has reordered its jobs because of it

    def failed(self, error: SalesforceError | RecorderError) -> None:
        """Notes a failed call: if the API itself refuses, no other job is tried. Which statuses it uses for that is not
        documented: that 401, 403 and 503 never concern a single job is inferred."""
        if isinstance(error, SalesforceError) and (error.status in (401, 403, 503) or error.code in OFF):
            self.off = self.off or _text(error)


OFF: Final = (*ENDED, "FeatureNotEnabled", "ExceededQuota")  # the last, for a spent allowance, is inferred
CLASSIC_ERROR: Final = "Classic API: "
NOT_FOUND: Final = "HTTP 404"


def job_path(job_id: str, job_type: str | None, feed: Feed) -> str:
    """The path of a job's own resource: V2 loads are under ingest, whichever listing shows them."""
    path = INGEST.path if job_type in V2_LOADS else feed.path
    return f"{path}/{quote(job_id, safe='')}"


def details_of(org: Org, job: Row, classic: ClassicApi) -> tuple[Row, str]:
    """The job's row of `job_details`, and why no further job should be requested, or "". Values of an earlier answer
    are kept where this one has none.

    GET /services/data/vXX.X/jobs/query/{id} - "Get Information About a Query Job", and /jobs/ingest/{id},
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/query_get_one_job.htm
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/get_job_info.htm
    Raises a RecorderError if no request could be sent: API budget, sign-in.
    """
    feed = FEEDS[job["feed"]]
    row = {name: job[name] for name in JOB_DETAILS.schema.names if name in job}
    row |= {"org_id": org.org_id, "attempts": (job["attempts"] or 0) + 1, "error": None}
    row["outcome"] = job["outcome"] if job["outcome"] == "answered" else "refused"
    try:
        answer = _asked(org, job_path(job["id"], job["job_type"], feed), job["id"])
    except (SalesforceError, InvalidResponse, NoResponse) as error:
        if not job["shown"] and isinstance(error, SalesforceError) and error.status == 404:
            row["outcome"] = "gone"  # but not if it was listed a moment ago
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
    """The message if an answer means that the org accepts no more calls just now; else ""."""
    if isinstance(error, SalesforceError) and error.is_limit:
        return explained(error, org.api_version).message
    return ""


def _asked(org: Org, path: str, job_id: str) -> dict[str, Any]:
    """The job's own answer. Raises SalesforceError or a RecorderError: InvalidResponse if it is about another job."""
    body = org.request(path, at_most=ANSWER_BYTES, patient=False)
    if not isinstance(body, dict):
        raise InvalidResponse(f"GET {org.url(path)} answered with a JSON {type(body).__name__}, not an object.")
    found = body.get("id")
    if not isinstance(found, str) or not same_id(found, job_id):
        raise InvalidResponse(f"GET {org.url(path)} answered with another job, or none: id {sanitize(found, 40)}.")
    return body


def _with_counts(feed: Feed, answer: dict[str, Any], classic: dict[str, Any]) -> dict[str, Any]:
    """The REST answer merged with the Classic API's: only the latter counts a Classic job's records and batches.

    That the REST answer has no counts was observed; that the Classic API has them is inferred from its documentation:
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/asynch_api_jobs_get_details.htm
    Some of its answers have numbers as text, and `retries` is called `numberRetries`.
    """
    counts = {name: value for name, value in classic.items() if name not in feed.jobs.fields}
    if "numberRetries" in counts:
        counts["retries"] = counts.pop("numberRetries")
    known = {name: value for name, value in answer.items() if value is not None}
    return counts | known  # where both have a value, the newer API wins


def _values(feed: Feed, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer's values by column; a value that has no column, or does not fit it, goes into extra_fields."""
    values: dict[str, Any] = {}
    listed = {name for name, column in feed.jobs.fields.items() if not column.only_in_details}
    more = {name: value for name, value in answer.items() if name not in listed}
    for column in JOB_DETAILS.columns:
        value = answer.get(column.field) if column.field else None  # an answer may have a field whose name is empty
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
    """Closed only means that no more batches may be added: the job is finished when none is queued or in progress
    (JobInfo). The original batch of a PK-chunked query is neither, nor completed, nor failed."""
    if job["job_type"] != "Classic" or (row.get("state") or job["listed_state"]) != "Closed":
        return False
    queued, running = row.get("number_batches_queued"), row.get("number_batches_in_progress")
    if queued is not None and running is not None:
        return bool(queued + running > 0)
    total, completed, failed = (row.get(f"number_batches_{which}") for which in ("total", "completed", "failed"))
    return None if total is None or completed is None or failed is None else bool(total > completed + failed)
