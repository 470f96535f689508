"""The demo org's listings against what is documented and recorded: ids, records, pages, locators, filters."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from demo_org_client import FIXTURES, INGEST, LISTING, Client, locator_of, recorded, types

from pipelines.demo_org.ids import eighteen, salesforce_id
from pipelines.demo_org.org import DemoOrg


@pytest.fixture
def org(org: DemoOrg) -> DemoOrg:
    """An org with pages small enough to turn."""
    org.page_size = 3
    return org


def add(org: DemoOrg, count: int, **fields: Any) -> list[str]:
    return [org.add_job(**fields) for _ in range(count)]


# --- ids ---


def recorded_ids() -> set[str]:
    texts = "".join(path.read_text() for path in FIXTURES.glob("*.json"))
    return {word for word in texts.replace("/", '"').split('"') if len(word) == 18 and word[:3] in ("750", "005")}


def test_the_checksum_of_every_recorded_id_is_what_the_rule_gives() -> None:
    ids = recorded_ids()
    assert len(ids) > 15
    assert {eighteen(each[:15]) for each in ids} == ids


def test_ids_stay_apart_even_without_case() -> None:
    ids = [salesforce_id("750", number) for number in range(5_000)]
    assert len({each[:15].lower() for each in ids}) < len({each.lower() for each in ids}) == 5_000


# --- the listing ---


def test_a_listed_job_has_the_documented_fields_and_types(org: DemoOrg, client: Client) -> None:
    org.add_job(createdDate=datetime(2018, 12, 7, 19, 58, 9, tzinfo=UTC), state="JobComplete")
    [[job]] = client.pages()
    documented = recorded("q_list_01_doc_page1")["records"][0]
    assert types(job) == types(documented)
    assert job["createdDate"] == documented["createdDate"]


def test_a_listed_classic_job_has_the_recorded_fields(org: DemoOrg, client: Client) -> None:
    org.add_job(jobType="Classic", operation="insert", apiVersion=58)
    page = client.get(LISTING).json()
    documented = recorded("q_list_03_postman_classic_insert_open")
    assert page.keys() == documented.keys()
    assert page["nextRecordsUrl"] is None
    assert types(page["records"][0]) == types(documented["records"][0])
    assert page["records"][0]["state"] == documented["records"][0]["state"]


def test_the_next_page_is_named_under_ingest_as_in_the_documentation(org: DemoOrg, client: Client) -> None:
    add(org, 4)
    page, documented = client.get(LISTING).json(), recorded("q_list_01_doc_page1")
    assert page["done"] is documented["done"] is False
    path, _, locator = page["nextRecordsUrl"].partition("?queryLocator=")
    assert path == documented["nextRecordsUrl"].partition("?")[0]
    assert len(locator.partition("-")[0]) == 18
    assert locator.endswith("-3")


def test_a_next_records_url_followed_as_it_is_leads_to_ingest_jobs(org: DemoOrg, client: Client) -> None:
    add(org, 4)
    add(org, 2, jobType="V2Ingest")
    astray = client.get(client.get(LISTING).json()["nextRecordsUrl"]).json()["records"]
    assert {job["jobType"] for job in astray} == {"V2Ingest"}
    org.next_records_path = "query"
    assert client.get(LISTING).json()["nextRecordsUrl"].startswith(f"{LISTING}?queryLocator=01g")


@pytest.mark.parametrize("order", ["shuffled", "newest", "oldest"])
@pytest.mark.parametrize("paging", ["snapshot", "live"])
def test_all_pages_together_hold_every_job_once(client: Client, org: DemoOrg, order: Any, paging: Any) -> None:
    org.order, org.paging = order, paging
    ids = add(org, 10)
    assert [len(page) for page in client.pages()] == [3, 3, 3, 1]
    listed = client.ids()
    assert sorted(listed) == sorted(ids)
    assert (listed == ids, listed == ids[::-1]) == (order == "oldest", order == "newest")


def test_a_snapshot_keeps_its_order_shows_new_states_and_skips_deleted_jobs(org: DemoOrg, client: Client) -> None:
    org.order = "oldest"
    ids = add(org, 7)

    def meanwhile(org: DemoOrg, surface: str, page: int) -> None:
        if (surface, page) == ("query", 2):
            org.delete_job(ids[0])
            org.delete_job(ids[3])
            org.add_job()
            org.move_job(ids[4], "JobComplete")

    org.before_answer = meanwhile
    pages = client.pages()
    assert [[job["id"] for job in page] for page in pages] == [ids[:3], ids[4:6], ids[6:]]
    assert pages[1][0]["state"] == "JobComplete"


def test_live_pages_shift_when_jobs_come_and_go_in_between(org: DemoOrg, client: Client) -> None:
    org.paging, org.order = "live", "oldest"
    ids = add(org, 7)
    org.before_answer = lambda org, _, page: org.delete_job(ids[0]) if page == 2 else None
    assert [job["id"] for page in client.pages() for job in page] == ids[:3] + ids[4:]


def test_filters_choose_jobs_by_type_mode_and_chunking(org: DemoOrg, client: Client) -> None:
    v2 = org.add_job()
    classic = org.add_job(jobType="Classic", concurrencyMode="Serial")
    chunked = org.add_job(jobType="Classic", isPkChunkingEnabled=True)
    assert client.ids(jobType="V2Query") == [v2]
    assert sorted(client.ids(jobType="Classic")) == sorted([classic, chunked])
    assert client.ids(jobType="V2Ingest") == []
    assert client.ids(concurrencyMode="serial") == [classic]
    assert client.ids(isPkChunkingEnabled="true") == [chunked]
    refused = client.get(LISTING, jobType="Everything")
    assert refused.status_code == 400
    assert refused.json()[0].keys() == {"message", "errorCode"}


@pytest.mark.parametrize("needs_filters", [True, False])
def test_a_locator_remembers_its_filters_only_when_told_to(org: DemoOrg, client: Client, needs_filters: bool) -> None:
    org.locator_needs_filters = needs_filters
    add(org, 6)
    add(org, 6, jobType="Classic")
    locator = locator_of(client.get(LISTING, jobType="V2Query").json())
    with_filters = client.get(LISTING, jobType="V2Query", queryLocator=locator).json()
    assert (len(with_filters["records"]), with_filters["done"]) == (3, True)
    without = client.get(LISTING, queryLocator=locator).json()
    assert without["done"] is not needs_filters


def test_a_locator_is_invalid_when_lost_malformed_or_two_days_old(org: DemoOrg, client: Client) -> None:
    add(org, 4)
    first = locator_of(client.get(LISTING).json())
    assert client.get(LISTING, queryLocator=first).status_code == 200
    assert client.get(LISTING, queryLocator=f"{first}x").status_code == 400
    org.advance(timedelta(days=2, seconds=1))
    expired = client.get(LISTING, queryLocator=first)
    second = locator_of(client.get(LISTING).json())
    assert client.get(LISTING, queryLocator=second).status_code == 200
    org.lose_locators()
    others = [client.get(LISTING, queryLocator=locator) for locator in (second, f"{second}x", "nonsense")]
    for refused in (expired, *others):
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_only_own_jobs_are_listed_to_a_user_who_may_not_see_all(org: DemoOrg, client: Client) -> None:
    org.sees_all = False
    other = org.add_job(createdById=org.add_user("Somebody Else", "else@demo-org.example"))
    own = org.add_job()
    assert client.ids() == [own]
    org.sees_all = True
    assert sorted(client.ids()) == sorted([own, other])


def test_raw_values_and_edited_records_are_listed_as_they_are(org: DemoOrg, client: Client) -> None:
    job = org.add_job()
    org.edit_job(job, apiVersion="52.0", state="Unheard Of", lineEnding=..., createdDate="<datetime>")
    for value in ({"operation": "query"}, "no record", None):
        org.add_raw(value)
    shown = [record for page in client.pages() for record in page]
    assert len(shown) == 4
    assert {"operation": "query"} in shown
    assert "no record" in shown
    edited = next(record for record in shown if isinstance(record, dict) and "id" in record)
    assert (edited["apiVersion"], edited["state"], "lineEnding" in edited) == ("52.0", "Unheard Of", False)
    org.advance(timedelta(days=99))
    assert job in org.jobs


# --- the ingest listing ---


def test_a_listed_load_has_the_recorded_fields_with_a_content_url_while_open(org: DemoOrg, client: Client) -> None:
    job = org.add_job(jobType="V2Ingest", state="Open", apiVersion=46.0, lineEnding="CRLF")
    page, as_recorded = client.get(INGEST).json(), recorded("i_list_44_v46_open_contenturl")
    assert page.keys() == as_recorded.keys()
    assert types(page["records"][0]) == types(as_recorded["records"][0])
    assert page["records"][0]["contentUrl"] == f"services/data/v46.0/jobs/ingest/{job}/batches"
    assert client.get(f"{INGEST}/{job}").json()["contentUrl"] == page["records"][0]["contentUrl"]
    org.move_job(job, "UploadComplete", numberRecordsProcessed=3, externalIdFieldName="key__c")
    [listed] = client.get(INGEST).json()["records"]
    assert types(listed) == types(recorded("i_list_45_three_job_types")["records"][0])


def test_the_ingest_listing_has_loads_of_any_type_and_classic_jobs(org: DemoOrg, client: Client) -> None:
    org.page_size = 1_000
    query = org.add_job()
    classic = org.add_job(jobType="Classic")
    loads = [org.add_job(jobType=job_type) for job_type in ("V2Ingest", "BigObjectIngest", "V3Ingest")]
    page = client.get(INGEST).json()
    assert {job["id"] for job in page["records"]} == {classic, *loads}
    assert {job["operation"] for job in page["records"]} == {"query", "insert"}
    assert sorted(client.ids()) == sorted([query, classic])
    [big] = client.get(INGEST, jobType="BigObjectIngest").json()["records"]
    assert types(big) == types(recorded("i_list_45_three_job_types")["records"][2])


def test_raw_values_may_stand_in_the_ingest_listing_instead(org: DemoOrg, client: Client) -> None:
    org.add_raw({"operation": "insert"}, surface="ingest")
    assert client.get(INGEST).json()["records"] == [{"operation": "insert"}]
    assert client.pages() == [[]]
