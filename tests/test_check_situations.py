"""What `make check` says of situations whose right answer is known: of each event once, and of what is not known nothing."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant
from test_check import LOAD, NAMES, Row, Tables, found, job_id, listed

from pipelines.answers.check import Finding, Thresholds, check

MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)
HOURLY = listed(*(n * HOUR for n in range(15 * 24)))
DAILY = listed(*(n * DAY for n in range(40)))
EXTRACT = {"object": "Lead", "created_by_id": "005B"}


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


# Failure rates


def rate(failed: int, jobs: int, pause: timedelta = HOUR, **columns: Any) -> Tables:
    """A series of which so many jobs fail, evenly spread, with the error of each."""
    states = ["Failed" if n * failed // jobs != (n + 1) * failed // jobs else "JobComplete" for n in range(jobs)]
    rows = [
        EXTRACT | {"created_date": NOW - (n + 1) * pause, "state": state} | columns for n, state in enumerate(states)
    ]
    errors = [
        {"id": job_id(n), "error_message": f"Timeout : Took {n} s", "error_template": "Took ? s"}
        for n, state in enumerate(states, 1)
        if state == "Failed"
    ]
    return {"query_jobs": rows, "job_details": errors, "listings": DAILY}


def test_a_series_of_which_every_third_job_works_is_reported(tmp_path: Path) -> None:
    """67 of 100 fail, and never three in a row."""
    (finding,) = found(tmp_path, rate(67, 100))

    assert finding.kind == "failure rate"
    assert finding.key == f"failure rate/{ORG}/V2Query/query/Lead/005B"
    assert finding.message.startswith(
        "query of Lead (V2Query) by Data Warehouse failed in 67 of 100 jobs (67 %) since 2026-11-12 02:00 UTC, first on "
    )
    assert finding.message.endswith("; each time: Timeout: Took 2 s.")
    assert len(finding.ids) == 67
    assert finding.numbers["jobs_percent"] == 67


def test_a_nightly_series_of_which_every_third_job_works_is_reported(tmp_path: Path) -> None:
    """Though a week has seven of its jobs only."""
    assert kinds(found(tmp_path, rate(20, 30, DAY))) == ["failure rate"]


@pytest.mark.parametrize(
    ("failed", "jobs", "settings", "reported"),
    [
        (20, 40, {}, True),
        (19, 40, {}, False),
        (19, 40, {"failed_percent": 47}, True),
        (20, 40, {"failed_percent": 51}, False),
        (20, 40, {"failed_jobs": 21}, False),
        (4, 8, {}, True),
        (3, 6, {}, False),
        (3, 6, {"failed_jobs": 3}, True),
    ],
)
def test_rates_have_thresholds(
    tmp_path: Path, failed: int, jobs: int, settings: dict[str, Any], reported: bool
) -> None:
    """A share, and a number of jobs that means something."""
    file = plant(tmp_path / "w.duckdb", **rate(failed, jobs))

    assert kinds(check(file, Thresholds(unusual_jobs=99, **settings), now=NOW)) == ["failure rate"] * reported


def test_a_rate_needs_two_covered_weeks(tmp_path: Path) -> None:
    """A first listing covers one; a week later there are two."""
    for ages, reported in (((0,), False), ((0, 6.9), False), ((0, 7), True), ((0, 7.1, 15), False)):
        tables = rate(67, 100) | {"listings": listed(*(age * DAY for age in ages))}
        assert ("failure rate" in kinds(found(tmp_path, tables))) == reported, ages


def test_a_rate_ends_with_the_last_failure(tmp_path: Path) -> None:
    """A day without any, of an hourly series, and what was wrong is over."""
    tables = rate(60, 80)
    well = [EXTRACT | {"created_date": NOW - n * MINUTE} for n in range(9)]
    for age, reported in ((22 * HOUR, True), (25 * HOUR, False)):
        jobs = [job | {"created_date": job["created_date"] - age} for job in tables["query_jobs"]]
        assert kinds(found(tmp_path, tables | {"query_jobs": [*jobs, *well]})) == ["failure rate"] * reported


def losing(failed: int, nights: int, records: int = 10_000) -> Tables:
    jobs = [LOAD | {"created_date": NOW - 4 * HOUR - n * DAY} for n in range(nights)]
    counts = {"number_records_processed": records, "number_records_failed": failed}
    return {
        "query_jobs": jobs, "listings": DAILY, "job_details": [{"id": job_id(n), **counts} for n in range(1, nights + 1)],
    }  # fmt: skip


def test_a_nightly_load_that_loses_nearly_all_records_is_reported(tmp_path: Path) -> None:
    """Salesforce calls it Closed, and one record of 10,000 went in."""
    (finding,) = found(tmp_path, losing(9_999, 20))

    assert finding.key == f"record failures/{ORG}/Classic/insert/Lead/005B"
    assert finding.message == (
        "69,993 of 70,000 records (99 %) failed in 7 jobs of insert of Lead (Classic) by Data Warehouse since "
        "2026-11-10 02:00 UTC, first on 2026-11-10 02:00 UTC, last on 2026-11-16 02:00 UTC."
    )
    assert finding.ids == tuple(job_id(n) for n in range(1, 8))


@pytest.mark.parametrize(
    ("failed", "nights", "settings", "reported"),
    [
        (5_000, 20, {}, True),
        (4_999, 20, {}, False),
        (4_999, 20, {"lost_percent": 49}, True),
        (5_000, 20, {"lost_records": 35_001}, False),
        (9_999, 3, {}, True),
        (9_999, 2, {}, False),  # two bad files
    ],
)
def test_lost_records_have_thresholds(tmp_path: Path, failed, nights, settings, reported: bool) -> None:
    """Of the last seven days, or the last seven jobs."""
    file = plant(tmp_path / "w.duckdb", **losing(failed, nights))

    assert kinds(check(file, Thresholds(**settings), now=NOW)) == ["record failures"] * reported


def test_a_weekly_load_is_judged_by_its_last_jobs(tmp_path: Path) -> None:
    """A week has one of them."""
    tables = losing(9_999, 4)
    weekly = [job | {"created_date": NOW - 4 * HOUR - n * WEEK} for n, job in enumerate(tables["query_jobs"])]

    assert kinds(found(tmp_path, tables | {"query_jobs": weekly})) == ["record failures"]


# One event is one finding


def test_what_fails_every_time_is_not_reported_as_a_rate_as_well(tmp_path: Path) -> None:
    """Nor as loads that are Closed but failed, where it is these that fail every time."""
    tables = rate(90, 90)
    assert kinds(found(tmp_path, tables)) == ["failing"]

    (finding,) = found(tmp_path, losing(10_000, 4))
    assert finding.kind == "failing"
    assert finding.message.endswith(". Salesforce shows the last one as Closed, but every record failed.")


def test_a_load_that_lost_all_before_a_streak_is_an_event_of_its_own(tmp_path: Path) -> None:
    """Another one's, too."""
    tables = losing(10_000, 3)
    other = LOAD | {"created_by_id": "005A", "created_date": NOW - 2 * DAY}
    tables["query_jobs"].append(other)
    tables["job_details"].append(tables["job_details"][0] | {"id": job_id(4)})

    assert [(one.kind, one.key.split("/")[-1]) for one in found(tmp_path, tables)] == [
        ("failing", "005B"),
        ("closed but failed", "005A"),
    ]


