"""The batches of Classic jobs and their results, against what is documented and recorded."""

import csv
import io
import json
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from demo_org_client import FIXTURES, Client, recorded, types

from pipelines.demo_org.org import DemoOrg

NAMESPACE = "{http://www.force.com/2009/06/asyncapi/dataload}"
NAMELESS = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
LOCKED = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 200 records: {n}:--"


def load(org: DemoOrg, **fields: Any) -> str:
    return org.add_job(**{"jobType": "Classic", "operation": "insert", "state": "Closed", **fields})


def ask(client: Client, path: str, **headers: str) -> requests.Response:
    headers = {"X-SFDC-Session": client.org.access_token, **headers}
    return client.http.get(f"{client.org.instance_url}/services/async/68.0/job/{path}", headers=headers, timeout=10)


def result(client: Client, job: str, batch: str) -> requests.Response:
    return ask(client, f"{job}/batch/{batch}/result")


def elements(parent: ElementTree.Element) -> dict[str, str | None]:
    return {element.tag.removeprefix(NAMESPACE): element.text for element in parent}


# --- the list ---


def test_batches_of_a_json_job_are_listed_as_documented(org: DemoOrg, client: Client) -> None:
    job = load(org, contentType="JSON")
    batch = org.add_batch(job, state="InProgress")
    listed, documented = ask(client, f"{job}/batch").json(), recorded("c_batches_56_doc_in_progress")
    assert listed.keys() == documented.keys()
    assert types(listed["batchInfo"][0]) == types(documented["batchInfo"][0])
    assert listed["batchInfo"][0].items() >= {"id": batch, "jobId": job, "state": "InProgress"}.items()
    assert batch.startswith("751")
    assert ask(client, f"{job}/batch/{batch[:15]}").json() == listed["batchInfo"][0]


def test_batches_of_other_jobs_are_listed_in_xml_as_documented(org: DemoOrg, client: Client) -> None:
    job = load(org, contentType="CSV")
    batch = org.add_batch(job, records=2, totalProcessingTime=5820, apiActiveProcessingTime=2166)
    org.add_batch(job, state="Failed", message="InvalidBatch : Field name not found : X & Y")
    answer = ask(client, f"{job}/batch", Accept="application/json")
    assert answer.headers["Content-Type"] == "application/xml;charset=UTF-8"
    root = ElementTree.fromstring(answer.content)
    documented = ElementTree.fromstring((FIXTURES / "c_batches_57_doc_completed.xml").read_bytes())
    assert root.tag == documented.tag
    first, second = map(elements, root)
    assert first.keys() == elements(documented[0]).keys()
    assert first["createdDate"] == "2026-11-02T12:00:00.000Z"
    for name in ("state", "numberRecordsProcessed", "numberRecordsFailed", "totalProcessingTime"):
        assert first[name] == elements(documented[0])[name]
    assert second["stateMessage"] == "InvalidBatch : Field name not found : X & Y"
    one = ElementTree.fromstring(ask(client, f"{job}/batch/{batch}").content)
    assert (one.tag, elements(one)) == (f"{NAMESPACE}batchInfo", first)


def test_json_comes_for_any_job_where_the_org_goes_by_what_is_asked(org: DemoOrg, client: Client) -> None:
    org.async_form = "asked"
    job = load(org, contentType="CSV")
    org.add_batch(job, records=2)
    assert ask(client, f"{job}/batch", Accept="application/json").json()["batchInfo"][0]["numberRecordsProcessed"] == 2
    assert ask(client, f"{job}/batch").headers["Content-Type"] == "application/xml;charset=UTF-8"


