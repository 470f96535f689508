"""How long jobs took, which states they were in, and how often queries were repeated: computed independently."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
OTHER = "00DDm0000002000MAA"
MIDNIGHT = NOW.replace(hour=0)
FINISHED = {"JobComplete", "Failed", "Aborted", "Closed"}
KINDS = {"query": "query", "queryAll": "query", None: None}
NAMES = {(ORG, "005A"): "Ada"}


@pytest.fixture(scope="module")
def jobs() -> list[dict[str, Any]]:
    """Four weeks of jobs with nulls and ties, many around midnight from Sunday to Monday; a third never moved."""
    dice, dealt = Random(21), []
    moments = [NOW - timedelta(seconds=dice.randrange(28 * 86_400)) for _ in range(300)]
    moments += [MIDNIGHT + n * SECOND - week * 7 * DAY for n in (-300, -2, -1, 0, 1, 300) for week in range(4)] * 8
    for n in range(1_200):
        created = dice.choice((None, *moments))
        moved = created and created + dice.choice((0, 1, 1)) * timedelta(seconds=dice.randrange(1, 20_000))
        dealt.append(
            {
                "id": f"750{n:012}AAA",
                "org_id": dice.choice((ORG, ORG, OTHER)),
                "operation": dice.choice(("query", "query", "queryAll", "insert", "refresh", None)),
                "object": dice.choice(("Account", "Case", None)),
                "created_by_id": dice.choice(("005A", "005B", None)),
                "created_date": created,
                "job_type": dice.choice(("V2Query", "Classic", None)),
                "state": dice.choice(("JobComplete", "JobComplete", "Closed", "Failed", "Aborted", "Open", "Whatever")),
                "system_modstamp": moved or NOW - DAY,
                "observed_at": (moved or NOW - DAY) + dice.choice((0, 1, 900)) * SECOND,
                "api_version": dice.choice((68.0, None)),
            }
        )
    return dealt


@pytest.fixture(scope="module")
def unlisted(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every second job is missing from some listing; every fourth came back."""
    return [
        {
            "org_id": job["org_id"],
            "id": job["id"],
            "state": job["state"],
            "unlisted_at": job["observed_at"] + 3 * HOUR,
            "listed_again_at": job["observed_at"] + 5 * HOUR if n % 2 else None,
        }
        for n, job in enumerate(jobs[::2])
    ]


