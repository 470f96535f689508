"""Answers from another org, or to another question: nothing of them is stored."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from demo_org_client import listing_calls
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import RecorderError, TemporaryError

LISTING = r"/jobs/query$"


@pytest.fixture
def other() -> Iterator[DemoOrg]:
    """Another org, with its own jobs, that accepts the same keys."""
    demo_org = DemoOrg(now=NOON, seed=7, page_size=10)
    with serving(demo_org):
        for _ in range(35):
            demo_org.add_job()
        yield demo_org


def lead_to(other: DemoOrg) -> Callable[[DemoOrg], None]:
    """From here on, signing in to one org leads to the other: the app was redirected, or the sandbox refreshed."""

    def switch(org: DemoOrg) -> None:
        org.expire_sessions()
        org.org_id, org.instance_url = other.org_id, other.instance_url
        org.issue_token = other.issue_token  # type: ignore[method-assign]

    return switch


def test_a_listing_does_not_continue_in_another_org(org: DemoOrg, other: DemoOrg, recorder: Recorder) -> None:
    """The message names both, nothing is stored, and the next load records the other org separately."""
    org.page_size = 10
    jobs = {org.add_job() for _ in range(35)}
    recorder.load()
    first = org.org_id
    org.before_answer = lambda demo_org, listing, page: lead_to(other)(demo_org) if page == 2 else None
    found = recorder.failure()

    assert isinstance(found, TemporaryError)
    assert first in found.message
    assert other.org_id in found.message
    assert not listing_calls(other)
    org.before_answer = None
    recorder.load()
    assert recorder.rows("select org_id, count(*) from query_jobs group by all order by all") == sorted(
        [(first, len(jobs)), (other.org_id, 35)]
    )
    assert recorder.rows("select count(*) from unlisted_jobs") == [(0,)]


@pytest.mark.parametrize("differs", ["org", "host"])
def test_another_org_is_one_with_another_id_or_another_host(
    org: DemoOrg, other: DemoOrg, recorder: Recorder, differs: str
) -> None:
    """A refreshed sandbox keeps its host."""
    org.page_size = 10
    for _ in range(35):
        org.add_job()

    def switch(demo_org: DemoOrg, listing: str, page: int) -> None:
        if page == 2:
            demo_org.expire_sessions()
            if differs == "org":
                demo_org.org_id = other.org_id
            else:
                demo_org.instance_url = other.instance_url

    org.before_answer = switch
    assert "leads to another org" in recorder.failure().message


def test_the_same_org_under_its_15_character_id_continues(org: DemoOrg, recorder: Recorder) -> None:
    """A renewed session may give the id in that form."""
    org.page_size = 10
    jobs = {org.add_job() for _ in range(35)}

    def shorten(demo_org: DemoOrg, listing: str, page: int) -> None:
        if page == 2:
            demo_org.expire_sessions()
            demo_org.org_id = demo_org.org_id[:15]

    org.before_answer = shorten
    recorder.load()
    assert set(recorder.states()) == jobs


def test_a_renewed_session_without_an_org_id_is_checked_by_a_request(
    org: DemoOrg, other: DemoOrg, recorder: Recorder
) -> None:
    """To its own host."""
    org.page_size = 10
    for _ in range(35):
        org.add_job()
    first, same = org.org_id, [True]

    def expire(demo_org: DemoOrg, listing: str, page: int) -> None:
        if page == 2:
            demo_org.expire_sessions()
            demo_org.org_id = first if same[0] else other.org_id
            token = {"access_token": demo_org.issue_token(), "instance_url": demo_org.instance_url}
            demo_org.fail_next(200, token, path="/token")

    org.before_answer = expire
    recorder.load()
    org.org_id, same[0] = first, False
    assert other.org_id in recorder.failure().message


@pytest.mark.parametrize("path", ["/jobs/query/", r"/limits$", r"v68.0/query$"])
def test_nothing_after_the_listing_is_requested_from_another_org(
    org: DemoOrg, other: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The jobs are recorded; a note says why the rest is missing."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "50")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    first = org.org_id
    jobs = {org.add_job(state="JobComplete") for _ in range(20)}
    lead = lead_to(other)
    org.before_answer = lambda demo_org, *_: lead(demo_org)  # when the only page is sent
    other.jobs |= org.jobs
    other.details |= org.details
    recorder.load()

    assert set(recorder.states()) == jobs
    assert other.requests == []
    ((notes,),) = recorder.rows("select notes from listings")
    for table in ("job_details", "users", "orgs", "org_limits"):
        assert f"{table}: The session expired, and the new sign-in leads to another org" in notes
        assert recorder.rows(f"select count(*) from {table}") == [(0,)]
    assert first in notes
    assert other.org_id in notes


def test_metadata_of_another_org_or_user_is_refused(
    org: DemoOrg, other: DemoOrg, recorder: Recorder, monkeypatch
) -> None:
    """The org's name has to be its own, and users those requested; an id may have 15 characters."""
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    ada = org.add_user("Ada", "ada@example.org")
    org.add_job(createdById=ada)
    name = {"Id": other.org_id, "Name": "Another"}
    user = {"Id": "005000000000001AAA", "Name": "Somebody", "Username": "x", "IsActive": True, "UserType": "Standard"}
    for record in (name, user):
        org.fail_next(200, {"totalSize": 1, "done": True, "records": [record]}, path="v68.0/query$", times=1)
    org.faults._waiting.reverse()  # users are requested first
    recorder.load()

    assert recorder.rows("select count(*) from users union all select count(*) from orgs") == [(0,), (0,)]
    ((notes,),) = recorder.rows("select notes from listings")
    assert other.org_id in notes
    assert "users: The answer to a query for users is about others" in notes
    for record in (user | {"Id": ada[:15], "Name": "Ada"}, name | {"Id": org.org_id[:15], "Name": "Ours"}):
        org.fail_next(200, {"totalSize": 1, "done": True, "records": [record]}, path="v68.0/query$", times=1)
    recorder.load()
    assert recorder.rows("select id, name from users union all select org_id, name from orgs order by name") == [
        (ada, "Ada"), (org.org_id, "Ours"),
    ]  # fmt: skip


