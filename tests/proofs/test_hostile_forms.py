"""Results in another form than announced: encodings, delimiters, line ends, packings, lengths, entities. Whatever the
answer is, counts and reasons are right, or marked as incomplete, or there are none but a note."""

import gzip
import time
from datetime import timedelta

import pytest
from hostile_org import Answer, answered_by, for_ever, once
from recorders import Recorder
from test_hostile_results import BODY, CLASSIC, FAILED, HEADER, OK, PACKED, ROW, SOON, of_a_classic_load, of_a_load

from pipelines.demo_org.org import DemoOrg
from pipelines.recording import job_results

ROWS = 20  # failed records of each load
CODE = "UNABLE_TO_LOCK_ROW"
READ, NOTED, PARTLY = "read", "noted", "partly"
COUNTED = "counted"  # without a reason, because no row fits the header
CSV = HEADER + ROW * ROWS
BATCH = CLASSIC + FAILED * ROWS
MEMBER = b'<?xml version="1.0"?>%b<results xmlns="http://www.force.com/2009/06/asyncapi/dataload">%b</results>'
RESULT = b"<result><errors><message>unable</message><statusCode>UNABLE_TO_LOCK_ROW</statusCode></errors><success>false</success></result>"
XML = MEMBER % (b"", RESULT * ROWS)
AS_JSON = b'{"success":false,"created":false,"id":null,"errors":[{"statusCode":"UNABLE_TO_LOCK_ROW","message":"unable","fields":[]}]}'
JSON = b"[" + b",".join([AS_JSON] * ROWS) + b"]"
LAUGHS = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))


def reencoded(text: bytes, encoding: str) -> Answer:
    return once(BODY, text.decode().encode(encoding))


def doctype(declared: bytes, used: bytes = b"") -> Answer:
    return once(BODY, MEMBER % (b"<!DOCTYPE results [" + declared + b"]>", RESULT * ROWS + used))


FORMS: dict[str, tuple[Answer, str]] = {
    "as documented": (once(BODY, CSV), READ),
    "with CRLF": (once(BODY, CSV.replace(b"\n", b"\r\n")), READ),
    "with CR": (once(BODY, CSV.replace(b"\n", b"\r")), PARTLY),
    "with both": (once(BODY, HEADER.replace(b"\n", b"\r\n") + ROW * ROWS), READ),
    "with pipes": (once(BODY, CSV.replace(b",", b"|")), NOTED),
    "with semicolons": (once(BODY, CSV.replace(b",", b";")), NOTED),
    "with tabs": (once(BODY, CSV.replace(b",", b"\t")), NOTED),
    "with a BOM": (once(BODY, b"\xef\xbb\xbf" + CSV), READ),
    "in UTF-16": (reencoded(CSV, "utf-16"), NOTED),
    "in UTF-16 without a BOM": (reencoded(CSV, "utf-16-le"), NOTED),
    "in UTF-32": (reencoded(CSV, "utf-32"), NOTED),
    "in Latin-1": (once(BODY, CSV.replace(b"Anna", b"\xc4nn\xe4")), READ),
    "with NULs in values": (once(BODY, CSV.replace(b"Anna", b"An\0na")), READ),
    "with broken UTF-8": (once(BODY, CSV.replace(b"Anna", b"\xed\xa0\x80\xf8\xff")), READ),
    "with its header twice": (once(BODY, HEADER + CSV), PARTLY),
    "with a million columns": (once(BODY, HEADER.strip() + b"," * 999_990 + b"\n" + ROW * ROWS), COUNTED),
    "with ten million columns": (once(BODY, HEADER.strip() + b"," * 9_999_990 + b"\n" + ROW * ROWS), NOTED),
    "with more rows than failed": (once(BODY, CSV + ROW), PARTLY),
    "with fewer rows than failed": (once(BODY, HEADER + ROW), PARTLY),
    "with the header only": (once(BODY, HEADER), PARTLY),
    "a length that cuts rows off": (once(OK + b"Content-Length: %d\r\n\r\n" % len(HEADER + ROW * 7), CSV), PARTLY),
    "a length that is too long": (once(OK + b"Content-Length: 999999\r\n\r\n", CSV), NOTED),
    "packed in several members": (once(PACKED, gzip.compress(HEADER), *[gzip.compress(ROW)] * ROWS), READ),
    "packed, with empty members": (once(PACKED, gzip.compress(CSV), gzip.compress(b"") * 9_999), READ),
    "packed twice, said once": (once(PACKED, gzip.compress(gzip.compress(CSV))), NOTED),
    "a small bomb behind the rows": (once(PACKED, gzip.compress(CSV), gzip.compress(b"\n" * 2**27)), PARTLY),
    "packed, cut off in a member": (once(PACKED, gzip.compress(CSV)[:-9]), NOTED),
    "packed, but not said": (once(BODY, gzip.compress(CSV)), NOTED),
}
BATCH_FORMS: dict[str, tuple[Answer, str]] = {
    "CSV": (once(BODY, BATCH), READ),
    "XML": (once(BODY, XML), READ),
    "JSON": (once(BODY, JSON), READ),
    "CSV with pipes": (once(BODY, BATCH.replace(b",", b"|")), NOTED),
    "CSV in UTF-16": (reencoded(BATCH, "utf-16"), NOTED),
    "XML in UTF-16": (reencoded(XML.replace(b"?>", b' encoding="UTF-16"?>', 1), "utf-16"), NOTED),
    "XML with a BOM": (once(BODY, b"\xef\xbb\xbf" + XML), READ),
    "XML of an unknown encoding": (once(BODY, XML.replace(b"?>", b' encoding="x-none"?>', 1)), NOTED),
    "JSON in UTF-16": (reencoded(JSON, "utf-16"), NOTED),
    "JSON with a BOM": (once(BODY, b"\xef\xbb\xbf" + JSON), READ),
    "a billion laughs": (doctype(b'<!ENTITY l0 "ha">' + LAUGHS, b"<a>&l11;</a>"), NOTED),
    "an external entity": (doctype(b'<!ENTITY x SYSTEM "file:///etc/passwd">', b"<a>&x;</a>"), NOTED),
    "a parameter entity": (doctype(b'<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;'), NOTED),
    "a DTD by its URL": (once(BODY, MEMBER % (b'<!DOCTYPE results SYSTEM "http://127.0.0.1:9/r.dtd">', RESULT)), NOTED),
    "an entity that is not declared": (once(BODY, MEMBER % (b"", RESULT * ROWS + b"<a>&x;</a>")), NOTED),
    "a billion laughs in UTF-16": (
        once(BODY, ('<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "b">]><results>&a;</results>').encode("utf-16")),
        NOTED,
    ),
    "fewer results than records": (once(BODY, CLASSIC + FAILED), PARTLY),
    "more results than records": (once(BODY, BATCH + FAILED), PARTLY),
}
KINDS = {
    "V2": ("failedResults", of_a_load, FORMS),
    "Classic": ("/result", of_a_classic_load, BATCH_FORMS),
}


