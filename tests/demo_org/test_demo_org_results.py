"""The results of loads: the three CSV files of a finished job, against what is documented and recorded."""

import csv
import io
from typing import Any

import pytest
import requests
from demo_org_client import FIXTURES, INGEST, Client, recorded, types

from pipelines.demo_org.org import DemoOrg

LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"
NAMELESS = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
FILES = ("failedResults", "successfulResults", "unprocessedrecords")


def load(org: DemoOrg, **fields: Any) -> str:
    return org.add_job(**{"jobType": "V2Ingest", "state": "JobComplete", **fields})


def file(client: Client, job: str, name: str = "failedResults", **query: str) -> requests.Response:
    return client.get(f"{INGEST}/{job}/{name}", **query)


def text(client: Client, job: str, name: str = "failedResults") -> str:
    return file(client, job, name).content.decode()


def as_recorded(name: str) -> str:
    return (FIXTURES / name).read_bytes().decode()


# --- the files ---


def test_failed_records_are_answered_as_recorded(org: DemoOrg, client: Client) -> None:
    gone = load(org, operation="delete")
    made_up = "001000000000000AAA"
    org.fail_records(gone, [("INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--", {"Id": made_up}, made_up)])
    assert text(client, gone) == as_recorded("i_failed_51_v53plus_cross_reference.csv")
    old = load(org, operation="delete")
    org.fail_records(old, [(f"MALFORMED_ID:malformed id {made_up}:--", {"Id": made_up})])
    assert text(client, old) == as_recorded("i_failed_52_before_v53_malformed_id.csv")


def test_every_recorded_error_comes_back_as_it_was_planted(org: DemoOrg, client: Client) -> None:
    shapes = list(csv.DictReader(io.StringIO(as_recorded("i_failed_54_error_shapes.csv"))))
    job = load(org)
    org.fail_records(job, [(row["sf__Error"], {"Row__c": row["Row__c"]}) for row in shapes])
    assert len(shapes) == 29
    assert text(client, job) == as_recorded("i_failed_54_error_shapes.csv")


def test_a_file_without_rows_is_its_header_as_recorded(org: DemoOrg, client: Client) -> None:
    job = load(org, operation="update")
    org.succeed_records(job, [({"Id": "001000000000001AAA", "Phone": "1"}, "001000000000001AAA")], times=4)
    assert text(client, job) == as_recorded("i_failed_49_v52_header_only.csv")
    assert text(client, job, "unprocessedrecords") == as_recorded("i_unprocessed_50_v52_header_only.csv")
    shown = client.get(f"/services/data/v52.0/jobs/ingest/{job}").json()
    one = recorded("i_one_48_v52_update_complete")
    assert shown.keys() == one.keys()
    assert (shown["numberRecordsProcessed"], shown["numberRecordsFailed"]) == (4, 0)


def test_saved_records_say_whether_they_were_created(org: DemoOrg, client: Client) -> None:
    job = load(org)
    org.succeed_records(job, [({"NAME": 'a "b"'}, "a1Mfc000001IKfjEAG", True), ({"NAME": "c"}, "a1Mfc000001IKfkEAG")])
    head, *rows = text(client, job, "successfulResults").splitlines()
    assert head == '"sf__Id","sf__Created",NAME'
    assert rows == ['"a1Mfc000001IKfjEAG","true","a ""b"""', '"a1Mfc000001IKfkEAG","false","c"']


def test_a_failed_load_has_all_three(org: DemoOrg, client: Client) -> None:
    job = load(org, state="Failed", errorMessage="TooManyLockFailure : locked")
    org.fail_records(job, [(LOCKED, {"Name": "a"})])
    org.leave_unprocessed(job, [{"Name": "b"}, {"Name": "c"}])
    assert [len(text(client, job, name).splitlines()) - 1 for name in FILES] == [1, 0, 2]
    assert text(client, job, "unprocessedrecords") == 'Name\n"b"\n"c"\n'