def test_three_failures_after_a_load_that_lost_most_records_did_not_follow_one_that_worked(tmp_path: Path) -> None:
    """Partly failed ends a streak, and is no success."""
    jobs = [LOAD | {"created_date": NOW - n * DAY, "state": "Failed" if n < 4 else "Closed"} for n in range(1, 6)]
    partly = [
        {"id": job_id(n), "number_records_processed": 10_000, "number_records_failed": failed}
        for n, failed in ((4, 9_999), (5, 0))
    ]
    (finding,) = found(tmp_path, {"query_jobs": jobs, "job_details": partly})

    assert "3 times in a row since 2026-11-13 06:00 UTC" in finding.message
    assert finding.message.endswith("; the job before, of 2026-11-12 06:00 UTC, partly failed.")
    assert "worked" not in finding.message


def test_a_series_that_fails_again_and_again_is_no_unusual_day(tmp_path: Path) -> None:
    """Its five hundred tries make Sunday's volume."""
    usual = [{"created_date": NOW - 18 * HOUR - n * WEEK} for n in range(5) for _ in range(40)]
    tries = [EXTRACT | {"created_date": NOW - 8 * HOUR - n * MINUTE, "state": "Failed"} for n in range(480)]
    tables = {"query_jobs": [*usual, *tries], "listings": DAILY}

    assert kinds(found(tmp_path, tables)) == ["failing"]
    working = [job | {"state": "JobComplete"} for job in tries]
    assert kinds(found(tmp_path, tables | {"query_jobs": [*usual, *working]})) == ["unusual volume"]


