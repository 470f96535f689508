"""The demo org's Classic API, one call of it, against what is documented and recorded."""

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from demo_org_client import FIXTURES, LISTING, Client, recorded, types
from recorders import NOON

from pipelines.demo_org.org import DemoOrg, Request

NAMESPACE = "{http://www.force.com/2009/06/asyncapi/dataload}"
JSON = {"Accept": "application/json"}
COUNTS = {
    "numberBatchesQueued": 0,
    "numberBatchesInProgress": 0,
    "numberBatchesCompleted": 3,
    "numberBatchesFailed": 1,
    "numberBatchesTotal": 4,
    "numberRecordsProcessed": 251,
    "numberRecordsFailed": 250,
}


@pytest.fixture(autouse=True)
def json_for_the_asking(org: DemoOrg) -> None:
    """As in the recording of a CSV job; by the documentation its answer is XML."""
    org.async_form = "asked"


def path(job_id: str) -> str:
    return f"/services/async/68.0/job/{job_id}"


def details(client: Client, job_id: str, **headers: str) -> requests.Response:
    """The details of a job, in JSON; a header that is "" is not sent."""
    headers = {"X-SFDC-Session": client.org.access_token, **JSON, **headers}
    given = {name: value for name, value in headers.items() if value}
    return client.http.get(client.org.instance_url + path(job_id), headers=given, timeout=10)


def error(answer: requests.Response) -> tuple[int, str, str]:
    body = answer.json()
    assert list(body) == ["exceptionCode", "exceptionMessage"]
    return answer.status_code, *body.values()


# --- what it says ---


def test_a_bulk_2_query_is_answered_as_recorded(org: DemoOrg, client: Client) -> None:
    fields = {**COUNTS, "numberRecordsProcessed": 4, "numberRecordsFailed": 0, "retries": 2, "apiVersion": 61}
    job = org.add_job(**fields, state="JobComplete", isPkChunkingSupported=True, errorMessage=None)
    given = details(client, job).json()
    as_recorded = recorded("c_one_15_sfcli_classic_view_of_v2_query")["result"]
    del as_recorded["$"]  # the namespace: that client has read XML
    assert types(given) == types(as_recorded)
    assert given.items() >= {"apiVersion": "61.0", "createdDate": "2026-11-02T12:00:00.000Z"}.items()
    assert (given["numberRetries"], given["numberRecordsProcessed"]) == ("2", "4")


def test_a_classic_query_is_answered_as_recorded_with_numbers(org: DemoOrg, client: Client) -> None:
    org.async_numbers = "number"
    job = org.add_job(jobType="Classic", object="Lead", apiVersion="45.0", numberRecordsProcessed=664_280)
    given = details(client, job).json()
    assert types(given) == types(recorded("c_one_17_classic_query_closed_664k"))
    assert (given["apiVersion"], given["createdDate"]) == (45.0, "2026-11-02T12:00:00.000+0000")
    assert (given["numberRecordsProcessed"], given["numberBatchesTotal"]) == (664_280, 0)


def test_counts_of_a_classic_job_are_only_available_here(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="Classic", operation="insert", state="Closed", numberRetries=1, **COUNTS)
    given = details(client, job[:15]).json()
    assert given.items() >= {name: str(value) for name, value in {**COUNTS, "numberRetries": 1}.items()}.items()
    for surface in ("query", "ingest"):
        shown = client.get(f"/services/data/v68.0/jobs/{surface}/{job}").json()
        assert types(shown).keys() == recorded("q_one_04_postman_classic_insert").keys()
    [[listed]] = client.pages()
    assert not COUNTS.keys() & listed.keys()


