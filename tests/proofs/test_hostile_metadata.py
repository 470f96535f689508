"""Details, limits and names in another form than documented: they cost a note, never the jobs, and no count is wrong."""

import gzip
import json
from datetime import timedelta

import pytest
from hostile_org import Answer, answered_by, once
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

OK = b"HTTP/1.1 200 OK\r\n"
BODY = OK + b"Content-Type: application/json\r\n\r\n"
PACKED = OK + b"Content-Encoding: gzip\r\n\r\n"
XML = OK + b"Content-Type: application/xml\r\n\r\n"
LAUGHS = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
INFO = b'<?xml version="1.0"?>%b<jobInfo><numberRecordsProcessed>%b</numberRecordsProcessed></jobInfo>'
WRONG = {"id": "750000000000001AAA", "numberRecordsProcessed": 4711, "numberRecordsFailed": 4711}  # of another job

FORMS: dict[str, Answer] = {
    "another job's": once(BODY, json.dumps(WRONG).encode()),
    "in UTF-16": once(BODY, json.dumps(WRONG).encode("utf-16")),
    "in UTF-16 without a BOM": once(BODY, json.dumps(WRONG).encode("utf-16-le")),
    "with a BOM": once(BODY, b"\xef\xbb\xbf" + json.dumps(WRONG).encode()),
    "no number": once(BODY, b'{"numberRecordsProcessed": NaN, "DailyApiRequests": {"Max": NaN, "Remaining": -Infinity}}'),
    "numbers that are too large": once(BODY, b'{"numberRecordsProcessed": 1e999, "totalSize": 1e999, "records": [1e999]}'),
    "a number of a million digits": once(BODY, b'{"numberRecordsProcessed": %b}' % (b"9" * 10**6)),
    "twenty thousand levels": once(BODY, b"[" * 20_000 + b"]" * 20_000),
    "a million keys": once(BODY, b"{" + b",".join(b'"k%d":0' % n for n in range(100_000)) + b"}"),
    "null": once(BODY, b"null"),
    "a list of nothing": once(BODY, b"[null, [], {}]"),
    "records that are none": once(BODY, b'{"done": true, "totalSize": 1, "records": [null, 1, "x", [], {"Id": []}]}'),
    "NUL characters": once(BODY, b"\0" * 1_000),
    "no UTF-8": once(BODY, b'{"numberRecordsProcessed": 4711, "x": "\xed\xa0\x80\xff"}'[:30] + b"\xff\xfe"),
    "nothing": once(BODY),
    "a page": once(BODY, b"<html>Down for maintenance</html>"),
    "a bomb": once(PACKED, gzip.compress(b" " * 2**26)),
    "a bomb in a bomb": once(PACKED, gzip.compress(gzip.compress(b" " * 2**26))),
    "many members": once(PACKED, *[gzip.compress(b" ")] * 9_999),
    "a billion laughs": once(XML, INFO % (b'<!DOCTYPE j [<!ENTITY l0 "9">' + LAUGHS + b"]>", b"&l11;")),
    "an external entity": once(XML, INFO % (b'<!DOCTYPE j [<!ENTITY x SYSTEM "file:///etc/passwd">]>', b"&x;")),
    "a parameter entity": once(XML, INFO % (b'<!DOCTYPE j [<!ENTITY % p SYSTEM "http://127.0.0.1:9/"> %p;]>', b"1")),
    "a DTD by its URL": once(XML, INFO % (b'<!DOCTYPE j SYSTEM "http://127.0.0.1:9/j.dtd">', b"1")),
    "a length that is too short": once(OK + b"Content-Length: 9\r\n\r\n", json.dumps(WRONG).encode()),
    "a length that is too long": once(OK + b"Content-Length: 9999\r\n\r\n", json.dumps(WRONG).encode()),
}  # fmt: skip
PATHS = {
    "details of a query": r"/jobs/query/750",
    "details of a load": r"/jobs/ingest/750\w+$",
    "Classic details": r"/async/[^/]+/job/750\w+$",
    "batches": r"/batch$",
    "limits": r"/limits",
    "names": r"/services/data/v[0-9.]+/query",
}


def jobs_of(org: DemoOrg) -> dict[str, int]:
    """Jobs whose details say how many records they had."""
    kinds = (
        ("V2Query", "query", "JobComplete"),
        ("V2Ingest", "insert", "JobComplete"),
        ("Classic", "insert", "Closed"),
    )
    made = {}
    for number, (kind, operation, state) in enumerate(kinds, 5):
        job = org.add_job(jobType=kind, operation=operation, state=state, numberRecordsProcessed=number)
        made[job] = number
    return made


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_no_form_of_metadata_costs_a_job_or_makes_a_count_wrong(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
    made: dict[str, int] = {}
    for name, answer in FORMS.items():
        new = jobs_of(org)
        made |= new
        org.advance(timedelta(hours=5))  # limits and names are asked for again
        with answered_by(org, PATHS[path], answer) as hostile:
            recorder.load()
        assert any(seen for seen, _ in hostile.seen), name
        listed = {job for (job,) in recorder.rows("select id from jobs")}
        assert listed >= new.keys(), name
        counts = recorder.rows("select id, number_records_processed from job_details")
        wrong = {job: count for job, count in counts if count not in (None, made[job])}
        assert wrong == {}, name
        for job in new:
            org.delete_job(job)
