"""Single values that once broke a load, or were lost without a trace; one test for each."""

import json
from datetime import timedelta

import pytest
from hostile_org import answered_by, once
from hostile_records import STAMP
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import AccessDenied, InvalidResponse, TemporaryError, sanitize
from pipelines.recording.feeds import QUERY
from pipelines.recording.job_answer import _values as details_values
from pipelines.recording.records import NewFields, jobs_to_arrow
from pipelines.salesforce.json_answers import decoded

LISTING = r"/jobs/query$"
ORG = "00D000000000001EAA"


def page(record: str) -> str:
    """A complete listing of one record: the required fields, plus these."""
    needed = f'"id": "750a", "state": "Open", "systemModstamp": "{STAMP}", "createdDate": "{STAMP}"'
    return f'{{"done": true, "records": [{{{needed}, {record}}}]}}'


def row(record: str) -> dict[str, object]:
    table, rejected = jobs_to_arrow(decoded(page(record).encode())["records"], ORG, NewFields())
    assert not rejected
    return table.to_pylist()[0]


@pytest.mark.parametrize("time", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+1400", "1899-12-31T23:59:59Z",
                                  "3000-01-01T00:00:00Z", "9999-12-31T23:59:59-1200"])  # fmt: skip
def test_a_time_out_of_range_is_kept_as_text(org: DemoOrg, recorder: Recorder, time: str) -> None:
    """Python's calendar ends in the year 9999: the listing could not have been loaded as long as it showed such a
    job."""
    seen = row(f'"createdDate": "{time}"')
    assert (seen["created_date"], seen["created_date_text"]) == (None, time)

    records = json.loads(page('"x": 1'))["records"] * 2 + [{"id": "b", "state": "Open", "systemModstamp": time}]
    table, (rejected,) = jobs_to_arrow(records, ORG, NewFields())
    assert (table.num_rows, rejected.reason) == (2, "no readable systemModstamp")


@pytest.mark.parametrize("value", ["9" * 5_000, "-" + "9" * 5_000, "1e999", "-1e999", "NaN", "-Infinity"])
def test_a_number_out_of_range_is_kept_as_text(value: str) -> None:
    """By itself, in a nested value, as an API version: it neither becomes null nor ends the page."""
    assert row(f'"size": {value}')["size"] == value
    assert json.loads(str(row(f'"sizes": [{value}]')["sizes"])) == [value]
    assert row(f'"apiVersion": {value}')["api_version_text"] == value


def test_an_integer_of_hundreds_of_digits_is_kept_exactly() -> None:
    """orjson writes none of more than 64 bits."""
    digits = "9" * 400
    assert row(f'"half": "\\ud800", "sizes": [{digits}]')["sizes"] == f"[{digits}]"


@pytest.mark.parametrize("levels", [300, 1_000])
def test_a_value_nested_as_deep_as_it_can_be_read_is_kept(org: DemoOrg, recorder: Recorder, levels: int) -> None:
    """orjson reads 1,024 levels and writes 254 of them."""
    deep = "[" * levels + "]" * levels
    org.fail_next(200, page(f'"deep": {deep}'), path=LISTING)
    recorder.load()

    assert recorder.rows("select deep from query_jobs") == [(deep,)]


def test_a_page_nested_too_deeply_for_any_decoder_is_reported(org: DemoOrg, recorder: Recorder) -> None:
    """It ends this load, and no other."""
    kept = org.add_job()
    for nested in ("[" * 1_000_000, '{"a":' * 1_000_000):
        org.fail_next(200, page(f'"deep": {nested}'), path=LISTING)
        assert isinstance(recorder.failure(), InvalidResponse)
    recorder.load()
    assert set(recorder.states()) == {kept}


def test_names_that_differ_in_half_a_character_stay_distinct() -> None:
    """Each half becomes the same replacement character."""
    assert sorted(json.loads(str(row('"\\ud800": "a", "\\ud801": "b"')["extra_fields"])).values()) == ["a", "b"]


@pytest.mark.parametrize("version", ["6_8", "٦٨", "0x44", "1e400"])
def test_numbers_that_only_python_accepts_are_kept_as_text(version: str) -> None:
    """Otherwise, the text as sent would be lost."""
    seen = row(f'"apiVersion": "{version}"')
    assert (seen["api_version"], seen["api_version_text"]) == (None, version)


