"""The imitated Classic API: jobs, their batches and results, in XML, JSON or CSV; `classic_uploads.py` makes them.

The form is that of the job's content type, whatever is asked for: JSON for JSON, XML for CSV and XML; results of a CSV
job are CSV. One recording has JSON for the details of a CSV job (tests/fixtures/c_one_17): `DemoOrg.async_form` has it
so, for details and batches. Errors come as they are asked for.

It tells what the REST answer for a Classic job does not: records and batches. The documentation names the
statuses 200, 400, 405, 415 and 500 for this API; of its errors only InvalidSessionId is recorded, so status and
text of the others are our choice. Sforce-Limit-Info is documented for the REST API only, and not sent here.

SOURCE: https://developer.salesforce.com/docs/platform/api-asynch/guide/asynch-api-jobs-get-details.html (both
forms of the answer), and in https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/
asynch_api_reference_jobinfo.htm, asynch_api_batches_get_info_all.htm, asynch_api_batches_get_info.htm,
asynch_api_reference_errors.htm, asynch_api_basics_session_header.htm; asynch_api_reference_status_codes.htm of 190.0
"""

from __future__ import annotations

import re
from contextlib import suppress

from pipelines.demo_org.answers import Answer, Asked, answer
from pipelines.demo_org.batch_results import as_uploaded, of_load, of_query
from pipelines.demo_org.classic_answers import as_text, refusal, wants_json, xml, xml_list
from pipelines.demo_org.classic_uploads import add_batch, change, create
from pipelines.demo_org.ids import eighteen
from pipelines.demo_org.limits import spent
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import CLASSIC_ONLY, ONLY_OF_LOADS, Job

CLASSIC = "/services/async/"
# Any version will do: which of them the Classic API refuses, and how, is not settled publicly
_JOB = re.compile(  # unlike the REST API's, the version has no "v"
    CLASSIC + r"(?P<version>\d{1,3}\.\d)/job(?:/(?P<job>[^/]+)"
    r"(?P<batches>/batch(?:/(?P<batch>[^/]+)(?P<part>/result|/request)?)?)?)?"
)
_TIMES = ("totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime")
_NOT_HERE = ("jobType", "lineEnding", "columnDelimiter")
_UNSET = {"assignmentRuleId": None, "externalIdFieldName": None, "fastPathEnabled": False}  # tests/fixtures/c_one_17


def classic(org: DemoOrg, asked: Asked, path: str) -> Answer:
    """Answer a request to the Classic API, under the conditions of the REST API: a session, and calls left."""
    with org.lock:
        refused = _not_now(org, asked)
        if refused is not None:
            return refused
        org.usage.count_calls(org.now, app=org.connected_app)
        found = _JOB.fullmatch(path)
        if found is None or (not found["job"] and asked.method != "POST"):
            return refusal(asked, 400, "InvalidUrl", f"The URI is invalid: {path}")
        if asked.method == "POST" and not found["batch"]:
            return _posted(org, asked, found)
        if asked.method != "GET":
            return refusal(asked, 405, "MethodNotAllowed", f"HTTP Method '{asked.method}' not allowed")
        return _answer(org, asked, found)


def _posted(org: DemoOrg, asked: Asked, found: re.Match[str]) -> Answer:
    """Create a job, close or abort it, or add a batch to it; what is answered has the form that is asked for."""
    key = eighteen(found["job"] or "")
    job = org.jobs.get(key)
    if not key:
        made = create(org, asked, found["version"])
        if isinstance(made, Answer):
            return made
        return _info(org, made, 201, as_json=wants_json(asked))
    if job is None or job.get("jobType") != "Classic":
        return refusal(asked, 400, "InvalidJob", f"Unable to find object: {found['job']}")
    if found["batches"]:
        return add_batch(org, asked, key, job)
    return change(org, asked, key, job) or _info(org, key, 200, as_json=wants_json(asked))


def _answer(org: DemoOrg, asked: Asked, found: re.Match[str]) -> Answer:
    key = eighteen(found["job"] or "")
    job = org.jobs.get(key) or org.ingest_jobs.get(key)
    if job is None:
        return refusal(asked, 400, "InvalidJob", f"Unable to find object: {found['job']}")
    if found["part"]:
        return _result(org, asked, job, key, found)
    as_json = wants_json(asked) if org.async_form == "asked" else str(job.get("contentType")).endswith("JSON")
    if found["batches"]:
        return _batches(org, asked, key, found["batch"], as_json=as_json)
    return _info(org, key, 200, as_json=as_json)


