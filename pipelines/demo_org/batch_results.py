"""The results of a Classic batch, in the form of its job's contentType.

SOURCE: in https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/
asynch_api_batches_get_results.htm (loads: tests/fixtures/c_result_58 to 60) and asynch_api_bulk_query_intro.htm with
its walkthrough (queries: the ids of their results)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import islice

import orjson

from pipelines.demo_org.answers import JSON, Answer, answer
from pipelines.demo_org.batches import Batch, Outcome
from pipelines.demo_org.classic_answers import NAMESPACE, XML

CSV = "text/csv;charset=UTF-8"
TOGETHER = 500  # records that are sent at once


def of_load(batch: Batch, content_type: str) -> Answer:
    """Answer what became of each record, in the order of the upload."""
    if content_type.endswith("JSON"):
        return Answer(200, b"", {"Content-Type": JSON}, stream=_between(b"[", _json(batch.outcomes()), b"]"))
    if content_type.endswith("XML"):
        head = f'<?xml version="1.0" encoding="UTF-8"?><results xmlns="{NAMESPACE}">\n'
        xml = _between(head.encode(), _xml(batch.outcomes()), b"</results>\n")
        return Answer(200, b"", {"Content-Type": XML}, stream=xml)
    csv = _between(b'"Id","Success","Created","Error"\n', _csv(batch.outcomes()), b"")
    return Answer(200, b"", {"Content-Type": CSV}, stream=csv)


def of_query(batch: Batch, content_type: str) -> Answer:
    """Answer the ids of the results: JSON for a JSON job, XML for any other."""
    if content_type.endswith("JSON"):
        return answer(200, batch.results())
    inner = "".join(f"<result>{each}</result>" for each in batch.results())
    return Answer(200, f'<result-list xmlns="{NAMESPACE}">{inner}</result-list>'.encode(), {"Content-Type": XML})


def as_uploaded(batch: Batch, content_type: str) -> Answer:
    """Answer what was uploaded. SOURCE: asynch_api_batches_get_request.htm"""
    kind = JSON if content_type.endswith("JSON") else XML if content_type.endswith("XML") else CSV
    return Answer(200, batch.request, {"Content-Type": kind})


def _between(head: bytes, pieces: Iterable[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    yield from pieces
    if tail:
        yield tail


def _json(outcomes: Iterator[Outcome]) -> Iterator[bytes]:
    separator = b""
    for some in _some(outcomes):
        yield separator + b",".join(orjson.dumps(_as_object(each)) for each in some)
        separator = b","


def _as_object(outcome: Outcome) -> dict[str, object]:
    errors = [
        {"message": error.message, "fields": list(error.fields), "statusCode": error.code} for error in outcome.errors
    ]
    return {"success": outcome.success, "created": outcome.created, "id": outcome.id, "errors": errors}


def _xml(outcomes: Iterator[Outcome]) -> Iterator[bytes]:
    for some in _some(outcomes):
        yield "".join(map(_as_element, some)).encode()


def _as_element(outcome: Outcome) -> str:
    errors = "".join(
        "<errors>"
        + "".join(f"<fields>{escape(name, quote=False)}</fields>" for name in error.fields)
        + f"<message>{escape(error.message, quote=False)}</message><statusCode>{error.code}</statusCode></errors>"
        for error in outcome.errors
    )
    record = f"<id>{outcome.id}</id>" if outcome.id else ""
    outcome_xml = f"<success>{str(outcome.success).lower()}</success><created>{str(outcome.created).lower()}</created>"
    return f" <result>{errors}{record}{outcome_xml}</result>\n"


def _csv(outcomes: Iterator[Outcome]) -> Iterator[bytes]:
    for some in _some(outcomes):
        yield "".join(map(_as_line, some)).encode()


def _as_line(outcome: Outcome) -> str:
    """Return a line, all of it quoted. How several errors of one record are put together is not settled publicly."""
    error = "".join(each.text for each in outcome.errors)
    values = (outcome.id or "", str(outcome.success).lower(), str(outcome.created).lower(), error)
    return ",".join('"' + value.replace('"', '""') + '"' for value in values) + "\n"


def _some(outcomes: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    while some := list(islice(outcomes, TOGETHER)):
        yield some
