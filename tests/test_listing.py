"""The listing over real HTTP: to its end or not at all, on our own path and host, and within the org's budget."""

import json
from datetime import timedelta

import pytest
from conftest import FIXTURES, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.failures import Failure, Misconfigured, NotPermitted, TryLater, failure_behind

LISTING = r"/jobs/query$"


def fixture(name: str) -> object:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def failure(recorder: Recorder) -> Failure:
    """What a run ends in; that nothing was written besides is checked on the way."""
    files = {path: path.stat().st_mtime_ns for path in recorder.home.glob("*.duckdb")}
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the kind is what the caller looks at
        recorder.load()
    assert not recorder.warehouse.exists() or recorder.warehouse.stat().st_mtime_ns == files[recorder.warehouse]
    found = failure_behind(raised.value)
    assert found, raised.value
    return found


def listing_calls(org: DemoOrg) -> list[dict[str, str]]:
    return [request.query for request in org.requests if request.path.endswith("/jobs/query")]


@pytest.mark.parametrize("names", ["ingest", "query"])
def test_paging_stays_on_the_query_listing_whatever_the_next_url_names(org: DemoOrg, recorder: Recorder, names) -> None:
    """The documentation's own example names /jobs/ingest there, which lists other jobs."""
    org.page_size, org.next_records_path = 10, names
    ids = {org.add_job() for _ in range(35)}
    recorder.load()

    assert set(recorder.states()) == ids
    assert len(listing_calls(org)) == 4
    assert not [request for request in org.requests if "ingest" in request.path]


@pytest.mark.parametrize("needed", [True, False])
def test_filters_are_repeated_beside_the_locator(org: DemoOrg, recorder: Recorder, monkeypatch, needed) -> None:
    """Whether a locator remembers them is not settled publicly: both kinds of org list the same."""
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
    """The first request of a listing is bare, the others carry the locator alone."""
    org.page_size = 10
    for _ in range(15):
        org.add_job()
    recorder.load()

    assert [set(query) for query in listing_calls(org)] == [set(), {"queryLocator"}]


def test_the_api_version_is_a_setting(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """And it stands in the listing's row."""
    monkeypatch.setenv("SOURCES__SALESFORCE__API_VERSION", "60.0")
    recorder.load()

    assert recorder.rows("select api_version from listings") == [("60.0",)]
    assert {request.path for request in org.requests if "/jobs/" in request.path} == {"/services/data/v60.0/jobs/query"}


NO_LISTING = {
    "done without a next page": (fixture("q_list_22_done_false_without_next"), "gives no queryLocator"),
    "a next page without locator": (fixture("q_list_23_next_without_locator"), "gives no queryLocator"),
    "HTML": ("<html><body>Maintenance</body></html>", "not with JSON"),
    "an array of errors": (fixture("e_35_daily_limit"), "a JSON list"),
    "no records": ({"done": True}, "no list of records"),
    "records that are no list": ({"done": True, "records": {}}, "no list of records"),
    "done as text": ({"done": "true", "records": []}, "`done` is neither"),
    "no done": ({"records": []}, "`done` is neither"),
    "a cut body of the declared length": ('{"done": true, "rec', "not with JSON"),
}


@pytest.mark.parametrize("body", NO_LISTING)
def test_what_is_no_documented_listing_ends_the_run(org: DemoOrg, recorder: Recorder, body) -> None:
    """With status 200 and anything else than the envelope: an error that says so, and nothing moves."""
    org.add_job()
    recorder.load()
    answer, said = NO_LISTING[body]
    org.fail_next(200, answer, path=LISTING)

    assert said in failure(recorder).message


def test_a_locator_that_comes_twice_ends_the_run(org: DemoOrg, recorder: Recorder) -> None:
    """Instead of going round for ever."""
    page = {"done": False, "records": [], "nextRecordsUrl": "/services/data/v68.0/jobs/query?queryLocator=01g-1"}
    org.fail_next(200, page, times=5, path=LISTING)

    assert "an earlier page named" in failure(recorder).message
    assert len(listing_calls(org)) == 2


def test_a_lost_locator_starts_the_listing_again(org: DemoOrg, recorder: Recorder, caplog) -> None:
    """From the first page, and the counts are those of the listing that was completed."""
    org.page_size = 10
    ids = {org.add_job() for _ in range(25)}
    org.fail_next(
        400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}], after=2, path=LISTING
    )
    run = recorder.load()

    assert set(recorder.states()) == ids
    assert (run.listing.pages, run.listing.jobs_listed, len(listing_calls(org))) == (3, 25, 6)
    assert "starting again" in caplog.text


