"""The demo org through clients that were written for the real one: simple-salesforce and jsforce."""

import json
import os
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import requests
from demo_org_client import locator_of
from foreign_clients import JSFORCE, installed_jsforce, peopled_org, session_at, signed_in
from keys import PRIVATE_PEM
from simple_salesforce import (
    Salesforce,
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving

USERS = "SELECT Id, Name FROM User"
FILTERS = {
    "jobType": (None, "Classic", "V2Query", "V2Ingest"),
    "isPkChunkingEnabled": (None, "true", "false"),
    "concurrencyMode": (None, "Parallel", "Serial"),
}
COMBINATIONS = [
    {name: value for name, value in zip(FILTERS, values, strict=True) if value}
    for values in product(*FILTERS.values())
]  # fmt: skip


def expected(org: DemoOrg, filters: dict[str, str]) -> set[str]:
    """The ids that the filters mean, by looking at each job."""
    chunked = {"true": True, "false": False}.get(filters.get("isPkChunkingEnabled", ""))
    return {
        job_id
        for job_id, job in org.jobs.items()
        if all(job[name] == filters.get(name, job[name]) for name in ("jobType", "concurrencyMode"))
        and chunked in (None, job_id in org.pk_chunking)
    }


# --- simple-salesforce ---


@pytest.fixture
def session(certificate: tuple[str, str]) -> Iterator[tuple[DemoOrg, requests.Session]]:
    with session_at(org := peopled_org(), certificate) as http:
        yield org, http


@pytest.fixture
def salesforce(session: tuple[DemoOrg, requests.Session]) -> Salesforce:
    return signed_in(*session)


def test_simple_salesforce_signs_in_by_client_credentials(session: tuple[DemoOrg, requests.Session]) -> None:
    org, http = session
    app = {"consumer_key": org.client_id, "domain": "demo-org.my", "session": http, "version": "68.0"}
    salesforce = Salesforce(consumer_secret=org.client_secret, **app)
    assert salesforce.query("SELECT Id FROM Organization")["records"][0]["Id"] == org.org_id
    assert salesforce.is_sandbox() is False
    assert salesforce.oauth2("userinfo")["user_id"] == org.integration_user_id
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid client credentials"):
        Salesforce(consumer_secret="wrong", **app)


def test_simple_salesforce_signs_in_with_a_key_and_shows_why_not(session: tuple[DemoOrg, requests.Session]) -> None:
    org, http = session
    app = {"consumer_key": org.client_id, "privatekey": PRIVATE_PEM, "session": http, "version": "68.0"}
    salesforce = Salesforce(username=org.integration_username, **app)
    assert salesforce.query("SELECT Id FROM Organization")["records"][0]["Id"] == org.org_id
    with (
        pytest.warns(UserWarning, match="may need to authorize"),
        pytest.raises(SalesforceAuthenticationFailed, match="hasn't approved this consumer"),
    ):
        Salesforce(username="nobody@demo-org.example", **app)


def test_simple_salesforce_lists_every_page_of_every_filter(
    session: tuple[DemoOrg, requests.Session], salesforce: Salesforce
) -> None:
    org, _ = session
    found = {}
    for filters in COMBINATIONS:
        seen, params = [], dict(filters)
        while True:
            page = salesforce.restful("jobs/query", params=params)
            seen += [job["id"] for job in page["records"]]
            if page["done"]:
                break
            params["queryLocator"] = locator_of(page)
        assert len(seen) == len(set(seen))
        assert set(seen) == expected(org, filters), filters
        found[json.dumps(filters)] = len(seen)
    assert len(found) == 36
    assert set(found.values()) > {0, 48}
    assert len(set(found.values())) > 8  # each filter tells jobs apart


def test_simple_salesforce_reads_a_job_the_limits_and_pages_of_users(
    session: tuple[DemoOrg, requests.Session], salesforce: Salesforce
) -> None:
    org, _ = session
    job = next(iter(org.jobs))
    shown = salesforce.restful(f"jobs/query/{job}")
    assert (shown["id"], shown["retries"], shown["errorMessage"]) == (job, 0, "why")
    assert salesforce.limits()["DailyBulkV2QueryJobs"] == {"Max": 1_000, "Remaining": 976}

    pages = [salesforce.query(USERS, headers={"Sforce-Query-Options": "batchSize=200"})]
    while not pages[-1]["done"]:
        headers = {"Sforce-Query-Options": "batchSize=200"}
        pages.append(salesforce.query_more(pages[-1]["nextRecordsUrl"], identifier_is_url=True, headers=headers))
    assert [len(page["records"]) for page in pages] == [200, 200, 50]
    assert {page["totalSize"] for page in pages} == {450}
    assert {user["Id"] for page in pages for user in page["records"]} == set(org.users)
    assert {user["Id"] for user in salesforce.query_all_iter(USERS, include_deleted=True)} == set(org.users)
    assert salesforce.api_usage["api-usage"].used == org.usage.calls(org.now)


def test_simple_salesforce_reads_a_job_of_the_classic_api(
    session: tuple[DemoOrg, requests.Session], salesforce: Salesforce
) -> None:
    org, _ = session
    job = org.add_job(jobType="Classic", operation="insert", contentType="JSON", numberRecordsFailed=250)
    assert salesforce.bulk.Account._get_job(job)["numberRecordsFailed"] == "250"


def test_simple_salesforce_tells_errors_apart(
    session: tuple[DemoOrg, requests.Session], salesforce: Salesforce
) -> None:
    org, _ = session
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.restful("jobs/query/750000000000000AAA")
    for path, params, code in (
        ("jobs/query", {"jobType": "Nonsense"}, "INVALID_QUERY_PARAMETER"),
        ("jobs/query", {"queryLocator": "nonsense"}, "INVALID_QUERY_LOCATOR"),
        ("query", {"q": "SELECT Id FROM Nothing"}, "INVALID_TYPE"),
        ("query", {"q": "SELECT Nothing FROM User"}, "INVALID_FIELD"),
        ("query", {"q": "Nothing"}, "MALFORMED_QUERY"),
        ("query/01g000000000000AAA-200", {}, "INVALID_QUERY_LOCATOR"),
    ):
        with pytest.raises(SalesforceMalformedRequest) as refused:
            salesforce.restful(path, params=params)
        assert refused.value.content[0]["errorCode"] == code
    org.expire_sessions()
    with pytest.raises(SalesforceExpiredSession, match="INVALID_SESSION_ID"):
        salesforce.limits()


# --- jsforce ---


@pytest.fixture(scope="session")
def jsforce(pytestconfig: pytest.Config) -> Path:
    return installed_jsforce(pytestconfig)


@pytest.mark.slow
def test_jsforce_gets_all_that_its_users_ask_for(jsforce: Path) -> None:
    """tests/demo_org/jsforce/ask.js signs in three ways, lists, reads and is refused."""
    with serving(org := peopled_org()) as url:
        job = next(iter(org.jobs))
        asked = {
            "ORG": url, "CLIENT_ID": org.client_id, "CLIENT_SECRET": org.client_secret, "TOKEN": org.access_token,
            "PRIVATE_KEY": PRIVATE_PEM, "USERNAME": org.integration_username, "JOB": job, "SOQL": USERS,
            "NODE_PATH": str(jsforce / "node_modules"), "PATH": os.environ["PATH"],
        }  # fmt: skip
        run = subprocess.run(
            ["node", str(JSFORCE / "ask.js")], env=asked, capture_output=True, text=True, timeout=60, check=False
        )
    assert run.returncode == 0, run.stderr
    got = json.loads(run.stdout)

    who = {"id": org.integration_user_id, "organizationId": org.org_id}
    assert got["signedIn"].items() >= who.items()
    assert got["signedInByKey"].items() >= who.items()
    assert [each["username"] for each in got["identities"]] == [org.integration_username] * 3
    assert got["userinfo"]["organization_id"] == org.org_id
    assert [len(page) for page in got["listing"]] == [3] * 16
    assert {job for page in got["listing"] for job in page} == set(org.jobs)
    filters = {"jobType": "V2Query", "isPkChunkingEnabled": "false", "concurrencyMode": "Parallel"}
    assert {job for page in got["filtered"] for job in page} == expected(org, filters)
    assert len(got["filtered"]) > 1
    assert (got["job"]["id"], got["job"]["errorMessage"]) == (job, "why")
    assert got["limits"]["DailyBulkV2QueryJobs"] == {"Max": 1_000, "Remaining": 976}
    assert got["usage"]["apiUsage"]["limit"] == 15_000
    assert [len(page) for page in got["users"]["pages"]] == [200, 200, 50]
    assert {user for page in got["users"]["pages"] for user in page} == set(org.users)
    assert (got["users"]["total"], got["fetched"]) == (450, 450)
    assert {name: error.get("errorCode") for name, error in got["refused"].items()} == {
        "noSuchJob": "NOT_FOUND", "noSuchType": "INVALID_QUERY_PARAMETER", "noSuchObject": "INVALID_TYPE",
        "loggedOut": "INVALID_SESSION_ID", "noSuchClient": None,
    }  # fmt: skip
    assert got["refused"]["noSuchClient"]["name"] == "invalid_client"  # jsforce's way with errors of the sign-in
    pages = [request.path for request in org.requests if "/v68.0/query/" in request.path]
    assert len(pages) == 4