# Days of which something is known, and others


def of_days(*counts: int, **columns: Any) -> list[Row]:
    """So many jobs yesterday, the day before, and so on, spread over these days; some this morning."""
    morning = [columns | {"created_date": NOW - n * HOUR / 4} for n in range(1, 20)]
    return morning + [
        columns | {"created_date": NOW.replace(hour=0) - n * DAY - (k + 1) * DAY / (count + 1)}
        for n, count in enumerate(counts)
        for k in range(count)
    ]


def test_a_day_that_a_late_listing_covers_is_judged_then(tmp_path: Path) -> None:
    """Thursday had 0 of 60 jobs, and the recorder was off from Wednesday to Saturday: the day before yesterday is one of
    the days that its first listing covers."""
    counts = [60, 0, *[60] * 40]
    tables = {"query_jobs": of_days(*counts), "listings": listed(timedelta(0), *(n * DAY for n in range(3, 40)))}
    (finding,) = found(tmp_path, tables)

    assert finding.key == f"unusual volume/{ORG}/query/2026-11-14"
    assert finding.message == "0 query jobs on Saturday, 14 November 2026, but that weekday usually has 60."
    assert found(tmp_path, tables | {"listings": [*tables["listings"], *listed(HOUR)]}) == []  # of the listing before


def short_lived(hours: float, late: timedelta, *, ran: bool = True) -> Tables:
    """Sixty jobs a day, deleted so many hours after their creation, listed every two hours but for one gap of `late` up
    to this morning; what no listing could show is not there."""
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
    """The recorder came 36 hours late, and a client deletes its jobs after six."""
    tables = short_lived(6, 36 * HOUR)
    yesterday = [job for job in tables["query_jobs"] if job["created_date"].date() == (NOW - DAY).date()]

    assert yesterday == []
    assert found(tmp_path, tables) == []


def test_jobs_that_would_have_been_seen_are_missing(tmp_path: Path) -> None:
    """Listings came every two hours, and none of the day's sixty jobs was there; nor did they come where the jobs live
    for longer than the listings were apart."""
    assert kinds(found(tmp_path, short_lived(6, timedelta(0), ran=False))) == ["unusual volume"]
    assert kinds(found(tmp_path, short_lived(40, 36 * HOUR, ran=False))) == ["unusual volume"]


def test_jobs_that_stay_are_missing_whatever_others_deleted(tmp_path: Path) -> None:
    """Of sixty that are deleted early and 120 that stay, none of both is too few, whatever came and went."""
    tables = short_lived(6, 36 * HOUR)
    stay = of_days(0, *[120] * 40, object="Order")
    assert kinds(found(tmp_path, tables | {"query_jobs": [*tables["query_jobs"], *stay]})) == ["unusual volume"]
    stay = of_days(*[120] * 40, object="Order")
    assert found(tmp_path, tables | {"query_jobs": [*tables["query_jobs"], *stay]}) == []


# Runs that did not come


def runs(*times: datetime, **columns: Any) -> list[Row]:
    return [EXTRACT | columns | {"created_date": at} for at in times if at <= NOW]


def nightly(since: int, until: int, hour: float = 2, **columns: Any) -> list[Row]:
    """One in each of the nights so many days ago, the latest first."""
    return runs(*(NOW.replace(hour=0) + hour * HOUR - n * DAY for n in range(until, since)), **columns)