@pytest.mark.parametrize(
    ("delimiter", "mark"),
    [("BACKQUOTE", "`"), ("CARET", "^"), ("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("TAB", "\t")],
)
@pytest.mark.parametrize(("ending", "end"), [("LF", "\n"), ("CRLF", "\r\n")])
def test_delimiter_and_line_ending_are_the_job_s_own(
    org: DemoOrg, client: Client, delimiter: str, mark: str, ending: str, end: str
) -> None:
    job = load(org, columnDelimiter=delimiter, lineEnding=ending)
    org.fail_records(job, [(LOCKED, {"Name": "a\nb", "Of.Other__c": "c"})])
    header = mark.join(['"sf__Id"', '"sf__Error"', "Name", "Of.Other__c"])
    assert text(client, job) == header + end + mark.join(['""', f'"{LOCKED}"', '"a\nb"', '"c"']) + end


def test_the_order_of_its_own_columns_differs_between_recordings(org: DemoOrg, client: Client) -> None:
    job = load(org, columnDelimiter="PIPE")
    org.results.error_first = True
    org.fail_records(job, [("E:m:--", {"FirstName": "A", "LastName": "B", "DOB": "1/1/1970"})])
    head = as_recorded("i_failed_53_pipe_error_first.csv").splitlines()[0]
    assert text(client, job).splitlines()[0].replace('"', "") == head


def test_answers_are_csv_in_chunks_and_compressed_for_who_accepts_it(org: DemoOrg, client: Client) -> None:
    job = load(org)
    org.fail_records(job, [(LOCKED, {"Name": "{n}"})], times=3)
    answer = file(client, job)
    assert answer.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Sforce-Locator" not in answer.headers
    assert [line.split(",")[-1] for line in answer.text.splitlines()] == ["Name", '"1"', '"2"', '"3"']
    path = f"{INGEST}/{job}/failedResults"
    plain = client.http.get(
        org.instance_url + path,
        headers={"Authorization": f"Bearer {org.access_token}", "Accept-Encoding": "identity"},
        timeout=10,
    )
    assert "Content-Encoding" not in plain.headers
    assert plain.text == answer.text
    org.results.compress = False
    assert "Content-Encoding" not in file(client, job).headers


# --- counts ---


def test_counts_follow_from_the_rows_unless_the_job_has_its_own(org: DemoOrg, client: Client) -> None:
    job = load(org)
    org.fail_records(job, [(LOCKED, {"Name": "{n}"}), (NAMELESS, {"Name": "{n}"})], times=2)
    org.succeed_records(job, [({"Name": "a"}, "001000000000001AAA")])
    shown = client.get(f"{INGEST}/{job}").json()
    assert (shown["numberRecordsProcessed"], shown["numberRecordsFailed"]) == (5, 4)
    org.edit_job(job, numberRecordsProcessed=100, numberRecordsFailed=50)
    shown = client.get(f"{INGEST}/{job}").json()
    assert (shown["numberRecordsProcessed"], shown["numberRecordsFailed"]) == (100, 50)
    errors = [row["sf__Error"] for row in csv.DictReader(io.StringIO(text(client, job)))]
    assert errors == [LOCKED, NAMELESS] * 2


def test_results_go_with_their_job(org: DemoOrg, client: Client) -> None:
    job = load(org)
    org.fail_records(job, [(LOCKED, {"Name": "a"})])
    org.delete_job(job)
    assert file(client, job).status_code == 404
    with pytest.raises(KeyError, match=job):
        org.fail_records(job, [])


# --- what public sources leave open ---


@pytest.mark.parametrize(("empty", "status", "body"), [("204", 204, ""), ("nothing", 200, "")])
def test_no_rows_may_be_no_body(org: DemoOrg, client: Client, empty: Any, status: int, body: str) -> None:
    org.results.empty = empty
    job = load(org)
    answer = file(client, job)
    assert (answer.status_code, answer.text) == (status, body)
    org.fail_records(job, [(LOCKED, {"Name": "a"})])
    assert file(client, job).text.count("\n") == 2


def test_parts_follow_by_locator(org: DemoOrg, client: Client) -> None:
    org.results.part_rows = 2
    job = load(org)
    org.fail_records(job, [(LOCKED, {"Name": "{n}"})], times=5)
    names, answer = [], file(client, job)
    while True:
        names.append([row["Name"] for row in csv.DictReader(io.StringIO(answer.text))])
        locator = answer.headers["Sforce-Locator"]
        if locator == "null":
            break
        answer = file(client, job, locator=locator)
    assert names == [["1", "2"], ["3", "4"], ["5"]]
    assert file(client, job, locator="nonsense").json()[0]["errorCode"] == "INVALID_LOCATOR"


def test_results_of_another_user_may_be_refused(org: DemoOrg, client: Client) -> None:
    other = load(org, createdById=org.add_user("Some Loader", "loader@demo-org.example"))
    own = load(org)
    assert file(client, other).status_code == 200
    org.results.own_only = True
    refused = file(client, other)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS")
    assert file(client, own).status_code == 200
    org.refuse_results(own)
    assert file(client, own).status_code == 403
    assert client.get(f"{INGEST}/{own}").status_code == 200


# --- what has none ---


@pytest.mark.parametrize("state", ["Open", "UploadComplete", "InProgress"])
def test_a_load_that_is_not_finished_has_no_results(org: DemoOrg, client: Client, state: str) -> None:
    for name in FILES:
        refused = file(client, load(org, state=state), name)
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")


def test_no_other_job_and_no_other_path_has_results(org: DemoOrg, client: Client) -> None:
    assert file(client, org.add_job(state="JobComplete")).status_code == 404
    assert file(client, org.add_job(jobType="Classic", state="Closed")).status_code == 404
    job = load(org)
    assert file(client, job, "unprocessedRecords").text == file(client, job, "unprocessedrecords").text
    for path in (f"ingest/{job}/results", f"query/{job}/failedResults", f"ingest/{job}/failedResults/x"):
        assert client.get(f"/services/data/v68.0/jobs/{path}").status_code == 404
    assert client.ask("POST", f"{INGEST}/{job}/failedResults").status_code == 405
    assert client.get(f"/services/data/v40.0/jobs/ingest/{job}/failedResults").status_code == 404
    org.expire_sessions()
    assert file(client, job).status_code == 401


def test_control_methods_plant_results_over_http(org: DemoOrg, client: Client) -> None:
    job = load(org)

    def control(method: str, **arguments: Any) -> requests.Response:
        return client.http.post(f"{org.instance_url}/_control/{method}", json=arguments, timeout=10)

    assert control("fail_records", job_id=job, records=[[LOCKED, {"Name": "{n}"}, "001"]], times=2).status_code == 200
    assert text(client, job).splitlines()[2] == f'"001","{LOCKED}","2"'
    assert control("fail_records", job_id=job, records=[[LOCKED]]).status_code == 400
    assert control("fail_records", job_id=job, records=[[LOCKED, {}]], times=0).status_code == 400
    assert control("refuse_results", job_id="750").status_code == 400
    assert types({"n": text(client, job)}) == {"n": str}
