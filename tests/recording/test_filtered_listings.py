"""What a filtered listing, or one that was compared with nothing, says about jobs that were gone."""

import shutil
from collections.abc import Callable
from datetime import timedelta

import pytest
from demo_org_client import detail_calls
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg

HOUR = timedelta(hours=1)


@pytest.mark.slow
def test_jobs_that_went_during_weeks_without_a_load_are_noticed(org: DemoOrg, recorder: Recorder) -> None:
    """However long ago they were last listed, and by however many listings."""
    first = org.add_job(state="JobComplete")
    recorder.load()
    org.advance(timedelta(days=20))
    second = org.add_job(state="JobComplete")
    recorder.load()
    org.advance(timedelta(days=20))
    recorder.load()

    away = "select id, last_listed_at, unlisted_at from unlisted_jobs order by 2"
    weeks = [NOON + timedelta(days=days) for days in (0, 20, 40)]
    assert recorder.rows(away) == [(first, weeks[0], weeks[1]), (second, weeks[1], weeks[2])]


@pytest.mark.slow
def test_a_job_that_only_a_filtered_listing_showed_again_is_noticed_when_it_goes_again(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first absence is older than anything recorded about it since."""
    job = org.add_job(createdById=org.add_user("Amara Osei", "amara@example.com"), state="InProgress")
    org.add_job()
    recorder.load()
    org.advance(HOUR)
    org.sees_all = False
    recorder.load()
    org.sees_all = True
    org.advance(HOUR)
    org.move_job(job, "UploadComplete")
    monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", "V2Query")
    recorder.load()
    monkeypatch.delenv("SOURCES__SALESFORCE__JOB_TYPE")
    org.advance(HOUR)
    org.delete_job(job)
    recorder.load()

    hours = [NOON + n * HOUR for n in range(4)]
    away = "select last_listed_at, unlisted_at, listed_again_at from unlisted_jobs order by unlisted_at"
    assert recorder.rows(away) == [(*hours[:2], hours[2]), (*hours[2:], None)]


@pytest.fixture
def filtered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the job type filter of the listings from here on, or none."""

    def by(job_type: str) -> None:
        monkeypatch.setenv("SOURCES__SALESFORCE__JOB_TYPE", job_type)
        if not job_type:
            monkeypatch.delenv("SOURCES__SALESFORCE__JOB_TYPE")

    return by


@pytest.fixture
def away(org: DemoOrg, recorder: Recorder) -> tuple[str, str]:
    """Another user's query, and a load, that the second listing did not show; an hour later they are back."""
    user = org.add_user("Amara Osei", "amara@example.org")
    jobs = [org.add_job(createdById=user, state="JobComplete", jobType=kind) for kind in ("V2Query", "Classic")]
    org.add_job()
    for sees_all in (True, False):
        org.sees_all = sees_all
        recorder.load()
        org.advance(HOUR)
    org.sees_all = True
    return jobs[0], jobs[1]


OF_A_JOB = "select last_listed_at, unlisted_at, listed_again_at from unlisted_jobs where id = '{}' order by unlisted_at"


@pytest.mark.slow
def test_a_filtered_listing_ends_the_absence_of_what_it_shows(
    org: DemoOrg, recorder: Recorder, away: tuple[str, str], filtered: Callable[[str], None]
) -> None:
    """Even if nothing about the job has changed. It says nothing about the other job, and is not a complete listing."""
    query, load = away
    filtered("V2Query")
    run = recorder.load()

    assert run.snapshot.jobs_changed == 0
    assert recorder.rows(OF_A_JOB.format(query)) == [(NOON, NOON + HOUR, NOON + 2 * HOUR)]
    assert recorder.rows(OF_A_JOB.format(load)) == [(NOON, NOON + HOUR, None)]
    counts = "select jobs_unlisted, jobs_expected, jobs_lost, reduced_since from listings order by started_at desc"
    assert recorder.rows(counts)[0] == (None, None, None, None)
    assert recorder.rows("select id from early_deletions") == [(load,)]
    org.advance(HOUR)
    recorder.load()  # an absence that has ended stays ended
    assert recorder.rows(OF_A_JOB.format(query)) == [(NOON, NOON + HOUR, NOON + 2 * HOUR)]


@pytest.mark.slow
def test_every_absence_is_recorded(
    org: DemoOrg, recorder: Recorder, away: tuple[str, str], filtered: Callable[[str], None]
) -> None:
    """Even if only a filtered listing showed the job in between: it existed then, and went after that."""
    query, load = away
    filtered("V2Query")
    recorder.load()
    org.advance(HOUR)
    filtered("")
    org.delete_job(query)
    run = recorder.load()

    first = (NOON, NOON + HOUR, NOON + 2 * HOUR)
    assert recorder.rows(OF_A_JOB.format(query)) == [first, (NOON + 2 * HOUR, NOON + 3 * HOUR, None)]
    assert recorder.rows(OF_A_JOB.format(load)) == [(NOON, NOON + HOUR, NOON + 3 * HOUR)]
    assert run.snapshot.missing.jobs_unlisted == 1
    assert recorder.rows("select id, unlisted_at from early_deletions") == [(query, NOON + 3 * HOUR)]
    for sees_all in (False, True):
        org.advance(HOUR)
        org.sees_all = sees_all
        recorder.load()
    assert recorder.rows(OF_A_JOB.format(load)) == [
        (NOON, NOON + HOUR, NOON + 3 * HOUR),
        (NOON + 3 * HOUR, NOON + 4 * HOUR, NOON + 5 * HOUR),
    ]


@pytest.mark.slow
def test_details_of_a_job_that_a_filtered_listing_showed_again_are_fetched(
    org: DemoOrg, recorder: Recorder, away: tuple[str, str], filtered: Callable[[str], None], monkeypatch
) -> None:
    """Once, however often it was absent; one that stays absent is not requested."""
    query, load = away
    recorder.load()
    for sees_all in (False, True):
        org.advance(HOUR)
        org.sees_all = sees_all
        filtered("V2Query" if sees_all else "")
        monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "9" if sees_all else "0")
        recorder.load()

    assert detail_calls(org) == [query]
    assert len(recorder.rows(OF_A_JOB.format(load))) == 2


