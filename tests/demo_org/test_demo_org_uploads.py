"""Loads made through the demo org's own API: what it takes, what it does with it, and what it refuses."""

import json
from datetime import timedelta
from typing import Any

import pytest
import requests
from demo_org_client import INGEST, Client, recorded, types

from pipelines.demo_org.control import METHODS
from pipelines.demo_org.org import DemoOrg


def create(client: Client, **fields: Any) -> requests.Response:
    return client.ask("POST", INGEST, json={"object": "Account", "operation": "insert", **fields})


def upload(client: Client, job: str, text: str) -> int:
    headers = {"Content-Type": "text/csv"}
    return client.ask("PUT", f"{INGEST}/{job}/batches", data=text.encode(), extra=headers).status_code


def move(client: Client, job: str, state: str) -> requests.Response:
    return client.ask("PATCH", f"{INGEST}/{job}", json={"state": state})


def loaded(client: Client, text: str, **fields: Any) -> dict[str, Any]:
    """Makes a load of a CSV, and gives the job as it is then."""
    job = create(client, **fields).json()["id"]
    assert upload(client, job, text) == 201
    assert move(client, job, "UploadComplete").status_code == 200
    shown: dict[str, Any] = client.get(f"{INGEST}/{job}").json()
    return shown


def results(client: Client, job: str, name: str) -> list[str]:
    return client.get(f"{INGEST}/{job}/{name}").text.splitlines()[1:]


@pytest.fixture
def client(client: Client) -> Client:
    """One that can send further headers."""
    plain = client.http.request

    def ask(method: str, path: str, extra: dict[str, str] | None = None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {client.org.access_token}", **(extra or {})}
        return plain(method, client.org.instance_url + path, headers=headers, timeout=10, **options)

    client.ask = ask  # type: ignore[method-assign]
    return client


def test_a_created_job_is_answered_as_recorded_and_listed(org: DemoOrg, client: Client) -> None:
    answer = client.ask(
        "POST",
        "/services/data/v50.0/jobs/ingest",
        json={"object": "Account", "operation": "insert", "lineEnding": "CRLF"},
    )
    shown, as_recorded = answer.json(), recorded("i_create_10_open_contenturl")
    assert types(shown) == types(as_recorded)
    assert shown["contentUrl"] == as_recorded["contentUrl"].replace(as_recorded["id"], shown["id"])
    assert shown.items() >= {"apiVersion": 50.0, "lineEnding": "CRLF", "createdById": org.integration_user_id}.items()
    [listed] = client.get(INGEST).json()["records"]
    assert (listed["id"], listed["state"]) == (shown["id"], "Open")


def test_a_load_runs_when_it_is_closed(org: DemoOrg, client: Client) -> None:
    job = create(client).json()["id"]
    assert upload(client, job, "Name,Site\nA,{n}\n,2\n#N/A,3\nB,4\n") == 201
    org.advance(timedelta(minutes=1))
    closed = move(client, job, "UploadComplete").json()
    assert (closed["state"], closed["systemModstamp"]) == ("UploadComplete", "2026-11-02T12:01:00.000+0000")
    assert "contentUrl" not in closed
    done = client.get(f"{INGEST}/{job}").json()
    assert (done["state"], done["numberRecordsProcessed"], done["numberRecordsFailed"]) == ("JobComplete", 4, 2)
    assert [line.rsplit(",", 1)[1] for line in results(client, job, "failedResults")] == ['"2"', '"3"']
    assert [line.rsplit(",", 1)[1] for line in results(client, job, "successfulResults")] == ['"{n}"', '"4"']


def test_a_load_may_wait_until_it_is_run(org: DemoOrg, client: Client) -> None:
    org.runs_loads = False
    shown = loaded(client, "Name\nA\n")
    assert shown["state"] == "UploadComplete"
    METHODS["run_load"](org, shown["id"])
    assert client.get(f"{INGEST}/{shown['id']}").json()["state"] == "JobComplete"


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("Id,Name\n1,A\n", {"operation": "delete"}, "InvalidBatch : The 'delete' batch must contain only ids"),
        ("Name,Gone__c\nA,1\n", {}, "InvalidBatch : Field name not found : Gone__c"),
        (
            "Name\r\nA\r\n",
            {},
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        (
            "Name\nA\n",
            {"lineEnding": "CRLF"},
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is CRLF",
        ),
    ],
)
def test_an_upload_can_fail_as_a_whole(
    org: DemoOrg, client: Client, text: str, fields: dict[str, str], message: str
) -> None:
    org.rules.unknown_fields.add("Gone__c")
    shown = loaded(client, text, **fields)
    assert (shown["state"], shown["errorMessage"], shown["numberRecordsProcessed"]) == ("Failed", message, 0)