def _info(org: DemoOrg, key: str, status: int, *, as_json: bool) -> Answer:
    info = _job_info(org.job(key), org.details_of(key))
    if not as_json:
        return xml(status, "jobInfo", as_text(info))
    return answer(status, as_text(info) if org.async_numbers == "text" else {**_UNSET, **info})


def _batches(org: DemoOrg, asked: Asked, key: str, batch_id: str | None, *, as_json: bool) -> Answer:
    """Answer all batches of a job, on one page, or one of them (tests/fixtures/c_batches_56 and 57)."""
    infos = [batch.info() for batch in org.batches.get(key, ()) if batch_id is None or batch.id == eighteen(batch_id)]
    if batch_id is None:
        return (
            answer(200, {"batchInfo": infos})
            if as_json
            else xml_list("batchInfoList", "batchInfo", map(as_text, infos))
        )
    if not infos:
        return refusal(asked, 400, "InvalidBatch", f"Unable to find batch: {batch_id}")
    return answer(200, infos[0]) if as_json else xml(200, "batchInfo", as_text(infos[0]))


def _result(org: DemoOrg, asked: Asked, job: Job, key: str, found: re.Match[str]) -> Answer:
    """Answer what became of the records of a batch, the ids of a query's results, or what was uploaded.

    InvalidUser is the documented code for a batch of another user; whether one may read it is not settled publicly.
    """
    batch = next((batch for batch in org.batches.get(key, ()) if batch.id == eighteen(found["batch"])), None)
    if batch is None:
        return refusal(asked, 400, "InvalidBatch", f"Unable to find batch: {found['batch']}")
    reader = org.user_of(asked.headers.get("x-sfdc-session", ""))
    own = reader is not None and job.get("createdById") == reader.id
    if key in org.refused or (org.results.own_only and not own):
        return refusal(asked, 400, "InvalidUser", "The job or batch specified was created by another user")
    content_type = str(job.get("contentType"))
    if found["part"] == "/request":
        return as_uploaded(batch, content_type)
    if batch.state not in ("Completed", "Failed"):  # a failed one may have saved some records
        return refusal(asked, 400, "InvalidBatch", "Batch not completed")
    given = (of_query if job.get("operation") in ("query", "queryAll") else of_load)(batch, content_type)
    given.pause, given.compress = org.results.pause, org.results.compress
    return given


def _not_now(org: DemoOrg, asked: Asked) -> Answer | None:
    """Return the error for this request; None if it is allowed."""
    # 400, and this text: https://github.com/heroku/salesforce-bulk/issues/44; for no session at all, our choice
    if org.user_of(asked.headers.get("x-sfdc-session", "")) is None:
        return refusal(asked, 400, "InvalidSessionId", "Invalid session id")
    if org.disabled is not None or not org.classic_api:
        return refusal(asked, 403, "FeatureNotEnabled", "Bulk API is not enabled for this organization")
    # The code is documented for too many jobs and batches; that it stands for too many calls too is our choice
    if spent(org):
        return refusal(asked, 400, "ExceededQuota", "TotalRequests Limit exceeded.")
    return None


def _job_info(job: Job, details: Job) -> Job:
    """Return a job as the Classic API knows it, Bulk API 2.0 jobs too (tests/fixtures/c_one_15).

    What was not counted is 0, also the batches of a Bulk API 2.0 job: our choice.
    """
    counts = dict.fromkeys((*CLASSIC_ONLY, *_TIMES), 0) | {"numberRetries": details.get("retries", 0)}
    counts |= {name: value for name, value in details.items() if name in counts or name in ONLY_OF_LOADS}
    info = {name: value for name, value in job.items() if name not in _NOT_HERE} | counts
    with suppress(KeyError, TypeError, ValueError):  # whoever added the job left it out, or made it something odd
        info["apiVersion"] = float(info["apiVersion"])
    return {name: value for name, value in info.items() if value is not ...}