@pytest.fixture(scope="module")
def details(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For every third job; not all have a processing time."""
    dice = Random(22)
    return [
        {
            "org_id": job["org_id"],
            "id": job["id"],
            "total_processing_time": dice.choice((None, dice.randrange(9_000), 5)),
        }
        for job in jobs[::3]
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, jobs: list, unlisted: list, details: list) -> Path:
    return plant(
        tmp_path_factory.mktemp("durations") / "w.duckdb",
        query_jobs=jobs,
        unlisted_jobs=unlisted,
        job_details=details,
        users=[{"org_id": org, "id": user, "name": name} for (org, user), name in NAMES.items()],
    )


def test_a_job_ends_with_its_stamp_or_the_listing_that_showed_it(file: Path, jobs: list, unlisted: list) -> None:
    """A job that vanished unfinished ends when it was missed, unless it came back; a running one does not end."""
    expected, gone = [], {row["id"]: row["unlisted_at"] for row in unlisted if not row["listed_again_at"]}
    for job in jobs:
        created, finished = job["created_date"], job["state"] in FINISHED
        ended = job["observed_at"] if finished else gone.get(job["id"])
        stamped = finished and created is not None and job["system_modstamp"] > created
        ended = job["system_modstamp"] if stamped else ended
        seconds = int((ended - created).total_seconds()) if ended and created else None
        expected.append(
            (
                *(job["org_id"], job["id"], KINDS.get(job["operation"], "load"), job["job_type"], job["operation"]),
                *(job["object"], job["created_by_id"], created, job["state"], job["api_version"]),
                *(
                    finished,
                    not finished and job["id"] in gone,
                    ended,
                    seconds,
                    stamped if ended else None,
                    created,
                    "query",
                ),
            )
        )

    assert sorted(rows(file, "select * exclude (outcome, outcome_as_of) from job_lifetimes"), key=str) == sorted(
        expected, key=str
    )


@pytest.mark.parametrize("took", [timedelta(0), MINUTE])
def test_no_job_ends_before_it_was_created(tmp_path: Path, took: timedelta) -> None:
    """A listing can take minutes, and restart: jobs created meanwhile have the time of its first start."""
    created = NOW + 5 * MINUTE
    job = {"created_date": created, "system_modstamp": created + took, "observed_at": NOW}
    file = plant(tmp_path / "w", query_jobs=[job], listings=[{"finished_at": NOW + 10 * MINUTE}])

    assert rows(file, "select ended_by >= created_date, seconds >= 0 from job_lifetimes") == [(True, True)]


def test_no_job_ends_before_a_listing_that_showed_it_running(tmp_path: Path) -> None:
    """The stamp moved when the job started running, and did not move when it was done."""
    created = NOW - 6 * HOUR
    job = {"created_date": created, "system_modstamp": created + MINUTE, "observed_at": NOW}
    versions = [
        {"id": "750000000000001AAA", "system_modstamp": created, "state": "UploadComplete", "observed_at": created},
        {"system_modstamp": created + MINUTE, "state": "InProgress", "observed_at": NOW - HOUR},
        {"system_modstamp": created + MINUTE, "state": "JobComplete", "observed_at": NOW},
    ]
    states = [{"id": "750000000000001AAA", **version} for version in versions]
    file = plant(tmp_path / "w", query_jobs=[job], query_job_states=states)

    assert rows(file, "select ended_by, seconds from job_lifetimes") == [(NOW, 6 * 3_600)]


def percentile(values: list[int], share: float) -> int | None:
    """The least value that is not exceeded by at least this share of them."""
    return sorted(values)[ceil(round(len(values) * share, 9)) - 1] if values else None


def test_weeks_have_the_median_and_95th_percentile(file: Path, jobs: list, details: list) -> None:
    """Of jobs that are done and moved, compared with the week before. Milliseconds are of all jobs that have them."""
    worked = {row["id"]: row["total_processing_time"] for row in details}
    weeks: dict[tuple, list[dict[str, Any]]] = {}
    for job in (job for job in jobs if job["created_date"] and job["state"] in {"JobComplete", "Closed"}):
        day = job["created_date"].date()
        monday = day - timedelta(days=day.weekday())
        weeks.setdefault((monday, *(job[c] for c in ("org_id", "job_type", "operation", "object"))), []).append(job)
    expected, halves = [], {}
    for key, week in sorted(weeks.items(), key=lambda item: item[0][0]):
        times = [job["system_modstamp"] - job["created_date"] for job in week]
        seconds = [int(time.total_seconds()) for time in times if time > timedelta(0)]
        work = [worked[job["id"]] for job in week if worked.get(job["id"]) is not None]
        half = halves[key] = percentile(seconds, 0.5)
        before = halves.get((key[0] - timedelta(days=7), *key[1:]))
        growth = round(half / before, 9) if half and before else None
        expected.append(
            (
                *(*key[:2], KINDS.get(key[3], "load"), *key[2:], len(week), len(seconds), half),
                *(percentile(seconds, 0.95), percentile(work, 0.5), percentile(work, 0.95), growth),
            )
        )
    found = [(*row[:-1], row[-1] and round(row[-1], 9)) for row in rows(file, "select * from durations_by_week")]

    assert Counter(found) == Counter(expected)
    assert {len(weeks[key]) for key in weeks} >= {1, 2}
    assert sum(row[-1] is not None for row in found) > 50


def took(*seconds: int, week: int = 0, **columns: Any) -> list[dict[str, Any]]:
    """Jobs of one week that took this long."""
    created = MIDNIGHT - week * 7 * DAY
    return [{"created_date": created, "system_modstamp": created + n * SECOND, **columns} for n in seconds]


@pytest.mark.parametrize(
    ("seconds", "p50", "p95"),
    [
        ((7,), 7, 7),
        ((7, 3), 3, 7),
        (range(1, 21), 10, 19),
        (range(1, 22), 11, 20),
        (range(1, 101), 50, 95),
        ((0, 0, 5), 5, 5),
        ((0,), None, None),
    ],
)
def test_a_percentile_is_the_time_of_a_job(tmp_path: Path, seconds: Any, p50: int | None, p95: int | None) -> None:
    """With 1, 2, 20 and 21 of them; a job whose stamp did not move is counted, but not timed."""
    file = plant(tmp_path / "w", query_jobs=took(*seconds))

    found = rows(file, "select jobs, timed, p50_seconds, p95_seconds, p50_processing_ms from durations_by_week")
    assert found == [(len(seconds), sum(second > 0 for second in seconds), p50, p95, None)]


def test_growth_is_against_the_week_just_before(tmp_path: Path) -> None:
    """Not against an older one, nor one without timed jobs."""
    weeks = [*took(10, week=5), *took(30, week=4), *took(40, week=2), *took(0, week=1), *took(50)]
    file = plant(tmp_path / "w", query_jobs=[*weeks, *took(7, week=3, object="Case"), *took(9, week=4, state="Failed")])

    found = rows(file, "select p50_seconds, p50_growth from durations_by_week order by week")
    assert found == [(10, None), (30, 3.0), (7, None), (40, None), (None, None), (50, None)]


def history(job: str, *versions: tuple[int, str, int]) -> list[dict[str, Any]]:
    """What was seen of a job: hour of the stamp, state, hour of the listing."""
    return [
        {"id": job, "system_modstamp": MIDNIGHT + stamp * HOUR, "state": state, "observed_at": MIDNIGHT + seen * HOUR}
        for stamp, state, seen in versions
    ]


def test_the_time_in_a_state_is_the_sum_of_its_spans(tmp_path: Path) -> None:
    """Random histories that go back and forth; a state that was not left has no duration."""
    dice, versions, expected = Random(23), [], []
    for n in range(300):
        stamp = seen = MIDNIGHT - DAY
        spans: list[tuple[str, datetime]] = []
        states = dice.choices(("UploadComplete", "InProgress", "Failed"), k=dice.randrange(1, 6))
        job = {"org_id": (ORG, OTHER)[n % 2], "id": f"750{n:015}"}
        shown = set()
        for state in states:
            moves = not spans or dice.random() < 0.6
            stamp = seen + dice.randrange(9_000) * SECOND if moves else stamp
            seen = max(stamp, seen) + dice.randrange(1, 9_000) * SECOND
            # the same state is not seen twice in a row, nor twice with one stamp
            if (stamp, state) not in shown and (not spans or spans[-1][0] != state):
                shown.add((stamp, state))
                alone = not spans or stamp > versions[-1]["system_modstamp"]
                spans.append((state, stamp if alone else seen))
                versions.append({**job, "system_modstamp": stamp, "state": state, "observed_at": seen})
        for state in {state for state, _ in spans}:
            mine = [i for i, span in enumerate(spans) if span[0] == state]
            lengths = [spans[i + 1][1] - spans[i][1] for i in mine if i + 1 < len(spans)]
            seconds = int(sum(lengths, timedelta(0)).total_seconds()) if len(lengths) == len(mine) else None
            expected.append((*job.values(), state, len(mine), spans[mine[0]][1], seconds))
    file = plant(tmp_path / "w", query_job_states=versions)

    assert sorted(rows(file, "select * from time_in_state"), key=str) == sorted(expected, key=str)
    assert len(expected) > 400


def test_a_stamp_that_moves_alone_does_not_enter_the_state_again(tmp_path: Path) -> None:
    """Two observed versions of a job that is done: it was done once."""
    states = history("750A", (0, "InProgress", 0), (1, "JobComplete", 2), (3, "JobComplete", 4))
    file = plant(tmp_path / "w", query_job_states=states)

    assert rows(file, "select state, spans from time_in_state order by first_at") == [
        ("InProgress", 1),
        ("JobComplete", 1),
    ]


def test_repeats_are_queries_of_one_source_within_one_day(file: Path, jobs: list) -> None:
    """For any user and any object; loads do not count, and midnight separates days."""
    days: dict[tuple, list[datetime]] = {}
    for job in (job for job in jobs if job["created_date"] and job["operation"] in {"query", "queryAll"}):
        source = (job[column] for column in ("org_id", "job_type", "operation", "object", "created_by_id"))
        days.setdefault((job["created_date"].astimezone(UTC).date(), *source), []).append(job["created_date"])
    expected = []
    for key, created in days.items():
        created.sort()
        between = [(b - a).total_seconds() for a, b in pairwise(created)]
        if between:
            name = NAMES.get((key[1], key[-1]), key[-1])
            expected.append((*key, name, len(created), median(between), min(between)))

    assert Counter(rows(file, "select * from repeats_by_day")) == Counter(expected)
    assert len(expected) > 50


def test_two_queries_around_midnight_are_one_per_day(tmp_path: Path) -> None:
    """Each on its own day; a job without a date belongs to no day."""
    jobs = [{"created_date": at} for at in (MIDNIGHT - SECOND, MIDNIGHT, MIDNIGHT + 90 * SECOND, None)]
    file = plant(tmp_path / "w", query_jobs=jobs)

    found = rows(file, "select jobs, median_seconds_between, least_seconds_between from repeats_by_day")
    assert found == [(2, 90.0, 90)]


@pytest.mark.parametrize("view", ["job_lifetimes", "durations_by_week", "time_in_state", "repeats_by_day"])
def test_the_readers_time_zone_does_not_matter(file: Path, view: str) -> None:
    """Days and weeks are in UTC."""
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"select * from {view}"))
