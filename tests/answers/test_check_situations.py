"""What `make check` says about situations with a known answer: each event once, and nothing about what is not known."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from check_rows import LOAD, NAMES, Tables, found, job_id, listed
from check_situations import DAILY, EXTRACT, kinds, losing, of_days, rate
from planted import DAY, HOUR, NOW, ORG

pytestmark = pytest.mark.slow_cases

MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)


# One event is one finding


def test_a_series_that_always_fails_is_not_also_reported_as_a_rate(tmp_path: Path) -> None:
    """Nor as loads that are Closed but failed, if it is these that always fail."""
    tables = rate(90, 90)
    assert kinds(found(tmp_path, tables)) == ["failing"]

    (finding,) = found(tmp_path, losing(10_000, 4))
    assert finding.kind == "failing"
    assert finding.message.endswith(". Salesforce shows the last one as Closed, but every record failed.")


def test_a_load_that_lost_all_before_a_streak_is_an_event_of_its_own(tmp_path: Path) -> None:
    """So is one of another series."""
    tables = losing(10_000, 3)
    other = LOAD | {"created_by_id": "005A", "created_date": NOW - 2 * DAY}
    tables["query_jobs"].append(other)
    tables["job_details"].append(tables["job_details"][0] | {"id": job_id(4)})

    assert [(one.kind, one.key.split("/")[-1]) for one in found(tmp_path, tables)] == [
        ("failing", "005B"),
        ("closed but failed", "005A"),
    ]


def test_three_failures_after_a_load_that_lost_most_records_did_not_follow_one_that_worked(tmp_path: Path) -> None:
    """Partly failed ends a streak, but is not a success."""
    jobs = [LOAD | {"created_date": NOW - n * DAY, "state": "Failed" if n < 4 else "Closed"} for n in range(1, 6)]
    partly = [
        {"id": job_id(n), "number_records_processed": 10_000, "number_records_failed": failed}
        for n, failed in ((4, 9_999), (5, 0))
    ]
    (finding,) = found(tmp_path, {"query_jobs": jobs, "job_details": partly})

    assert "3 times in a row since 2026-11-13 06:00 UTC" in finding.message
    assert finding.message.endswith("; the job before, of 2026-11-12 06:00 UTC, partly failed.")
    assert "worked" not in finding.message


def test_retries_of_a_failing_series_are_not_an_unusual_day(tmp_path: Path) -> None:
    """Its five hundred tries make up Sunday's volume."""
    usual = [{"created_date": NOW - 18 * HOUR - n * WEEK} for n in range(5) for _ in range(40)]
    tries = [EXTRACT | {"created_date": NOW - 8 * HOUR - n * MINUTE, "state": "Failed"} for n in range(480)]
    tables = {"query_jobs": [*usual, *tries], "listings": DAILY}

    assert kinds(found(tmp_path, tables)) == ["failing"]
    working = [job | {"state": "JobComplete"} for job in tries]
    assert kinds(found(tmp_path, tables | {"query_jobs": [*usual, *working]})) == ["unusual volume"]


def test_a_day_that_a_late_listing_covers_is_judged_then(tmp_path: Path) -> None:
    """Thursday had 0 of 60 jobs, and the recorder was off from Wednesday to Saturday: the day before yesterday is one
    of the days that its first listing covers."""
    counts = [60, 0, *[60] * 40]
    tables = {"query_jobs": of_days(*counts), "listings": listed(timedelta(0), *(n * DAY for n in range(3, 40)))}
    (finding,) = found(tmp_path, tables)

    assert finding.key == f"unusual volume/{ORG}/query/2026-11-14"
    assert finding.message == "0 query jobs on Saturday, 14 November 2026, but that weekday usually has 60."
    assert found(tmp_path, tables | {"listings": [*tables["listings"], *listed(HOUR)]}) == []  # of the listing before


def short_lived(hours: float, late: timedelta, *, ran: bool = True) -> Tables:
    """Sixty jobs a day, deleted this many hours after their creation, listed every two hours except for one gap of
    `late` up to this morning; jobs that no listing could show are not recorded."""
    times = [NOW - 2 * n * HOUR for n in reversed(range(12 * 45))]
    times = [at for at in times if not NOW - late < at < NOW]
    jobs, away = [], []
    for row in of_days(*[60 if ran or n else 0 for n in range(44)]):
        gone = row["created_date"] + hours * HOUR
        shown = [at for at in times if row["created_date"] <= at < gone]
        unlisted = min((at for at in times if at >= gone), default=None)
        if shown:
            jobs.append({**row, "id": job_id(len(jobs)), "observed_at": shown[0], "current_since": shown[0]})
            if unlisted:
                away.append({"id": jobs[-1]["id"], "last_listed_at": shown[-1], "unlisted_at": unlisted})
    return {"query_jobs": jobs, "unlisted_jobs": away, "listings": [{"started_at": at} for at in times]}


