"""The results of Bulk API 2.0 loads: three CSV files for each finished job.

SOURCE: https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-failed-results.html,
get-job-unprocessed-results.html, and in
https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/ get_job_successful_results.htm,
datafiles_use_compression.htm; tests/fixtures/i_failed_49 to 54, i_success_55, i_unprocessed_50
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

from pipelines.demo_org.answers import Answer, Asked, not_found, refusal
from pipelines.demo_org.ids import eighteen
from pipelines.demo_org.loads import FAILED, SUCCEEDED, UNPROCESSED
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import Job
from pipelines.demo_org.rows import Row

CSV = "text/csv; charset=UTF-8"
# Lower case in the last one, as documented; simple-salesforce writes it with a capital
FILES = {
    "failedResults": FAILED,
    "successfulResults": SUCCEEDED,
    "unprocessedrecords": UNPROCESSED,
    "unprocessedRecords": UNPROCESSED,
}
FINISHED = ("JobComplete", "Failed", "Aborted")
# A job's columnDelimiter. SOURCE: create_job.htm
DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
PIECE = 65_536  # characters that are sent at once


def results(org: DemoOrg, asked: Asked, job_id: str) -> Answer:
    """Answer one of the files of a load; its rows are made while they are being sent."""
    with org.lock:
        key = eighteen(job_id)
        job = org.ingest_jobs.get(key)
        if job is None:  # what a Classic job gets is not settled publicly
            return not_found()
        return _refused(org, asked, key, job) or _file(org, asked, key, job)


def _refused(org: DemoOrg, asked: Asked, key: str, job: Job) -> Answer | None:
    """Return the error for this file; None if it may be read. The codes are our choice."""
    reader = org.user_of(asked.bearer or "")
    if asked.method != "GET":
        return refusal(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{asked.method}' not allowed. Allowed are GET")
    if key in org.refused or (org.results.own_only and (reader is None or reader.id != job.get("createdById"))):
        return refusal(403, "INSUFFICIENT_ACCESS", "insufficient access rights on object id")
    if job.get("state") not in FINISHED:
        return refusal(400, "INVALIDJOBSTATE", f"Results are not available: the job is {job.get('state')}")
    return None


def _file(org: DemoOrg, asked: Asked, key: str, job: Job) -> Answer:
    name, switches = asked.path.rstrip("/").rpartition("/")[2], org.results
    offset = _offset(asked.query.get("locator"))
    if offset is None:
        return refusal(400, "INVALID_LOCATOR", "invalid locator")  # our choice
    rows = iter(org.rows(key, FILES[name]))
    headers = {"Content-Type": CSV}
    if switches.part_rows is not None:
        part = list(islice(rows, offset, offset + switches.part_rows + 1))
        more = len(part) > switches.part_rows
        rows = iter(part[: switches.part_rows])
        headers["Sforce-Locator"] = _locator(offset + switches.part_rows) if more else "null"
    first = next(rows, None)
    if first is None and switches.empty == "204":
        return Answer(204)
    if first is None and switches.empty == "nothing":
        return Answer(200, b"", headers)
    rows = rows if first is None else chain((first,), rows)
    lines = _lines(_own_columns(name, error_first=switches.error_first), org.upload_columns(key), job, rows)
    pieces = (line.encode() for line in lines) if switches.pause else _pieces(lines)
    return Answer(200, b"", headers, stream=pieces, pause=switches.pause, compress=switches.compress)


def _locator(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode()  # the form that results of queries have


def _offset(locator: str | None) -> int | None:
    if locator is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(locator)
    except (binascii.Error, ValueError):
        return None
    return int(text) if text.isdigit() else None


def _own_columns(name: str, *, error_first: bool) -> tuple[str, ...]:
    if FILES[name] == UNPROCESSED:
        return ()
    if name == "successfulResults":
        return ("sf__Id", "sf__Created")
    return ("sf__Error", "sf__Id") if error_first else ("sf__Id", "sf__Error")


def _lines(own: tuple[str, ...], columns: list[str], job: Job, rows: Iterable[Row]) -> Iterator[str]:
    """Make the lines of a file with the job's own delimiter and line ending.

    Only the sf__ names are quoted in the header (tests/fixtures/i_failed_49), and every value below it.
    """
    delimiter = DELIMITERS.get(str(job.get("columnDelimiter")), ",")
    ending = "\r\n" if job.get("lineEnding") == "CRLF" else "\n"
    special = (delimiter, '"', "\n", "\r")
    uploaded = [_quoted(name) if any(each in name for each in special) else name for name in columns]
    yield delimiter.join([*map(_quoted, own), *uploaded]) + ending
    for row in rows:
        yield _line(row, own, columns, delimiter, ending)


def _line(row: Row, own: tuple[str, ...], columns: list[str], delimiter: str, ending: str) -> str:
    about: Mapping[str, str] = {
        "sf__Id": row.sf_id,
        "sf__Error": row.error,
        "sf__Created": "true" if row.created else "false",
    }
    values = [*(about[name] for name in own), *(row.values.get(name, "") for name in columns)]
    return delimiter.join(map(_quoted, values)) + ending


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _pieces(lines: Iterable[str]) -> Iterator[bytes]:
    waiting, size = [], 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= PIECE:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting).encode()
