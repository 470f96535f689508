"""Classic loads that a client makes: create a job, add batches to it, close or abort it.

A batch is run as it is added, so that what is asked for next finds it done; with `DemoOrg.runs_loads` = False it stays
Queued. Batches of queries fail: the demo org has nothing to query.

SOURCE: in https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/
asynch_api_jobs_create.htm, asynch_api_batches_create.htm, asynch_api_jobs_close.htm, asynch_api_jobs_abort.htm
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import orjson

from pipelines.demo_org.answers import Answer, Asked, answer
from pipelines.demo_org.batches import Batch
from pipelines.demo_org.classic_answers import as_text, refusal, wants_json, xml
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import ONLY_OF_LOADS, Job
from pipelines.demo_org.uploaded import Unreadable, from_batch

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete", "query", "queryAll")
NO_QUERY = "InvalidBatch : Failed to process query: the demo org runs none"
LEFT_OVER = "Records not processed"
MODES = {0: "Parallel", 1: "Serial"}  # as simple-salesforce writes them


def create(org: DemoOrg, asked: Asked, version: str) -> Answer | str:
    """Create a job and return its id, or an error."""
    wanted = _job_info(asked)
    operation, name = wanted.get("operation"), wanted.get("object")
    if operation not in OPERATIONS or not name:
        return refusal(asked, 400, "InvalidJob", "object and operation are required")
    if operation == "upsert" and not wanted.get("externalIdFieldName"):
        return refusal(asked, 400, "InvalidJob", "externalIdFieldName is required for upsert")
    user = org.user_of(asked.headers.get("x-sfdc-session", ""))
    mode = wanted.get("concurrencyMode") or 0
    return org.add_job(
        jobType="Classic",
        operation=operation,
        object=name,
        contentType=wanted.get("contentType") or "XML",
        concurrencyMode=MODES.get(mode, mode),
        apiVersion=float(version),
        createdById=user.id if user else org.integration_user_id,
        **{name: wanted[name] for name in ONLY_OF_LOADS if wanted.get(name)},
    )


def change(org: DemoOrg, asked: Asked, key: str, job: Job) -> Answer | None:
    """Close or abort a job; return the error if it cannot be done."""
    state = _job_info(asked).get("state")
    if job.get("state") != "Open" or state not in ("Closed", "Aborted"):
        return refusal(asked, 400, "InvalidJobState", f"{state} is not allowed for a job that is {job.get('state')}")
    for batch in org.batches.get(key, ()) if state == "Aborted" else ():
        if batch.state == "Queued":
            org.move_batch(batch.id, "NotProcessed", message=LEFT_OVER)
    org.move_job(key, str(state))
    return None


def add_batch(org: DemoOrg, asked: Asked, key: str, job: Job) -> Answer:
    """Add a batch to an open job; it is answered as Queued."""
    if job.get("state") != "Open":
        return refusal(asked, 400, "InvalidJobState", f"Batches cannot be added to a job that is {job.get('state')}")
    batch = org.batch(org.add_batch(key, state="Queued"))
    batch.request = asked.body
    info = batch.info()
    if org.runs_loads:
        run_batch(org, batch)
    return answer(201, info) if wants_json(asked) else xml(201, "batchInfo", as_text(info))


def run_batch(org: DemoOrg, batch: Batch) -> None:
    """Run a queued batch: save its records or fail them."""
    job, key_field = org.job(batch.job_id), org.details[batch.job_id].get("externalIdFieldName")
    error: str | None = NO_QUERY
    if job.get("operation") not in ("query", "queryAll"):
        try:
            columns, records = from_batch(batch.request, str(job.get("contentType")))
            error = org.rules.batch_error(job, columns)
        except Unreadable as unreadable:
            error = str(unreadable)
    batch.stamp = org.now
    if error is not None:
        batch.state, batch.message = "Failed", error
    else:
        batch.run = [org.rules.outcome(job, key_field, record) for record in records]
        batch.state, batch.records = "Completed", len(batch.run)


def _job_info(asked: Asked) -> dict[str, Any]:
    """Read a jobInfo in JSON or XML; an unreadable one is empty."""
    try:
        if wants_json(asked):
            body = orjson.loads(asked.body)
            return body if isinstance(body, dict) else {}
        root = ElementTree.fromstring(asked.body.strip())  # noqa: S314 - a test's own
    except (orjson.JSONDecodeError, ElementTree.ParseError):
        return {}
    return {element.tag.rpartition("}")[2]: element.text for element in root}
