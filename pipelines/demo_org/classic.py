"""The imitated Classic API, of which there is one call: the details of a job, in XML or JSON.

The form is that of the job's content type, whatever is asked for: JSON for JSON, XML for CSV and XML. One recording
has JSON for a CSV job (tests/fixtures/c_one_17): `DemoOrg.async_form` has it so. Errors come as they are asked for.

It tells what the REST answer for a Classic job does not: records and batches. The documentation names the
statuses 200, 400, 405, 415 and 500 for this API; of its errors only InvalidSessionId is recorded, so status and
text of the others are our choice. Sforce-Limit-Info is documented for the REST API only, and not sent here.

SOURCE: https://developer.salesforce.com/docs/platform/api-asynch/guide/asynch-api-jobs-get-details.html (both
forms of the answer), and in https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/
asynch_api_reference_jobinfo.htm, asynch_api_reference_errors.htm, asynch_api_basics_session_header.htm;
asynch_api_reference_status_codes.htm of 190.0
"""

from __future__ import annotations

import re
from contextlib import suppress
from html import escape
from typing import Any

from pipelines.demo_org.answers import Answer, Asked, answer
from pipelines.demo_org.ids import eighteen
from pipelines.demo_org.limits import spent
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import CLASSIC_ONLY, Job

CLASSIC = "/services/async/"
NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
XML = "application/xml;charset=UTF-8"
# Any version will do: which of them the Classic API refuses, and how, is not settled publicly
_JOB = re.compile(CLASSIC + r"\d{1,3}\.\d/job/([^/]+)")  # unlike the REST API's, the version has no "v"
_TIMES = ("totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime")
_NOT_HERE = ("jobType", "lineEnding", "columnDelimiter")
_UNSET = {"assignmentRuleId": None, "externalIdFieldName": None, "fastPathEnabled": False}  # tests/fixtures/c_one_17


def job_details(org: DemoOrg, asked: Asked, path: str) -> Answer:
    """Answer a request to the Classic API, under the conditions of the REST API: a session, and calls left."""
    with org.lock:
        refused = _not_now(org, asked)
        if refused is not None:
            return refused
        org.usage.count_calls(org.now, app=org.connected_app)
        found = _JOB.fullmatch(path)
        if found is None:
            return _refusal(asked, 400, "InvalidUrl", f"The URI is invalid: {path}")
        if asked.method != "GET":
            return _refusal(asked, 405, "MethodNotAllowed", f"HTTP Method '{asked.method}' not allowed")
        key = eighteen(found[1])
        job = org.jobs.get(key) or org.ingest_jobs.get(key)
        if job is None:
            return _refusal(asked, 400, "InvalidJob", f"Unable to find object: {found[1]}")
        info = _job_info(job, org.details[key])
    by_asked = org.async_form == "asked"
    if not (_wants_json(asked) if by_asked else str(job.get("contentType")).endswith("JSON")):
        return _xml(200, "jobInfo", _as_text(info))
    return answer(200, _as_text(info) if org.async_numbers == "text" else {**_UNSET, **info})


def _not_now(org: DemoOrg, asked: Asked) -> Answer | None:
    """Return the error for this request; None if it is allowed."""
    # 400, and this text: https://github.com/heroku/salesforce-bulk/issues/44; for no session at all, our choice
    if org.user_of(asked.headers.get("x-sfdc-session", "")) is None:
        return _refusal(asked, 400, "InvalidSessionId", "Invalid session id")
    if org.disabled is not None or not org.classic_api:
        return _refusal(asked, 403, "FeatureNotEnabled", "Bulk API is not enabled for this organization")
    # The code is documented for too many jobs and batches; that it stands for too many calls too is our choice
    if spent(org):
        return _refusal(asked, 400, "ExceededQuota", "TotalRequests Limit exceeded.")
    return None


def _job_info(job: Job, details: Job) -> Job:
    """Return a job as the Classic API knows it, Bulk API 2.0 jobs too (tests/fixtures/c_one_15).

    What was not counted is 0, also the batches of a Bulk API 2.0 job: our choice.
    """
    counts = dict.fromkeys((*CLASSIC_ONLY, *_TIMES), 0) | {"numberRetries": details.get("retries", 0)}
    counts |= {name: value for name, value in details.items() if name in counts}
    info = {name: value for name, value in job.items() if name not in _NOT_HERE} | counts
    with suppress(KeyError, TypeError, ValueError):  # whoever added the job left it out, or made it something odd
        info["apiVersion"] = float(info["apiVersion"])
    return {name: value for name, value in info.items() if value is not ...}


def _as_text(info: Job) -> dict[str, str]:
    """Return what XML says: text only, nothing that is null, and times that end with Z."""
    return {
        name: re.sub(r"\+0000$", "Z", value) if isinstance(value, str) else str(value)
        for name, value in info.items()
        if value is not None
    }


def _refusal(asked: Asked, status: int, code: str, message: str) -> Answer:
    """Return an error of the Classic API: one object.

    SOURCE: https://github.com/simple-salesforce/simple-salesforce/issues/619 (JSON) and
    https://github.com/heroku/salesforce-bulk/issues/44 (XML)
    """
    error = {"exceptionCode": code, "exceptionMessage": message}
    return answer(status, error) if _wants_json(asked) else _xml(status, "error", error)


def _wants_json(asked: Asked) -> bool:
    return any("application/json" in asked.headers.get(name, "") for name in ("accept", "content-type"))


def _xml(status: int, root: str, fields: dict[str, Any]) -> Answer:
    inner = "".join(f" <{name}>{escape(text, quote=False)}</{name}>\n" for name, text in fields.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?><{root}\n   xmlns="{NAMESPACE}">\n{inner}</{root}>\n'
    return Answer(status, body.encode(), {"Content-Type": XML})