@pytest.mark.slow
def test_a_listing_that_was_compared_with_nothing_still_proves_that_its_jobs_exist(
    org: DemoOrg, recorder: Recorder, away: tuple[str, str], filtered: Callable[[str], None]
) -> None:
    """Two were kept while the file was locked, the second without knowing the first: a changed job was back by then."""
    query, load = away
    org.move_job(query, "JobComplete")
    filtered("V2Query")
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    org.advance(HOUR)
    org.delete_job(query)
    filtered("")
    recorder.load()

    assert recorder.rows(OF_A_JOB.format(query)) == [
        (NOON, NOON + HOUR, NOON + 2 * HOUR),
        (NOON + 2 * HOUR, NOON + 3 * HOUR, None),
    ]
    assert recorder.rows(OF_A_JOB.format(load)) == [(NOON, NOON + HOUR, NOON + 3 * HOUR)]


@pytest.mark.slow
def test_a_replayed_listing_neither_duplicates_nor_restarts_an_absence(org: DemoOrg, recorder: Recorder) -> None:
    """It was kept when the job went, and turns up beside the file again after the job is back."""
    job = org.add_job(state="JobComplete", createdById=org.add_user("Amara Osei", "amara@example.org"))
    recorder.load()
    org.advance(HOUR)
    org.sees_all = False
    with holding(recorder.primary_file, read_only=True):
        assert recorder.run().returncode == 75
    kept = recorder.state_folder / "kept"
    shutil.copytree(kept, recorder.home / "restored")
    for sees_all in (True, False):
        org.advance(HOUR)
        org.sees_all = sees_all
        recorder.load()
    absences = recorder.rows(OF_A_JOB.format(job))
    assert absences == [(NOON, NOON + HOUR, NOON + 2 * HOUR), (NOON + 2 * HOUR, NOON + 3 * HOUR, None)]
    shutil.copytree(recorder.home / "restored", kept, dirs_exist_ok=True)
    org.advance(HOUR)
    run = recorder.load()

    assert run.resumed == 1
    assert recorder.rows(OF_A_JOB.format(job)) == absences
