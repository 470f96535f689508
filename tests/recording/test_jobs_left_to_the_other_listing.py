"""Jobs that one listing leaves to the other, which records them, but does not show them in the end: no state that either
showed is lost, and no job is gone before neither shows it."""

from collections.abc import Callable

import pytest
from both_listings import BOTH, FORBIDDEN, HOUR, ID, places, record, show, states
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg


@pytest.fixture
def recorder(recorder_of: Callable[..., Recorder], org: DemoOrg, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = recorder_of(org)
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", BOTH)
    return made


def test_a_load_that_goes_from_one_listing_to_the_other_is_not_gone_until_neither_shows_it(
    recorder: Recorder, org: DemoOrg
) -> None:
    load = record(ID, jobType="V2Ingest", state="Open")
    gone_at = []
    for in_query, in_ingest in (([load], []), ([], [load]), ([], []), ([], [])):
        show(org, "query", *in_query)
        show(org, "ingest", *in_ingest)
        recorder.load()
        assert places(recorder).keys() == {ID}
        gone_at += [org.now] if recorder.rows("select id from all_jobs where is_gone") else []
        org.advance(HOUR)
    assert gone_at == [NOON + 2 * HOUR, NOON + 3 * HOUR]
    absences = recorder.rows("select feed, last_listed_at, unlisted_at, listed_again_at from unlisted_jobs")
    assert absences == [("ingest", NOON + HOUR, NOON + 2 * HOUR, None)]


@pytest.mark.parametrize(
    ("job_type", "own", "other"), [("V2Ingest", "ingest", "query"), ("Classic", "query", "ingest")]
)
def test_a_job_that_only_the_other_listing_goes_on_showing_is_not_gone(
    recorder: Recorder, org: DemoOrg, job_type: str, own: str, other: str
) -> None:
    """Neither while it is as it was, nor once it changes; no state of it is lost."""
    for in_other, in_own in (("", "Open"), ("Open", ""), ("InProgress", ""), ("JobComplete", ""), ("", "Failed")):
        for feed, state in ((other, in_other), (own, in_own)):
            show(org, feed, *([record(ID, jobType=job_type, state=state)] if state else []))
        recorder.load()
        assert places(recorder).keys() == {ID}
        assert recorder.rows("select count(*) from unlisted_jobs") == [(0,)]
        assert recorder.rows("select state from all_jobs") == [(in_other or in_own,)]
        org.advance(HOUR)
    assert states(recorder, ID) == ["Open", "InProgress", "JobComplete", "Failed"]
    assert places(recorder) == {ID: own}
    for feed in (own, other):
        show(org, feed)
    recorder.load()
    assert recorder.rows("select id, feed from unlisted_jobs") == [(ID, own)]


@pytest.mark.parametrize("job_type", ["V2Ingest", "Classic"])
@pytest.mark.parametrize("shown_by", ["query", "ingest"])
@pytest.mark.parametrize("known", [True, False])
def test_the_last_state_of_a_job_that_is_deleted_while_the_other_listing_is_read(
    recorder: Recorder, org: DemoOrg, job_type: str, shown_by: str, known: bool
) -> None:
    """Whether or not it was recorded before."""
    before, last = (record(ID, jobType=job_type, state=state) for state in ("Open", "Failed"))
    for in_query, in_ingest in (([before] * known,) * 2, ([last], [last]), ([], [])):
        for feed, shown in (("query", in_query), ("ingest", in_ingest)):
            show(org, feed, *(shown if shown != [last] or feed == shown_by else []))
        recorder.load()
        assert places(recorder).keys() <= {ID}
        org.advance(HOUR)
    assert states(recorder, ID) == ["Open"] * known + ["Failed"]
    assert recorder.rows("select last_listed_at, unlisted_at from unlisted_jobs") == [(NOON + HOUR, NOON + 2 * HOUR)]


@pytest.mark.parametrize(
    ("job_type", "own", "other"), [("V2Ingest", "ingest", "query"), ("Classic", "query", "ingest")]
)
def test_changes_of_a_job_while_its_own_listing_fails(
    recorder: Recorder, org: DemoOrg, job_type: str, own: str, other: str
) -> None:
    for state in ("Open", "InProgress", "JobComplete"):
        if state == "InProgress":
            org.fail_next(403, FORBIDDEN, path=f"/jobs/{own}$")
        else:
            show(org, own, record(ID, jobType=job_type, state=state))
        show(org, other, record(ID, jobType=job_type, state=state))
        recorder.load()
        assert places(recorder).keys() == {ID}
        org.advance(HOUR)
    assert states(recorder, ID) == ["Open", "InProgress", "JobComplete"]
    assert places(recorder) == {ID: own}
    assert recorder.rows("select count(*) from unlisted_jobs") == [(0,)]


def test_classic_jobs_that_a_filter_leaves_out_are_not_recorded(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although /jobs/ingest shows them."""
    monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "V2Query")
    show(org, "query", record("750A", jobType="V2Query"))
    show(org, "ingest", record("750B", jobType="Classic"), record("750C", jobType="V2Ingest"))
    recorder.load()
    assert places(recorder) == {"750A": "query", "750C": "ingest"}
    org.fail_next(403, FORBIDDEN, path="/jobs/query")
    show(org, "ingest", record("750B", jobType="Classic"), record("750C", jobType="V2Ingest"))
    recorder.load()
    assert places(recorder) == {"750A": "query", "750C": "ingest"}


@pytest.mark.parametrize(
    ("job_type", "own", "other"), [("V2Ingest", "ingest", "query"), ("Classic", "query", "ingest")]
)
@pytest.mark.parametrize("fails", [True, False])
def test_an_absent_job_that_only_the_other_listing_shows_again_is_back(
    recorder: Recorder, org: DemoOrg, monkeypatch: pytest.MonkeyPatch, fails: bool, job_type: str, own: str, other: str
) -> None:
    """As it was, while its own listing fails, or is not recorded any more; and gone once none shows it."""
    job = record(ID, jobType=job_type)
    for in_own, in_other in (([job], [job]), ([], []), (None, [job]), ([], [])):
        show(org, other, *in_other)
        monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", BOTH if in_own is not None or fails else f'["{other}"]')
        if in_own is None:
            org.fail_next(403, FORBIDDEN, path=f"/jobs/{own}$")
        else:
            show(org, own, *in_own)
        recorder.load()
        assert places(recorder).keys() == {ID}
        org.faults.clear()
        org.advance(HOUR)
    assert recorder.rows("select last_listed_at, unlisted_at, listed_again_at from unlisted_jobs order by all") == [
        (NOON, NOON + HOUR, NOON + 2 * HOUR),
        (NOON + 2 * HOUR, NOON + 3 * HOUR, None),
    ]
