"""Loads of clients that were written for the real org: simple-salesforce and jsforce create, upload, close and read."""

import csv
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo_org_client import INGEST, Client
from foreign_clients import JSFORCE, installed_jsforce, session_at, signed_in
from recorders import NOON
from simple_salesforce import Salesforce
from simple_salesforce.bulk2 import ColumnDelimiter, LineEnding
from simple_salesforce.exceptions import SalesforceOperationError

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving

CONTACTS = [
    {"Key__c": "k1", "LastName": "One, and a comma", "Email": "one@example"},
    {"Key__c": "k2", "LastName": "", "Email": "two@example"},
    {"Key__c": "k3", "LastName": 'Three "quoted"', "Email": "three@example"},
    {"Key__c": "k4", "LastName": "Four", "Email": "no e-mail"},
]
MISSING = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
EMAIL = "INVALID_EMAIL_ADDRESS:Email: invalid email address: no e-mail:Email --"


def demo_org() -> DemoOrg:
    """An org with two rules of its own."""
    org = DemoOrg(now=NOON)
    org.rules.refuse_value("Email", "no e-mail", EMAIL)
    org.rules.unknown_fields.add("Gone__c")
    return org


def rows(text: str, delimiter: str = ",") -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


# --- simple-salesforce ---


@pytest.fixture
def salesforce(certificate: tuple[str, str]) -> Iterator[tuple[DemoOrg, Salesforce]]:
    with session_at(org := demo_org(), certificate) as http:
        yield org, signed_in(org, http)


def test_simple_salesforce_inserts_and_reads_all_three_results(salesforce: tuple[DemoOrg, Salesforce]) -> None:
    org, client = salesforce
    [done] = client.bulk2.Contact.insert(records=CONTACTS, wait=0)
    assert done.items() >= {"numberRecordsFailed": 2, "numberRecordsProcessed": 4, "numberRecordsTotal": 4}.items()
    job = done["job_id"]
    found = client.bulk2.Contact.get_all_ingest_records(job)
    assert [(row["sf__Error"], row["Key__c"]) for row in found["failedRecords"]] == [(MISSING, "k2"), (EMAIL, "k4")]
    assert [(row["sf__Created"], row["LastName"]) for row in found["successfulRecords"]] == [
        ("true", "One, and a comma"),
        ("true", 'Three "quoted"'),
    ]
    assert all(row["sf__Id"].startswith("003") and len(row["sf__Id"]) == 18 for row in found["successfulRecords"])
    assert found["unprocessedRecords"] == []
    listed = client.restful("jobs/ingest")["records"]
    assert [(each["id"], each["state"], each["createdById"]) for each in listed] == [
        (job, "JobComplete", org.integration_user_id)
    ]


def test_simple_salesforce_upserts_by_key_with_its_own_format(salesforce: tuple[DemoOrg, Salesforce]) -> None:
    org, client = salesforce
    options: dict[str, Any] = {"column_delimiter": ColumnDelimiter.PIPE, "line_ending": LineEnding.CRLF, "wait": 0}
    jobs = [
        client.bulk2.Contact.upsert(records=CONTACTS, external_id_field="Key__c", **options)[0]["job_id"]
        for _ in range(2)
    ]
    created = [
        [row["sf__Created"] for row in rows(client.bulk2.Contact.get_successful_records(job), "|")] for job in jobs
    ]
    assert created == [["true"] * 2, ["false"] * 2]
    header, _, _ = client.bulk2.Contact.get_failed_records(jobs[0]).partition("\r\n")
    own, columns = header.split("|")[:2], header.split("|")[2:]
    assert own == ['"sf__Id"', '"sf__Error"']
    assert sorted(columns) == ["Email", "Key__c", "LastName"]  # it puts them into an order of its own
    shown = client.restful(f"jobs/ingest/{jobs[0]}")
    assert (shown["externalIdFieldName"], shown["columnDelimiter"], shown["lineEnding"]) == ("Key__c", "PIPE", "CRLF")
    assert org.usage.batches(org.now) == 2


def test_simple_salesforce_updates_and_deletes_by_id(salesforce: tuple[DemoOrg, Salesforce]) -> None:
    _, client = salesforce
    ids = [{"Id": "003Dm0000000001AAA"}, {"Id": "no id"}]
    [updated] = client.bulk2.Contact.update(records=[{**each, "Email": "x@example"} for each in ids], wait=0)
    [row] = rows(client.bulk2.Contact.get_failed_records(updated["job_id"]))
    assert (row["sf__Error"], row["sf__Id"]) == ("MALFORMED_ID:malformed id no id:--", "no id")
    [deleted] = client.bulk2.Contact.delete(records=ids, wait=0)
    assert (deleted["numberRecordsProcessed"], deleted["numberRecordsFailed"]) == (2, 1)


def test_simple_salesforce_is_told_why_a_load_failed(salesforce: tuple[DemoOrg, Salesforce]) -> None:
    org, client = salesforce
    with pytest.raises(SalesforceOperationError, match="InvalidBatch : Field name not found : Gone__c"):
        client.bulk2.Contact.insert(records=[{"LastName": "A", "Gone__c": "1"}], wait=0)
    [(job, record)] = org.ingest_jobs.items()
    assert record["state"] == "Failed"
    assert rows(client.bulk2.Contact.get_unprocessed_records(job)) == [{"LastName": "A", "Gone__c": "1"}]


