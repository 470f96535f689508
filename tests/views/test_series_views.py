"""Which series fail, run at regular times, or are deleted unseen: computed in plain Python over random rows."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, kind, plant, rows, rows_elsewhere

ORGS = (ORG, "00DDm0000002000MAA", "00DDm0000003000MAA")
# 60 fully covered days; two weeks and a day after a hole; ten days for the third.
LISTED = {
    ORGS[0]: [NOW - n * DAY / 2 for n in range(120)],
    ORGS[1]: [NOW - HOUR, *(NOW - n * DAY for n in range(1, 9)), NOW - 20 * DAY],
    ORGS[2]: [NOW, NOW - 3 * DAY],
}
COVERED_FROM = {ORGS[0]: NOW - 66.5 * DAY, ORGS[1]: NOW - 15 * DAY, ORGS[2]: NOW - 10 * DAY}
COVERED_TO = {org: max(times) for org, times in LISTED.items()}
SERIES = ("org_id", "job_type", "operation", "object", "created_by_id")
NAMES = {"005A": "Ada", "005B": "Ben"}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def schedules(dice: Random) -> Iterator[tuple[Row, datetime]]:
    """Series of many rhythms, some of which stopped: regular, jittery, on working days, weekly, with holes, at
    random."""
    for org in ORGS:
        for n in range(36):
            series = {
                "org_id": org,
                "job_type": dice.choice(("V2Query", "Classic", None)),
                "operation": dice.choice(("query", "insert", None)),
                "object": f"Object{n % 30}" if n % 7 else None,
                "created_by_id": dice.choice(("005A", "005B", "005C", None)),
            }
            end = NOW - dice.choice((0, 0, 5, 26, 30, 60, 200, 400)) * HOUR
            pause, jitter = dice.choice(((24, 0.5), (24, 4), (1, 0.2), (8, 1), (168, 2), (6, 20), (24, 12), (2, 9)))
            days = dice.choice((range(7), range(7), range(5)))
            left_out, at = dice.choice((0, 0, 0.05, 0.3)), end
            while at > NOW - 58 * DAY:
                time = at + dice.uniform(0, jitter) * HOUR
                if time.weekday() in days and dice.random() >= left_out and time <= NOW:
                    yield series, time.replace(microsecond=0)
                at -= pause * HOUR


@pytest.fixture(scope="module")
def jobs() -> list[Row]:
    """With states and counts of every kind, and implausible dates."""
    dice = Random(11)
    found = []
    for n, (series, created) in enumerate(schedules(dice)):
        bad = dice.choice((0.02, 0.1, 0.6)) if series["object"] else 0.9
        state = (
            "Failed"
            if dice.random() < bad
            else dice.choice(("JobComplete", "Closed", "Closed", "Aborted", "InProgress"))
        )
        job = {
            **series,
            "id": f"750{n:012}AAA",
            "state": state,
            "created_date": created,
            "observed_at": created + HOUR / 2,
        }
        if dice.random() < 0.02:
            job["created_date"] = dice.choice(
                (None, datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
            )
        processed = dice.choice((None, 0, 100, 10_000))
        job["counts"] = (processed, dice.choice((None, 0, processed, 99)))
        found.append(job)
    return found


@pytest.fixture(scope="module")
def away(jobs: list[Row]) -> dict[str, tuple[datetime, datetime]]:
    """When jobs were last listed, and first missing: almost all of some series, a few of others."""
    dice, share, gone = Random(12), {}, {}
    for job in jobs:
        odds = share.setdefault(tuple(job[part] for part in SERIES), dice.choice((0, 0, 0, 0.3, 0.5, 0.9)))
        if job["created_date"] and dice.random() < odds and job["created_date"] <= NOW - DAY:
            last = job["observed_at"] + dice.randrange(108_000) * timedelta(seconds=1)
            gone[job["id"]] = (last, last + dice.choice((1, 6, 12, 170)) * HOUR)
    return {job: times for job, times in gone.items() if times[1] <= NOW}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, jobs: list[Row], away) -> Path:
    by_id = {job["id"]: job for job in jobs}
    details = [
        {"org_id": job["org_id"], "id": job["id"], "number_records_processed": job["counts"][0],
         "number_records_failed": job["counts"][1]}
        for job in jobs
    ]  # fmt: skip
    return plant(
        tmp_path_factory.mktemp("series") / "w.duckdb",
        query_jobs=[{name: value for name, value in job.items() if name != "counts"} for job in jobs],
        job_details=details,
        listings=[{"org_id": org, "started_at": at} for org, times in LISTED.items() for at in times],
        unlisted_jobs=[
            {"org_id": by_id[job]["org_id"], "id": job, "state": by_id[job]["state"], "last_listed_at": last, "unlisted_at": at}
            for job, (last, at) in away.items()
        ],
        users=[{"org_id": org, "id": user, "name": name} for org in ORGS for user, name in NAMES.items()],
    )  # fmt: skip


def believed(jobs: list[Row]) -> Iterator[tuple[tuple[Any, ...], Row]]:
    """Each job with a plausible date, by series."""
    for job in jobs:
        if job["created_date"] and datetime(2009, 1, 1, tzinfo=UTC) <= job["created_date"] <= NOW:
            yield tuple(job[part] for part in SERIES), job


def shown(series: tuple[Any, ...]) -> tuple[Any, ...]:
    """The columns that identify a series in a view, up to the user."""
    return series[0], kind(series[2]), *series[1:]


def outcome(job: Row) -> str | None:
    """How a job ended; None if that says nothing."""
    processed, failed = job["counts"]
    if job["state"] == "Failed":
        return "failed"
    if job["state"] not in ("JobComplete", "Closed"):
        return None
    if failed and processed is not None and failed >= processed:
        return "lost"
    return "ended"


def rates_by_hand(jobs: list[Row]) -> Iterator[tuple[Any, ...]]:
    recent: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for series, job in believed(jobs):
        to, start = COVERED_TO[series[0]], COVERED_FROM[series[0]]
        if to - 28 * DAY < job["created_date"] <= to and job["created_date"] >= start and outcome(job):
            recent[series].append(job)
    for series, ended in recent.items():
        to = COVERED_TO[series[0]]
        ended.sort(key=lambda job: (-job["created_date"].timestamp(), job["id"]))
        counted = [job for n, job in enumerate(ended) if n < 7 or job["created_date"] > to - 7 * DAY]
        times = [job["created_date"] for job in counted]
        failed = [job["created_date"] for job in counted if outcome(job) == "failed"]
        whole = [job for job in counted if outcome(job) == "ended" and None not in job["counts"]]
        losing = [job["created_date"] for job in whole if job["counts"][1]]
        silence = DAY if len(times) < 2 else max(DAY, 3 * (max(times) - min(times)) / (len(times) - 1))

        def lately(at: list[datetime], to: datetime = to, silence: timedelta = silence) -> bool:
            return bool(at) and to - max(at) <= silence

        processed, records_failed = (sum(job["counts"][n] for job in whole) for n in (0, 1))
        yield (
            *shown(series), NAMES.get(series[-1], series[-1]), to, min(times), len(counted), len(failed),
            sum(outcome(job) == "lost" for job in counted), min(failed, default=None), max(failed, default=None),
            lately(failed), len(whole), processed, records_failed,
            min(losing, default=None), max(losing, default=None), lately(losing),
            100 * len(failed) / len(counted), 100 * records_failed / processed if processed else 0.0, "query",
        )  # fmt: skip


def lives_by_hand(jobs: list[Row], away) -> Iterator[tuple[Any, ...]]:
    recent: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for series, job in believed(jobs):
        if job["created_date"] > COVERED_TO[series[0]] - 56 * DAY:
            recent[series].append(job)
    for series, of_series in recent.items():
        hours = []
        for job in of_series:
            last, at = away.get(job["id"], (None, None))
            if at and at - job["created_date"] < 7 * DAY:
                hours.append(
                    ((max(last, job["created_date"]) - job["created_date"]) + (at - job["created_date"])) / HOUR / 2
                )
        if hours and 2 * len(hours) >= len(of_series):
            yield (*shown(series), len(of_series), len(hours), median(hours), "query")


def runs_by_hand(jobs: list[Row], away) -> Iterator[tuple[Any, ...]]:
    lives = {row[:6]: row[-2] for row in lives_by_hand(jobs, away)}
    by_series: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for series, job in believed(jobs):
        if COVERED_TO[series[0]] - 49 * DAY < job["created_date"] <= COVERED_TO[series[0]]:
            by_series[series].append(job)
    for series, of_series in by_series.items():
        org = series[0]
        to, covered = COVERED_TO[org], COVERED_FROM[org]
        if covered > to - 14 * DAY:
            continue
        times = sorted(at for at in LISTED[org] if at > to - 49 * DAY)
        longest = max(b - a for a, b in itertools.pairwise(times))
        if lives.get(shown(series), 1e9) * HOUR < longest:
            continue
        first = (covered - EPOCH) // HOUR + 1
        hours = sorted({(job["created_date"] - EPOCH) // HOUR for job in of_series})
        last = hours[-1]
        if last < first or last <= (to - EPOCH) // HOUR - 14 * 24:
            continue
        first = max(first, last - 35 * 24)
        within = [hour for hour in hours if hour >= first]
        if len(within) < 3:
            continue
        pause = (last - within[0]) / (len(within) - 1)
        slack = 0 if pause < 8 else 1 if pause < 22 else 2 if pause < 48 else 4
        late = max(1, min(6, int(pause // 12)))
        for rhythm, length, back, least, most, samples in (("day", 24, 13, 5, 13, 10), ("week", 168, 28, 2, 4, 3)):
            tested = [h for h in hours if h > last - back * 24 and h - length - slack >= first]
            recurring = [h for h in tested if any(abs(h - length - b) <= slack for b in hours)]
            if len(tested) < least or 10 * len(recurring) < 9 * len(tested):
                continue
            delays = []
            for n in range(1, most + 1):
                then = last - n * length
                if then >= first and n * length > max(slack, pause / 2):
                    delays.append(min(h for h in hours if h > then + max(slack, pause / 2)) - then)
            if len(delays) < samples:
                continue
            delays.sort()
            low, high = (delays[0], delays[-1]) if len(delays) < 4 else (delays[1], delays[-2])
            newest = max(job["created_date"] for job in of_series)
            expected = EPOCH + (last + high) * HOUR
            by = expected + (1 + late + 2 * (high - low)) * HOUR
            yield (
                *shown(series), NAMES.get(series[-1], series[-1]), rhythm, len(within), round(pause, 9), newest,
                max(job["id"] for job in of_series if job["created_date"] == newest), expected, by,
                by <= to < by + 7 * DAY, "query",
            )  # fmt: skip
            break


def rounded(found: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(round(v, 6) if isinstance(v, float) else v for v in row) for row in found)


def test_rates_are_those_of_the_last_week_or_the_last_seven_jobs(file: Path, jobs: list[Row]) -> None:
    """All jobs that end in other ways are left out."""
    found = rows(file, "select * from failure_rates")

    assert rounded(found) == rounded(list(rates_by_hand(jobs)))
    assert {row[14] for row in found} == {row[20] for row in found} == {True, False}
    assert len(found) > 80


def test_short_lives_are_those_of_series_that_are_usually_deleted(file: Path, jobs: list[Row], away) -> None:
    """Half of a series or more."""
    found = rows(file, "select * from short_lived_jobs")

    assert rounded(found) == rounded(list(lives_by_hand(jobs, away)))
    assert 10 < len(found) < 60


def test_regular_means_recurring(file: Path, jobs: list[Row], away) -> None:
    """From day to day or week to week; the next run is expected when it followed before."""
    found = rows(file, "select * from usual_runs")

    assert rounded(found) == rounded(list(runs_by_hand(jobs, away)))
    assert {row[7] for row in found} == {"day", "week"}
    assert {row[-2] for row in found} == {True, False}
    assert {row[0] for row in found} == set(ORGS[:2])


@pytest.mark.parametrize("view", ["failure_rates", "short_lived_jobs", "usual_runs"])
def test_the_readers_time_zone_does_not_matter(file: Path, view: str) -> None:
    """Hours are in UTC."""
    assert rounded(rows_elsewhere(file, view)) == rounded(rows(file, f"select * from {view}"))