def test_what_was_shown_before_a_locator_was_lost_is_kept_and_counted_once(org: DemoOrg, recorder: Recorder) -> None:
    """The listing keeps its start, says when the try began that was completed, and counts that one alone."""
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
    assert (run.listing.pages, run.listing.jobs_listed, run.listing.jobs_changed) == (24, 24, 24)
    assert recorder.rows("select started_at, restarted_at from listings") == [(start, start + timedelta(hours=1))]
    assert recorder.rows("select distinct observed_at from query_jobs") == [(start,)]


def test_half_an_emoji_in_one_record_does_not_end_the_listing(org: DemoOrg, recorder: Recorder) -> None:
    """Python's own decoder takes what the fast one refuses; the rest of the page is as it was."""
    body = '{"done": true, "records": [{"id": "750a", "state": "Open", "systemModstamp": "2026-11-02T12:00:00.000Z", '
    body += '"note": "cut \\ud83d", "size": 1e999, "deep": ' + "[" * 300 + "]" * 300 + "}]}"
    org.fail_next(200, body, path=LISTING)
    recorder.load()

    ((note, size, deep),) = recorder.rows("select note, size, deep from query_jobs")
    assert (note, size, deep) == ("cut \ufffd", "Infinity", "[" * 300 + "]" * 300)


def test_a_locator_lost_again_and_again_ends_the_run(org: DemoOrg, recorder: Recorder) -> None:
    """Two new starts, then it is for a later try."""
    org.page_size = 10
    for _ in range(25):
        org.add_job()
    org.before_answer = lambda demo_org, listing, page: demo_org.lose_locators() if page == 2 else None
    found = failure(recorder)

    assert isinstance(found, TryLater)
    assert "lost 3 times" in found.message


def test_a_session_that_ends_in_the_middle_is_renewed(org: DemoOrg, recorder: Recorder) -> None:
    """One new token, the same request again, and the listing goes on."""
    org.page_size = 10
    ids = {org.add_job() for _ in range(35)}
    org.before_answer = lambda demo_org, listing, page: demo_org.expire_sessions() if page == 2 else None
    recorder.load()

    assert set(recorder.states()) == ids
    statuses = [request.status for request in org.requests if request.path.endswith("/jobs/query")]
    assert statuses == [200, 200, 401, 200, 200]
    assert sum(request.path.endswith("/token") for request in org.requests) == 2


def test_a_bare_token_that_has_ended_is_said_so(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """There is nothing to renew it with."""
    for key in ("CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"SOURCES__SALESFORCE__CREDENTIALS__{key}")
    monkeypatch.setenv("SOURCES__SALESFORCE__CREDENTIALS__ACCESS_TOKEN", org.access_token)
    org.expire_sessions()
    found = failure(recorder)

    assert isinstance(found, NotPermitted)
    assert "INVALID_SESSION_ID" in found.message


@pytest.mark.parametrize(
    ("status", "headers"), [(503, {}), (429, {"Retry-After": "0"}), (500, {}), (502, {}), (420, {})]
)
def test_passing_trouble_is_retried(org: DemoOrg, recorder: Recorder, status, headers) -> None:
    """By dlt's client, a few times."""
    job = org.add_job()
    org.fail_next(
        status, [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}], times=2, headers=headers, path=LISTING
    )
    run = recorder.load()

    assert set(recorder.states()) == {job}
    assert run.listing.org.calls == 3  # three tries; signing in is no API call


def test_a_cut_answer_is_retried(org: DemoOrg, recorder: Recorder) -> None:
    """Half a body is no page."""
    job = org.add_job()
    org.cut_next(times=2, path=LISTING)
    recorder.load()

    assert set(recorder.states()) == {job}


def test_an_org_that_is_down_is_given_up_after_a_few_tries(org: DemoOrg, recorder: Recorder) -> None:
    """Bounded, and for a later try."""
    org.fail_next(503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "down"}], times=100, path=LISTING)
    found = failure(recorder)

    assert isinstance(found, TryLater)
    assert "SERVER_UNAVAILABLE" in found.message
    assert len(listing_calls(org)) == 5


