"""A listing that suddenly shows only a fraction of the jobs that must still exist proves nothing, and no job counts as
deleted."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows
from processes import holding
from recorders import NOON, Recorder

from pipelines.answers.check import Finding, Thresholds, check
from pipelines.demo_org.org import DemoOrg

WEEK = 7 * DAY
VIEW = (
    "select reduced_from, listings, jobs_expected, jobs_lost, creators_before, creators, is_ongoing from reduced_views"
)


def findings(recorder: Recorder, org: DemoOrg, *kinds: str) -> list[Finding]:
    """The findings of these kinds, as of the org's own time."""
    return [found for found in check(recorder.warehouse, Thresholds(), org.now) if found.kind in kinds]


def listed_hourly(org: DemoOrg, recorder: Recorder, times: int = 1) -> None:
    for _ in range(times):
        org.advance(HOUR)
        recorder.load()


def others(org: DemoOrg, jobs: int, users: int = 8, **fields: Any) -> list[str]:
    """Jobs of other users."""
    ids = [org.add_user(f"User {n}", f"user{n}@example.org") for n in range(users)]
    return [org.add_job(createdById=ids[n % users], **{"state": "JobComplete", **fields}) for n in range(jobs)]


@pytest.fixture
def lost(org: DemoOrg, recorder: Recorder) -> Recorder:
    """An org with 300 jobs of 9 users; from the second listing on, the recorder's user may only see its own 34."""
    others(org, 266)
    for _ in range(34):
        org.add_job(state="JobComplete")
    recorder.load()
    org.sees_all = False
    listed_hourly(org, recorder)
    return recorder


def test_a_lost_permission_is_reported(org: DemoOrg, lost: Recorder) -> None:
    """Immediately, and as urgent; nothing is called deleted, and no listing from there on proves anything."""
    (found,) = findings(lost, org, "reduced view")
    assert found.urgent
    assert "the listing lost 266 of 300 jobs at once: on " in found.message
    assert "jobs of 1 instead of 9 users" in found.message

    org.add_job()  # our own job continues, and proves nothing
    listed_hourly(org, lost, 2)
    assert [again.key for again in findings(lost, org, "reduced view")] == [found.key]
    assert lost.rows(VIEW) == [(NOON + HOUR, 3, 300, 266, 9, 1, True)]
    assert lost.rows("select count(*) from early_deletions") == [(0,)]
    assert lost.rows("select covered_to, listings from coverage") == [(NOON, 1)]
    org.advance(2 * DAY)
    assert [age.kind for age in findings(lost, org, "coverage")] == ["coverage"]


@pytest.mark.slow
def test_when_the_jobs_come_back_listings_prove_again(org: DemoOrg, lost: Recorder) -> None:
    """A job missing then was deleted, but when is not known."""
    org.delete_job(next(job for job, row in org.jobs.items() if row["createdById"] != org.integration_user_id))
    org.sees_all = True
    listed_hourly(org, lost)

    assert findings(lost, org, "reduced view", "coverage", "hole") == []
    assert lost.rows(VIEW) == [(NOON + HOUR, 1, 300, 266, 9, 1, False)]
    assert lost.rows("select covered_to, listings from coverage") == [(NOON + 2 * HOUR, 2)]
    assert lost.rows("select count(*) from early_deletions") == [(0,)]
    gone = next(iter(org.jobs))
    org.delete_job(gone)
    listed_hourly(org, lost)
    assert lost.rows("select id from early_deletions") == [(gone,)]


@pytest.mark.slow
def test_new_jobs_of_the_lost_users_end_it(org: DemoOrg, lost: Recorder) -> None:
    """Their jobs are shown again, although the old ones are gone."""
    users = {row["createdById"] for row in org.jobs.values()} - {org.integration_user_id}
    for job in [job for job, row in org.jobs.items() if row["createdById"] in users]:
        org.delete_job(job)
    org.sees_all = True
    for user in users:
        org.add_job(createdById=user)
    listed_hourly(org, lost)

    assert findings(lost, org, "reduced view") == []
    assert lost.rows("select count(*) from early_deletions") == [(0,)]


@pytest.mark.slow
def test_a_week_later_the_lost_jobs_would_have_expired(org: DemoOrg, lost: Recorder) -> None:
    """Until then nothing is proven, and the time in between is a hole."""
    for _ in range(13):
        org.advance(12 * HOUR)
        org.add_job()
        lost.load()
    assert len(findings(lost, org, "reduced view")) == 1
    assert [found.urgent for found in findings(lost, org, "coverage")] == [True]
    org.advance(12 * HOUR)
    lost.load()

    assert findings(lost, org, "reduced view", "coverage") == []
    assert lost.rows("select hole_from from coverage_holes") == [(NOON,)]


