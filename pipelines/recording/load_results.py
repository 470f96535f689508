"""Reads the results of one load: why its records failed, how many were never processed, and of a Classic one, its
batches."""

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from pipelines.errors import InvalidResponse
from pipelines.job_tables import JOB_BATCHES
from pipelines.recording.failure_reasons import whole_reason
from pipelines.recording.reason_tally import ReasonTally
from pipelines.recording.records import text, times, whole_number
from pipelines.recording.result_rows import DELIMITERS, batch_rows, count_rows, failed_rows
from pipelines.recording.results_backlog import Job
from pipelines.salesforce.api_errors import SalesforceError
from pipelines.salesforce.http_clients import CLASSIC
from pipelines.salesforce.ids import full_id, same_id
from pipelines.salesforce.json_answers import decoded_classic
from pipelines.salesforce.org import Org
from pipelines.salesforce.streaming import Allowance, LimitReached

MAX_ROWS: Final = 3_000_000  # of one load
MAX_PARTS: Final = 200  # responses that the failed rows of a V2 load come in, or batches of a Classic one
BATCH_LIST_BYTES: Final = 4 * 2**20  # 10,000 batches
BATCH_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", re.ASCII)


class TooFewCalls(Exception):
    """The load needs more calls than this run may still make."""


@dataclass
class LoadResults:
    """What was read of one load."""

    tally: ReasonTally
    batches: list[dict[str, Any]] = field(default_factory=list)  # rows of job_batches
    unprocessed: int | None = None
    limited: bool = False  # whether a limit was hit
    refused: str | None = None  # why something else than the failed rows could not be read


def read_load(org: Org, job: Job, allowance: Allowance, calls: int, *, keep_messages: bool) -> LoadResults:
    """Reads with at most this many calls.

    Raises TooFewCalls, SalesforceError, UnreadableResults and RecorderErrors. A limit of size or time is no error: what
    was read up to there is returned.
    """
    results = LoadResults(ReasonTally(keep_messages))
    try:
        if job["is_classic"]:
            if job["has_batches"]:
                _read_batches(org, job, allowance, calls, results)
        else:
            _read_v2(org, job, allowance, results)
    except LimitReached:
        if not results.tally.rows:  # not a byte of use in all that time
            raise InvalidResponse("Nothing was read within the limits of size and time.") from None
        results.limited = True
    tally = results.tally
    if job["has_own_reason"] and not tally.rows and not tally.batches:
        tally.add_whole(whole_reason("job", job["error_message"], keep_messages=keep_messages))
    return results


def _read_v2(org: Org, job: Job, allowance: Allowance, results: LoadResults) -> None:
    path = f"jobs/ingest/{quote(job['id'], safe='')}"
    delimiter = DELIMITERS.get(job["column_delimiter"] or "", ",")
    if job["has_failed_records"]:
        locators: set[str] = set()
        locator = ""
        while True:
            # Sforce-Locator is documented for the results of queries only, but clients of loads follow it, too.
            params = {"locator": locator} if locator else None
            with org.stream(f"{path}/failedResults", allowance, params) as answer:
                for row in failed_rows(answer.parts(), delimiter):
                    _add(results.tally, row)
                locator = answer.headers.get("Sforce-Locator", "null").strip()
            if locator in ("", "null") or locator in locators:
                break
            locators.add(locator)
            if len(locators) == MAX_PARTS:
                raise LimitReached
    if job["has_unprocessed"]:
        _count_unprocessed(org, f"{path}/unprocessedrecords", delimiter, allowance, results)


def _count_unprocessed(org: Org, path: str, delimiter: str, allowance: Allowance, results: LoadResults) -> None:
    """ "Get Job Unprocessed Record Results": rows of the upload, of which nothing but their number is of interest."""
    rows = 0
    try:
        with org.stream(path, allowance) as answer:
            for rows in count_rows(answer.parts(), delimiter):  # noqa: B007 - the last one is the result
                pass
    except LimitReached:
        results.refused = f"Unprocessed records: only {rows:,} were counted within the limits of size and time."
    except SalesforceError as error:
        if error.is_limit or error.status == 401 or error.status >= 500:
            raise
        results.refused = f"Unprocessed records: {error}"
    else:
        results.unprocessed = rows