def test_too_many_requests_at_once_is_retried_and_a_spent_day_is_not(org: DemoOrg, recorder: Recorder) -> None:
    """Both are REQUEST_LIMIT_EXCEEDED; the text tells them apart."""
    job = org.add_job()
    org.fail_next(403, fixture("e_36_concurrent_limit"), times=2, path=LISTING)
    recorder.load()
    assert set(recorder.states()) == {job}

    org.requests.clear()
    org.fail_next(403, fixture("e_35_daily_limit"), times=2, path=LISTING)
    found = failure(recorder)
    assert isinstance(found, TryLater)
    assert "REQUEST_LIMIT_EXCEEDED" in found.message
    assert len(listing_calls(org)) == 1


REFUSALS = {
    "API_DISABLED_FOR_ORG": (403, NotPermitted, "edition"),
    "INSUFFICIENT_ACCESS": (403, NotPermitted, "Manage Data Integrations"),
    "NOT_FOUND": (404, Misconfigured, "api_version"),
    "UNSUPPORTED_API_VERSION": (410, Misconfigured, "api_version"),
    "INVALID_FIELD": (400, Failure, "doctor"),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_shows_its_code_and_names_what_to_do(org: DemoOrg, recorder: Recorder, code) -> None:
    """The errorCode stands there as Salesforce gave it: people search for it."""
    status, kind, remedy = REFUSALS[code]
    org.fail_next(status, [{"message": "as Salesforce says", "errorCode": code}], path=LISTING)
    found = failure(recorder)

    assert type(found) is kind
    assert code in found.message
    assert remedy in found.remedy


def test_a_token_never_follows_a_redirect(org: DemoOrg, recorder: Recorder) -> None:
    """Neither to another host nor to our own."""
    other = DemoOrg()
    with serving(other):
        org.fail_next(
            302, "", headers={"Location": f"{other.instance_url}/services/data/v68.0/jobs/query"}, path=LISTING
        )
        found = failure(recorder)

        assert isinstance(found, Misconfigured)
        assert "My Domain" in found.remedy
        assert not other.requests


def test_the_host_is_the_one_of_the_token_answer(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """Asked at one host, told another one: that is where the jobs are listed."""
    job = org.add_job()
    monkeypatch.setenv(
        "SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL", org.instance_url.replace("127.0.0.1", "localhost")
    )
    run = recorder.load()

    assert set(recorder.states()) == {job}
    assert run.listing.org.session.instance_url == org.instance_url


def test_a_run_stops_before_it_takes_the_last_calls(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """Each answer tells the usage; past 90 % no further call is made, and the listing is not kept in part."""
    org.page_size, org.daily_api_requests = 10, 40
    for _ in range(95):
        org.add_job()
    org.usage.count_calls(org.now, 32)
    found = failure(recorder)

    assert isinstance(found, TryLater)
    assert "of its 40 daily API calls" in found.message
    assert len(listing_calls(org)) == 4
    monkeypatch.setenv("SOURCES__SALESFORCE__API_BUDGET_PERCENT", "100")
    org.daily_api_requests = 100
    assert recorder.load().listing.jobs_listed == 95


def test_the_listing_row_tells_what_was_read(org: DemoOrg, recorder: Recorder) -> None:
    """Pages, calls, jobs, rejected, and what the org says of its API calls."""
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
