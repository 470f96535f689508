"""How jobs ended, why, and in a row: the views over outcomes say what plain Python says of the same rows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere

ORGS = (ORG, "00DDm0000002000MAA")
NAMES = {"005A": "Ada", "005B": "Data Warehouse", "005C": None}  # 005D was never asked for
FAILED = ("failed", "aborted", "every record failed", "partly failed")
ENDED = ("failed", "every record failed", "partly failed", "done", "done: record failures unknown")
ERRORS = {
    None: (None, None),
    "InvalidBatch : InvalidBatch : Field name not found : Email": ("InvalidBatch", "Field name not found : Email"),
    "InvalidBatch : The 'delete' batch must contain ids": ("InvalidBatch", "The 'delete' batch must contain ids"),
    "Timeout : Timeouts : often": ("Timeout", "Timeouts : often"),
    "Retried more than fifteen times": (None, "Retried more than fifteen times"),
}
UNFINISHED = ("Open", "InProgress", "Paused")
KINDS = {"query": "query", "queryAll": "query", None: None}
Row = dict[str, Any]


def random_jobs(dice: Random) -> Iterator[Row]:
    """Four days of jobs on a grid of a few minutes: ties, midnights, nulls, states that nobody has heard of."""
    times = sorted(NOW - 4 * DAY + dice.randrange(1_400) * timedelta(minutes=4) for _ in range(1_200))
    for n, created in enumerate([*times, *[None] * 40]):
        classic = dice.random() < 0.5
        quiet = dice.random() < 0.1  # a series that nobody asked the details of, and that never fails as a job
        states = ("Open", "Closed", "Closed", "Failed", "Aborted") if classic else ("InProgress", "JobComplete", "JobComplete", "Failed", "Aborted", "Paused")  # fmt: skip
        state = dice.choice(states)
        at = created or NOW - DAY
        modstamp = at + dice.choice((0, 1)) * dice.randrange(5_000) * timedelta(seconds=1)
        yield {
            "org_id": dice.choice(ORGS),
            "id": f"750{n:012}AAA",
            "job_type": "Classic" if classic else None if quiet else "V2Query",
            "operation": dice.choice(("insert", "delete", "query") if classic else ("query", "queryAll", None)),
            "object": "Quiet__c" if quiet else dice.choice(("Account", "Lead", None)),
            "created_by_id": dice.choice((*NAMES, "005D", None)),
            "created_date": created,
            "system_modstamp": modstamp,
            "observed_at": modstamp + dice.randrange(3_000) * timedelta(seconds=1),
            "state": "Closed" if quiet and state == "Failed" else state,
        }


def random_details(job: Row, dice: Random) -> Row | None:
    if job["object"] == "Quiet__c" or job["state"] in UNFINISHED:
        return None
    row = {key: job[key] for key in ("org_id", "id")} | {"retries": dice.randrange(3)}
    if job["state"] == "Failed":
        return row | {"error_message": dice.choice(list(ERRORS)), "number_records_processed": 0, "number_records_failed": 0}  # fmt: skip
    processed = dice.randrange(1, 500)
    if job["job_type"] != "Classic":
        return row | {"number_records_processed": processed, "total_processing_time": dice.randrange(9_000)}
    total, failed = 4, dice.choice((0, 0, 0, 1, 4))
    waiting = dice.choice((0, 0, 1)) if failed < 2 else 0
    lost = 0 if failed == 4 or waiting else dice.choice((0, 0, processed // 2, processed))
    return row | {
        "number_records_processed": 0 if failed == 4 else processed,
        "number_records_failed": lost,
        "number_batches_failed": failed,
        "number_batches_completed": total - failed - waiting,
        "number_batches_total": total,
        "provisional": waiting > 0,
    }


def told(job: Row, d: Row, left: Row) -> Row:
    """The job as the view `jobs` is to show it."""
    created, modstamp = job["created_date"], job["system_modstamp"]
    ended = modstamp if created and modstamp > created else job["observed_at"]
    if job["state"] in UNFINISHED:
        ended = left.get("unlisted_at")
    return {
        **{name: job[name] for name in ("org_id", "id")},
        "kind": KINDS.get(job["operation"], "load"),
        **{name: job[name] for name in ("job_type", "operation", "object", "created_by_id")},
        "created_by": NAMES.get(job["created_by_id"]) or job["created_by_id"],
        **{name: job[name] for name in ("created_date", "state")},
        "outcome": outcome(job, d, left),
        "ended_by": ended,
        "seconds": int((ended - created).total_seconds()) if ended and created else None,
        **{f"records_{what}": d.get(f"number_records_{what}") for what in ("processed", "failed")},
        "batches_failed": d.get("number_batches_failed"),
        **dict(zip(("error_code", "error"), ERRORS[d.get("error_message")], strict=True)),
        "processing_ms": d.get("total_processing_time"),
        "retries": d.get("retries"),
        "api_version": 68.0,
        "details": "answered" if d else None,
    }


def total(counts: Iterable[int | None]) -> int | None:
    told = [count for count in counts if count is not None]
    return sum(told) if told else None


def outcome(job: Row, details: Row, left: Row) -> str | None:
    by_state = {"Failed": "failed", "Aborted": "aborted", "Paused": None} | dict.fromkeys(UNFINISHED[:2], "unfinished")
    if job["state"] in by_state:
        return "gone unfinished" if left else by_state[job["state"]]
    if details.get("provisional"):
        return "unfinished"
    if details.get("number_records_failed") is None:
        return "done" if job["job_type"] == "V2Query" else "done: record failures unknown"
    bad, batches = details["number_records_failed"], details["number_batches_failed"]
    if batches == details["number_batches_total"] or (bad and bad == details["number_records_processed"]):
        return "every record failed"
    if bad or batches:
        return "partly failed"
    return "done"


@pytest.fixture(scope="module", params=range(2))
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """A warehouse of random jobs, and what is to be said of each of them."""
    dice = Random(request.param)
    jobs = list(random_jobs(dice))
    details = {(job["org_id"], job["id"]): row for job in jobs if (row := random_details(job, dice))}
    sure = [job for job in jobs if not details.get((job["org_id"], job["id"]), {}).get("provisional")]
    away = [{k: job[k] for k in ("org_id", "id", "state")} | {"unlisted_at": NOW} for job in sure[::3]]
    away = [row | {"listed_again_at": NOW} if n % 3 else row for n, row in enumerate(away)]
    gone = {(row["org_id"], row["id"]): row for row in away if row["state"] in UNFINISHED and len(row) == 4}
    users = [{"org_id": org, "id": user, "name": name} for org in ORGS for user, name in NAMES.items()]
    file = tmp_path_factory.mktemp("planted") / "w.duckdb"
    plant(file, query_jobs=jobs, job_details=list(details.values()), unlisted_jobs=away, users=users)
    return file, [told(job, *(which.get((job["org_id"], job["id"]), {}) for which in (details, gone))) for job in jobs]


def test_jobs_says_of_each_job_how_it_ended(planted: tuple[Path, list[Row]]) -> None:
    """All columns of all jobs; every outcome occurs."""
    file, jobs = planted

    assert Counter(rows(file, "select * from jobs")) == Counter(tuple(job.values()) for job in jobs)
    assert len({job["outcome"] for job in jobs}) == 9


def test_failures_are_the_jobs_that_went_wrong(planted: tuple[Path, list[Row]]) -> None:
    """A job that ended with record failures unknown is not among them."""
    file, jobs = planted
    shown = "org_id, id, kind, job_type, operation, object, created_by, created_date, outcome, error_code, error"
    wanted = [tuple(job[name] for name in shown.split(", ")) for job in jobs if job["outcome"] in FAILED]

    assert Counter(rows(file, f"select {shown} from failures")) == Counter(wanted)


def test_failure_reasons_counts_failures_that_are_alike(planted: tuple[Path, list[Row]]) -> None:
    """Nulls are alike, too."""
    file, jobs = planted
    alike = "org_id, kind, operation, object, created_by, outcome, error_code, error"
    reasons = defaultdict(list)
    for job in jobs:
        if job["outcome"] in FAILED:
            reasons[tuple(job[name] for name in alike.split(", "))].append(job)
    wanted = set()
    for reason, group in reasons.items():
        times = [job["created_date"] for job in group if job["created_date"]] or [None]
        counts = len(group), total(job["records_failed"] for job in group)
        wanted.add((*reason, *counts, min(times), max(times), max(job["id"] for job in group)))

    found = rows(file, f"select {alike}, jobs, records_failed, first_at, last_at, last_id from failure_reasons")
    assert Counter(found) == Counter(wanted)


def test_outcomes_by_day_counts_every_job_once_on_its_utc_day(planted: tuple[Path, list[Row]]) -> None:
    """Unknown states have no outcome, unreadable dates no day; sums are null where the org told nothing."""
    file, jobs = planted
    groups = defaultdict(list)
    for job in jobs:
        day = job["created_date"].date() if job["created_date"] else None
        groups[day, job["org_id"], job["kind"], job["job_type"], job["operation"], job["outcome"]].append(job)
    wanted = []
    for group, members in groups.items():
        sums = (total(job[name] for job in members) for name in ("records_processed", "records_failed"))
        wanted.append((*group, len(members), *sums))

    assert Counter(rows(file, "select * from outcomes_by_day")) == Counter(wanted)


def test_failure_streaks_are_what_walking_through_each_series_finds(planted: tuple[Path, list[Row]]) -> None:
    """In one second successes come first; jobs that nobody can date have no place in a row."""
    file, jobs = planted
    series = defaultdict(list)
    for job in jobs:
        if job["created_date"] and job["outcome"] in ENDED:
            name = ("org_id", "kind", "job_type", "operation", "object", "created_by_id", "created_by")
            bad = job["outcome"] in ("failed", "every record failed")
            series[tuple(job[n] for n in name)].append((job["created_date"], bad, job["id"]))
    wanted = []
    for name, members in series.items():
        streak: list[tuple] = []
        success = None
        for created, bad, job_id in [*sorted(members), (None, False, None)]:
            if bad:
                streak.append((created, job_id))
                continue
            if len(streak) > 1:
                wanted.append((*name, len(streak), streak[0][0], streak[-1][0], success, created, streak[-1][1]))
            streak, success = [], created

    assert Counter(rows(file, "select * from failure_streaks")) == Counter(wanted)
    assert len(wanted) > 20


@pytest.mark.parametrize("view", ["jobs", "failures", "failure_reasons", "outcomes_by_day", "failure_streaks"])
def test_the_reader_may_live_anywhere(planted: tuple[Path, list[Row]], view: str) -> None:
    """Days are UTC's."""
    file, _ = planted
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"select * from {view}"))


