"""Missing runs: which ones `make check` reports, when, and for how long."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from check_rows import Row, found, job_id, listed
from check_situations import DAILY, EXTRACT, HOURLY, kinds, nightly
from planted import DAY, HOUR, NOW, ORG, plant

from pipelines.answers.check import Thresholds, check

pytestmark = pytest.mark.slow_cases

MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)


def test_a_nightly_series_that_did_not_run_last_night_is_reported(tmp_path: Path) -> None:
    """With when it usually runs, and when it last did."""
    (finding,) = found(tmp_path, {"query_jobs": nightly(30, 1), "listings": DAILY})

    assert finding.key == f"missing run/{ORG}/005B/2026-11-16"
    assert finding.message == (
        "query of Lead (V2Query) by Data Warehouse did not run: it last ran 2026-11-15 02:00 UTC and was due by "
        "2026-11-16 05:00 UTC. It usually runs every day, next in the hour from 02:00 UTC."
    )
    assert finding.ids == (job_id(1),)
    assert found(tmp_path, {"query_jobs": nightly(30, 0), "listings": DAILY}) == []


@pytest.mark.parametrize(
    ("hours", "usually"),
    [
        ((8, 10), "in 2 hours of a day, next in the hour from 08:00 UTC."),
        (range(8, 20), "in 12 hours of a day, next in the hour from 08:00 UTC."),
        (range(0, 24, 4), "in 6 hours of a day, next in the hour from 00:00 UTC."),
        (range(24), "every hour, next in the hour from 00:00 UTC."),
    ],
)
def test_the_message_does_not_claim_that_pauses_are_even(tmp_path: Path, hours, usually: str) -> None:
    """Two runs a day, at eight and ten, are not one every twelve hours."""
    jobs = [job for hour in hours for job in nightly(40, 1, hour) if job["created_date"] < NOW - 30 * HOUR]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=[*HOURLY, *DAILY])
    (finding,) = check(file, Thresholds(unusual_jobs=99), now=NOW)

    assert finding.message.endswith(f"It usually runs {usually}")


@pytest.mark.slow
def test_a_missing_run_keeps_its_key_and_ends_after_a_week(tmp_path: Path) -> None:
    """A series that was switched off is reported for a week, and no longer."""
    keys = [[f.key for f in found(tmp_path, {"query_jobs": nightly(40, n), "listings": DAILY})] for n in range(11)]

    assert keys == [
        [] if n == 0 or n > 7 else [f"missing run/{ORG}/005B/{NOW - (n - 1) * DAY:%Y-%m-%d}"] for n in range(11)
    ]


@pytest.mark.parametrize(
    ("skip", "ages", "reported"),
    [
        (0, (0, 7), True),  # two covered weeks
        (0, (0, 6.9), False),
        (0, (0, 1, 2, 11), False),  # a hole
    ],
)
def test_a_missing_run_needs_two_covered_weeks(tmp_path: Path, skip: int, ages, reported: bool) -> None:
    """Before that, nothing counts as usual."""
    tables = {"query_jobs": nightly(30, 1), "listings": listed(*(age * DAY for age in ages))}

    assert ("missing run" in kinds(found(tmp_path, tables))) == reported


def weekdays(until: datetime, hours: range, days: range = range(5), weeks: int = 9) -> Iterator[datetime]:
    """The full hours on these weekdays in this many weeks up to a moment."""
    at = until.replace(minute=0)
    while at > until - weeks * WEEK:
        if at.weekday() in days and at.hour in hours:
            yield at
        at -= HOUR


PATTERNS = {
    "nightly": {"hours": range(2, 3), "days": range(7)},
    "working days": {"hours": range(2, 3)},
    "hourly": {"hours": range(24), "days": range(7)},
    "office hours": {"hours": range(6, 20)},
    "every four hours": {"hours": range(1, 24, 4), "days": range(7)},
    "weekly": {"hours": range(3, 4), "days": range(6, 7)},
    "twice a week": {"hours": range(3, 4), "days": range(1, 7, 3)},
}


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_series_is_missed_after_its_next_time_and_not_before(tmp_path: Path, pattern: str) -> None:
    """Whatever its rhythm; weekends and nights are not missing runs."""
    start = NOW - 3 * DAY
    times = list(weekdays(start + 12 * DAY, **PATTERNS[pattern], weeks=9))
    file = tmp_path / "w.duckdb"
    for last in sorted(at for at in times if start <= at < start + WEEK)[:: 6 if len(times) < 200 else 60]:
        following = min(at for at in times if at > last)
        for now, reported in ((following + 59 * MINUTE, False), (following + 8 * HOUR, True)):
            jobs = [EXTRACT | {"created_date": at, "observed_at": at} for at in times if at <= last]
            listings = [{"started_at": now - n * DAY / 2} for n in range(90)]
            file.unlink(missing_ok=True)
            findings = check(plant(file, query_jobs=jobs, listings=listings), Thresholds(unusual_jobs=1_000), now=now)
            assert kinds(findings) == ["missing run"] * reported, (pattern, last, now)


def healthy(dice: Random, until: datetime) -> Iterator[Row]:
    """Eight weeks of schedules with jitter, a clock change, retries, a week of holidays, month ends, and users who work
    at irregular times."""
    for day in range(56):
        midnight = until.replace(hour=0, minute=0) - day * DAY
        hour = HOUR if midnight < until - 20 * DAY else timedelta(0)  # daylight saving ended
        weekend, holiday = midnight.weekday() > 4, 14 <= day < 21
        yield {"object": "Nightly", "created_date": midnight + 2 * HOUR - hour + dice.uniform(0, 20) * MINUTE}
        if dice.random() < 0.1:
            yield {"object": "Nightly", "created_date": midnight + 3 * HOUR - hour}
        yield {"object": "Late", "created_date": midnight + 23.9 * HOUR + dice.uniform(0, 12) * MINUTE}
        for n in range(24):
            yield {"object": "Hourly", "created_date": midnight + n * HOUR + dice.uniform(50, 58) * MINUTE}
        if not weekend:
            yield {"object": "Workday", "created_date": midnight + 5 * HOUR - hour + dice.uniform(0, 9) * MINUTE}
        if midnight.weekday() == 6:
            yield {"object": "Weekly", "created_date": midnight + 3 * HOUR - hour + dice.uniform(0, 30) * MINUTE}
        if (midnight + DAY).month != midnight.month:
            for _ in range(5):
                yield {"object": "Nightly", "created_date": midnight + dice.uniform(18, 23) * HOUR}
            yield {"object": "Monthly", "created_date": midnight + 20 * HOUR}
        for _ in range(0 if holiday or weekend else dice.randrange(6)):
            at = midnight + dice.uniform(8, 17) * HOUR
            yield {"object": dice.choice(("Task", "Case")), "created_by_id": "005A", "created_date": at}
        for _ in range(0 if weekend else 9):
            at = midnight + dice.uniform(6, 18) * HOUR
            yield {"object": "Invoice__c", "operation": dice.choice(("query", "queryAll")), "created_date": at}
        for _ in range(dice.randrange(2, 30)):
            yield {"object": "Order", "created_by_id": "005C", "created_date": midnight + dice.uniform(0, 24) * HOUR}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_no_run_is_missed_in_healthy_weeks(tmp_path: Path, seed: int) -> None:
    """Checked every 37 hours over two weeks."""
    dice = Random(seed)
    end = NOW + seed * 11 * DAY + dice.random() * DAY
    jobs = [EXTRACT | {"observed_at": row["created_date"]} | row for row in healthy(dice, end)]
    for ago in range(0, 14 * 24, 37):
        now = end - ago * HOUR
        known = [job for job in jobs if job["created_date"] <= now]
        file = tmp_path / f"{ago}.duckdb"
        plant(file, query_jobs=known, listings=[{"started_at": now - n * DAY / 2} for n in range(100)])
        findings = check(file, Thresholds(unusual_jobs=1_000), now=now)
        assert findings == [], (now, findings)


def test_the_runs_of_one_machine_are_one_finding(tmp_path: Path) -> None:
    """It stopped before four nightly series of its user; another user's series is another event."""
    jobs = [job for name in "ABCD" for job in nightly(30, 1, object=name)]
    other = nightly(30, 1, created_by_id="005A")
    findings = found(tmp_path, {"query_jobs": [*jobs, *other], "listings": DAILY})

    assert [one.key.split("/")[2] for one in findings] == ["005A", "005B"]
    assert findings[1].message.endswith(" Nor did 3 other series of the same user: query of B, query of C, query of D.")
    assert findings[1].numbers["series"] == len(findings[1].ids) == 4


