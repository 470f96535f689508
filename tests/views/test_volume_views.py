"""How many jobs there were, by day, by hour, at once, against the usual, and between states: computed independently."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, covered_percent, kind, plant, plausible, rows, rows_elsewhere

MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)
MIDNIGHT = NOW.replace(hour=0)
OTHER = "00DDm0000002000MAA"
FINISHED = {"JobComplete", "Failed", "Aborted", "Closed"}
NAMES = {(ORG, "005A"): "Ada", (OTHER, "005B"): "Ben"}

# One org has a hole of four days with a filtered listing in it; the other has only filtered listings.
LISTED = {ORG: [NOW - 19 * DAY, NOW - 17.5 * DAY, NOW - 6.3 * DAY, NOW], OTHER: []}
ODD = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC), NOW + 3 * HOUR]  # no job is created then
SOURCE = ("org_id", "job_type", "operation", "object", "created_by_id")


def random_jobs(dice: Random) -> Iterator[dict[str, Any]]:
    """With nulls, ties, an unknown operation, and many just before and after midnight."""
    midnights = [datetime(2026, 11, day, tzinfo=UTC) - n * timedelta(seconds=1) for day in (3, 11, 16) for n in (0, 1)]
    days = [n for n in range(28) if n not in (1, 4, 8, 15, 16, 23)]  # the others are empty, except for a minute or so
    drawn = [NOW - dice.choice(days) * DAY - timedelta(seconds=dice.randrange(86_400)) for _ in range(300)]
    moments = [None, *midnights] * 3 + [at for at in drawn if (NOW.date() - at.date()).days in days]
    for _ in range(1_200):
        created = dice.choice(moments if dice.random() < 0.98 else ODD)
        ended = (
            NOW if created in ODD else (created or NOW) + timedelta(seconds=dice.choice((0, 1, 20, 59, 600, 20_000)))
        )
        yield {
            "org_id": dice.choice((ORG, ORG, OTHER)),
            "operation": dice.choice(("query", "queryAll", "insert", "refresh", None)),
            "object": dice.choice(("Account", "Case", None)),
            "created_by_id": dice.choice(("005A", "005B", None)),
            "created_date": created,
            "job_type": dice.choice(("V2Query", "Classic", None)),
            "state": dice.choice(("JobComplete", "Failed", "Aborted", "Closed", "Closed", "InProgress", "Whatever")),
            "system_modstamp": ended,
            "observed_at": NOW if created in ODD else ended + timedelta(seconds=dice.randrange(7_200)),
        }


@pytest.fixture(scope="module")
def jobs() -> list[dict[str, Any]]:
    dealt = [{"id": f"750{n:012}AAA", **job} for n, job in enumerate(random_jobs(Random(5)))]
    # each org and kind has a job that ends in the hour of the newest listing
    last = {"created_date": NOW - HOUR, "system_modstamp": NOW, "observed_at": NOW, "state": "Closed"}
    for n, (org, operation) in enumerate((o, p) for o in LISTED for p in ("query", "insert", None)):
        dealt.append({**dealt[0], **last, "id": f"750Z{n:011}AAA", "org_id": org, "operation": operation})
    return dealt


@pytest.fixture(scope="module")
def gone(jobs: list[dict[str, Any]]) -> dict[str, datetime]:
    """When the jobs that vanished unfinished did so: every second unfinished one."""
    running = [job for job in jobs if job["state"] not in FINISHED]
    return {job["id"]: job["observed_at"] + 3 * HOUR for job in running[::2]}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, jobs: list[dict[str, Any]], gone: dict[str, datetime]) -> Path:
    listings = [{"started_at": at} for at in LISTED[ORG]]
    listings[2] = {"started_at": LISTED[ORG][2] - HOUR, "restarted_at": LISTED[ORG][2]}
    listings += [{"started_at": NOW - 15 * DAY, "filters": '{"jobType": "V2Query"}'}]
    listings += [{"org_id": OTHER, "started_at": NOW - n * DAY, "filters": '{"jobType": "V2Query"}'} for n in (0, 5)]
    orgs = {job["id"]: job["org_id"] for job in jobs}
    return plant(
        tmp_path_factory.mktemp("volume") / "w.duckdb",
        query_jobs=jobs,
        listings=listings,
        users=[{"org_id": org, "id": user, "name": name} for (org, user), name in NAMES.items()]
        + [{"id": "005B", "name": None}],
        unlisted_jobs=[
            {"org_id": orgs[job], "id": job, "state": "Open", "unlisted_at": at} for job, at in gone.items()
        ],
    )


@pytest.mark.parametrize(("view", "step"), [("jobs_by_day", DAY), ("jobs_by_hour", HOUR)])
def test_every_job_is_counted_and_every_empty_day_and_hour_has_a_row(file: Path, jobs, view: str, step) -> None:
    """Empty ones have 0 if listings cover all of it, else null; odd dates have a row, without any in between."""

    def start(at: datetime) -> datetime:
        return at.replace(minute=0, second=0) if step == HOUR else datetime(*at.timetuple()[:3], tzinfo=UTC)

    def shown(at: datetime | None) -> Any:
        return at and (at.replace(tzinfo=None) if step == HOUR else at.date())

    def share(at: datetime | None, org: str) -> float | None:
        return covered_percent(LISTED[org], at, at + step) if at else None

    counts: Counter[tuple] = Counter()
    for job in jobs:
        if job["created_date"] or step == DAY:
            org, job_type, operation, thing, user = (job[column] for column in SOURCE)
            key = (org, kind(operation), job_type, operation, thing, user, NAMES.get((org, user), user))
            at = job["created_date"] and start(job["created_date"])
            counts[at, *key, *([job["state"]] if step == DAY else [])] += 1
    expected = [(shown(at), org, *rest, count, share(at, org), "query") for (at, org, *rest), count in counts.items()]
    for org in LISTED:
        full = {key[0] for key in counts if key[1] == org and key[0]}
        at = min(start(job["created_date"]) for job in jobs if job["org_id"] == org and began(job))
        while at <= start(NOW):
            if at not in full:
                nulls = [None] * (7 if step == DAY else 6)
                percent = share(at, org)
                expected.append((shown(at), org, *nulls, 0 if percent == 100 else None, percent, "query"))
            at += step
    found = rows(file, f"select * from {view}")

    assert Counter(found) == Counter(expected)
    assert sum(row[-3] or 0 for row in found) == sum(1 for job in jobs if job["created_date"] or step == DAY)
    assert {row[-3] for row in found if row[1] == ORG} > {0, None}
    assert {row[-3] for row in found if row[1] == OTHER} & {0} == set()
    assert {row[0] for row in found} >= {shown(start(odd)) for odd in ODD}


def began(job: dict[str, Any]) -> datetime | None:
    return plausible(job["created_date"], job["observed_at"])


def test_the_day_and_hour_of_the_newest_listing_are_not_over(tmp_path: Path) -> None:
    """Nothing so far does not mean nothing."""
    jobs = [{"created_date": NOW - 40 * HOUR}]
    file = plant(tmp_path / "w", query_jobs=jobs, listings=[{"started_at": NOW + 30 * MINUTE}])

    days = rows(file, "select day, jobs, covered_percent from jobs_by_day order by 1")
    assert [(day.day, *rest) for day, *rest in days] == [(14, 1, 100.0), (15, 0, 100.0), (16, None, 650 / 24)]
    hours = rows(file, "select jobs, covered_percent from jobs_by_hour order by hour")
    assert hours == [(1, 100.0), *[(0, 100.0)] * 39, (None, 50.0)]


def test_a_day_that_is_partly_in_a_hole_says_so(tmp_path: Path) -> None:
    """24 jobs a day: days of which listings could only show 18, 7 and 17 are marked as partly covered."""
    first = MIDNIGHT - 21 * DAY  # covered from six o'clock to seven on the seventh day, and from the ninth on at seven
    listed = [first + n * DAY + 7 * HOUR for n in (7, 16, 21)]
    listed[:0] = [first + 7 * DAY + 6 * HOUR]
    times = [first + n * HOUR + 30 * MINUTE for n in range(24 * 11)]
    seen = [at for at in times if any(listing - WEEK <= at <= listing for listing in listed)]
    file = plant(
        tmp_path / "w", query_jobs=[{"created_date": at} for at in seen], listings=[{"started_at": at} for at in listed]
    )

    found = rows(
        file, f"select jobs, covered_percent from jobs_by_day where day < '{first + 11 * DAY:%Y-%m-%d}' order by day"
    )
    assert found == [
        (18, 75.0),
        *[(24, 100.0)] * 6,
        (7, 700 / 24),
        (None, 0.0),
        (17, 1_700 / 24),
        (24, 100.0),
    ]
    assert rows(file, "select distinct covered_percent from unusual_days") == [(100.0,)]
    assert rows(file, "select distinct covered_percent from outcomes_by_day where jobs = 7") == [(700 / 24,)]


def test_jobs_at_once_share_a_second(file: Path, jobs, gone) -> None:
    """Counted for each second in which one begins: jobs that still run, that vanished, that have no duration."""
    lives: dict[tuple, list[tuple[datetime, datetime]]] = {}
    for job in jobs:
        if start := began(job):
            moved = job["system_modstamp"] > start
            ended = job["system_modstamp"] if moved else job["observed_at"]
            if job["state"] not in FINISHED:
                ended = gone.get(job["id"], NOW + DAY)
            life = (start, max(ended, start + timedelta(seconds=1)))
            lives.setdefault((job["org_id"], kind(job["operation"])), []).append(life)
    expected = []
    for (org, sort), own in lives.items():
        starts, ends = (sorted(times) for times in zip(*own, strict=True))
        hour = starts[0].replace(minute=0, second=0)
        while hour <= NOW:
            seconds = [hour, *(at for at in starts if hour <= at < hour + HOUR)]
            levels = [bisect_right(starts, at) - bisect_right(ends, at) for at in seconds]
            percent = covered_percent(LISTED[org], hour, hour + HOUR)
            expected.append((hour.replace(tzinfo=None), org, sort, max(levels), levels[0], percent))
            hour += HOUR

    last = NOW.replace(tzinfo=None)
    found = rows(file, "select * from jobs_at_once")
    assert Counter(row for row in found if row[0] <= last) == Counter(expected)
    assert {row[-1] for row in found} >= {0.0, 100.0}


@pytest.mark.parametrize(("pause", "took", "most"), [(1, 1, 1), (1, 2, 2), (1, 30, 30), (2, 1, 1), (0, 0, 30)])
def test_thirty_consecutive_jobs_are_not_at_once(tmp_path: Path, pause: int, took: int, most: int) -> None:
    """All within a minute; one that ends as the next begins does not overlap with it, one without duration counts for a
    second."""
    starts = [NOW - HOUR + timedelta(seconds=n * pause) for n in range(30)]
    jobs = [
        {
            "created_date": at,
            "system_modstamp": at + timedelta(seconds=took),
            "observed_at": at + timedelta(seconds=took),
        }
        for at in starts
    ]
    file = plant(tmp_path / "w", query_jobs=jobs)

    assert rows(file, "select max(at_once) from jobs_at_once") == [(most,)]
    assert rows(file, "select at_once from jobs_at_once order by hour desc limit 1") == [(0,)]


def test_the_number_in_a_hole_is_marked_as_uncovered(tmp_path: Path) -> None:
    """The recorder was off for ten days: it only knows of jobs that had not ended before."""
    off = NOW - 17 * DAY
    jobs = [{"created_date": off - n * MINUTE, "state": "InProgress", "observed_at": off} for n in range(1, 11)]
    jobs += [{"created_date": off - 2 * HOUR, "system_modstamp": off - HOUR}]
    file = plant(tmp_path / "w", query_jobs=jobs, listings=[{"started_at": off}, {"started_at": NOW}])

    assert rows(
        file,
        "select covered_percent, max(at_once), count(*) from jobs_at_once where hour < '2026-11-09' group by 1 order by 1",
    ) == [(0.0, 10, 234), (100.0, 10, 2)]


def test_an_hour_in_which_nothing_begins_or_ends_keeps_the_number(tmp_path: Path) -> None:
    """Two overlap, one of them for hours."""
    day = NOW.replace(hour=0)
    file = plant(
        tmp_path / "w",
        query_jobs=[
            {"created_date": day + 0.5 * HOUR, "system_modstamp": day + 3.5 * HOUR},
            {"created_date": day + 0.6 * HOUR, "system_modstamp": day + 0.7 * HOUR},
        ],
    )

    found = rows(file, "select hour, at_once, at_start from jobs_at_once where hour < '2026-11-16 04:00:00' order by 1")
    assert [(hour.hour, *levels) for hour, *levels in found] == [(0, 2, 0), (1, 1, 1), (2, 1, 1), (3, 1, 1)]


def test_running_jobs_count_until_the_newest_listing(tmp_path: Path) -> None:
    """A job that has hung since three o'clock still hangs at six."""
    file = plant(tmp_path / "w", query_jobs=[{"created_date": NOW - 3 * HOUR, "state": "InProgress"}])

    assert [level for (level,) in rows(file, "select at_once from jobs_at_once order by hour")] == [1, 1, 1, 1]


