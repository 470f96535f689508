"""The org over HTTP: retries, clear error messages, the token's host, and the budget of API calls."""

import pytest
from demo_org_client import listing_calls, recorded
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import AccessDenied, ConfigError, RecorderError, TemporaryError

LISTING = r"/jobs/query$"


def test_half_an_emoji_in_one_record_does_not_end_the_listing(org: DemoOrg, recorder: Recorder) -> None:
    """Python's own decoder accepts what the fast one refuses; the rest of the page is unaffected."""
    body = '{"done": true, "records": [{"id": "750a", "state": "Open", "systemModstamp": "2026-11-02T12:00:00.000Z", '
    body += '"note": "cut \\ud83d", "size": 1e999, "deep": ' + "[" * 300 + "]" * 300 + "}]}"
    org.fail_next(200, body, path=LISTING)
    recorder.load()

    ((note, size, deep),) = recorder.rows("select note, size, deep from query_jobs")
    assert (note, size, deep) == ("cut \ufffd", "1e999", "[" * 300 + "]" * 300)


def test_a_session_that_expires_during_a_listing_is_renewed(org: DemoOrg, recorder: Recorder) -> None:
    """One new token, the same request again, and the listing continues."""
    org.page_size = 10
    ids = {org.add_job() for _ in range(35)}
    org.before_answer = lambda demo_org, listing, page: demo_org.expire_sessions() if page == 2 else None
    recorder.load()

    assert set(recorder.states()) == ids
    statuses = [request.status for request in org.requests if request.path.endswith("/jobs/query")]
    assert statuses == [200, 200, 401, 200, 200]
    assert sum(request.path.endswith("/token") for request in org.requests) == 2


def test_an_expired_bare_token_is_reported(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """There is nothing to renew it with."""
    for key in ("CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"SOURCES__SALESFORCE__CREDENTIALS__{key}")
    monkeypatch.setenv("SOURCES__SALESFORCE__CREDENTIALS__ACCESS_TOKEN", org.access_token)
    org.expire_sessions()
    found = recorder.failure()

    assert isinstance(found, AccessDenied)
    assert "INVALID_SESSION_ID" in found.message


@pytest.mark.parametrize(
    ("status", "headers"), [(503, {}), (429, {"Retry-After": "0"}), (500, {}), (502, {}), (420, {})]
)
def test_transient_errors_are_retried(org: DemoOrg, recorder: Recorder, status, headers) -> None:
    """A few times, by dlt's client."""
    job = org.add_job()
    org.fail_next(
        status, [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}], times=2, headers=headers, path=LISTING
    )
    run = recorder.load()

    assert set(recorder.states()) == {job}
    assert run.snapshot.org.calls == 3  # three tries; signing in does not count as an API call


def test_a_truncated_answer_is_retried(org: DemoOrg, recorder: Recorder) -> None:
    """Half a body is not a page."""
    job = org.add_job()
    org.cut_next(times=2, path=LISTING)
    recorder.load()

    assert set(recorder.states()) == {job}


def test_an_org_that_is_down_is_given_up_after_a_few_tries(org: DemoOrg, recorder: Recorder) -> None:
    """After a limited number of tries, to be retried later."""
    org.fail_next(503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "down"}], times=100, path=LISTING)
    found = recorder.failure()

    assert isinstance(found, TemporaryError)
    assert "SERVER_UNAVAILABLE" in found.message
    assert len(listing_calls(org)) == 5


def test_concurrent_request_limits_are_retried_and_a_spent_day_is_not(org: DemoOrg, recorder: Recorder) -> None:
    """Both are REQUEST_LIMIT_EXCEEDED; the text tells them apart."""
    job = org.add_job()
    org.fail_next(403, recorded("e_36_concurrent_limit"), times=2, path=LISTING)
    recorder.load()
    assert set(recorder.states()) == {job}

    org.requests.clear()
    org.fail_next(403, recorded("e_35_daily_limit"), times=2, path=LISTING)
    found = recorder.failure()
    assert isinstance(found, TemporaryError)
    assert "REQUEST_LIMIT_EXCEEDED" in found.message
    assert len(listing_calls(org)) == 1


REFUSALS = {
    "API_DISABLED_FOR_ORG": (403, AccessDenied, "edition"),
    "INSUFFICIENT_ACCESS": (403, AccessDenied, "Manage Data Integrations"),
    "NOT_FOUND": (404, ConfigError, "api_version"),
    "UNSUPPORTED_API_VERSION": (410, ConfigError, "api_version"),
    "INVALID_FIELD": (400, RecorderError, "doctor"),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_shows_its_code_and_what_to_do(org: DemoOrg, recorder: Recorder, code) -> None:
    """The errorCode is shown exactly as Salesforce sent it: people search for it."""
    status, kind, remedy = REFUSALS[code]
    org.fail_next(status, [{"message": "as Salesforce says", "errorCode": code}], path=LISTING)
    found = recorder.failure()

    assert type(found) is kind
    assert code in found.message
    assert remedy in found.remedy


def test_a_token_never_follows_a_redirect(org: DemoOrg, recorder: Recorder) -> None:
    """Neither to another host nor to the same one."""
    other = DemoOrg()
    with serving(other):
        org.fail_next(
            302, "", headers={"Location": f"{other.instance_url}/services/data/v68.0/jobs/query"}, path=LISTING
        )
        found = recorder.failure()

        assert isinstance(found, ConfigError)
        assert "My Domain" in found.remedy
        assert not other.requests


def test_the_host_is_the_one_in_the_token_answer(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """Sign-in goes to one host and names another: that is where the jobs are listed."""
    job = org.add_job()
    monkeypatch.setenv(
        "SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL", org.instance_url.replace("127.0.0.1", "localhost")
    )
    run = recorder.load()

    assert set(recorder.states()) == {job}
    assert run.snapshot.org.session.instance_url == org.instance_url


def test_a_run_stops_before_it_takes_the_last_calls(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """Each answer says how many calls are used; past 90 % no further call is made, and no partial listing is kept."""
    org.page_size, org.daily_api_requests = 10, 40
    for _ in range(95):
        org.add_job()
    org.usage.count_calls(org.now, 32)
    found = recorder.failure()

    assert isinstance(found, TemporaryError)
    assert "of its 40 daily API calls" in found.message
    assert len(listing_calls(org)) == 4
    monkeypatch.setenv("SOURCES__SALESFORCE__API_BUDGET_PERCENT", "100")
    org.daily_api_requests = 100
    assert recorder.load().snapshot.shown.jobs == 95
