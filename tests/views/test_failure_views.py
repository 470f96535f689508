"""How jobs ended, why, and in a row: the views about outcomes agree with plain Python on the same rows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, covered_percent, plant, plausible, random_listings, rows, rows_elsewhere

ORGS = (ORG, "00DDm0000002000MAA")
NAMES = {"005A": "Ada", "005B": "Data Warehouse", "005C": None}  # 005D was never fetched
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


def random_jobs(dice: Random, listings: list[Row]) -> Iterator[Row]:
    """Four days of jobs on a grid of a few minutes: ties, midnights, nulls, unknown states, implausible dates."""
    times = sorted(NOW - 4 * DAY + dice.randrange(1_400) * timedelta(minutes=4) for _ in range(1_200))
    for n, created in enumerate([*times, *[None] * 40, *[datetime(1970, 1, 1, tzinfo=UTC), NOW + 9 * DAY] * 9]):
        classic = dice.random() < 0.5
        quiet = dice.random() < 0.1  # a series without details that never fails as a job
        states = ("Open", "Closed", "Closed", "Failed", "Aborted") if classic else ("InProgress", "JobComplete", "JobComplete", "Failed", "Aborted", "Paused")  # fmt: skip
        state = dice.choice(states)
        at = created if created and NOW - 5 * DAY < created < NOW else NOW - DAY
        modstamp = dice.choice((created, at, at + dice.randrange(5_000) * timedelta(seconds=1))) or at
        seen = dice.choice([row for row in listings if end(row) >= max(at, min(modstamp, NOW))][:5])
        yield {
            "org_id": dice.choice(ORGS),
            "id": f"750{n:012}AAA",
            "job_type": "Classic" if classic else None if quiet else "V2Query",
            "operation": dice.choice(("insert", "delete", "query") if classic else ("query", "queryAll", None)),
            "object": "Quiet__c" if quiet else dice.choice(("Account", "Lead", None)),
            "created_by_id": dice.choice((*NAMES, "005D", None)),
            "created_date": created,
            "system_modstamp": modstamp,
            "observed_at": seen["started_at"],
            "state": "Closed" if quiet and state == "Failed" else state,
        }


def end(listing: Row) -> datetime:
    return listing.get("finished_at", listing["started_at"])


def random_details(job: Row, dice: Random) -> Row | None:
    if job["object"] == "Quiet__c" or job["state"] in UNFINISHED:
        return None
    row = {key: job[key] for key in ("org_id", "id")} | {"retries": dice.randrange(3)}
    if job["state"] == "Failed":
        return row | {"error_message": dice.choice(list(ERRORS)), "number_records_processed": 0, "number_records_failed": 0}  # fmt: skip
    processed = dice.randrange(1, 500)
    if job["job_type"] != "Classic":
        return row | {"number_records_processed": processed, "total_processing_time": dice.randrange(9_000)}
    total, failed = dice.choice(((4, 0), (4, 0), (4, 1), (4, 4), (3, 1), (3, 3)))
    waiting = dice.choice((0, 0, 1)) if failed < 2 else 0
    processed = dice.choice((0, None, processed)) if failed else processed
    lost = dice.choice((0, None, processed // 2, processed)) if processed and not waiting else dice.choice((0, None))
    return row | {
        "asked_at": dice.choice((NOW - HOUR, NOW)),
        "error": dice.choice((None, None, "Classic API: HTTP 500")),
        "number_records_processed": processed,
        "number_records_failed": lost,
        "number_batches_failed": failed,
        "number_batches_completed": total - failed - waiting,
        "number_batches_total": total,
        "provisional": waiting > 0,
        "error_template": dice.choice((None, "Timeout after …")),
    }


def expected(job: Row, d: Row, left: Row, listings: list[Row]) -> Row:
    """The job as the view `jobs` should show it: its end is a stamp, or the end of the listing that showed it ended."""
    ends = {row["started_at"]: end(row) for row in listings}
    seen_by = ends[job["observed_at"]]
    created, modstamp = plausible(job["created_date"], seen_by), plausible(job["system_modstamp"], seen_by)
    ended = modstamp if modstamp and job["created_date"] and modstamp > job["created_date"] else seen_by
    ended = max(ended, created) if created else ended
    if job["state"] in UNFINISHED:
        ended = max(left["unlisted_at"], created or left["unlisted_at"]) if left else None
    newest = max(row.get("restarted_at") or row["started_at"] for row in listings if row.get("filters", "{}") == "{}")
    known = (
        max(newest, job["observed_at"]) if job["state"] in UNFINISHED else None if d.get("error") else d.get("asked_at")
    )
    found = outcome(job, d, left)
    return {
        **{name: job[name] for name in ("org_id", "id")},
        "kind": KINDS.get(job["operation"], "load"),
        **{name: job[name] for name in ("job_type", "operation", "object", "created_by_id")},
        "created_by": NAMES.get(job["created_by_id"]) or job["created_by_id"],
        **{name: job[name] for name in ("created_date", "state")},
        "outcome": found,
        "ended_by": ended,
        "seconds": int((ended - created).total_seconds()) if ended and created else None,
        **{f"records_{what}": d.get(f"number_records_{what}") for what in ("processed", "failed")},
        "batches_failed": d.get("number_batches_failed"),
        **dict(zip(("error_code", "error"), ERRORS[d.get("error_message")], strict=True)),
        "processing_ms": d.get("total_processing_time"),
        "retries": d.get("retries"),
        "api_version": 68.0,
        "details": "answered" if d else None,
        "outcome_as_of": known if found in ("unfinished", None) else None,
        "error_template": d.get("error_template"),
        "records_unprocessed": None,
        "external_id_field_name": None,
        "feed": "query",
    }


def total(counts: Iterable[int | None]) -> int | None:
    expected = [count for count in counts if count is not None]
    return sum(expected) if expected else None


def outcome(job: Row, details: Row, left: Row) -> str | None:
    by_state = {"Failed": "failed", "Aborted": "aborted", "Paused": None} | dict.fromkeys(UNFINISHED[:2], "unfinished")
    if job["state"] in by_state:
        return "gone unfinished" if left else by_state[job["state"]]
    if details.get("provisional"):
        return "unfinished"
    done, bad = (details.get(f"number_records_{which}") for which in ("processed", "failed"))
    batches, of = details.get("number_batches_failed") or 0, details.get("number_batches_total")
    if (bad and done is not None and bad >= done) or (batches and batches == of and (done or 0) <= (bad or 0)):
        return "every record failed"
    if bad or batches:
        return "partly failed"
    return "done" if job["job_type"] == "V2Query" or bad == 0 else "done: record failures unknown"


@pytest.fixture(scope="module", params=range(2))
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """A warehouse of random jobs, and the expected row for each of them."""
    dice = Random(request.param)
    listings = random_listings(dice, NOW - 4 * DAY, ORGS)
    of_one = [{"started_at": NOW} | row for row in listings if row["org_id"] == ORG]
    jobs = list(random_jobs(dice, of_one))
    details = {(job["org_id"], job["id"]): row for job in jobs if (row := random_details(job, dice))}
    sure = [job for job in jobs if not details.get((job["org_id"], job["id"]), {}).get("provisional")]
    sure = [job for job in sure if job["observed_at"] < NOW]
    away = [{k: job[k] for k in ("org_id", "id", "state")} | {"unlisted_at": NOW} for job in sure[::3]]
    away = [row | {"listed_again_at": NOW} if n % 3 else row for n, row in enumerate(away)]
    gone = {(row["org_id"], row["id"]): row for row in away if row["state"] in UNFINISHED and len(row) == 4}
    users = [{"org_id": org, "id": user, "name": name} for org in ORGS for user, name in NAMES.items()]
    file = tmp_path_factory.mktemp("planted") / "w.duckdb"
    plant(file, query_jobs=jobs, job_details=list(details.values()), unlisted_jobs=away, users=users, listings=listings)
    return file, [
        expected(job, *(which.get((job["org_id"], job["id"]), {}) for which in (details, gone)), of_one) for job in jobs
    ]


def test_jobs_says_of_each_job_how_it_ended(planted: tuple[Path, list[Row]]) -> None:
    """All columns of all jobs; every outcome occurs."""
    file, jobs = planted

    assert Counter(rows(file, "select * from jobs")) == Counter(tuple(job.values()) for job in jobs)
    assert len({job["outcome"] for job in jobs}) == 9


def test_failures_are_the_jobs_that_went_wrong(planted: tuple[Path, list[Row]]) -> None:
    """A job with the outcome "done: record failures unknown" is not among them."""
    file, jobs = planted
    shown = "org_id, id, kind, job_type, operation, object, created_by, created_date, outcome, error_code, error"
    wanted = [tuple(job[name] for name in shown.split(", ")) for job in jobs if job["outcome"] in FAILED]

    assert Counter(rows(file, f"select {shown} from failures")) == Counter(wanted)


def test_outcomes_by_day_counts_every_job_once_on_its_utc_day(planted: tuple[Path, list[Row]]) -> None:
    """Unknown states have no outcome, unreadable dates no day; sums are null if the org gave no count."""
    file, jobs = planted
    listed: dict[str, list[datetime]] = defaultdict(list)
    for org, at in rows(file, "select org_id, coalesce(restarted_at, started_at) from listings where filters = '{}'"):
        listed[org].append(at)
    groups = defaultdict(list)
    for job in jobs:
        day = job["created_date"].date() if job["created_date"] else None
        groups[day, job["org_id"], job["kind"], job["job_type"], job["operation"], job["outcome"]].append(job)
    wanted = []
    for group, members in groups.items():
        sums = (total(job[name] for job in members) for name in ("records_processed", "records_failed"))
        day = group[0] and datetime(*group[0].timetuple()[:3], tzinfo=UTC)
        covered = covered_percent(listed[group[1]], day, day + DAY) if day else None
        wanted.append((*group, len(members), *sums, covered, "query"))

    assert Counter(rows(file, "select * from outcomes_by_day")) == Counter(wanted)


def test_failure_streaks_are_what_walking_through_each_series_finds(planted: tuple[Path, list[Row]]) -> None:
    """Within one second, successes come first; jobs without a date have no place in a streak."""
    file, jobs = planted
    series = defaultdict(list)
    for job in jobs:
        if job["seconds"] is not None and job["outcome"] in ENDED:  # its date is plausible
            name = ("org_id", "kind", "job_type", "operation", "object", "created_by_id", "created_by")
            bad = job["outcome"] in ("failed", "every record failed")
            series[tuple(job[n] for n in name)].append((job["created_date"], bad, job["outcome"], job["id"]))
    wanted = []
    for name, members in series.items():
        streak: list[tuple] = []
        before: tuple = (None, None)
        for created, bad, how, job_id in [*sorted(members), (None, False, None, None)]:
            if bad:
                streak.append((created, job_id))
                continue
            if len(streak) > 1:
                first, last = streak[0][0], max(at for at, _ in streak)
                pause = max(DAY, 3 * (last - first) / (len(streak) - 1))
                ongoing = created is None and NOW - last <= pause
                newest = max(job_id for at, job_id in streak if at == last)
                status = "recovered" if created else "ongoing" if ongoing else "abandoned"
                ends = (before[0], created, newest, before[1], ongoing, status)
                wanted.append((*name, len(streak), first, last, *ends, "query"))
            before = (created, max(how or "", before[1] or "") if before[0] == created else how)
            streak = []

    assert Counter(rows(file, "select * from failure_streaks")) == Counter(wanted)
    assert len(wanted) > 20


@pytest.mark.parametrize("view", ["jobs", "failures", "outcomes_by_day", "failure_streaks"])
def test_the_readers_time_zone_does_not_matter(planted: tuple[Path, list[Row]], view: str) -> None:
    """Days are in UTC."""
    file, _ = planted
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"select * from {view}"))


def test_a_failed_batch_does_not_make_the_job_fail_if_others_succeeded(tmp_path: Path) -> None:
    """A Classic load can count 0 of 0 records: `jobs` and `failure_streaks` agree on its outcome."""
    load = {"job_type": "Classic", "operation": "insert", "state": "Closed"}
    jobs = [load | {"created_date": NOW - n * HOUR} for n in range(1, 4)]
    batches = {"number_batches_total": 3, "number_batches_completed": 2, "number_batches_failed": 1}
    counts = {"number_records_processed": 0, "number_records_failed": 0, "provisional": False}
    details = [{"id": f"750{n:012}AAA"} | batches | counts for n in range(1, 4)]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, job_details=details)

    assert rows(file, "select distinct outcome from jobs") == [("partly failed",)]
    assert rows(file, "select * from failure_streaks") == []