# One job an hour: Failed, every record failed, Success, partly failed, Aborted, Open, unknown what became of its records
COUNTS = {"E": (251, 251), "S": (251, 0), "P": (251, 250)}
STATES = {"F": "Failed", "A": "Aborted", "O": "Open"}
STREAKS = {  # failures, and the hours of first failure, last failure, success before, success after
    "FFF": [(3, 0, 2, None, None)],
    "SSFFSS": [(2, 2, 3, 1, 4)],
    "FOAFS": [(2, 0, 3, None, 4)],
    "SAFF": [(2, 2, 3, 0, None)],
    "EFP": [(2, 0, 1, None, 2)],
    "FFsF": [(2, 1, 2, 1, None)],  # in one second: which was first is told nowhere, the success is taken to be
    "FFSFFF": [(2, 0, 1, None, 2), (3, 3, 5, 2, None)],
}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series for each of the stories above, all at the same hours; and some that need a closer look."""
    told = []
    for story in (*STREAKS, "FFUF"):
        hours = accumulate(letter.isupper() for letter in story)
        told += [(story, hour - 1, letter.upper(), "005A") for hour, letter in zip(hours, story, strict=True)]
    told += [("two users", n, "F", user) for n, user in enumerate(("005A", "005B", "005A", "005B"))]
    told += [("backwards", hour, "F", "005A") for hour in (2, 1, 0)]
    jobs, details = [], []
    for n, (story, hour, letter, user) in enumerate(told):
        series = {"job_type": "Classic", "operation": "upsert", "object": story, "created_by_id": user}
        jobs.append({**series, "created_date": _hour(hour), "state": STATES.get(letter, "Closed"), "id": f"{n:018}"})
        if counts := COUNTS.get(letter):
            details.append(
                {"id": f"{n:018}", "number_records_processed": counts[0], "number_records_failed": counts[1]}
            )
    users = [{"id": user, "name": "Integration User"} for user in ("005A", "005B")]
    file = tmp_path_factory.mktemp("series") / "w.duckdb"
    return plant(file, query_jobs=jobs, job_details=details, users=users)


def _hour(number: int | None) -> Any:
    return None if number is None else NOW - 20 * HOUR + number * HOUR


STREAK = (
    "select failures, failing_since, last_failure_at, last_success_at, ended_at from failure_streaks where object = "
)


@pytest.mark.parametrize("story", STREAKS)
def test_a_streak_lasts_from_success_to_success(series: Path, story: str) -> None:
    """Aborted and open jobs neither prolong nor end it, a job that lost only some records ends it."""
    found = rows(series, f"{STREAK} '{story}' order by failing_since")

    assert found == [(failures, *map(_hour, hours)) for failures, *hours in STREAKS[story]]


def test_two_users_side_by_side_are_two_series(series: Path) -> None:
    """Even where they bear one name, and take turns."""
    found = rows(series, "select created_by_id, created_by, failures from failure_streaks where object = 'two users'")

    assert sorted(found) == [("005A", "Integration User", 2), ("005B", "Integration User", 2)]


def test_failure_reasons_keeps_users_of_one_name_apart(series: Path) -> None:
    """ "Jobs of one user": several integrations may well bear one name."""
    assert rows(series, "select jobs from failure_reasons where object = 'two users'") == [(2,), (2,)]


def test_the_last_job_of_a_streak_is_the_one_created_last(series: Path) -> None:
    """Ids need not grow with time."""
    (last,) = rows(series, "select id from jobs where object = 'backwards' order by created_date desc limit 1")

    assert rows(series, "select last_failed_id from failure_streaks where object = 'backwards'") == [last]


def test_a_streak_is_ended_by_a_job_that_did_not_fail_as_a_job(series: Path) -> None:
    """Whether its records failed is not known; without the Classic API no streak of loads would ever end else."""
    assert rows(series, f"{STREAK} 'FFUF'") == [(2, _hour(0), _hour(1), None, _hour(2))]