@pytest.mark.slow
def test_one_empty_listing_does_not_mark_jobs_as_deleted(org: DemoOrg, recorder: Recorder) -> None:
    """The next one shows all jobs again."""
    jobs = [*others(org, 20, users=2), org.add_job(state="InProgress"), org.add_job(state="InProgress")]
    recorder.load()
    org.fail_next(200, {"done": True, "records": []}, path="/jobs/query$")
    listed_hourly(org, recorder)

    assert recorder.rows(VIEW) == [(NOON + HOUR, 1, 22, 22, 3, 0, True)]
    assert len(findings(recorder, org, "reduced view")) == 1
    assert recorder.rows("select count(*) from early_deletions") == [(0,)]
    assert recorder.rows("select distinct outcome from jobs order by 1") == [("done",), ("unfinished",)]
    assert recorder.rows("select count(*) from stuck_jobs") == [(0,)]
    listed_hourly(org, recorder)
    assert findings(recorder, org, "reduced view", "coverage", "hole") == []
    assert recorder.rows("select count(*) from unlisted_jobs where listed_again_at is null") == [(0,)]
    assert set(recorder.states()) == set(jobs)


@pytest.mark.slow
@pytest.mark.parametrize(("lose", "of", "found"), [(19, 20, 0), (20, 40, 0), (20, 39, 1), (20, 20, 1), (21, 40, 1)])
def test_a_reduced_view_lacks_twenty_jobs_and_more_than_half(
    org: DemoOrg, recorder: Recorder, lose: int, of: int, found: int
) -> None:
    """Of the whole org, whoever created them."""
    jobs = [org.add_job(state="JobComplete") for _ in range(of)]
    recorder.load()
    for job in jobs[:lose]:
        org.delete_job(job)
    listed_hourly(org, recorder)

    assert len(findings(recorder, org, "reduced view")) == found
    assert recorder.rows("select count(*) from early_deletions") == [(0 if found else lose,)]


def expired(org: DemoOrg, recorder: Recorder) -> None:
    """At an age of seven days, all within one hour."""
    others(org, 100)
    recorder.load()
    org.advance(WEEK)
    others(org, 3)
    recorder.load()


def outage(org: DemoOrg, recorder: Recorder) -> None:
    """No load for nine days; jobs that were running when that began have ended and expired, too."""
    others(org, 60)
    others(org, 60, state="InProgress")
    recorder.load()
    for job in list(org.jobs):
        org.move_job(job, "JobComplete")
    org.advance(9 * DAY)
    recorder.load()


def first_seen_late(org: DemoOrg, recorder: Recorder) -> None:
    """They ended long before the listing that first showed it, and their stamps did not move."""
    jobs = others(org, 60, state="InProgress")
    recorder.load()
    for job in jobs:
        org.move_job(job, "JobComplete", stamp=False)
    org.advance(6 * DAY)
    recorder.load()
    org.advance(DAY + HOUR)
    recorder.load()


def filtered(org: DemoOrg, recorder: Recorder) -> None:
    """It leaves out existing jobs, and is compared with nothing."""
    others(org, 60)
    recorder.load()
    org.advance(HOUR)
    assert recorder.run("load", SOURCES__SALESFORCE__JOB_TYPE="Classic").returncode == 0


def deleted_at_once(org: DemoOrg, recorder: Recorder) -> None:
    """A client that deletes each job when it ends, and starts others."""
    jobs = others(org, 40, users=1, state="InProgress")
    user = org.job(jobs[0])["createdById"]
    for _ in range(3):
        recorder.load()
        org.advance(HOUR)
        for job in jobs:
            org.delete_job(job)
        jobs = [org.add_job(createdById=user) for _ in range(40)]
    recorder.load()
    assert recorder.rows("select count(*) from early_deletions") == [(120,)]


@pytest.mark.slow
@pytest.mark.parametrize("story", [expired, outage, first_seen_late, filtered, deleted_at_once])
def test_jobs_that_vanish_normally_are_not_a_reduced_view(
    org: DemoOrg, recorder: Recorder, story: Callable[[DemoOrg, Recorder], None]
) -> None:
    """However many."""
    story(org, recorder)

    assert recorder.rows(VIEW) == []
    assert findings(recorder, org, "reduced view") == []