def test_required_fields_keys_and_values_are_looked_at(org: DemoOrg, client: Client) -> None:
    org.rules.refuse_value("Company", "Bad", "FIELD_CUSTOM_VALIDATION_EXCEPTION:Not this one:Company --")
    text = "Key__c\tLastName\tCompany\nk1\tA\tB\n\tA\tB\nk2\t\t\nk3\tA\tBad\nk1\tA\tB\n"
    shown = loaded(client, text, object="Lead", operation="upsert", externalIdFieldName="Key__c", columnDelimiter="TAB")
    assert shown["externalIdFieldName"] == "Key__c"
    assert [line.split("\t")[1].strip('"') for line in results(client, shown["id"], "failedResults")] == [
        "MISSING_ARGUMENT:Key__c not specified:--",
        "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName, Company]:LastName, Company --",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION:Not this one:Company --",
    ]
    created = [line.split("\t") for line in results(client, shown["id"], "successfulResults")]
    assert [row[1] for row in created] == ['"true"', '"false"']
    assert created[0][0] == created[1][0]


def test_an_aborted_load_leaves_its_records(org: DemoOrg, client: Client) -> None:
    job = create(client).json()["id"]
    upload(client, job, "Name\nA\nB\n")
    assert move(client, job, "Aborted").json()["state"] == "Aborted"
    assert results(client, job, "unprocessedrecords") == ['"A"', '"B"']
    assert results(client, job, "failedResults") == []


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "query"},
        {"object": ""},
        {"operation": "upsert"},
        {"contentType": "JSON"},
        {"columnDelimiter": "SPACE"},
        {"lineEnding": "CR"},
    ],
)
def test_an_impossible_job_is_not_created(org: DemoOrg, client: Client, fields: dict[str, str]) -> None:
    refused = create(client, **fields)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALIDJOB")
    assert org.ingest_jobs == {}


def test_what_does_not_fit_the_state_is_refused(org: DemoOrg, client: Client) -> None:
    job = create(client).json()["id"]
    assert client.ask("DELETE", f"{INGEST}/{job}").status_code == 400
    assert upload(client, job, "Name\nA\n") == 201
    assert upload(client, job, "Name\nA\n") == 400
    assert move(client, job, "JobComplete").status_code == 400
    assert move(client, job, "UploadComplete").status_code == 200
    for state in ("UploadComplete", "Aborted"):
        assert move(client, job, state).json()[0]["errorCode"] == "INVALIDJOBSTATE"
    assert upload(client, job, "Name\nA\n") == 400
    assert client.ask("DELETE", f"{INGEST}/{job}").status_code == 204
    assert move(client, job, "Aborted").status_code == upload(client, job, "") == 404
    assert client.get(f"{INGEST}/{job}/failedResults").status_code == 404
    assert client.ask("POST", INGEST, data=b"no JSON").status_code == 400
    assert client.ask("POST", "/services/data/v68.0/jobs/query", json={}).status_code == 405
    org.expire_sessions()
    assert create(client).status_code == 401


# --- the Classic API ---


