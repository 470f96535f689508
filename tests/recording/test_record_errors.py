"""Why the records of loads failed: read once, in every form, within limits; written whole or not at all."""

import gzip
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from conftest import Recorder
from demo_org_client import FIXTURES
from processes import holding

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import TemporaryError
from pipelines.recording import job_results
from pipelines.recording.job_results import FAILURES_IN_A_ROW

MINUTE = timedelta(minutes=1)
SHAPES = (FIXTURES / "i_failed_54_error_shapes.csv").read_bytes()
MISSING = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"
NAMESPACE = 'xmlns="http://www.force.com/2009/06/asyncapi/dataload"'


@pytest.fixture(autouse=True)
def errors_are_recorded(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')


def load_of(org: DemoOrg, failed: int = 1, state: str = "JobComplete", **fields: Any) -> str:
    """A V2 load that ended now, of which so many records failed."""
    fields = {"jobType": "V2Ingest", "operation": "insert", "numberRecordsProcessed": failed, **fields}
    return org.add_job(state=state, numberRecordsFailed=failed, **fields)


def classic_load_of(org: DemoOrg, failed: int = 1, failed_batches: int = 0, **fields: Any) -> str:
    batches = {
        "numberBatchesTotal": 3,
        "numberBatchesCompleted": 3 - failed_batches,
        "numberBatchesFailed": failed_batches,
    }
    fields = {"jobType": "Classic", "operation": "insert", "state": "Closed", **batches, **fields}
    return org.add_job(numberRecordsProcessed=10, numberRecordsFailed=failed, **fields)


def answer(
    org: DemoOrg, path: str, body: bytes | str | object, status: int = 200, times: int = 1, **headers: str
) -> None:
    """The next answers to requests for this path."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    org.fail_next(status, body, path=f"{path}$", headers=named, times=times)


def failed_results(*errors: str, delimiter: str = ",", end: str = "\n") -> str:
    rows = [["sf__Id", "sf__Error", "Name"], *(["", error, "Anna"] for error in errors)]
    return "".join(delimiter.join(f'"{cell}"' for cell in row) + end for row in rows)


def counts(recorder: Recorder) -> dict[str, dict[str | None, int | None]]:
    """id -> code -> records."""
    found: dict[str, dict[str | None, int | None]] = {}
    for job, code, records in recorder.rows("select id, error_code, records from record_errors"):
        found.setdefault(job, {})[code] = records
    return found


def outcomes(recorder: Recorder, columns: str = "results_outcome") -> dict[str, Any]:
    rows = recorder.rows(f"select id, {columns} from job_details")
    return {job: rest[0] if len(rest) == 1 else tuple(rest) for job, *rest in rows}


def result_calls(org: DemoOrg) -> list[str]:
    """The last parts of the paths of requests for results, with their job."""
    paths = [request.path for request in org.requests]
    return [
        path.split("/jobs/ingest/" if "ingest" in path else "/job/")[1]
        for path in paths
        if path.endswith(("Results", "records", "/batch", "/result"))
    ]


def test_all_shapes_of_errors_are_counted_once(org: DemoOrg, recorder: Recorder) -> None:
    job = load_of(org, failed=29)
    answer(org, "failedResults", SHAPES)
    for _ in range(2):
        recorder.load()
        org.advance(MINUTE)

    assert result_calls(org) == [f"{job}/failedResults"]
    assert outcomes(recorder, "results_outcome, results_attempts, results_error") == {job: ("read", 1, None)}
    rows = recorder.rows(
        "select count(*), sum(records), any_value(rows_read), any_value(rows_failed), bool_and(complete) from record_errors"
    )
    assert rows == [(29, 29, 29, 29, True)]
    assert recorder.rows("select count(distinct reason), count(reason) from record_errors") == [(29, 29)]
    rows = recorder.rows("select calls_after, notes from listings where feed = 'query' order by started_at")
    assert rows == [(2, None), (0, None)]


@pytest.mark.parametrize("name", ["COMMA", "BACKQUOTE", "CARET", "PIPE", "SEMICOLON", "TAB"])
def test_results_are_read_with_the_delimiter_and_line_ending_of_the_job(
    org: DemoOrg, recorder: Recorder, name: str
) -> None:
    delimiter = dict(zip(["COMMA", "BACKQUOTE", "CARET", "PIPE", "SEMICOLON", "TAB"], ",`^|;\t", strict=True))[name]
    job = load_of(org, failed=3, columnDelimiter=name, lineEnding="CRLF")
    answer(org, "failedResults", failed_results(MISSING, LOCKED, LOCKED, delimiter=delimiter, end="\r\n"))
    recorder.load()

    assert counts(recorder) == {job: {"REQUIRED_FIELD_MISSING": 1, "UNABLE_TO_LOCK_ROW": 2}}


def test_columns_are_found_by_their_names(org: DemoOrg, recorder: Recorder) -> None:
    """In any order, and with line breaks and quotes in the values between them."""
    job = load_of(org, failed=2, columnDelimiter="PIPE")
    answer(org, "failedResults", (FIXTURES / "i_failed_53_pipe_error_first.csv").read_bytes())
    other = load_of(org, failed=2)
    answer(
        org,
        f"{other}/failedResults",
        f'Name,"sf__Error",Text\n"a\n""b"",\n{LOCKED}","{MISSING}",""\n"","{LOCKED}","x\r\ny"\n',
    )
    recorder.load()

    assert counts(recorder)[other] == {"REQUIRED_FIELD_MISSING": 1, "UNABLE_TO_LOCK_ROW": 1}
    assert counts(recorder)[job] == {"REQUIRED_FIELD_MISSING": 2}


def test_results_come_packed_and_in_parts(org: DemoOrg, recorder: Recorder) -> None:
    """Of several members, too, and with a locator for the next part."""
    job = load_of(org, failed=4)
    packed = gzip.compress(failed_results(MISSING).encode()) + gzip.compress(f'"","{LOCKED}","x"\n'.encode())
    answer(org, "failedResults", packed, Content_Encoding="gzip", Sforce_Locator="MTAw")
    answer(org, "failedResults", failed_results(LOCKED, LOCKED), Sforce_Locator="null")
    recorder.load()

    assert counts(recorder) == {job: {"REQUIRED_FIELD_MISSING": 1, "UNABLE_TO_LOCK_ROW": 3}}
    asked = [request.query for request in org.requests if request.path.endswith("failedResults")]
    assert asked == [{}, {"locator": "MTAw"}]


@pytest.mark.parametrize(
    ("status", "body"),
    [(204, b""), (200, b""), (200, (FIXTURES / "i_failed_49_v52_header_only.csv").read_bytes())],
    ids=["204", "empty", "header only"],
)
def test_no_rows_are_no_reasons(org: DemoOrg, recorder: Recorder, status: int, body: bytes) -> None:
    job = load_of(org, failed=2)
    answer(org, "failedResults", body, status)
    recorder.load()

    assert counts(recorder) == {}
    assert outcomes(recorder) == {job: "first 0 of 2"}


def test_fewer_or_more_rows_than_the_org_counted_are_incomplete(org: DemoOrg, recorder: Recorder) -> None:
    fewer, more = load_of(org, failed=3), load_of(org, failed=1)
    answer(org, f"{fewer}/failedResults", failed_results(MISSING, LOCKED))
    answer(org, f"{more}/failedResults", failed_results(MISSING, MISSING))
    recorder.load()

    assert outcomes(recorder) == {fewer: "first 2 of 3", more: "read"}
    rows = recorder.rows("select distinct id, rows_read, rows_failed, complete from record_errors")
    assert sorted(rows) == sorted([(fewer, 2, 3, False), (more, 2, 1, False)])


def test_of_loads_that_ended_early_the_unprocessed_records_are_counted(org: DemoOrg, recorder: Recorder) -> None:
    """A Failed load without failed records has its own text as the reason; an Aborted one has none."""
    failed = load_of(org, failed=0, state="Failed", errorMessage="InvalidBatch : Field name not found : Foo__c")
    aborted = load_of(org, failed=1, state="Aborted", columnDelimiter="TAB")
    answer(org, f"{failed}/unprocessedrecords", 'Id,Name\n1,"a\nb"\n2,c\n')
    answer(org, f"{aborted}/failedResults", failed_results(LOCKED, delimiter="\t"))
    answer(org, f"{aborted}/unprocessedrecords", (FIXTURES / "i_unprocessed_50_v52_header_only.csv").read_bytes())
    recorder.load()

    assert outcomes(recorder, "records_unprocessed, results_outcome") == {failed: (2, "read"), aborted: (0, "read")}
    assert recorder.rows(f"select level, error_code, message, records from record_errors where id = '{failed}'") == [
        ("job", "InvalidBatch", "Field name not found : Foo__c", None)
    ]
    assert counts(recorder)[aborted] == {"UNABLE_TO_LOCK_ROW": 1}
    assert sum(call.startswith(failed) for call in result_calls(org)) == 1


def batch(job: str, number: int, state: str = "Completed", failed: int = 0, said: str | None = None) -> dict[str, Any]:
    about = {"id": f"751Dm{number:010}", "jobId": job, "state": state, "createdDate": "2026-11-02T11:00:00.000+0000", "systemModstamp": "2026-11-02T11:01:00.000+0000"}  # fmt: skip
    counted = {"numberRecordsProcessed": 5, "numberRecordsFailed": failed, "totalProcessingTime": 70}
    return about | counted | ({"stateMessage": said} if said else {})


def as_xml(batches: list[dict[str, Any]]) -> str:
    inner = "".join(f"<batchInfo>{''.join(f'<{k}>{v}</{k}>' for k, v in one.items())}</batchInfo>" for one in batches)
    return f'<?xml version="1.0" encoding="UTF-8"?><batchInfoList {NAMESPACE}>{inner}</batchInfoList>'


RESULTS = {
    "CSV": '"Id","Success","Created","Error"\n"001","true","false",""\n"","false","false","' + f'{MISSING}"\n',
    "JSON": (FIXTURES / "c_result_60_json_null_id.json").read_text(),
    "XML": (FIXTURES / "c_result_59_two_errors.xml").read_text(),
}


@pytest.mark.parametrize("form", ["CSV", "JSON", "XML"])
def test_batches_of_a_classic_load_are_read_if_they_have_failures(org: DemoOrg, recorder: Recorder, form: str) -> None:
    job = classic_load_of(org, failed=1, failed_batches=1, contentType=form)
    failed = "InvalidBatch : Field name not found : Foo__c"
    batches = [
        batch(job, 1),
        batch(job, 2, failed=1),
        batch(job, 3, "Failed", said=failed),
        batch(job, 4, "NotProcessed"),
    ]
    answer(org, "/batch", {"batchInfo": batches} if form == "JSON" else as_xml(batches))
    answer(org, "/result", RESULTS[form])
    recorder.load()

    assert [call.partition("/")[0] for call in result_calls(org)] == [job, job]
    assert result_calls(org)[1].startswith(f"{job}/batch/751Dm0000000002")
    rows = recorder.rows(
        "select level, error_code, message, records, further_records, batches from record_errors order by level, records desc"
    )
    code, further = ("INVALID_FIELD_FOR_INSERT_UPDATE", 1) if form == "XML" else ("REQUIRED_FIELD_MISSING", 0)
    assert rows[0] == ("batch", "InvalidBatch", "Field name not found : Foo__c", None, None, 1)
    assert [(row[0], row[1], row[3], row[4]) for row in rows[1:]] == (
        [("record", code, 1, 0), ("record", code, 0, further)] if further else [("record", code, 1, 0)]
    )
    assert recorder.rows(
        "select length(id), state, message, number_records_failed, job_id from job_batches order by id"
    ) == [
        (18, "Completed", None, 0, job),
        (18, "Completed", None, 1, job),
        (18, "Failed", "InvalidBatch: Field name not found : Foo__c", 0, job),
        (18, "NotProcessed", None, 0, job),
    ]
    assert outcomes(recorder) == {job: "read"}


def test_a_load_that_still_runs_is_read_later(org: DemoOrg, recorder: Recorder) -> None:
    job = classic_load_of(org, numberBatchesCompleted=1)
    recorder.load()
    assert result_calls(org) == []

    org.edit_job(job, numberBatchesCompleted=3)
    answer(org, "/batch", {"batchInfo": [batch(job, 1, failed=1)]})
    answer(org, "/result", RESULTS["CSV"])
    org.advance(timedelta(hours=3))
    recorder.load()
    assert counts(recorder) == {job: {"REQUIRED_FIELD_MISSING": 1}}


def test_results_of_queries_are_never_asked_for(org: DemoOrg, recorder: Recorder) -> None:
    for operation in ("query", "queryAll"):
        classic_load_of(org, operation=operation, failed_batches=1)
    org.add_job(state="Failed", errorMessage="InvalidBatch : Failed to process query")
    load_of(org, failed=0)
    recorder.load()

    assert result_calls(org) == []
    assert counts(recorder) == {}


def test_a_refusal_is_kept_and_several_in_a_row_end_the_runs_reading(org: DemoOrg, recorder: Recorder) -> None:
    denied = [{"errorCode": "INSUFFICIENT_ACCESS", "message": "insufficient access rights"}]
    jobs = [load_of(org) for _ in range(FAILURES_IN_A_ROW + 2)]
    answer(org, "failedResults", denied, status=403, times=FAILURES_IN_A_ROW)
    run = recorder.load()

    assert len(result_calls(org)) == FAILURES_IN_A_ROW
    assert run.results
    assert (run.results.read, run.results.left) == (FAILURES_IN_A_ROW, 2)
    assert "5 loads in a row" in (run.notes[-1])
    refused = [job for job, outcome in outcomes(recorder).items() if outcome == "refused"]
    assert len(refused) == FAILURES_IN_A_ROW
    assert "INSUFFICIENT_ACCESS" in outcomes(recorder, "results_error")[refused[0]]

    answer(org, "failedResults", failed_results(LOCKED), times=9)
    org.advance(MINUTE)
    recorder.load()
    assert counts(recorder).keys() == set(jobs) - set(refused)


def test_what_breaks_off_is_not_written_and_read_by_the_next_run(org: DemoOrg, recorder: Recorder) -> None:
    job = load_of(org, failed=2)
    org.fail_records(job, [(LOCKED, {"Name": "Anna"}), (MISSING, {"Name": "Anna"})])
    org.cut_next(path="failedResults")
    run = recorder.load()

    assert "broke off" in run.notes[-1]
    assert counts(recorder) == {}
    assert outcomes(recorder, "results_outcome, results_attempts") == {job: (None, 1)}
    org.advance(MINUTE)
    recorder.load()
    assert counts(recorder) == {job: {"REQUIRED_FIELD_MISSING": 1, "UNABLE_TO_LOCK_ROW": 1}}
    assert outcomes(recorder, "results_outcome, results_attempts, results_error") == {job: ("read", 2, None)}


@pytest.mark.parametrize(
    "body",
    [b"<html>maintenance</html>", b"Id,Name\n1,2\n", b'"sf__Error","sf__Error"\n"a","b"\n', b"\x00\xff" * 99],
    ids=["another page", "no column", "two columns", "bytes"],
)
def test_results_that_cannot_be_read_are_tried_three_times(org: DemoOrg, recorder: Recorder, body: bytes) -> None:
    job = load_of(org)
    answer(org, "failedResults", body, times=9)
    for _ in range(4):
        recorder.load()
        org.advance(MINUTE)

    assert len(result_calls(org)) == 3
    assert outcomes(recorder, "results_outcome, results_attempts") == {job: ("unreadable", 3)}
    assert counts(recorder) == {}


def test_an_expired_session_is_renewed(org: DemoOrg, recorder: Recorder) -> None:
    job = load_of(org)
    answer(
        org, "failedResults", [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], status=401
    )
    answer(org, "failedResults", failed_results(LOCKED))
    recorder.load()

    assert counts(recorder) == {job: {"UNABLE_TO_LOCK_ROW": 1}}


def test_reading_leaves_half_of_the_calls_that_are_left(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newest loads first; the others follow in later runs."""
    monkeypatch.setenv("SOURCES__SALESFORCE__API_BUDGET_PERCENT", "100")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["ingest"]')
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "false")
    jobs = []
    for _ in range(4):
        org.advance(MINUTE)
        jobs.append(load_of(org))
    recorder.load()  # a page and four details
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    answer(org, "failedResults", failed_results(LOCKED), times=9)
    org.daily_api_requests = 11  # after another page, 5 are left
    org.advance(MINUTE)
    recorder.load()
    assert [call.split("/")[0] for call in result_calls(org)] == jobs[:1:-1]

    org.daily_api_requests = 100
    org.advance(MINUTE)
    recorder.load()
    assert counts(recorder).keys() == set(jobs)