@pytest.mark.slow
def test_kept_listings_in_between_that_were_compared_with_nothing_prove_nothing(
    org: DemoOrg, recorder: Recorder
) -> None:
    """The file was locked when the permission was lost."""
    others(org, 60)
    recorder.load()
    org.sees_all = False
    with holding(recorder.primary_file, read_only=True):
        for _ in range(2):  # the second knows that the first is waiting, and so is compared with nothing
            org.advance(HOUR)
            assert recorder.run().returncode == 75
    listed_hourly(org, recorder)

    assert recorder.rows("select covered_to, listings from coverage") == [(NOON, 1)]
    assert recorder.rows("select count(*) from early_deletions") == [(0,)]
    assert recorder.rows("select reduced_from, listings from reduced_views") == [(NOON + HOUR, 3)]


@pytest.mark.parametrize("seed", range(3))
def test_the_view_matches_the_listings(tmp_path: Path, seed: int) -> None:
    """Periods computed by hand, and coverage without them; filtered listings are neither."""
    dice = Random(seed)
    listings, at, since = [], NOW - 90 * DAY, None
    for number in range(200):
        at += dice.choice((HOUR, 5 * HOUR, DAY))
        since = at if since is None and dice.random() < 0.1 else None if dice.random() < 0.3 else since
        whole = dice.random() < 0.8
        listing: dict[str, Any] = {"listing_id": str(number), "started_at": at, "filters": "{}" if whole else '{"jobType":"Classic"}'}  # fmt: skip
        if whole:
            listing |= {"creators": dice.randrange(9), "jobs_unlisted": dice.choice((0, 0, 0, None))}
            if listing["jobs_unlisted"] == 0:
                listing |= {"reduced_since": since, "jobs_expected": 300, "jobs_lost": dice.randrange(300)}
        listings.append(listing)
    file = plant(tmp_path / "w.duckdb", listings=listings)

    wanted = list(spells([row for row in listings if row["filters"] == "{}"]))
    found = rows(
        file, "select org_id, reduced_from, reduced_to, listings, creators_before, is_ongoing from reduced_views"
    )
    assert Counter(found) == Counter(wanted)
    assert len(wanted) > 3
    assert rows(file, "select count(*) from reduced_views group by org_id, reduced_from having count(*) > 1") == []
    proofs = [row["started_at"] for row in listings if row["filters"] == "{}"
              and not any(start <= row["started_at"] <= end for _, start, end, *_ in wanted)]  # fmt: skip
    assert rows(file, "select cast(sum(listings) as bigint), max(covered_to) from coverage") == [
        (len(proofs), proofs[-1])
    ]


def spells(listings: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    compared = [row["started_at"] for row in listings if row["jobs_unlisted"] is not None]
    starts: list[datetime] = sorted({row["reduced_since"] for row in listings if row.get("reduced_since")})
    for start in starts:
        end = max(row["started_at"] for row in listings if row.get("reduced_since") == start)
        within = [row for row in listings if start <= row["started_at"] <= end]
        before = [row["creators"] for row in listings if row["started_at"] < start]
        yield (ORG, start, end, len(within), before[-1] if before else None, end == max(compared))


def test_a_count_during_a_reduced_view_is_not_used_for_unseen_jobs(tmp_path: Path) -> None:
    """All hidden jobs would count as unseen."""
    limit = {"limit_name": "DailyBulkV2QueryJobs", "max": 1_000, "remaining": 400}
    listings = [{"listing_id": "a", "started_at": NOW, "jobs_unlisted": 30, "reduced_since": NOW, "jobs_lost": 30, "jobs_expected": 40}]  # fmt: skip
    file = plant(tmp_path / "w.duckdb", listings=listings, org_limits=[{**limit, "listing_id": "a"}])

    assert rows(file, "select * from unseen_jobs") == []


def test_hidden_jobs_are_not_called_gone(tmp_path: Path) -> None:
    """Nor stuck, because their state is not known."""
    hour = timedelta(hours=1)
    jobs = [{"id": "a", "state": "InProgress", "created_date": NOW - 3 * hour, "observed_at": NOW - 2 * hour},
            {"id": "b", "state": "InProgress", "created_date": NOW - 3 * hour, "observed_at": NOW - 2 * hour}]  # fmt: skip
    away = [{"id": "a", "state": "InProgress", "hidden": True}, {"id": "b", "state": "InProgress", "hidden": False}]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, unlisted_jobs=away)

    assert rows(file, "select id, outcome from jobs order by id") == [("a", "unfinished"), ("b", "gone unfinished")]
    assert rows(file, "select id from stuck_jobs") == []
    assert rows(file, "select id from early_deletions") == [("b",)]
