"""Why the records of V2 loads failed: counted by reason, whatever form their results have."""

import gzip
from datetime import timedelta

import pytest
from demo_org_client import FIXTURES
from failed_loads import (
    LOCKED,
    MISSING,
    answer,
    classic_load_of,
    counts,
    failed_results,
    load_of,
    outcomes,
    record_errors,
    result_calls,
)
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

MINUTE = timedelta(minutes=1)
SHAPES = (FIXTURES / "i_failed_54_error_shapes.csv").read_bytes()


@pytest.fixture(autouse=True)
def errors_are_recorded(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    record_errors(monkeypatch)


def test_all_shapes_of_errors_are_counted_once(org: DemoOrg, recorder: Recorder) -> None:
    job = load_of(org, failed=29)
    answer(org, "failedResults", SHAPES)
    runs = []
    for _ in range(2):
        runs.append(str(recorder.load()))
        org.advance(MINUTE)

    assert [" · reasons read for 1 load with failed records · " in run for run in runs] == [True, False]
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


def test_results_of_queries_are_never_asked_for(org: DemoOrg, recorder: Recorder) -> None:
    for operation in ("query", "queryAll"):
        classic_load_of(org, operation=operation, failed_batches=1)
    org.add_job(state="Failed", errorMessage="InvalidBatch : Failed to process query")
    load_of(org, failed=0)
    recorder.load()

    assert result_calls(org) == []
    assert counts(recorder) == {}


def test_reading_can_be_switched_off(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "false")
    load_of(org)
    run = recorder.load()
    assert run.results is None
    assert result_calls(org) == []


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
