"""Jobs that are no longer listed: when they were last seen, and what that proves."""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg

HOUR = timedelta(hours=1)
ROWS = "select id, state, last_listed_at, unlisted_at, listed_again_at from unlisted_jobs"


def test_a_deleted_job_is_noticed_by_the_next_listing(org: DemoOrg, recorder: Recorder) -> None:
    """Once; its last row is left unchanged."""
    gone, stays = org.add_job(), org.add_job()
    for hour in range(4):
        if hour == 2:
            org.delete_job(gone)
        recorder.load()
        org.advance(HOUR)

    assert recorder.rows(ROWS) == [(gone, "InProgress", NOON + HOUR, NOON + 2 * HOUR, None)]
    assert set(recorder.states()) == {gone, stays}
    assert recorder.rows("select jobs_unlisted from listings order by started_at") == [(None,), (0,), (1,), (0,)]
    assert recorder.rows("select outcome from jobs order by outcome") == [("gone unfinished",), ("unfinished",)]


@pytest.mark.slow
def test_an_expired_job_does_not_count_as_an_early_deletion(org: DemoOrg, recorder: Recorder) -> None:
    """After seven days the org removes it; before that, a user did."""
    expired = org.add_job(state="JobComplete")
    recorder.load()
    org.advance(timedelta(days=6, hours=23))
    deleted = org.add_job(state="JobComplete")
    recorder.load()
    org.delete_job(deleted)
    org.advance(2 * HOUR)
    recorder.load()

    assert {job for job, *_ in recorder.rows(ROWS)} == {expired, deleted}
    assert recorder.rows("select id, age_hours from early_deletions") == [(deleted, 2.0)]


@pytest.mark.slow
def test_a_job_that_went_after_the_first_listing_was_kept_is_noticed(org: DemoOrg, recorder: Recorder) -> None:
    """The file was locked from the very first run; the first listing to reach it is compared with what was kept."""
    gone = org.add_job(state="JobComplete")
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    org.advance(timedelta(days=20))
    recorder.load()

    assert recorder.rows("select id, last_listed_at from unlisted_jobs") == [(gone, NOON)]


def test_a_job_that_comes_back_is_not_gone(org: DemoOrg, recorder: Recorder) -> None:
    """Other users' jobs vanish and come back with the user's permission."""
    other = org.add_job(createdById=org.add_user("Amara Osei", "amara@example.org"))
    for sees_all in (True, False, True, True):
        org.sees_all = sees_all
        recorder.load()
        org.advance(HOUR)

    assert recorder.rows(ROWS) == [(other, "InProgress", NOON, NOON + HOUR, NOON + 2 * HOUR)]
    assert recorder.rows("select id from stuck_jobs") == [(other,)]
    org.sees_all = False
    recorder.load()
    assert recorder.rows(f"{ROWS} order by unlisted_at") == [
        (other, "InProgress", NOON, NOON + HOUR, NOON + 2 * HOUR),
        (other, "InProgress", NOON + 3 * HOUR, NOON + 4 * HOUR, None),
    ]
    assert recorder.rows("select id from stuck_jobs") == []


def test_a_job_that_only_a_kept_listing_shows_again_was_back(org: DemoOrg, recorder: Recorder) -> None:
    """One that was compared with nothing, because another one was waiting already."""
    other = org.add_job(createdById=org.add_user("Amara Osei", "amara@example.org"))
    for sees_all, locked in ((True, False), (False, False), (False, True), (True, True), (False, False)):
        org.sees_all = sees_all
        with holding(recorder.primary_file) if locked else nullcontext():
            assert recorder.run().returncode == (75 if locked else 0)
        org.advance(HOUR)

    assert recorder.rows(f"{ROWS} order by unlisted_at") == [
        (other, "InProgress", NOON, NOON + HOUR, NOON + 3 * HOUR),
        (other, "InProgress", NOON + 3 * HOUR, NOON + 4 * HOUR, None),
    ]


def test_a_filtered_listing_proves_nothing(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not show the other jobs, which still exist."""
    org.add_job()
    recorder.load()
    monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "Classic")
    recorder.load()

    assert recorder.rows(ROWS) == []
    assert recorder.rows("select filters, jobs_unlisted from listings order by filters desc") == [
        ("{}", None),
        ('{"jobType":"Classic"}', None),
    ]


@pytest.mark.slow
def test_a_job_that_a_filtered_listing_shows_again_is_not_gone(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its newer version is later than its absence."""
    other = org.add_job(createdById=org.add_user("Amara Osei", "amara@example.org"))
    for sees_all in (True, False, True):
        if sees_all and org.now > NOON:
            monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "V2Query")
            org.move_job(other, "JobComplete")
        org.sees_all = sees_all
        recorder.load()
        org.advance(HOUR)

    assert recorder.rows("select outcome from jobs") == [("done",)]


