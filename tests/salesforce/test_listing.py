"""The listing over real HTTP: read to its end or not at all, on our own path and host, and within the org's API
budget."""

from datetime import timedelta

import pytest
from demo_org_client import listing_calls, recorded
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.errors import TemporaryError

LISTING = r"/jobs/query$"


@pytest.mark.parametrize("names", ["ingest", "query"])
def test_paging_stays_on_the_query_listing_whatever_the_next_url_says(org: DemoOrg, recorder: Recorder, names) -> None:
    """The example in the documentation says /jobs/ingest there, which lists other jobs."""
    org.page_size, org.next_records_path = 10, names
    ids = {org.add_job() for _ in range(35)}
    recorder.load()

    assert set(recorder.states()) == ids
    assert len(listing_calls(org)) == 4
    assert not [request for request in org.requests if "ingest" in request.path]


@pytest.mark.parametrize("needed", [True, False])
def test_filters_are_repeated_with_each_locator(org: DemoOrg, recorder: Recorder, monkeypatch, needed) -> None:
    """Whether a locator remembers them is not documented: both kinds of org list the same."""
    org.page_size, org.locator_needs_filters = 5, needed
    wanted = {org.add_job(isPkChunkingEnabled=True) for _ in range(12)}
    for _ in range(12):
        org.add_job(jobType="Classic", state="Open")
    monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "V2Query")
    monkeypatch.setenv("SOURCES__SALESFORCE__IS_PK_CHUNKING_ENABLED", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__CONCURRENCY_MODE", "Parallel")
    recorder.load()

    assert set(recorder.states()) == wanted
    filters = {"jobType": "V2Query", "isPkChunkingEnabled": "true", "concurrencyMode": "Parallel"}
    assert all(filters.items() <= query.items() for query in listing_calls(org))


def test_unset_parameters_are_not_sent(org: DemoOrg, recorder: Recorder) -> None:
    """The first request of a listing has no parameters, the others only the locator."""
    org.page_size = 10
    for _ in range(15):
        org.add_job()
    recorder.load()

    assert [set(query) for query in listing_calls(org)] == [set(), {"queryLocator"}]


def test_the_api_version_is_a_setting(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """It is also recorded in the listing's row."""
    monkeypatch.setenv("SOURCES__SALESFORCE__API_VERSION", "60.0")
    recorder.load()

    assert recorder.rows("select api_version from listings") == [("60.0",)]
    assert {request.path for request in org.requests if "/jobs/" in request.path} == {"/services/data/v60.0/jobs/query"}


NO_LISTING = {
    "done without a next page": (recorded("q_list_22_done_false_without_next"), "has no queryLocator"),
    "a next page without locator": (recorded("q_list_23_next_without_locator"), "has no queryLocator"),
    "HTML": ("<html><body>Welcome</body></html>", "without valid JSON"),
    "an array of errors": (recorded("e_35_daily_limit"), "a JSON list"),
    "no records": ({"done": True}, "no list of records"),
    "records that are no list": ({"done": True, "records": {}}, "no list of records"),
    "done as text": ({"done": "true", "records": []}, "`done` is neither"),
    "no done": ({"records": []}, "`done` is neither"),
    "a cut body of the declared length": ('{"done": true, "rec', "without valid JSON"),
}


@pytest.mark.parametrize("body", NO_LISTING)
def test_anything_but_a_documented_listing_ends_the_run(org: DemoOrg, recorder: Recorder, body) -> None:
    """Status 200 with anything but the envelope: a clear error, and nothing changes."""
    org.add_job()
    recorder.load()
    answer, said = NO_LISTING[body]
    org.fail_next(200, answer, path=LISTING)

    assert said in recorder.failure().message


def test_a_repeated_locator_ends_the_run(org: DemoOrg, recorder: Recorder) -> None:
    """Instead of looping for ever."""
    page = {"done": False, "records": [], "nextRecordsUrl": "/services/data/v68.0/jobs/query?queryLocator=01g-1"}
    org.fail_next(200, page, times=5, path=LISTING)

    assert "repeats an earlier queryLocator" in recorder.failure().message
    assert len(listing_calls(org)) == 2


def test_if_a_job_is_listed_twice_the_later_state_is_current(org: DemoOrg, recorder: Recorder) -> None:
    """Pages that shift while jobs change can show a job twice, with the same stamp if it is within one second."""
    stamp = "2026-11-02T12:00:00.000Z"
    ids = [f"750{n}" for n in range(40)]
    shown = [{"id": i, "state": state, "systemModstamp": stamp} for state in ("InProgress", "Failed") for i in ids]
    org.fail_next(200, {"done": True, "records": shown}, path=LISTING)
    recorder.load()

    assert recorder.states() == dict.fromkeys(ids, "Failed")
    assert recorder.rows("select count(*) from query_job_states") == [(80,)]


def test_a_lost_locator_restarts_the_listing(org: DemoOrg, recorder: Recorder, caplog) -> None:
    """From the first page; the counts are those of the listing that was completed."""
    org.page_size = 10
    ids = {org.add_job() for _ in range(25)}
    org.fail_next(
        400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}], after=2, path=LISTING
    )
    run = recorder.load()

    assert set(recorder.states()) == ids
    assert (run.snapshot.shown.pages, run.snapshot.shown.jobs, len(listing_calls(org))) == (3, 25, 6)
    assert "starting again" in caplog.text


def test_jobs_shown_before_a_locator_was_lost_are_kept_and_counted_once(org: DemoOrg, recorder: Recorder) -> None:
    """The listing keeps its start, records when the completed try began, and counts only that one."""
    org.page_size, org.order = 1, "oldest"
    jobs = [org.add_job() for _ in range(25)]
    start, tries = org.now, []

    def lose(demo_org: DemoOrg, listing: str, page: int) -> None:
        tries.append(page)
        if len(tries) == 23:
            demo_org.delete_job(jobs[0])
            demo_org.advance(timedelta(hours=1))
            demo_org.lose_locators()

    org.before_answer = lose
    run = recorder.load()

    assert set(recorder.states()) == set(jobs)
    assert (run.snapshot.shown.pages, run.snapshot.shown.jobs, run.snapshot.jobs_changed) == (24, 24, 24)
    assert recorder.rows("select started_at, restarted_at from listings") == [(start, start + timedelta(hours=1))]
    assert recorder.rows("select distinct observed_at from query_jobs") == [(start,)]


def test_a_locator_lost_again_and_again_ends_the_run(org: DemoOrg, recorder: Recorder) -> None:
    """After two restarts it gives up until later."""
    org.page_size = 10
    for _ in range(25):
        org.add_job()
    org.before_answer = lambda demo_org, listing, page: demo_org.lose_locators() if page == 2 else None
    found = recorder.failure()

    assert isinstance(found, TemporaryError)
    assert "lost 3 times" in found.message


def test_the_listing_row_says_what_was_read(org: DemoOrg, recorder: Recorder) -> None:
    """Pages, calls, jobs, rejected, and the org's own count of API calls."""
    org.page_size = 10
    for _ in range(12):
        org.add_job()
    org.add_raw({"id": "750", "state": "Open"})
    org.connected_app = "Some App (with per-app usage)"
    recorder.load()

    assert recorder.rows(
        "select org_id, started_at, finished_at, pages, calls, jobs_listed, jobs_changed, creators, rejected, "
        "api_usage, api_usage_max from listings"
    ) == [(org.org_id, org.now, org.now, 2, 2, 13, 12, 1, 1, 2, 15_000)]
