"""What a job looks like: the listing's record, the details only the single-job answer has, and their times.

SOURCE: https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/query_get_all_jobs.htm
and query_get_one_job.htm (Bulk API 2.0), asynch_api_reference_jobinfo.htm (Classic); recorded answers in
tests/fixtures/.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Job = dict[str, Any]

# A Classic job never says JobComplete: "Closed" only means that no more batches may be added to it
# (asynch_api_reference_jobinfo.htm).
TERMINAL_STATES = frozenset({"JobComplete", "Failed", "Aborted", "Closed"})

# What of a Classic job only the Classic API tells: its REST answer, tests/fixtures/q_one_04, counts nothing
CLASSIC_ONLY = (
    "numberBatchesQueued",
    "numberBatchesInProgress",
    "numberBatchesCompleted",
    "numberBatchesFailed",
    "numberBatchesTotal",
    "numberRecordsProcessed",
    "numberRecordsFailed",
    "numberRetries",
)

# Of a load, as its creator wrote them: the key of an upsert (tests/fixtures/i_one_46), and for cases and leads the
# assignment rule to apply, of which no answer is recorded. SOURCE: get_job_info.htm
ONLY_OF_LOADS = ("externalIdFieldName", "assignmentRuleId")

# The listing has none of these; each takes a GET of its own job: see query_get_one_job.htm for queries,
# get_job_info.htm for ingest and asynch_api_reference_jobinfo.htm for Classic jobs.
DETAIL_FIELDS = frozenset(
    {
        *CLASSIC_ONLY,
        *ONLY_OF_LOADS,
        "retries",
        "totalProcessingTime",
        "apiActiveProcessingTime",
        "apexProcessingTime",
        "isPkChunkingSupported",
        "errorMessage",
    }
)

_TIMES = {"retries": 0, "totalProcessingTime": 0}
_SHARES = {"apiActiveProcessingTime": 0, "apexProcessingTime": 0}
_LOAD = {"numberRecordsProcessed": 0, "numberRecordsFailed": 0, **_TIMES, **_SHARES, "isPkChunkingSupported": False}
_DETAILS: dict[str, Job] = {
    "V2Query": {"numberRecordsProcessed": 0, **_TIMES, "isPkChunkingSupported": True},
    "V2Ingest": _LOAD,
    "BigObjectIngest": _LOAD,  # no answer is recorded: that it is like the others is our choice
    "Classic": {**_TIMES, **_SHARES},
}


def timestamp(moment: datetime) -> str:
    """Return a time as the listing spells it, in whole seconds: 2018-12-07T19:58:09.000+0000."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + ".000+0000"


def moment_of(text: object) -> datetime | None:
    """Read a time as the listing spells it; None for whatever is not one."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def is_load(job_type: object) -> bool:
    """Return whether only the ingest listing has jobs of this type: V2Ingest, BigObjectIngest, and what may come."""
    return str(job_type).endswith("Ingest")


def listed(job: Job) -> Job:
    """Return what a listing shows of a job: one to be uploaded to with its contentUrl, without a slash in front.

    SOURCE: get_all_jobs.htm (only while Open); tests/fixtures/i_list_44
    """
    if job.get("state") != "Open" or not is_load(job.get("jobType")):
        return job
    version = job.get("apiVersion")
    number = float(version) if isinstance(version, int | float) else version
    return {"contentUrl": f"services/data/v{number}/jobs/ingest/{job['id']}/batches", **job}


def new_job(job_id: str, created_by: str, created: str, fields: Job) -> Job:
    """Return a listing record: a V2 query of Account in CSV, unless the fields say otherwise.

    Classic jobs have neither lineEnding nor columnDelimiter (tests/fixtures/q_list_03).
    """
    job_type = fields.get("jobType", "V2Query")
    job: Job = {
        "id": job_id,
        "operation": "insert" if is_load(job_type) else "query",
        "object": "Account",
        "createdById": created_by,
        "createdDate": created,
        "systemModstamp": fields.get("createdDate", created),
        "state": "Open" if job_type == "Classic" else "InProgress",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 68.0,
        "jobType": job_type,
    }
    if job_type != "Classic":
        job |= {"lineEnding": "LF", "columnDelimiter": "COMMA"}
    for name, value in fields.items():
        if value is ...:
            job.pop(name, None)
        else:
            job[name] = value
    return job


def full_job(job: Job, details: Job, version: float) -> Job:
    """Return the single-job answer: the listing record and what only this answer tells.

    isPkChunkingSupported is missing from a recorded v57 answer and present in v62 (tests/fixtures/q_one_05,
    i_one_12); which version began with it is not documented, 61 is our choice.
    """
    full = {**listed(job), **_DETAILS.get(str(job.get("jobType")), _TIMES), **details}
    if version < 61:
        full.pop("isPkChunkingSupported", None)
    hidden = CLASSIC_ONLY if job.get("jobType") == "Classic" else ()
    return {name: value for name, value in full.items() if value is not ... and name not in hidden}