def test_a_job_s_counts_follow_from_its_batches(org: DemoOrg, client: Client) -> None:
    org.async_form, org.async_numbers = "asked", "number"
    job = load(org, numberRecordsProcessed=1, numberRecordsFailed=1)
    org.add_batch(job, records=200, failures={NAMELESS: 3, LOCKED: 4})
    org.add_batch(job, state="Failed", message="TooManyLockFailure : locked")
    org.add_batch(job, state="NotProcessed", message="Records not processed")
    running = org.add_batch(job, state="Queued")
    counts = {
        "numberBatchesQueued": 1,
        "numberBatchesInProgress": 0,
        "numberBatchesCompleted": 1,
        "numberBatchesFailed": 1,
        "numberBatchesTotal": 4,
        "numberRecordsProcessed": 200,
        "numberRecordsFailed": 7,
    }
    assert ask(client, job, Accept="application/json").json().items() >= counts.items()
    org.advance(timedelta(minutes=1))
    org.move_batch(running, "Completed", records=10, failures=[NAMELESS])
    shown = ask(client, job, Accept="application/json").json()
    assert (shown["numberRecordsFailed"], shown["numberBatchesQueued"]) == (8, 0)
    info = ask(client, f"{job}/batch/{running}", Accept="application/json").json()
    assert (info["systemModstamp"], info["createdDate"][:19]) == ("2026-11-02T12:01:00.000+0000", "2026-11-02T12:00:00")


def test_the_original_batch_of_a_chunked_query_is_not_processed(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="Classic", contentType="JSON", isPkChunkingEnabled=True)
    org.add_batch(job, state="NotProcessed")
    chunks = [org.add_batch(job, records=100_000, result_ids=2) for _ in range(2)]
    states = [batch["state"] for batch in ask(client, f"{job}/batch").json()["batchInfo"]]
    assert states == ["NotProcessed", "Completed", "Completed"]
    ids = [each for chunk in chunks for each in result(client, job, chunk).json()]
    assert len(set(ids)) == 4
    assert all(each.startswith("752") and len(each) == 18 for each in ids)


def test_a_query_in_csv_lists_its_results_in_xml(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="Classic", contentType="CSV")
    root = ElementTree.fromstring(result(client, job, org.add_batch(job, records=5)).content)
    assert root.tag == f"{NAMESPACE}result-list"
    assert [element.tag for element in root] == [f"{NAMESPACE}result"]


def test_batches_count_towards_the_daily_allowance_and_go_with_their_job(org: DemoOrg, client: Client) -> None:
    job = load(org)
    assert ask(client, f"{job}/batch").status_code == 200
    batches = [org.add_batch(job) for _ in range(3)]
    assert org.usage.batches(org.now) == 3
    assert ask(client, f"{job}/batch/{batches[2]}").status_code == 200
    org.delete_job(job)
    assert ask(client, f"{job}/batch").status_code == 400
    with pytest.raises(KeyError, match="no batch"):
        org.move_batch(batches[0], "Failed")
    with pytest.raises(KeyError, match="no job"):
        org.add_batch(job)


# --- results ---


def test_results_of_a_csv_job_are_as_documented(org: DemoOrg, client: Client) -> None:
    job = load(org)
    answer = result(client, job, org.add_batch(job, records=3, failures={NAMELESS: 1}))
    assert answer.headers["Content-Type"] == "text/csv;charset=UTF-8"
    documented = (FIXTURES / "c_result_58_doc_csv.csv").read_text()
    assert answer.text.splitlines()[0] == documented.splitlines()[0]
    assert answer.text.splitlines()[-1] == documented.splitlines()[-1]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["Success"], row["Created"]) for row in rows] == [("true", "true")] * 2 + [("false", "false")]
    assert all(len(row["Id"]) == 18 for row in rows[:2])


def test_results_of_a_json_job_are_as_documented(org: DemoOrg, client: Client) -> None:
    job = load(org, contentType="JSON")
    given = result(client, job, org.add_batch(job, records=2, failures={NAMELESS: 1})).json()
    documented = recorded("c_result_60_json_null_id")
    assert given[1] == documented[1]
    assert types(given[0]) == types(documented[0])
    assert (given[0]["success"], given[0]["created"]) == (True, True)


def test_results_of_an_xml_job_are_as_recorded_two_errors_too(org: DemoOrg, client: Client) -> None:
    job = load(org, contentType="XML", operation="update")
    message = "INVALID_FIELD_FOR_INSERT_UPDATE:Account: bad field names on insert/update call: Name"
    batch = org.add_batch(job, records=2, failures=[[f"{message}:Name --", f"{message}:Other__c --"]])
    root = ElementTree.fromstring(result(client, job, batch).content)
    documented = ElementTree.fromstring((FIXTURES / "c_result_59_two_errors.xml").read_bytes())
    assert root.tag == documented.tag
    assert ElementTree.tostring(root[1]).split() == ElementTree.tostring(documented[1]).split()
    assert elements(root[0]).keys() == elements(documented[0]).keys()
    assert (elements(root[0])["success"], elements(root[0])["created"]) == ("true", "false")