def classic(client: Client, path: str, body: bytes, kind: str) -> requests.Response:
    headers = {"X-SFDC-Session": client.org.access_token, "Content-Type": kind}
    return client.ask("POST", f"/services/async/52.0/job{path}", data=body, extra=headers)


def job_info(**fields: str) -> bytes:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f'<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload">{inner}</jobInfo>'.encode()


def test_a_classic_load_in_xml(org: DemoOrg, client: Client) -> None:
    made = classic(client, "", job_info(operation="insert", object="Account", contentType="XML"), "application/xml")
    assert (made.status_code, "<state>Open</state>" in made.text) == (201, True)
    [(job, record)] = org.jobs.items()
    assert record.items() >= {"apiVersion": 52.0, "createdById": org.integration_user_id, "jobType": "Classic"}.items()
    rows = b"<sObjects xmlns='x'><sObject><Name>A</Name></sObject><sObject><Site>B</Site></sObject></sObjects>"
    added = classic(client, f"/{job}/batch", rows, "application/xml")
    assert (added.status_code, "<state>Queued</state>" in added.text) == (201, True)
    [batch] = org.batches[job]
    assert (batch.state, batch.records, batch.failed) == ("Completed", 2, 1)
    assert classic(client, f"/{job}", job_info(state="Closed"), "application/xml").status_code == 200
    assert org.jobs[job]["state"] == "Closed"
    for path in (f"/{job}", f"/{job}/batch"):
        refused = classic(client, path, job_info(state="Aborted"), "application/xml")
        assert (refused.status_code, "InvalidJobState" in refused.text) == (400, True)


def test_an_aborted_classic_load_leaves_queued_batches(org: DemoOrg, client: Client) -> None:
    org.runs_loads = False
    body = json.dumps({"operation": "insert", "object": "Account", "contentType": "CSV"}).encode()
    job = classic(client, "", body, "application/json").json()["id"]
    classic(client, f"/{job}/batch", b"Name\nA\n", "text/csv")
    assert classic(client, f"/{job}", b'{"state": "Aborted"}', "application/json").json()["state"] == "Aborted"
    [batch] = org.batches[job]
    assert (batch.state, batch.message) == ("NotProcessed", "Records not processed")


@pytest.mark.parametrize(
    ("content", "body", "message"),
    [
        ("JSON", b"no JSON", "InvalidBatch : Failed to parse JSON"),
        ("XML", b"no XML", "InvalidBatch : Failed to parse XML"),
        ("CSV", b"\xff", "InvalidBatch : Failed to parse CSV"),
        ("ZIP_CSV", b"PK", "InvalidBatch : The demo org does not read ZIP_CSV"),
    ],
)
def test_an_unreadable_batch_fails(org: DemoOrg, client: Client, content: str, body: bytes, message: str) -> None:
    made = json.dumps({"operation": "insert", "object": "Account", "contentType": content}).encode()
    job = classic(client, "", made, "application/json").json()["id"]
    assert classic(client, f"/{job}/batch", body, "text/csv").status_code == 201
    [batch] = org.batches[job]
    assert batch.state == "Failed"
    assert (batch.message or "").startswith(message)


@pytest.mark.parametrize("fields", [{}, {"object": "Account"}, {"object": "Account", "operation": "upsert"}])
def test_an_impossible_classic_job_is_not_created(org: DemoOrg, client: Client, fields: dict[str, str]) -> None:
    assert classic(client, "", job_info(**fields), "application/xml").status_code == 400
    assert org.jobs == {}


def test_a_query_is_not_run(org: DemoOrg, client: Client) -> None:
    classic(client, "", job_info(operation="query", object="Account", contentType="CSV"), "application/xml")
    [job] = org.jobs
    classic(client, f"/{job}/batch", b"SELECT Id FROM Account", "text/csv")
    assert (org.batches[job][0].state, org.batches[job][0].message) == (
        *("Failed", "InvalidBatch : Failed to process query: the demo org runs none"),
    )  # fmt: skip