@pytest.mark.parametrize("state", ["Failed", "InProgress"])
def test_a_run_missing_for_a_reported_reason_is_not_reported(tmp_path: Path, state: str) -> None:
    """The last ones failed, or the last one hangs, and its scheduler waits for it."""
    jobs = nightly(30, 2)
    for job in jobs[:3] if state == "Failed" else jobs[:1]:
        job["state"] = state
    findings = found(tmp_path, {"query_jobs": jobs, "listings": DAILY})

    assert kinds(findings) == [{"Failed": "failing", "InProgress": "unfinished"}[state]]


def test_an_unusually_quiet_day_is_not_reported_by_series_as_well(tmp_path: Path) -> None:
    """None of sixty nightly series ran yesterday."""
    jobs = [job for n in range(60) for job in nightly(40, 2, object=f"Object{n}")]
    findings = found(tmp_path, {"query_jobs": jobs, "listings": DAILY})

    assert kinds(findings) == ["unusual volume"]
    assert findings[0].message == "0 query jobs on Sunday, 15 November 2026, but that weekday usually has 60."


def test_a_series_whose_jobs_are_deleted_unseen_is_not_missed(tmp_path: Path) -> None:
    """A listing shows it only if it comes in time; that it does not, proves nothing."""
    times = [NOW, *(NOW - 4 * HOUR - n * DAY / 2 for n in range(1, 90))]  # and not at two o'clock this morning
    jobs, away = [], []
    for n in range(1, 40):
        seen = NOW - 4 * HOUR - n * DAY
        jobs.append({"created_date": seen - HOUR / 4, "id": job_id(n), "observed_at": seen, "current_since": seen})
        away.append({"id": job_id(n), "last_listed_at": seen, "unlisted_at": seen + DAY / 2})
    tables = {"query_jobs": jobs, "unlisted_jobs": away, "listings": [{"started_at": at} for at in times]}

    assert found(tmp_path, tables) == []
    assert kinds(found(tmp_path, tables | {"unlisted_jobs": [], "listings": [*DAILY, *HOURLY]})) == ["missing run"]