def test_simple_salesforce_loads_through_the_classic_api(salesforce: tuple[DemoOrg, Salesforce]) -> None:
    org, client = salesforce
    results = list(client.bulk.Contact.insert(CONTACTS, batch_size=3, use_serial=True))
    assert [row["success"] for row in results] == [True, False, True, False]
    assert results[1]["errors"] == [
        {"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [LastName]", "fields": ["LastName"]}
    ]  # fmt: skip
    assert (results[1]["id"], results[0]["id"][:3]) == (None, "003")
    [(job, record)] = org.jobs.items()
    assert (record["state"], record["contentType"], record["concurrencyMode"]) == ("Closed", "JSON", "Serial")
    counts = client.bulk.Contact._get_job(job)
    assert (counts["numberBatchesCompleted"], counts["numberRecordsProcessed"], counts["numberRecordsFailed"]) == (
        *("2", "4", "2"),
    )  # fmt: skip
    detailed = list(client.bulk.Contact.upsert(CONTACTS, "Key__c", include_detailed_results=True))
    assert [(row["Key__c"], row["success"], row["created"]) for row in detailed] == [
        ("k1", True, True),
        ("k2", False, False),
        ("k3", True, True),
        ("k4", False, False),
    ]


def test_simple_salesforce_is_told_why_a_batch_failed(salesforce: tuple[DemoOrg, Salesforce]) -> None:
    org, client = salesforce
    bulk = client.bulk.Contact
    job = bulk._create_job("insert", use_serial=False)["id"]
    batch = bulk._add_batch(job, [{"LastName": "A", "Gone__c": "1"}], "insert")["id"]
    shown = bulk._get_batch(job, batch)
    assert (shown["state"], shown["stateMessage"]) == ("Failed", "InvalidBatch : Field name not found : Gone__c")
    org.runs_loads = False
    waiting = bulk._add_batch(job, CONTACTS, "insert")["id"]
    assert bulk._get_batch(job, waiting)["state"] == "Queued"


# --- jsforce ---


@pytest.fixture(scope="session")
def jsforce(pytestconfig: pytest.Config) -> Path:
    return installed_jsforce(pytestconfig)


@pytest.mark.slow
def test_jsforce_loads_through_both_apis(jsforce: Path) -> None:
    """tests/demo_org/jsforce/load.js opens, uploads, closes, aborts, deletes and reads."""
    with serving(org := demo_org()) as url:
        asked = {
            "ORG": url, "TOKEN": org.access_token, "CONTACTS": json.dumps(CONTACTS),
            "NODE_PATH": str(jsforce / "node_modules"), "PATH": os.environ["PATH"],
        }  # fmt: skip
        run = subprocess.run(
            ["node", str(JSFORCE / "load.js")], env=asked, capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 0, run.stderr
        client = Client(org)
        with client.http:
            listed = {job["id"]: job for job in client.get(INGEST).json()["records"]}
    got = json.loads(run.stdout)
    two, one = got["bulk2"], got["classic"]

    assert [row["sf__Error"] for row in two["all"]["failedResults"]] == [MISSING, EMAIL]
    assert [row["Key__c"] for row in two["all"]["successfulResults"]] == ["k1", "k3"]
    assert two["all"]["unprocessedRecords"] == []
    assert two["opened"]["contentUrl"] == f"services/data/v68.0/jobs/ingest/{two['opened']['id']}/batches"
    assert (two["closed"]["state"], two["done"]["state"]) == ("UploadComplete", "JobComplete")
    assert (two["done"]["numberRecordsProcessed"], two["done"]["numberRecordsFailed"]) == (4, 2)
    assert [row["Key__c"] for row in rows(two["raw"])] == ["k2", "k4"]
    assert [row["Key__c"] for row in two["aborted"]["left"]] == ["k1", "k2", "k3", "k4"]
    assert two["gone"]["error"]["errorCode"] == "NOT_FOUND"
    assert "Field name not found : Gone__c" in two["failed"]["error"]["message"]
    assert two["twice"]["errorCode"] == "INVALIDJOBSTATE"
    assert sorted(job["state"] for job in listed.values()) == (
        ["Aborted", "Closed", "Closed", "Failed", "JobComplete", "JobComplete"]
    )  # fmt: skip
    assert two["gone"]["id"] not in listed

    assert [(row["success"], row["errors"]) for row in one["results"]] == [
        *((True, []), (False, [MISSING]), (True, []), (False, [EMAIL])),
    ]  # fmt: skip
    assert [row["success"] for row in one["upserted"]] == [True, False, True, False]
    assert (one["info"]["externalIdFieldName"], one["info"]["concurrencyMode"]) == ("Key__c", "Serial")
    assert [(batch["state"], batch["numberRecordsFailed"]) for batch in one["batches"]] == [("Completed", "2")]
    assert one["closed"]["state"] == "Closed"
    assert one["again"]["errorCode"] == "InvalidJobState"
    assert listed[one["id"]]["jobType"] == "Classic"