def test_a_nightly_series_that_did_not_run_last_night_is_reported(tmp_path: Path) -> None:
    """With when it usually runs, and when it ran last."""
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
def test_how_often_a_series_runs_does_not_say_that_its_pauses_are_alike(tmp_path: Path, hours, usually: str) -> None:
    """Two a day at eight and ten are not one every twelve hours."""
    jobs = [job for hour in hours for job in nightly(40, 1, hour) if job["created_date"] < NOW - 30 * HOUR]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=[*HOURLY, *DAILY])
    (finding,) = check(file, Thresholds(unusual_jobs=99), now=NOW)

    assert finding.message.endswith(f"It usually runs {usually}")


def test_a_missing_run_keeps_its_key_and_ends_after_a_week(tmp_path: Path) -> None:
    """What was switched off is told for a week, and then no more."""
    keys = [[f.key for f in found(tmp_path, {"query_jobs": nightly(40, n), "listings": DAILY})] for n in range(11)]

    assert keys == [
        [] if n == 0 or n > 7 else [f"missing run/{ORG}/005B/{NOW - (n - 1) * DAY:%Y-%m-%d}"] for n in range(11)
    ]


@pytest.mark.parametrize(
    ("skip", "ages", "reported"),
    [
        (0, (0, 7), True),  # two weeks are covered
        (0, (0, 6.9), False),
        (0, (0, 1, 2, 11), False),  # a hole
    ],
)
def test_a_missing_run_needs_two_covered_weeks(tmp_path: Path, skip: int, ages, reported: bool) -> None:
    """Before that nothing is usual."""
    tables = {"query_jobs": nightly(30, 1), "listings": listed(*(age * DAY for age in ages))}

    assert ("missing run" in kinds(found(tmp_path, tables))) == reported


def weekdays(until: datetime, hours: range, days: range = range(5), weeks: int = 9) -> Iterator[datetime]:
    """The full hours on these days of so many weeks up to a moment."""
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


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_series_is_missed_after_its_next_time_and_not_before(tmp_path: Path, pattern: str) -> None:
    """Whatever its rhythm is; weekends and nights are no silence."""
    start = NOW - 3 * DAY
    times = list(weekdays(start + 12 * DAY, **PATTERNS[pattern], weeks=9))
    file = tmp_path / "w.duckdb"
    for last in sorted(at for at in times if start <= at < start + WEEK)[:: 6 if len(times) < 200 else 60]:
        following = min(at for at in times if at > last)
        for now, reported in ((following + 59 * MINUTE, False), (following + 8 * HOUR, True)):
            jobs = [EXTRACT | {"created_date": at, "observed_at": at} for at in times if at <= last]
            listings = [{"started_at": now - n * DAY / 2} for n in range(90)]
            file.unlink(missing_ok=True)
            told = check(plant(file, query_jobs=jobs, listings=listings), Thresholds(unusual_jobs=1_000), now=now)
            assert kinds(told) == ["missing run"] * reported, (pattern, last, now)


def healthy(dice: Random, until: datetime) -> Iterator[Row]:
    """Eight weeks of schedules with jitter, a clock change, retries, a week's holiday of people, month ends, and users
    who come and go as they like."""
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


@pytest.mark.parametrize("seed", range(2))
def test_no_run_is_missed_in_healthy_weeks(tmp_path: Path, seed: int) -> None:
    """Asked every 37 hours of a fortnight."""
    dice = Random(seed)
    end = NOW + seed * 11 * DAY + dice.random() * DAY
    jobs = [EXTRACT | {"observed_at": row["created_date"]} | row for row in healthy(dice, end)]
    for ago in range(0, 14 * 24, 37):
        now = end - ago * HOUR
        known = [job for job in jobs if job["created_date"] <= now]
        file = tmp_path / f"{ago}.duckdb"
        plant(file, query_jobs=known, listings=[{"started_at": now - n * DAY / 2} for n in range(100)])
        told = check(file, Thresholds(unusual_jobs=1_000), now=now)
        assert told == [], (now, told)


def test_the_runs_of_one_machine_are_one_finding(tmp_path: Path) -> None:
    """It stopped before four nightly series of its user; another user's is another event."""
    jobs = [job for name in "ABCD" for job in nightly(30, 1, object=name)]
    other = nightly(30, 1, created_by_id="005A")
    told = found(tmp_path, {"query_jobs": [*jobs, *other], "listings": DAILY})

    assert [one.key.split("/")[2] for one in told] == ["005A", "005B"]
    assert told[1].message.endswith(" Nor did 3 other series of the same user: query of B, query of C, query of D.")
    assert told[1].numbers["series"] == len(told[1].ids) == 4