@pytest.mark.slow
def test_a_job_that_ran_for_weeks_is_noticed_when_it_goes(org: DemoOrg, recorder: Recorder) -> None:
    """Even though nothing about it had changed for longer than any finished job is kept."""
    old = org.add_job(
        state="Open", jobType="Classic", operation="insert", createdDate="<datetime>", systemModstamp=NOON
    )
    recorder.load()
    org.advance(timedelta(days=40))
    recorder.load()
    org.delete_job(old)
    org.advance(HOUR)
    recorder.load()

    days = [NOON + timedelta(days=days, hours=1) for days in (40, 80, 120)]
    assert [(job, at) for job, _, _, at, _ in recorder.rows(ROWS)] == [(old, days[0])]
    for _ in days[1:]:  # and only once: not again, even when that is long ago
        org.advance(timedelta(days=40))
        recorder.load()
    assert [(job, at) for job, _, _, at, _ in recorder.rows(ROWS)] == [(old, days[0])]
    assert recorder.rows("select started_at, jobs_unlisted from listings order by 1 desc limit 3") == [
        (days[2], 0),
        (days[1], 0),
        (days[0], 1),
    ]


def test_a_listing_of_another_org_says_nothing_about_this_one(org: DemoOrg, recorder: Recorder, recorder_of) -> None:
    """Two orgs, one warehouse."""
    from pipelines.demo_org.server import serving

    org.add_job()
    recorder.load()
    other = DemoOrg(now=NOON, seed=7)
    with serving(other):
        recorder_of(other).load()

    assert recorder.rows(ROWS) == []
    compared = "select jobs_unlisted, jobs_expected, jobs_lost from listings"
    assert recorder.rows(compared) == [(None, None, None)] * 2


def test_how_many_jobs_had_to_be_shown_is_noted_whether_or_not_some_are_missing(
    org: DemoOrg, recorder: Recorder
) -> None:
    jobs = [org.add_job() for _ in range(5)]
    for _ in range(2):
        recorder.load()
        org.advance(HOUR)
    org.delete_job(jobs[0])
    for _ in range(2):
        recorder.load()
        org.advance(HOUR)
    counts = "select jobs_unlisted, jobs_expected, jobs_lost from listings order by started_at"
    assert recorder.rows(counts) == [(None, None, None), (0, 5, 0), (1, 5, 1), (0, 4, 0)]


def test_the_first_listing_of_a_feed_is_compared_with_nothing(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The org's other listing is recorded already."""
    recorder.load()
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
    for _ in range(2):
        org.advance(HOUR)
        recorder.load()

    assert recorder.rows("select feed, jobs_unlisted from listings order by feed desc, started_at") == [
        ("query", None), ("query", 0), ("query", 0), ("ingest", None), ("ingest", 0),
    ]  # fmt: skip


def test_a_restarted_listing_is_complete_as_of_its_restart(org: DemoOrg, recorder: Recorder) -> None:
    """A job that the first try still showed can be gone by the second."""
    org.page_size = 5
    jobs = [org.add_job() for _ in range(12)]
    recorder.load()
    org.advance(HOUR)

    def lose(org: DemoOrg, surface: str, page: int) -> None:
        if page == 2 and jobs[0] in org.jobs:
            org.advance(timedelta(minutes=1))
            org.delete_job(jobs[0])
            org.lose_locators()

    org.before_answer = lose
    run = recorder.load()

    restart = run.snapshot.restarted_at
    assert restart
    assert [(job, at) for job, _, _, at, _ in recorder.rows(ROWS)] == [(jobs[0], restart)]


def test_a_listed_record_without_a_key_does_not_count_as_missing(org: DemoOrg, recorder: Recorder) -> None:
    """It names a job that the org still lists."""
    job = org.add_job()
    recorder.load()
    org.advance(HOUR)
    org.jobs[job]["systemModstamp"] = None
    run = recorder.load()

    assert (len(run.snapshot.rejected), run.snapshot.missing.jobs_unlisted) == (1, 0)
    assert recorder.rows("select id from unlisted_jobs") == []


@pytest.mark.slow
def test_a_kept_listing_that_was_compared_with_nothing_hides_no_absence(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it, of another kind, was still waiting; both came weeks after the job was gone."""
    job = org.add_job(state="JobComplete")
    for _ in range(2):
        recorder.load()
        org.advance(HOUR)
    org.advance(timedelta(days=20))
    with holding(recorder.primary_file, read_only=True):
        monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "Classic")
        assert recorder.run().returncode == 75
        monkeypatch.delenv("SOURCES__SALESFORCE__JOB_TYPE")
        org.advance(HOUR)
        assert recorder.run().returncode == 75
    org.advance(HOUR)
    recorder.load()

    assert recorder.rows("select id, last_listed_at from unlisted_jobs") == [(job, NOON + HOUR)]