def test_reading_can_be_switched_off(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "false")
    load_of(org)
    run = recorder.load()
    assert run.results is None
    assert result_calls(org) == []


def test_what_was_read_never_changes(org: DemoOrg, recorder: Recorder) -> None:
    """Not by new details, and not by reading the load again, as after a kill between the two."""
    job = load_of(org)
    answer(org, "failedResults", failed_results(LOCKED))
    recorder.load()
    before = recorder.rows("from record_errors")
    org.move_job(job, "JobComplete", stamp=org.now + MINUTE)
    org.advance(timedelta(hours=1))
    recorder.load()
    assert outcomes(recorder) == {job: "read"}

    with duckdb.connect(recorder.primary_file) as primary:
        primary.execute("update salesforce.job_details set results_outcome = null, results_attempts = null")
    answer(org, "failedResults", failed_results(MISSING))
    org.advance(timedelta(hours=1))
    recorder.load()
    assert len(result_calls(org)) == 2
    assert recorder.rows("from record_errors") == before


def test_limits_of_a_load_end_its_reading_and_say_so(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_results, "JOB_BYTES", 2**19)
    job = load_of(org, failed=20_000)
    answer(org, "failedResults", failed_results(*[LOCKED] * 20_000))
    recorder.load()

    [(read, failed, complete, records)] = recorder.rows(
        "select rows_read, rows_failed, complete, records from record_errors"
    )
    assert 1_000 < read == records < 20_000
    assert (failed, complete) == (20_000, False)
    assert outcomes(recorder) == {job: f"first {read} of 20000"}


def test_messages_of_the_orgs_own_are_kept_only_with_the_setting(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "FIELD_CUSTOM_VALIDATION_EXCEPTION:The end of contract 4711 is in the past:EndDate --"
    org.advance(MINUTE)
    load_of(org)
    answer(org, "failedResults", failed_results(rule), times=2)
    recorder.load()
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERROR_MESSAGES", "true")
    org.advance(MINUTE)
    load_of(org)
    recorder.load()

    assert recorder.rows("select fields, message from record_errors order by read_at") == [
        ("EndDate", None),
        ("EndDate", "The end of contract … is in the past"),
    ]


def test_while_the_file_is_held_results_wait(org: DemoOrg, recorder: Recorder) -> None:
    recorder.load()
    job = load_of(org)
    answer(org, "failedResults", failed_results(LOCKED))
    org.advance(MINUTE)
    with holding(recorder.primary_file), pytest.raises(TemporaryError):
        recorder.load()
    assert result_calls(org) == []
    org.advance(MINUTE)
    recorder.load()
    assert counts(recorder) == {job: {"UNABLE_TO_LOCK_ROW": 1}}
