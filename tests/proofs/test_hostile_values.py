"""Single values that once broke a load, or went without a trace; one test for each."""

import json
from datetime import timedelta

import pytest
from conftest import NOON, Recorder
from hostile_org import answered_by, once
from hostile_records import STAMP

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import AccessDenied, InvalidResponse, TemporaryError, sanitize
from pipelines.recording.feeds import QUERY
from pipelines.recording.job_answer import _values as details_values
from pipelines.recording.records import NewFields, jobs_to_arrow
from pipelines.salesforce.json_answers import decoded

LISTING = r"/jobs/query$"
ORG = "00D000000000001EAA"


def page(record: str) -> str:
    """A complete listing of one record, of which these fields are added to what it needs."""
    needed = f'"id": "750a", "state": "Open", "systemModstamp": "{STAMP}", "createdDate": "{STAMP}"'
    return f'{{"done": true, "records": [{{{needed}, {record}}}]}}'


def row(record: str) -> dict[str, object]:
    table, rejected = jobs_to_arrow(decoded(page(record).encode())["records"], ORG, NewFields())
    assert not rejected
    return table.to_pylist()[0]


@pytest.mark.parametrize("time", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+1400", "1899-12-31T23:59:59Z",
                                  "3000-01-01T00:00:00Z", "9999-12-31T23:59:59-1200"])  # fmt: skip
def test_a_time_of_another_age_is_kept_as_text(org: DemoOrg, recorder: Recorder, time: str) -> None:
    """Python's calendar ends at year 9999: the listing would never have loaded again while it showed such a job."""
    seen = row(f'"createdDate": "{time}"')
    assert (seen["created_date"], seen["created_date_text"]) == (None, time)

    records = json.loads(page('"x": 1'))["records"] * 2 + [{"id": "b", "state": "Open", "systemModstamp": time}]
    table, (rejected,) = jobs_to_arrow(records, ORG, NewFields())
    assert (table.num_rows, rejected.reason) == (2, "no readable systemModstamp")


@pytest.mark.parametrize("value", ["9" * 5_000, "-" + "9" * 5_000, "1e999", "-1e999", "NaN", "-Infinity"])
def test_a_number_that_no_computer_s_number_holds_is_kept_as_text(value: str) -> None:
    """On its own, in a nested value, as an API version: not as null, and not as the end of the page."""
    assert row(f'"size": {value}')["size"] == value
    assert json.loads(str(row(f'"sizes": [{value}]')["sizes"])) == [value]
    assert row(f'"apiVersion": {value}')["api_version_text"] == value


def test_an_integer_of_hundreds_of_digits_stays_whole_in_a_page_that_python_reads() -> None:
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


def test_a_page_nested_beyond_any_decoder_is_said_so(org: DemoOrg, recorder: Recorder) -> None:
    """It ends this load, and no other."""
    kept = org.add_job()
    for nested in ("[" * 1_000_000, '{"a":' * 1_000_000):
        org.fail_next(200, page(f'"deep": {nested}'), path=LISTING)
        assert isinstance(recorder.failure(), InvalidResponse)
    recorder.load()
    assert set(recorder.states()) == {kept}


def test_names_that_differ_in_half_a_character_stay_two() -> None:
    """Each half becomes the same replacement character."""
    assert sorted(json.loads(str(row('"\\ud800": "a", "\\ud801": "b"')["extra_fields"])).values()) == ["a", "b"]


@pytest.mark.parametrize("version", ["6_8", "٦٨", "0x44", "1e400"])
def test_what_only_python_takes_for_a_number_is_none(version: str) -> None:
    """The text as it was sent would be gone."""
    seen = row(f'"apiVersion": "{version}"')
    assert (seen["api_version"], seen["api_version_text"]) == (None, version)


def test_a_nameless_field_of_a_job_s_own_answer_is_no_column_s() -> None:
    """It became asked_at and attempts, which no table took."""
    assert details_values(QUERY, {"": "x"}) == {"extra_fields": '{"":"x"}'}


@pytest.mark.slow
def test_one_job_s_unreadable_answer_keeps_nobody_else_waiting(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs that job an attempt; the others get their answers all the same."""
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
def test_a_clock_of_another_age_is_not_believed(org: DemoOrg, recorder: Recorder, date: str) -> None:
    """It would be the time of the listing, and of what it first saw: later ones would come before it."""
    body = page('"x": 1').encode()
    head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answered_by(org, LISTING, once(head, body)):
        assert isinstance(recorder.failure(), TemporaryError)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -1200", "1 Jan 0000 25:00:00 GMT", "x"])
def test_a_date_that_cannot_be_read_is_none(org: DemoOrg, recorder: Recorder, date: str) -> None:
    """The answers before it tell the time."""
    body = page('"x": 1').encode()
    head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answered_by(org, LISTING, once(head, body)):
        recorder.load()

    ((observed,),) = recorder.rows("select observed_at from query_jobs")
    assert NOON <= observed < NOON + timedelta(hours=1)


@pytest.mark.parametrize("identity", ["00D", "x" * 100_000, "00D00000000000\x00EAA", "'; drop table x; --"])
def test_an_org_s_id_that_is_none_is_no_key(org: DemoOrg, recorder: Recorder, identity: str) -> None:
    """It is part of every key in the warehouse."""
    token = {"access_token": org.access_token, "instance_url": org.instance_url, "id": f"https://x/id/{identity}/005"}
    org.fail_next(200, token, path="/token")
    found = recorder.failure()

    assert isinstance(found, InvalidResponse)
    assert len(found.message) < 200


@pytest.mark.parametrize("token", ["x" * 100_000, "a b", "a\r\nX-Evil: 1", "é", "\x00"])
def test_a_token_that_is_none_is_never_sent(org: DemoOrg, recorder: Recorder, token: str) -> None:
    """Nor shown."""
    org.fail_next(200, {"access_token": token, "instance_url": org.instance_url}, path="/token")
    found = recorder.failure()

    assert isinstance(found, AccessDenied)
    assert len(str(found)) < 300


def test_a_host_as_long_as_none_is_no_host(org: DemoOrg, recorder: Recorder) -> None:
    """Cut off in the message."""
    org.fail_next(200, {"access_token": "x", "instance_url": f"https://{'x' * 100_000}.example"}, path="/token")

    assert len(str(recorder.failure())) < 400


def test_quoted_is_one_line_of_bounded_length() -> None:
    """Whatever it is made of."""
    assert sanitize("a\n\tb\x1b[0m\u202ec") == "a b\ufffd[0m\ufffdc"
    assert len(sanitize("x" * 10**6)) == 300
    assert sanitize({"a": 1}) == "{'a': 1}"


def test_of_a_job_shown_twice_the_last_shown_stays_though_it_was_stored_before(
    org: DemoOrg, recorder: Recorder
) -> None:
    """The earlier one alone differs from the warehouse, and would have taken its place until the next load."""
    first, last = (json.loads(page(f'"note": "{note}"'))["records"][0] for note in ("first", "last"))
    for records in ([last], [first, last], [first, last]):
        org.fail_next(200, {"done": True, "records": records}, path=LISTING)
        recorder.load()
        assert recorder.rows("select note from query_jobs") == [("last",)]