@pytest.mark.parametrize("state", ["Failed", "InProgress"])
def test_a_run_that_is_missing_for_a_reason_that_is_reported_is_not_missed(tmp_path: Path, state: str) -> None:
    """The last ones failed, or the last one hangs, and whoever starts them waits for that."""
    jobs = nightly(30, 2)
    for job in jobs[:3] if state == "Failed" else jobs[:1]:
        job["state"] = state
    told = found(tmp_path, {"query_jobs": jobs, "listings": DAILY})

    assert kinds(told) == [{"Failed": "failing", "InProgress": "unfinished"}[state]]


def test_a_days_missing_volume_is_not_reported_by_series_as_well(tmp_path: Path) -> None:
    """Nothing ran yesterday, of sixty series that run nightly."""
    jobs = [job for n in range(60) for job in nightly(40, 2, object=f"Object{n}")]
    told = found(tmp_path, {"query_jobs": jobs, "listings": DAILY})

    assert kinds(told) == ["unusual volume"]
    assert told[0].message == "0 query jobs on Sunday, 15 November 2026, but that weekday usually has 60."


def test_a_series_whose_jobs_are_deleted_unseen_is_not_missed(tmp_path: Path) -> None:
    """A listing sees it when it comes in time; that it does not, says nothing."""
    times = [NOW, *(NOW - 4 * HOUR - n * DAY / 2 for n in range(1, 90))]  # and not at two o'clock this morning
    jobs, away = [], []
    for n in range(1, 40):
        seen = NOW - 4 * HOUR - n * DAY
        jobs.append({"created_date": seen - HOUR / 4, "id": job_id(n), "observed_at": seen, "current_since": seen})
        away.append({"id": job_id(n), "last_listed_at": seen, "unlisted_at": seen + DAY / 2})
    tables = {"query_jobs": jobs, "unlisted_jobs": away, "listings": [{"started_at": at} for at in times]}

    assert found(tmp_path, tables) == []
    assert kinds(found(tmp_path, tables | {"unlisted_jobs": [], "listings": [*DAILY, *HOURLY]})) == ["missing run"]


# Own jobs only, and holes


def own(jobs: int = 10, **columns: Any) -> Tables:
    mine = {"only_creator_id": "005B", "listed_by_id": "005B", "creators": 1, "jobs_listed": jobs}
    return {"listings": [mine | columns]}


def test_an_org_that_shows_our_own_jobs_only_is_reported(tmp_path: Path) -> None:
    """Once, with the user, and with what is to be checked."""
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
        {"listed_by_id": "005A"},  # another one's jobs alone
        {"filters": '{"jobType": "V2Query"}', "started_at": NOW - HOUR},
    ],
)
def test_one_creator_who_is_not_known_to_be_us_says_nothing(tmp_path: Path, columns: dict[str, Any]) -> None:
    """Nor do a few jobs, or what a filter lets through."""
    tables = own(**columns)
    if "filters" in columns:
        tables["listings"].append({})

    assert found(tmp_path, tables) == []


def test_others_jobs_that_went_at_once_are_one_finding(tmp_path: Path) -> None:
    """The view is reduced to our own: that is the same event."""
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
def test_the_length_of_a_hole_is_said_in_a_unit_that_fits(tmp_path: Path, length: timedelta, words: str | None) -> None:
    """And below a minute there is none: listings take as long."""
    told = found(tmp_path, {"listings": listed(10 * DAY, 3 * DAY - length, timedelta(0))})

    assert kinds(told) == ["hole"] * (words is not None)
    assert not words or words in told[0].message


def test_the_share_of_a_limit_is_not_rounded_up(tmp_path: Path) -> None:
    """99.7 % is not 100 %, where Salesforce refuses."""
    limit = {"listing_id": "listing 0", "limit_name": "DailyBulkApiBatches", "max": 15_000, "remaining": 45}
    (finding,) = found(tmp_path, {"org_limits": [limit]})

    assert "(99 %)" in finding.message
    assert NAMES["orgs"][0]["name"] == finding.org