def test_jobs_that_were_deleted_between_two_listings_are_not_missing(tmp_path: Path) -> None:
    """The recorder was 36 hours late, and a client deletes its jobs after six."""
    tables = short_lived(6, 36 * HOUR)
    yesterday = [job for job in tables["query_jobs"] if job["created_date"].date() == (NOW - DAY).date()]

    assert yesterday == []
    assert found(tmp_path, tables) == []


@pytest.mark.slow
def test_jobs_that_would_have_been_seen_are_missing(tmp_path: Path) -> None:
    """With a listing every two hours, none of the day's sixty jobs was seen; and with a longer gap, none of jobs that
    live longer than that."""
    assert kinds(found(tmp_path, short_lived(6, timedelta(0), ran=False))) == ["unusual volume"]
    assert kinds(found(tmp_path, short_lived(40, 36 * HOUR, ran=False))) == ["unusual volume"]


def test_jobs_that_stay_are_missing_whatever_others_deleted(tmp_path: Path) -> None:
    """Of sixty that are deleted early and 120 that stay, none at all is too few, whatever came and went."""
    tables = short_lived(6, 36 * HOUR)
    stay = of_days(0, *[120] * 40, object="Order")
    assert kinds(found(tmp_path, tables | {"query_jobs": [*tables["query_jobs"], *stay]})) == ["unusual volume"]
    stay = of_days(*[120] * 40, object="Order")
    assert found(tmp_path, tables | {"query_jobs": [*tables["query_jobs"], *stay]}) == []


# Own jobs only, and holes


def own(jobs: int = 10, **columns: Any) -> Tables:
    mine = {"only_creator_id": "005B", "listed_by_id": "005B", "creators": 1, "jobs_listed": jobs}
    return {"listings": [mine | columns]}


def test_an_org_that_shows_only_our_own_jobs_is_reported(tmp_path: Path) -> None:
    """Once, with the user, and with what to check."""
    (finding,) = found(tmp_path, own())

    assert finding.key == f"own jobs only/{ORG}"
    assert finding.message == (
        "all 10 jobs of the listing of 2026-11-16 06:00 UTC were created by Data Warehouse, the recorder's own user."
    )
    assert "Manage Data Integrations" in finding.remedy


@pytest.mark.parametrize(
    "columns",
    [
        {"jobs": 9},
        {"listed_by_id": None},  # the sign-in does not say who we are
        {"only_creator_id": None, "creators": 2},
        {"listed_by_id": "005A"},  # only another user's jobs
        {"filters": '{"jobType": "V2Query"}', "started_at": NOW - HOUR},
    ],
)
def test_a_single_creator_not_known_to_be_us_is_not_reported(tmp_path: Path, columns: dict[str, Any]) -> None:
    """Nor are a few jobs, or a filtered listing."""
    tables = own(**columns)
    if "filters" in columns:
        tables["listings"].append({})

    assert found(tmp_path, tables) == []


def test_other_users_jobs_that_vanish_at_once_are_one_finding(tmp_path: Path) -> None:
    """The view is reduced to our own jobs: that is the same event."""
    reduced = {"reduced_since": NOW, "jobs_expected": 60, "jobs_lost": 40, "jobs_unlisted": 40}
    before = {"started_at": NOW - HOUR, "creators": 4, "jobs_unlisted": 0, "jobs_listed": 60}
    tables = own(**reduced)
    tables["listings"].append(before)

    assert kinds(found(tmp_path, tables)) == ["reduced view"]


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=1), None),
        (timedelta(seconds=59), None),
        (timedelta(seconds=60), "in the 1 minute from 2026-11-06 06:00 UTC to 2026-11-06 06:01 UTC"),
        (timedelta(minutes=59, seconds=20), "in the 59 minutes from"),
        (timedelta(minutes=59, seconds=40), "in the 1 hour from"),
        (timedelta(hours=1), "in the 1 hour from"),
        (timedelta(hours=71), "in the 71 hours from"),
        (timedelta(hours=72), "in the 3.0 days from"),
    ],
)
def test_the_length_of_a_hole_has_a_suitable_unit(tmp_path: Path, length: timedelta, words: str | None) -> None:
    """Holes of less than a minute are ignored: a listing itself may take that long."""
    findings = found(tmp_path, {"listings": listed(10 * DAY, 3 * DAY - length, timedelta(0))})

    assert kinds(findings) == ["hole"] * (words is not None)
    assert not words or words in findings[0].message


def test_the_share_of_a_limit_is_not_rounded_up(tmp_path: Path) -> None:
    """99.7 % is not 100 %, where Salesforce refuses."""
    limit = {"listing_id": "listing 0", "limit_name": "DailyBulkApiBatches", "max": 15_000, "remaining": 45}
    (finding,) = found(tmp_path, {"org_limits": [limit]})

    assert "(99 %)" in finding.message
    assert NAMES["orgs"][0]["name"] == finding.org