# --- a listing that says done and names a next page ---


def test_a_done_listing_with_a_next_page_is_read_further(org: DemoOrg, recorder: Recorder) -> None:
    """An extra page can only add jobs: none is reported missing, and there is one note."""
    org.page_size = 10
    jobs = {org.add_job() for _ in range(35)}
    recorder.load()
    org.done_early = True
    org.advance(timedelta(hours=1))
    run = recorder.load()

    assert (run.snapshot.shown.pages, run.snapshot.shown.jobs) == (4, 35)
    assert set(recorder.states()) == jobs
    assert recorder.rows("select count(*) from unlisted_jobs") == [(0,)]
    ((notes,),) = recorder.rows("select notes from listings order by started_at desc limit 1")
    assert notes == "listing: page 1 was the last (done: true), but named a next one"


def page(*records: dict[str, str], locator: object, done: bool = True) -> dict[str, object]:
    url = f"/services/data/v68.0/jobs/query?queryLocator={locator}" if isinstance(locator, str) else locator
    return {"done": done, "records": list(records), "nextRecordsUrl": url}


JOB = {"id": "750a", "state": "Open", "systemModstamp": "2026-11-02T12:00:00.000Z"}


def test_a_done_listing_that_repeats_a_page_is_complete(org: DemoOrg, recorder: Recorder) -> None:
    """No page is left; if it were not done, this would be a loop."""
    org.fail_next(200, page(JOB, locator="01g-1"), path=LISTING)
    org.fail_next(200, page(JOB | {"id": "750b"}, locator="01g-1"), path=LISTING)
    recorder.load()
    assert set(recorder.states()) == {"750a", "750b"}

    for done in (True, False):
        org.fail_next(200, page(JOB, locator="01g-1", done=done), path=LISTING)
    assert "repeats an earlier queryLocator" in recorder.failure().message


def test_a_done_listing_whose_next_page_is_unknown_is_complete(org: DemoOrg, recorder: Recorder) -> None:
    """After as many tries as for a lost locator."""
    org.fail_next(200, page(JOB, locator="01g-1"), path=LISTING)
    for _ in range(2):
        org.fail_next(400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "no"}], path=LISTING)
        org.fail_next(200, page(JOB, locator="01g-1"), path=LISTING)
    org.fail_next(400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "no"}], path=LISTING)
    recorder.load()

    assert set(recorder.states()) == {"750a"}
    assert len(listing_calls(org)) == 6
    assert "the last page named a next one, which the org rejects" in recorder.rows("select notes from listings")[0][0]


@pytest.mark.parametrize("url", ["/services/data/v68.0/jobs/query", "/x?queryLocator=", ["01g-1"], True])
def test_a_done_listing_whose_next_page_cannot_be_requested_is_refused(
    org: DemoOrg, recorder: Recorder, url: object
) -> None:
    """There might have been more."""
    org.fail_next(200, page(JOB, locator=None) | {"nextRecordsUrl": url}, path=LISTING)
    found = recorder.failure()

    assert type(found) is RecorderError
    assert "names a next page, but has no queryLocator" in found.message


@pytest.mark.parametrize("nothing", [None, "", ...])
def test_done_without_a_next_page_is_the_end(org: DemoOrg, recorder: Recorder, nothing: object) -> None:
    """Null, empty or missing."""
    body = page(JOB, locator=None) | {"nextRecordsUrl": nothing}
    org.fail_next(200, {name: value for name, value in body.items() if value is not ...}, path=LISTING)
    recorder.load()

    assert recorder.rows("select jobs_listed, notes from listings") == [(1, None)]