def test_a_nameless_field_in_a_jobs_details_fills_no_column() -> None:
    """It once filled asked_at and attempts, which then did not fit the table."""
    assert details_values(QUERY, {"": "x"}) == {"extra_fields": '{"":"x"}'}


@pytest.mark.slow
def test_one_jobs_unreadable_answer_delays_no_other_job(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs that job an attempt; the others still get their answers."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "100")
    jobs = [org.add_job(state="JobComplete") for _ in range(30)]
    poison = org.add_job(state="Failed")
    for _ in range(2):
        with answered_by(org, f"/jobs/query/{poison}", once(b"HTTP/1.1 200 OK\r\n\r\n<html>")):
            run = recorder.load()
        assert len(run.notes) == 1
        assert {job for job, (outcome, *_) in recorder.details().items() if outcome == "answered"} == set(jobs)
    recorder.load()
    assert recorder.details("outcome, attempts")[poison] == ["answered", 3]


@pytest.mark.parametrize(
    "date", ["Mon, 01 Jan 0001 00:00:00 +1400", "Thu, 31 Dec 2199 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"]
)
def test_a_clock_out_of_range_is_not_trusted(org: DemoOrg, recorder: Recorder, date: str) -> None:
    """It would be the time of the listing and of everything first seen in it: later listings would sort before it."""
    body = page('"x": 1').encode()
    head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answered_by(org, LISTING, once(head, body)):
        assert isinstance(recorder.failure(), TemporaryError)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -1200", "1 Jan 0000 25:00:00 GMT", "x"])
def test_an_unreadable_date_header_is_ignored(org: DemoOrg, recorder: Recorder, date: str) -> None:
    """Earlier answers give the time."""
    body = page('"x": 1').encode()
    head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answered_by(org, LISTING, once(head, body)):
        recorder.load()

    ((observed,),) = recorder.rows("select observed_at from query_jobs")
    assert NOON <= observed < NOON + timedelta(hours=1)


@pytest.mark.parametrize("identity", ["00D", "x" * 100_000, "00D00000000000\x00EAA", "'; drop table x; --"])
def test_an_invalid_org_id_is_refused(org: DemoOrg, recorder: Recorder, identity: str) -> None:
    """It would be part of every key in the warehouse."""
    token = {"access_token": org.access_token, "instance_url": org.instance_url, "id": f"https://x/id/{identity}/005"}
    org.fail_next(200, token, path="/token")
    found = recorder.failure()

    assert isinstance(found, InvalidResponse)
    assert len(found.message) < 200


@pytest.mark.parametrize("token", ["x" * 100_000, "a b", "a\r\nX-Evil: 1", "é", "\x00"])
def test_an_invalid_token_is_never_sent(org: DemoOrg, recorder: Recorder, token: str) -> None:
    """Nor shown."""
    org.fail_next(200, {"access_token": token, "instance_url": org.instance_url}, path="/token")
    found = recorder.failure()

    assert isinstance(found, AccessDenied)
    assert len(str(found)) < 300


def test_an_overlong_host_is_refused(org: DemoOrg, recorder: Recorder) -> None:
    """It is truncated in the message."""
    org.fail_next(200, {"access_token": "x", "instance_url": f"https://{'x' * 100_000}.example"}, path="/token")

    assert len(str(recorder.failure())) < 400


def test_sanitized_text_is_one_line_of_limited_length() -> None:
    """Whatever it consists of."""
    assert sanitize("a\n\tb\x1b[0m\u202ec") == "a b\ufffd[0m\ufffdc"
    assert len(sanitize("x" * 10**6)) == 300
    assert sanitize({"a": 1}) == "{'a': 1}"


def test_if_a_job_is_shown_twice_the_last_row_is_kept_even_if_already_stored(org: DemoOrg, recorder: Recorder) -> None:
    """Only the earlier row differs from the warehouse, and would have replaced it until the next load."""
    first, last = (json.loads(page(f'"note": "{note}"'))["records"][0] for note in ("first", "last"))
    for records in ([last], [first, last], [first, last]):
        org.fail_next(200, {"done": True, "records": records}, path=LISTING)
        recorder.load()
        assert recorder.rows("select note from query_jobs") == [("last",)]