def test_a_failed_job_shows_the_state_and_not_why(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="Classic", state="Closed")
    org.advance(timedelta(hours=2))
    org.move_job(job, "Failed", errorMessage="TooManyLockFailure : locked", numberBatchesFailed=1)
    given = details(client, job).json()
    assert given["state"] == "Failed"
    assert given["numberBatchesFailed"] == "1"
    assert given["systemModstamp"] == "2026-11-02T14:00:00.000Z"
    assert not {"errorMessage", "jobType", "lineEnding", "columnDelimiter", "retries"} & given.keys()


def test_a_job_with_odd_or_missing_fields_is_still_answered(org: DemoOrg, client: Client) -> None:
    fields: dict[str, Any] = {"apiVersion": "v1", "createdDate": "<datetime>", "object": None, "state": ...}
    job = org.add_job(jobType="Classic", numberRecordsFailed=..., **fields)
    given = details(client, job).json()
    assert (given["apiVersion"], given["createdDate"]) == ("v1", "<datetime>")
    assert not {"object", "state", "numberRecordsFailed"} & given.keys()


@pytest.mark.parametrize("name", ["Accept", "Content-Type"])
def test_either_header_asks_for_json(org: DemoOrg, client: Client, name: str) -> None:
    answer = details(client, org.add_job(), **{"Accept": "", name: "application/json; charset=UTF-8"})
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert answer.json()["state"] == "InProgress"


def test_xml_is_what_comes_unasked(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="Classic", object="A&B<c>", apiVersion=52, externalIdFieldName=None, **COUNTS)
    answer = details(client, job, Accept="")
    assert answer.headers["Content-Type"] == "application/xml;charset=UTF-8"
    root = ElementTree.fromstring(answer.content)
    assert root.tag == f"{NAMESPACE}jobInfo"
    given = {element.tag.removeprefix(NAMESPACE): element.text for element in root}
    assert given == details(client, job).json()
    assert (given["object"], given["apiVersion"], given["numberRecordsFailed"]) == ("A&B<c>", "52.0", "250")


@pytest.mark.parametrize(("content", "form"), [("CSV", "xml"), ("XML", "xml"), ("ZIP_CSV", "xml"), ("JSON", "json")])
def test_the_form_is_that_of_the_job_s_content_type(org: DemoOrg, client: Client, content: str, form: str) -> None:
    """Whatever the request asks for."""
    org.async_form = "content type"
    job = org.add_job(jobType="Classic", contentType=content)
    for accept in ("application/json", "application/xml", ""):
        assert details(client, job, Accept=accept).headers["Content-Type"] == f"application/{form};charset=UTF-8"


def test_the_documented_xml_has_what_ours_has(org: DemoOrg, client: Client) -> None:
    """Element by element."""
    job = org.add_job(jobType="Classic", operation="insert", object="Lead", state="Closed", **COUNTS)
    ours, documented = (
        [element.tag for element in ElementTree.fromstring(xml)]
        for xml in (details(client, job, Accept="").content, (FIXTURES / "c_one_61_doc_csv.xml").read_bytes())
    )
    assert set(ours) == set(documented)


# --- what it refuses, in the Classic API's own shape ---


@pytest.mark.parametrize("session", ["", "00D!no-such-session"])
def test_a_missing_or_unknown_session_is_refused(org: DemoOrg, client: Client, session: str) -> None:
    answer = details(client, org.add_job(), **{"X-SFDC-Session": session})
    assert error(answer) == (400, "InvalidSessionId", "Invalid session id")
    assert org.usage.calls(org.now) == 0


def test_a_bearer_token_or_an_ended_session_will_not_do(org: DemoOrg, client: Client) -> None:
    job = org.add_job()
    assert error(client.ask("GET", f"{path(job)}?", json={}))[1] == "InvalidSessionId"
    org.expire_sessions()
    assert error(details(client, job))[:2] == (400, "InvalidSessionId")
    org.renew_access_token()
    assert details(client, job).status_code == 200


def test_errors_come_as_xml_too(org: DemoOrg, client: Client) -> None:
    answer = details(client, "750000000000000AAA", Accept="")
    root = ElementTree.fromstring(answer.content)
    assert (answer.status_code, root.tag) == (400, f"{NAMESPACE}error")
    assert [element.text for element in root] == ["InvalidJob", "Unable to find object: 750000000000000AAA"]