def _read_batches(org: Org, job: Job, allowance: Allowance, calls: int, results: LoadResults) -> None:
    path = f"{CLASSIC}{org.api_version}/job/{quote(job['id'], safe='')}/batch"
    batches = _batches(org, job, path, allowance)
    with_failures = [batch for batch in batches if batch["number_records_failed"] or batch["state"] == "Failed"]
    if 1 + sum(bool(batch["number_records_failed"]) for batch in with_failures[:MAX_PARTS]) > calls:
        raise TooFewCalls
    tally, keep_messages = results.tally, results.tally.keep_messages
    for batch in batches:
        said = batch.pop("said")
        reason = whole_reason("batch", said, keep_messages=keep_messages)
        batch["message"] = ": ".join(filter(None, (reason.code, reason.message))) or None
        batch["reason"] = reason
    results.batches = [{name: batch.get(name) for name in JOB_BATCHES.schema.names} for batch in batches]
    for batch in with_failures[:MAX_PARTS]:
        before = tally.rows
        try:
            if batch["number_records_failed"]:
                with org.stream(f"{path}/{batch['id']}/result", allowance) as answer:
                    for row in batch_rows(answer.parts()):
                        _add(tally, row)
        except SalesforceError as error:
            if batch["state"] != "Failed" or error.status != 400:
                raise
            # A batch that failed as a whole may have no results.
        if batch["state"] == "Failed" and tally.rows == before:
            tally.add_whole(batch["reason"])
    if len(with_failures) > MAX_PARTS:
        raise LimitReached


def _batches(org: Org, job: Job, path: str, allowance: Allowance) -> list[dict[str, Any]]:
    """The batches of a Classic job as rows of job_batches, with what each `said`.

    "Get Information for All Batches in a Job", in one response, as JSON or XML:
    https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/asynch_api_batches_get_info_all.htm
    """
    content = b""
    with org.stream(path, allowance) as answer:
        for part in answer.parts():
            content += part
            if len(content) > BATCH_LIST_BYTES:
                raise InvalidResponse("The list of a job's batches is too long.")
    try:
        body = decoded_classic(content, "batchInfo")
        given = body.get("batchInfo") if isinstance(body, dict) else None
    except (ValueError, RecursionError):
        given = None
    given = given if isinstance(given, list) else [given]
    rows = [_batch(org, job, one) for one in given if isinstance(one, dict)]
    if len(rows) != len(given):
        raise InvalidResponse("The list of a job's batches is not what Salesforce documents.")
    return rows


def _batch(org: Org, job: Job, given: dict[str, Any]) -> dict[str, Any]:
    batch_id, job_id = text(given.get("id")) or "", text(given.get("jobId")) or ""
    if not BATCH_ID.fullmatch(batch_id) or (job_id and not same_id(job_id, job["id"])):
        raise InvalidResponse("The list of a job's batches has one without an id, or of another job.")
    row: dict[str, Any] = {
        "org_id": org.org_id,
        "id": full_id(batch_id),
        "job_id": job["id"],
        "state": text(given.get("state")),
        "said": text(given.get("stateMessage")),
    }
    for column in JOB_BATCHES.columns:
        if (column.field or "").startswith("number") or (column.field or "").endswith("Time"):
            row[column.name] = whole_number(given.get(str(column.field)))
    row["created_date"], row["system_modstamp"] = times(
        [given.get("createdDate"), given.get("systemModstamp")]
    ).to_pylist()
    return row


def _add(tally: ReasonTally, row: Any) -> None:
    if tally.rows == MAX_ROWS:
        raise LimitReached
    tally.add(row)