@pytest.mark.parametrize(
    ("content", "kind"), [("ZIP_CSV", "text/csv"), ("ZIP_XML", "application/xml"), ("ZIP_JSON", "application/json")]
)
def test_results_of_a_zipped_upload_have_the_form_inside(org: DemoOrg, client: Client, content: str, kind: str) -> None:
    job = load(org, contentType=content)
    answer = result(client, job, org.add_batch(job, records=1))
    assert answer.headers["Content-Type"] == f"{kind};charset=UTF-8"


@pytest.mark.parametrize("content", ["CSV", "JSON", "XML"])
def test_results_come_in_chunks_and_compressed_for_who_accepts_it(org: DemoOrg, client: Client, content: str) -> None:
    job = load(org, contentType=content)
    batch = org.add_batch(job, records=10_000, failures={NAMELESS: 1_234, LOCKED: 55})
    answer = result(client, job, batch)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Encoding"] == "gzip"
    if content == "CSV":
        failed = [row for row in csv.DictReader(io.StringIO(answer.text)) if row["Success"] == "false"]
        assert len(failed) == 1_289
        assert failed[-1]["Error"] == LOCKED.replace("{n}", "1289")
    elif content == "JSON":
        rows = json.loads(answer.text)
        assert (len(rows), sum(not row["success"] for row in rows)) == (10_000, 1_289)
    else:
        assert answer.text.count("<errors>") == 1_289
    assert ask(client, f"{job}/batch/{batch}/result", **{"Accept-Encoding": "identity"}).text == answer.text


def test_an_error_without_code_or_tail_is_an_unknown_one(org: DemoOrg, client: Client) -> None:
    job = load(org, contentType="JSON")
    [row] = result(client, job, org.add_batch(job, records=1, failures=["something: went wrong"])).json()
    assert row["errors"] == [{"message": "something: went wrong", "fields": [], "statusCode": "UNKNOWN_EXCEPTION"}]


# --- what it refuses ---


def refused(answer: requests.Response) -> tuple[int, str | None]:
    return answer.status_code, elements(ElementTree.fromstring(answer.content))["exceptionCode"]


@pytest.mark.parametrize("state", ["Queued", "InProgress", "NotProcessed"])
def test_a_batch_that_is_not_completed_has_no_results(org: DemoOrg, client: Client, state: str) -> None:
    job = load(org)
    assert refused(result(client, job, org.add_batch(job, state=state))) == (400, "InvalidBatch")


def test_a_failed_batch_may_have_saved_records(org: DemoOrg, client: Client) -> None:
    job = load(org)
    batch = org.add_batch(job, state="Failed", records=2, failures={NAMELESS: 1}, message="Timeout : …")
    assert len(result(client, job, batch).text.splitlines()) == 3


def test_unknown_batches_and_paths_are_refused(org: DemoOrg, client: Client) -> None:
    job, other = load(org), load(org)
    batch = org.add_batch(other, records=1)
    assert refused(ask(client, f"{job}/batch/{batch}")) == (400, "InvalidBatch")
    assert refused(result(client, job, batch)) == (400, "InvalidBatch")
    assert refused(ask(client, f"{job}/batches")) == (400, "InvalidUrl")
    assert refused(ask(client, f"750000000000000AAA/batch/{batch}/result")) == (400, "InvalidJob")


def test_results_of_another_user_may_be_refused(org: DemoOrg, client: Client) -> None:
    job = load(org, createdById=org.add_user("Some Loader", "loader@demo-org.example"))
    batch = org.add_batch(job, records=1)
    assert result(client, job, batch).status_code == 200
    org.results.own_only = True
    assert refused(result(client, job, batch)) == (400, "InvalidUser")
    assert ask(client, f"{job}/batch").status_code == 200
    org.results.own_only = False
    org.refuse_results(job)
    assert refused(result(client, job, batch)) == (400, "InvalidUser")


def test_results_can_be_made_endless(org: DemoOrg, client: Client) -> None:
    job = load(org)
    batch = org.add_batch(job, records=1)
    org.stream_next("x", 3, path="/batch/.*/result$")
    assert result(client, job, batch).text == "xxx"
    assert ask(client, f"{job}/batch/{batch}").status_code == 200