def test_a_deleted_job_is_an_invalid_one(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="Classic")
    org.delete_job(job)
    assert error(details(client, job)) == (400, "InvalidJob", f"Unable to find object: {job}")


@pytest.mark.parametrize("where", ["v68.0/job/750000000000000AAA", "68.0/job", "68.0/jobs/750000000000000AAA"])
def test_other_paths_are_invalid(org: DemoOrg, client: Client, where: str) -> None:
    headers = {"X-SFDC-Session": org.access_token, **JSON}
    answer = client.http.get(f"{org.instance_url}/services/async/{where}", headers=headers, timeout=10)
    assert error(answer)[:2] == (400, "InvalidUrl")


def test_other_methods_are_refused(org: DemoOrg, client: Client) -> None:
    url, headers = org.instance_url + path(org.add_job()), {"X-SFDC-Session": org.access_token}
    answer = client.http.put(url, json={"state": "Aborted"}, headers=headers, timeout=10)
    assert error(answer)[:2] == (405, "MethodNotAllowed")
    answer = client.http.post(url, json={"state": "Aborted"}, headers=headers, timeout=10)
    assert error(answer)[:2] == (400, "InvalidJob")  # a Bulk API 2.0 query


@pytest.mark.parametrize("switch", [{"classic_api": False}, {"disabled": "API_DISABLED_FOR_ORG"}])
def test_it_can_be_switched_off(org: DemoOrg, client: Client, switch: dict[str, Any]) -> None:
    for name, value in switch.items():
        setattr(org, name, value)
    assert error(details(client, org.add_job()))[:2] == (403, "FeatureNotEnabled")
    assert client.get(LISTING).status_code == (403 if "disabled" in switch else 200)


def test_switches_may_be_given_from_the_start() -> None:
    org = DemoOrg(now=NOON, classic_api=False, async_numbers="number")
    assert (org.classic_api, org.async_numbers) == (False, "number")


# --- calls, the log, faults ---


def test_it_counts_as_a_call_until_the_allowance_is_spent(org: DemoOrg, client: Client) -> None:
    org.daily_api_requests, org.connected_app = 2, "Some App"
    job = org.add_job()
    first = details(client, job)
    assert "Sforce-Limit-Info" not in first.headers
    assert org.usage.app_calls(org.now) == {"Some App": 1}
    assert client.get(LISTING).headers["Sforce-Limit-Info"].startswith("api-usage=2/2;")
    assert error(details(client, job)) == (400, "ExceededQuota", "TotalRequests Limit exceeded.")
    assert org.usage.calls(org.now) == 2


def test_requests_are_logged_and_faults_happen(org: DemoOrg, client: Client) -> None:
    job = org.add_job()
    org.fail_next(503, {"exceptionCode": "Unknown", "exceptionMessage": "later"}, path="/services/async/")
    assert client.get(LISTING).status_code == 200
    assert error(details(client, job)) == (503, "Unknown", "later")
    assert details(client, job).status_code == 200
    assert [request for request in org.requests if "async" in request.path] == [
        Request("GET", path(job), {}, 503, False),
        Request("GET", path(job), {}, 200, False),
    ]
    assert org.usage.calls(org.now) == 3


def test_an_answer_can_be_cut(org: DemoOrg, client: Client) -> None:
    job = org.add_job()
    org.cut_next(path="/services/async/")
    with pytest.raises(requests.exceptions.RequestException):
        details(client, job)
    assert details(client, job).json()["id"] == job


def test_a_fault_without_a_path_waits_for_the_rest_api(org: DemoOrg, client: Client) -> None:
    org.fail_next(500)
    assert details(client, org.add_job()).status_code == 200
    assert client.get(LISTING).status_code == 500