def test_a_job_created_while_a_listing_ran_is_counted_like_any_other(tmp_path: Path) -> None:
    """Its version has the listing's start, which is before its creation."""
    created = NOW + 5 * MINUTE
    job = {"created_date": created, "system_modstamp": created + MINUTE, "observed_at": NOW}
    file = plant(tmp_path / "w", query_jobs=[job], listings=[{"finished_at": NOW + 10 * MINUTE}])

    assert rows(file, "select at_once, at_start from jobs_at_once order by hour") == [(1, 0)]


def test_changes_of_state_count_on_the_day_that_first_showed_them(tmp_path: Path) -> None:
    """From each job's history, sorted by hand; a stamp that moves alone is not a change."""
    dice, versions, operations = Random(8), [], {}
    for n in range(400):
        operations[f"750{n:015}"] = dice.choice(("query", "insert", None))
        stamp = seen = NOW - timedelta(seconds=dice.randrange(10 * 86_400))
        for state in dice.sample(("UploadComplete", "InProgress", "InProgress", "JobComplete", "Failed"), 3):
            seen = stamp + timedelta(seconds=dice.randrange(1, 90_000))
            versions.append({"org_id": (ORG, OTHER)[n % 2], "id": f"750{n:015}",
                             "system_modstamp": stamp, "state": state, "observed_at": seen})  # fmt: skip
            stamp = seen + timedelta(seconds=dice.randrange(90_000))
    answered, before = Counter(), {}
    for version in sorted(versions, key=lambda v: v["observed_at"]):
        job = (version["org_id"], version["id"])
        if before.get(job) != version["state"]:
            answered[
                version["observed_at"].date(), job[0], kind(operations[job[1]]), before.get(job), version["state"]
            ] += 1
        before[job] = version["state"]
    newest = {(version["org_id"], version["id"]): version for version in versions}
    jobs = [version | {"operation": operations[version["id"]]} for version in newest.values()]
    file = plant(tmp_path / "w", query_jobs=jobs, query_job_states=versions)

    assert Counter(rows(file, "select * from state_changes_by_day")) == Counter((*k, n) for k, n in answered.items())
    assert rows(file, "select sum(changes) from state_changes_by_day where from_state is null") == [(400,)]


@pytest.mark.parametrize(
    "view", ["jobs_by_day", "jobs_by_hour", "jobs_at_once", "unusual_days", "state_changes_by_day"]
)
def test_the_readers_time_zone_does_not_matter(file: Path, view: str) -> None:
    """Days and hours are in UTC."""
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"select * from {view}"))
