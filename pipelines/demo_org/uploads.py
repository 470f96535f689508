"""Bulk API 2.0 loads that a client makes: create a job, upload to it, close or abort it.

A closed job is run at once, so that what is asked for next finds it done; `DemoOrg.runs_loads` = False leaves that to
`run_load`. Status and text of refusals are our choice, but for INVALIDJOBSTATE, which is reported for closing and
aborting jobs that are done.

SOURCE: in https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/ create_job.htm,
upload_job_data.htm, close_job.htm; tests/fixtures/i_create_10
"""

from __future__ import annotations

from typing import Any

import orjson

from pipelines.demo_org.answers import Answer, Asked, answer, not_found, refusal
from pipelines.demo_org.ids import eighteen
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import ONLY_OF_LOADS, Job, listed
from pipelines.demo_org.results import DELIMITERS
from pipelines.demo_org.rows import Row
from pipelines.demo_org.uploaded import Unreadable, from_csv

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
_TAKEN = ("object", "operation", "columnDelimiter", "lineEnding", *ONLY_OF_LOADS)
ENDINGS = {"LF": b"\n", "CRLF": b"\r\n"}


def create(org: DemoOrg, asked: Asked, version: float) -> Answer:
    """Create a job, which is Open then."""
    wanted = _json(asked)
    if wanted is None:
        return refusal(400, "JSON_PARSER_ERROR", "The body is no JSON object")
    wrong = _wrong(wanted)
    if wrong:
        return refusal(400, "INVALIDJOB", f"InvalidJob : {wrong}")
    with org.lock:
        user = org.user_of(asked.bearer or "")
        fields = {name: wanted[name] for name in _TAKEN if wanted.get(name) is not None}
        by = {"createdById": user.id} if user else {}
        job_id = org.add_job(jobType="V2Ingest", state="Open", apiVersion=version, **by, **fields)
        return answer(200, _shown(org, job_id))


def _wrong(wanted: Job) -> str | None:
    """Return what is wrong with the job that is to be created."""
    if wanted.get("operation") not in OPERATIONS or not wanted.get("object"):
        return "object and operation are required"
    if wanted.get("contentType", "CSV") != "CSV":
        return f"Unsupported contentType {wanted['contentType']}"
    if wanted["operation"] == "upsert" and not wanted.get("externalIdFieldName"):
        return "externalIdFieldName is required for upsert"
    known = wanted.get("columnDelimiter", "COMMA") in DELIMITERS and wanted.get("lineEnding", "LF") in ENDINGS
    return None if known else "columnDelimiter or lineEnding is not valid"


def upload(org: DemoOrg, asked: Asked, job_id: str) -> Answer:
    """Take the data of an Open job, once."""
    if asked.method != "PUT":
        return refusal(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{asked.method}' not allowed. Allowed are PUT")
    with org.lock:
        key = eighteen(job_id)
        job = org.ingest_jobs.get(key)
        if job is None:
            return not_found()
        if job.get("state") != "Open" or key in org.uploads:
            return refusal(400, "INVALIDJOBSTATE", "Data can be uploaded once, while the job is Open")
        org.uploads[key] = asked.body
        return Answer(201)


def change(org: DemoOrg, asked: Asked, job_id: str) -> Answer:
    """Close or abort a job: state UploadComplete or Aborted."""
    state = (_json(asked) or {}).get("state")
    with org.lock:
        key = eighteen(job_id)
        job = org.ingest_jobs.get(key)
        if job is None:
            return not_found()
        allowed = {"UploadComplete": ("Open",), "Aborted": ("Open", "UploadComplete", "InProgress")}
        if job.get("state") not in allowed.get(str(state), ()):
            return refusal(400, "INVALIDJOBSTATE", f"{state} is not allowed for a job that is {job.get('state')}")
        org.move_job(key, str(state))
        shown = answer(200, _shown(org, key))
        if state == "Aborted":
            _leave(org, key, job)
        elif org.runs_loads:
            run_load(org, key)
        return shown


def run_load(org: DemoOrg, job_id: str) -> None:
    """Run a closed job: save its records or fail them. Raises KeyError: no such job."""
    with org.lock:
        job, key = org.job(job_id), eighteen(job_id)
        try:
            columns, records = _records(org, job, key)
            error = org.rules.batch_error(job, columns)
        except Unreadable as unreadable:
            columns, records, error = [], [], str(unreadable)
        org.note_columns(key, columns)
        if error is not None:
            org.add_rows(key, unprocessed=[Row(record) for record in records])
            return org.move_job(key, "Failed", errorMessage=error)
        failed, saved = [], []
        for record in records:
            outcome = org.rules.outcome(job, org.details[key].get("externalIdFieldName"), record)
            if outcome.success:
                saved.append(Row(record, "", outcome.id or "", outcome.created))
            else:
                failed.append(Row(record, outcome.errors[0].text, record.get("Id", "")))
        org.add_rows(key, failed=failed, succeeded=saved)
        return org.move_job(key, "JobComplete")


def _records(org: DemoOrg, job: Job, key: str) -> tuple[list[str], list[dict[str, str]]]:
    """Read what was uploaded to a job. The error for another line ending is reported in threads, with this text."""
    content, ending = org.uploads.get(key, b""), str(job.get("lineEnding"))
    if (b"\r\n" in content) != (ending == "CRLF") and b"\n" in content:
        raise Unreadable(
            f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {ending}"
        )
    return from_csv(content, DELIMITERS.get(str(job.get("columnDelimiter")), ","))


def _leave(org: DemoOrg, key: str, job: Job) -> None:
    """Leave all records of an aborted job unprocessed."""
    try:
        columns, records = _records(org, job, key)
    except Unreadable:
        return
    org.note_columns(key, columns)
    org.add_rows(key, unprocessed=[Row(record) for record in records])


def _shown(org: DemoOrg, key: str) -> Job:
    """Return a job as these requests answer it: without counts and jobType (tests/fixtures/i_create_10)."""
    of_load = {name: value for name, value in org.details[key].items() if name in ONLY_OF_LOADS}
    return {name: value for name, value in {**listed(org.job(key)), **of_load}.items() if name != "jobType"}


def _json(asked: Asked) -> dict[str, Any] | None:
    try:
        body = orjson.loads(asked.body)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None