@pytest.fixture(autouse=True)
def results_are_read(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')


def recorded(recorder: Recorder, org: DemoOrg, job: str, path: str, answer: Answer) -> tuple[str, str]:
    """One load that gets this answer: how its results were read, and why not, or what was read."""
    org.advance(timedelta(minutes=1))
    with answered_by(org, path, answer):
        recorder.load()
    [(outcome, error)] = recorder.rows(f"select results_outcome, results_error from job_details where id = '{job}'")
    reasons = recorder.rows(
        f"select error_code, records, complete from record_errors where id = '{job}' and level = 'record'"
    )
    context = f"{outcome}; {error}; {reasons}"
    if reasons == [(CODE, ROWS, True)] and outcome == "read":
        return READ, context
    if reasons == [(None, ROWS, True)] and outcome == "read":
        return COUNTED, context
    assert not any(complete for _, _, complete in reasons), context
    if reasons or outcome:
        return PARTLY, context
    assert error
    return NOTED, context


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_form_of_results_is_read_wrongly(org: DemoOrg, recorder: Recorder, kind: str) -> None:
    """Each of a load of its own."""
    path, of, forms = KINDS[kind]
    wrong = {}
    for name, (answer, expected) in forms.items():
        job = of(org)
        if kind == "Classic":
            org.delete_job(job)
            job = org.add_job(jobType="Classic", operation="insert", state="Closed", contentType="CSV")
            org.add_batch(job, records=ROWS, failures=[[f"{CODE}:unable:--"]] * ROWS)
        found, context = recorded(recorder, org, job, path, answer)
        if found != expected:
            wrong[name] = found, context
        org.delete_job(job)
    assert wrong == {}


@pytest.mark.slow
def test_of_ten_gigabytes_the_first_rows_are_read(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load does not wait for the rest, although its length is announced."""
    monkeypatch.setattr(job_results, "JOB_BYTES", 2**22)
    job = of_a_load(org)
    began = time.monotonic()
    endless = for_ever(OK + b"Content-Length: %d\r\n\r\n" % (10 * 2**30) + HEADER, ROW * 1_000)
    found, context = recorded(recorder, org, job, "failedResults", endless)
    assert time.monotonic() - began < SOON
    assert found == PARTLY, context


@pytest.mark.slow
@pytest.mark.parametrize("announced", ["COMMA", "PIPE", "TAB", "SEMICOLON", "CARET", "BACKQUOTE"])
def test_no_delimiter_that_lies_is_read_wrongly(org: DemoOrg, recorder: Recorder, announced: str) -> None:
    """The file has commas, whatever the job says."""
    job = org.add_job(jobType="V2Ingest", operation="insert", state="JobComplete", columnDelimiter=announced)
    org.fail_records(job, [(f"{CODE}:unable:--", {"Name": "Anna"})], times=ROWS)
    found, context = recorded(recorder, org, job, "failedResults", once(BODY, CSV))
    assert found == (READ if announced == "COMMA" else NOTED), context
