"""The rest of the demo org's API against what is documented and recorded: single jobs, limits, SOQL, the clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from demo_org_client import LISTING, Client, recorded, types
from recorders import NOON

from pipelines.demo_org.org import DemoOrg

# --- one job ---


@pytest.mark.parametrize(
    ("name", "version", "fields"),
    [
        ("q_one_25_doc_small", "68.0", {"numberRecordsProcessed": 500, "totalProcessingTime": 334}),
        ("q_one_05_v57_complete", "57.0", {"numberRecordsProcessed": 28, "totalProcessingTime": 255}),
        ("q_one_04_postman_classic_insert", "58.0", {"jobType": "Classic", "apiVersion": 58}),
    ],
)
def test_a_single_job_is_answered_as_recorded(
    org: DemoOrg, client: Client, name: str, version: str, fields: dict[str, Any]
) -> None:
    job = client.get(f"/services/data/v{version}/jobs/query/{org.add_job(**fields)}").json()
    assert types(job) == types(recorded(name))
    assert fields.items() <= job.items()


def test_a_single_ingest_job_is_answered_as_recorded_and_only_there(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="V2Ingest")
    shown = client.get(f"/services/data/v68.0/jobs/ingest/{job}").json()
    assert types(shown) == types(recorded("i_one_12_v62_complete_pk_false"))
    assert client.get(f"{LISTING}/{job}").status_code == 404


def test_a_load_tells_its_key_and_its_rule_as_its_creator_wrote_them(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="V2Ingest", object="Case", operation="upsert", externalIdFieldName="external_id__c")
    shown = client.get(f"/services/data/v59.0/jobs/ingest/{job}").json()
    assert types(shown) == types(recorded("i_one_46_v59_upsert_in_progress"))
    assert shown["externalIdFieldName"] == "external_id__c"
    org.edit_job(job, assignmentRuleId="01Q000000000001AAA")
    assert client.get(f"/services/data/v59.0/jobs/ingest/{job}").json()["assignmentRuleId"] == "01Q000000000001AAA"
    [listed] = client.get("/services/data/v59.0/jobs/ingest").json()["records"]
    assert not {"externalIdFieldName", "assignmentRuleId"} & listed.keys()


def test_details_are_in_the_single_answer_and_never_in_the_listing(org: DemoOrg, client: Client) -> None:
    failed = recorded("i_one_08_failed_delete_tab_crlf")["errorMessage"]
    job = org.add_job()
    org.advance(timedelta(minutes=2))
    org.move_job(job, "Failed", errorMessage=failed)
    assert client.get(f"{LISTING}/{job[:15]}").json()["errorMessage"] == failed
    [[listed]] = client.pages()
    assert "errorMessage" not in listed
    assert (listed["state"], listed["systemModstamp"]) == ("Failed", "2026-11-02T12:02:00.000+0000")


def test_a_state_may_move_without_its_stamp_or_with_another(org: DemoOrg) -> None:
    job = org.add_job()
    org.advance(timedelta(hours=1))
    org.move_job(job, "UploadComplete", stamp=False)
    assert org.jobs[job]["systemModstamp"] == org.jobs[job]["createdDate"]
    org.move_job(job, "JobComplete", stamp=NOON - timedelta(days=1))
    assert org.jobs[job]["systemModstamp"] == "2026-11-01T12:00:00.000+0000"


def test_a_deleted_job_is_answered_as_recorded(org: DemoOrg, client: Client) -> None:
    job = org.add_job()
    assert client.ask("DELETE", f"{LISTING}/{job}").status_code == 204
    gone = client.get(f"{LISTING}/{job}")
    assert (gone.status_code, gone.json()) == (404, recorded("e_33_not_found"))
    assert client.ids() == []


def test_finished_jobs_go_after_seven_days_and_others_after_fourteen(org: DemoOrg) -> None:
    done, closed, stuck = org.add_job(state="JobComplete"), org.add_job(state="Closed"), org.add_job()
    org.advance(timedelta(days=7))
    assert set(org.jobs) == {done, closed, stuck}
    org.advance(timedelta(seconds=1))
    assert set(org.jobs) == {stuck}
    org.advance(timedelta(days=7))
    assert set(org.jobs) == set()


# --- versions, limits, SOQL, and the rest ---


def test_versions_need_no_session_and_end_with_winter_27(org: DemoOrg) -> None:
    answer = requests.get(f"{org.instance_url}/services/data", timeout=10)
    assert answer.json()[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    assert {"label": "Summer '25", "url": "/services/data/v64.0", "version": "64.0"} in answer.json()
    assert "Sforce-Limit-Info" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("v30.0/jobs/query", 410),
        ("v46.0/jobs/query", 404),
        ("v69.0/jobs/query", 404),
        ("v68.0/jobs", 404),
        ("v68.0/jobs/query/", 200),
        ("v68.0/limits", 200),
        ("v68.0/sobjects", 404),
        ("68.0/limits", 404),
    ],
)
def test_paths_and_versions_are_told_apart(client: Client, path: str, status: int) -> None:
    assert client.get(f"/services/data/{path}").status_code == status


def test_another_method_is_refused_with_405(client: Client) -> None:
    answer = client.ask("PUT", LISTING, json={})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (405, "METHOD_NOT_ALLOWED")


def test_limits_have_the_documented_names_and_shape(org: DemoOrg, client: Client) -> None:
    org.connected_app = "Some App"
    limits = client.get("/services/data/v68.0/limits").json()
    for name, documented in recorded("l_32_limits_v49plus_doc").items():
        assert documented.keys() <= limits[name].keys()
        assert types(documented).items() <= types(limits[name]).items()
    assert limits["PrivateConnectOutboundCalloutHourlyLimitMB"] == {"Max": 0, "Remaining": 0}
    assert limits["DailyApiRequests"]["Dataloader Bulk"] == {"Max": 0, "Remaining": 0}
    assert limits["DailyApiRequests"]["Some App"]["Remaining"] == 9_999
    old = client.get("/services/data/v46.0/limits").json()
    assert "DailyBulkApiRequests" in old
    assert not {"DailyBulkApiBatches", "DailyBulkV2QueryJobs"} & old.keys()


def test_query_jobs_are_counted_over_24_hours_deleted_ones_too(client: Client, org: DemoOrg) -> None:
    jobs = [org.add_job() for _ in range(3)]
    org.delete_job(jobs[0])
    org.add_job(jobType="Classic")
    assert client.get("/services/data/v68.0/limits").json()["DailyBulkV2QueryJobs"]["Remaining"] == 997
    org.advance(timedelta(hours=24))
    org.daily_query_jobs = 0
    org.add_job()
    assert client.get("/services/data/v68.0/limits").json()["DailyBulkV2QueryJobs"] == {"Max": 0, "Remaining": -1}


def test_every_call_for_data_counts_until_the_allowance_is_spent(org: DemoOrg, client: Client) -> None:
    org.daily_api_requests = 2
    assert client.get(LISTING).headers["Sforce-Limit-Info"] == "api-usage=1/2"
    assert client.get("/services/data/v68.0/limits").headers["Sforce-Limit-Info"] == "api-usage=2/2"
    spent = client.get(LISTING)
    assert (spent.status_code, spent.json()) == (403, recorded("e_35_daily_limit"))
    org.advance(timedelta(days=1))
    org.connected_app = "Some App"
    usage = client.get(LISTING).headers["Sforce-Limit-Info"]
    assert usage == "api-usage=1/2; per-app-api-usage=1/10000(appName=Some App)"


def test_soql_reads_users_and_the_organization(org: DemoOrg, client: Client) -> None:
    person = org.add_user("Amara Osei", "amara@demo-org.example", active=False)
    soql = f"select id, Name,IsActive from User where Id in ('{person[:15]}', '005000000000000AAA')"
    answer = client.get("/services/data/v68.0/query", q=soql).json()
    url = f"/services/data/v68.0/sobjects/User/{person}"
    row = {"attributes": {"type": "User", "url": url}, "Id": person, "Name": "Amara Osei", "IsActive": False}
    assert answer == {"totalSize": 1, "done": True, "records": [row]}
    soql = "SELECT Id, Name, IsSandbox FROM Organization LIMIT 1"
    [organization] = client.get("/services/data/v68.0/query", q=soql).json()["records"]
    assert (organization["Id"], organization["Name"], organization["IsSandbox"]) == (org.org_id, org.name, False)


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("", "MALFORMED_QUERY"),
        ("SELECT Id FROM User ORDER BY Name", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account", "INVALID_TYPE"),
        ("SELECT Nickname FROM User", "INVALID_FIELD"),
    ],
)
def test_soql_that_is_not_understood_is_refused(client: Client, soql: str, code: str) -> None:
    answer = client.get("/services/data/v68.0/query", q=soql)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_the_api_is_refused_with_the_code_that_disabled_it(org: DemoOrg, client: Client) -> None:
    org.disabled = "API_DISABLED_FOR_ORG"
    answer = client.get(LISTING)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "API_DISABLED_FOR_ORG")


def test_a_clock_needs_a_time_zone_and_runs_ahead_only() -> None:
    with pytest.raises(ValueError, match="time zone"):
        DemoOrg(now=datetime(2026, 11, 2))  # noqa: DTZ001 - the point
    with pytest.raises(ValueError, match="ahead"):
        DemoOrg(now=NOON).advance(timedelta(seconds=-1))
    wall = DemoOrg()
    wall.advance(timedelta(hours=1))
    assert timedelta(minutes=59) < wall.now - datetime.now(UTC) < timedelta(minutes=61)
