"""The demo org's life: the facts it promises, the same however the clock is moved."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.records import Job, full_job, moment_of

START = datetime(2026, 10, 5, tzinfo=UTC)  # a Monday
END = START + timedelta(days=30)
PARTS = ("Queued", "InProgress", "Completed", "Failed")  # what a batch can be


def an_org(seed: int = 0) -> DemoOrg:
    org = DemoOrg(now=START, seed=seed)
    live(org, until=END, seed=seed)
    return org


class Month:
    """Thirty days, looked at every six hours: the last sight of every job, and what was measured on the way."""

    def __init__(self, seed: int = 0) -> None:
        self.org = org = an_org(seed)
        self.seen: dict[str, Job] = {}
        self.states: dict[str, list[str]] = {}
        self.moving: list[int] = []
        self.used: list[int] = []
        for _ in range(120):
            org.advance(timedelta(hours=6))
            self.moving.append(0)
            for job_id, job in org.jobs.items():
                self.seen[job_id] = {**job, **org.details[job_id], "by": org.users[job["createdById"]].name}
                states = self.states.setdefault(job_id, [])
                if states[-1:] != [job["state"]]:
                    states.append(job["state"])
                self.moving[-1] += job["state"] in ("InProgress", "UploadComplete")
            self.used.append(org.usage.query_jobs(org.now))

    def by(self, name: str) -> list[Job]:
        return [job for job in self.seen.values() if job["by"] == name]


@cache
def month() -> Month:
    return Month()


def created(job: Job) -> datetime:
    moment = moment_of(job["createdDate"])
    assert moment is not None
    return moment


def test_a_month_is_some_twenty_thousand_jobs() -> None:
    assert 20_000 < len(month().seen) < 25_000


def test_life_is_the_same_in_one_leap_and_in_small_steps() -> None:
    leap, steps = an_org(), an_org()
    leap.advance(timedelta(days=2))
    for _ in range(2 * 24 * 4):
        steps.advance(timedelta(minutes=15))
    assert leap.jobs == steps.jobs
    assert leap.details == steps.details


def test_another_seed_is_another_life_of_the_same_kind() -> None:
    org, other = an_org(), an_org(seed=1)
    org.advance(timedelta(days=1))
    other.advance(timedelta(days=1))
    assert org.jobs.keys() != other.jobs.keys() or org.jobs != other.jobs
    assert abs(len(org.jobs) - len(other.jobs)) < 60


def test_one_nightly_extract_has_failed_for_three_weeks_and_was_fine_before() -> None:
    nights = sorted((created(job), job) for job in month().by("Data Warehouse") if job["object"] == "Lead")
    states = [job["state"] for _, job in nights]
    assert states == ["JobComplete"] * 9 + ["Failed"] * 21
    assert {job["errorMessage"] for _, job in nights[9:]} == {"InvalidBatch : Field name not found : Legacy_Score__c"}
    assert all(moment.hour == 1 for moment, _ in nights)


def test_one_job_has_been_in_progress_for_five_days() -> None:
    old = [
        job
        for job in month().org.jobs.values()
        if job["state"] == "InProgress" and END - created(job) > timedelta(days=2)
    ]
    assert [(job["object"], END - created(job)) for job in old] == [("Case", timedelta(days=5))]


def test_the_org_comes_near_its_allowance_and_never_passes_it() -> None:
    assert 950 <= max(month().used) <= 1_000
    weekend = [job for job in month().by("Order Sync") if created(job).weekday() > 4]
    assert 0 < len(weekend) < len(month().by("Order Sync")) / 10


@pytest.mark.slow
def test_every_six_hourly_look_finds_jobs_in_motion() -> None:
    assert min(month().moving) >= 1
    moved = Counter(len(states) for states in month().states.values())
    assert moved[2] > 200


def test_the_tidy_integration_leaves_next_to_nothing_to_see() -> None:
    begun = month().org.usage.query_jobs(END)
    visible = len(
        [
            job
            for job in month().org.jobs.values()
            if END - created(job) < timedelta(days=1) and job["jobType"] == "V2Query"
        ]
    )
    assert begun - visible >= 35
    assert len(month().by("Cloud Connector")) < 300


def test_classic_loads_close_and_some_fail_after_that() -> None:
    loads = month().by("Billing Loader")
    assert {job["jobType"] for job in loads} == {"Classic"}
    assert {job["operation"] for job in loads} == {"insert", "upsert", "delete"}
    assert {"Closed", "Failed", "Aborted"} <= {job["state"] for job in loads}
    assert any(states[-2:] == ["Closed", "Failed"] for states in month().states.values())
    assert not any("lineEnding" in job for job in loads)


def test_closed_loads_are_good_in_part_bad_or_wholly_bad() -> None:
    loads = [job for job in month().by("Billing Loader") if job["state"] == "Closed"]
    for job in loads:
        assert 0 <= job["numberRecordsFailed"] <= job["numberRecordsProcessed"] > 0
        assert job["numberBatchesTotal"] == job["numberBatchesCompleted"] > job["numberBatchesFailed"] == 0
    failed = [job["numberRecordsFailed"] / job["numberRecordsProcessed"] for job in loads]
    assert 0.005 < failed.count(1) / len(loads) < 0.05
    assert 0.05 < sum(0 < share < 1 for share in failed) / len(loads) < 0.15


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("days", range(7))
def test_the_last_week_has_a_closed_load_with_every_record_failed(seed: int, days: int) -> None:
    """Whatever the weekday on which the story comes to its point."""
    end = START + timedelta(days=20 + days, hours=6)
    org = DemoOrg(now=end - timedelta(days=7))
    live(org, until=end, seed=seed)
    org.advance(timedelta(days=7))
    closed = [org.details[key] for key, job in org.jobs.items() if job["state"] == "Closed"]
    assert any(0 < job["numberRecordsProcessed"] == job["numberRecordsFailed"] for job in closed)


def test_a_load_that_fails_after_it_was_closed_had_batches_to_come() -> None:
    org, closed, failed = an_org(), {}, {}
    for _ in range(3 * 24 * 12):
        org.advance(timedelta(minutes=5))
        for key, job in org.jobs.items():
            if job["jobType"] == "Classic" and job["operation"] != "query" and job["state"] in ("Closed", "Failed"):
                seen = closed if job["state"] == "Closed" else failed
                seen[key] = dict(org.details[key])
    assert len(failed) > 2
    for key, job in failed.items():
        early = closed[key]
        assert early["numberBatchesTotal"] > early["numberBatchesCompleted"] + early["numberBatchesFailed"]
        assert early["numberBatchesTotal"] == sum(early[f"numberBatches{part}"] for part in PARTS)
        assert job["numberBatchesTotal"] == job["numberBatchesCompleted"] + job["numberBatchesFailed"]
        assert job["numberBatchesFailed"] > 0 == job["numberBatchesQueued"] == job["numberBatchesInProgress"]
        assert job["numberRecordsProcessed"] > early["numberRecordsProcessed"]


def test_only_the_classic_api_has_the_counts_of_classic_jobs() -> None:
    org = month().org
    classic = [key for key, job in org.jobs.items() if job["jobType"] == "Classic"]
    assert any("numberRecordsProcessed" in org.details[key] for key in classic)
    shown = [full_job(org.jobs[key], org.details[key], 68.0) for key in classic]
    assert not any(name.startswith("number") for job in shown for name in job)


def test_a_query_that_failed_has_processed_nothing() -> None:
    failed = [job for job in month().seen.values() if job["state"] == "Failed" and job["jobType"] == "V2Query"]
    assert len(failed) > 50
    assert not any(name.startswith("number") for job in failed for name in job)  # what is left out is 0


def test_batches_add_up_to_the_counts_of_their_classic_job() -> None:
    org, formats, states = month().org, set(), Counter()
    for key, batches in org.batches.items():
        own = org.details[key]
        assert {name: value for name, value in org.details_of(key).items() if name in own} == own
        for batch in batches:
            states[org.jobs[key]["state"], batch.state] += 1
            if batch.failed:
                formats.add(org.jobs[key]["contentType"])
                assert batch.failed <= batch.records
        assert sum(batch.failed for batch in batches) == own.get("numberRecordsFailed", 0)
    assert {"CSV", "JSON", "XML"} <= formats
    assert {message for key in org.batches for batch in org.batches[key] if (message := batch.message)} == {
        "TooManyLockFailure : Too many records of this batch were locked by others",
        "Records not processed",
    }
    assert states["Failed", "Failed"] > 3
    assert states["Aborted", "NotProcessed"] > 3
    assert states["Closed", "NotProcessed"] == 7  # chunked queries
    assert set(states) <= {
        (job, batch) for job in ("Closed", "Failed", "Aborted", "Open") for batch in (*PARTS, "NotProcessed")
    }


def test_some_finished_jobs_have_a_stamp_that_never_moved() -> None:
    legacy = [job for job in month().by("Legacy Export") if job["state"] == "Closed"]
    assert len(legacy) > 80
    assert all(job["systemModstamp"] == job["createdDate"] for job in legacy)


def test_a_new_user_appears_in_the_last_four_days() -> None:
    first = min(created(job) for job in month().by("Kiran Vale"))
    assert timedelta(days=3) < END - first <= timedelta(days=4)


def test_api_versions_come_as_numbers_and_as_text() -> None:
    assert {type(job["apiVersion"]) for job in month().seen.values()} == {int, float, str}


def test_a_running_org_has_a_past_and_no_jobs_older_than_a_week() -> None:
    org = DemoOrg()
    live(org, start=org.now - timedelta(days=9), until=org.now)
    assert len(org.jobs) > 3_000
    finished = [job for job in org.jobs.values() if job["state"] == "JobComplete"]
    assert all(timedelta() <= org.now - created(job) < timedelta(days=7, minutes=1) for job in finished)
