"""Which jobs the pictures show: a period, cut into bars, and filters."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from picture_rows import MONTH, TODAY, everything, job, selection
from planted import DAY, HOUR, NOW, ORG, plant, rows

from pipelines.answers import pictures
from pipelines.answers.pictures import Picture
from pipelines.answers.selection import orgs, select


def some_jobs(number: int = 400) -> list[dict[str, Any]]:
    """Jobs of forty days, random with a fixed seed."""
    dice = Random(4)
    states = ["JobComplete"] * 8 + ["Failed", "Aborted"]
    return [
        job(
            NOW - timedelta(minutes=dice.randrange(60 * 24 * 40)),
            operation=dice.choice(["query", "queryAll", "insert"]),
            object=dice.choice(["Account", "Lead", "Order"]),
            created_by_id=dice.choice(["005A", "005B"]),
            job_type=dice.choice(["V2Query", "Classic"]),
            state=dice.choice(states),
        )
        for _ in range(number)
    ]


@pytest.fixture(scope="module")
def jobs() -> list[dict[str, Any]]:
    return some_jobs()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, jobs: list[dict[str, Any]]) -> Path:
    """A warehouse of these jobs."""
    users = [{"id": "005A", "name": "Amara Osei"}]
    return plant(tmp_path_factory.mktemp("some") / "w.duckdb", query_jobs=jobs, listings=MONTH, users=users)


def total(picture: Picture) -> Counter[str]:
    """Group -> jobs, from a picture's table of bins."""
    counted: Counter[str] = Counter()
    for row in picture.table:
        counted.update({name: value for name, value in row.items() if name not in ("from", "kind")})
    return counted


def outcome(job: dict[str, Any]) -> str:
    """As drawn: no counts are planted, so that only V2 queries are known to have lost no record."""
    done = "done" if job["job_type"] == "V2Query" else "done: record failures unknown"
    return {"Failed": "failed", "Aborted": "aborted", "JobComplete": done}[job["state"]]


@pytest.mark.parametrize(("days", "bin_"), [(30, "day"), (40, "day"), (200, "week"), (1_500, "month")])
def test_the_volume_counts_each_job_once_whatever_the_bars(
    file: Path, jobs: list[dict[str, Any]], days: int, bin_: str
) -> None:
    """Days, weeks or months: each job is in exactly one."""
    chosen = selection(file, days)
    since = datetime.combine(chosen.since, datetime.min.time(), UTC)
    picture = pictures.volume(chosen)

    assert chosen.granularity == bin_
    assert total(picture) == Counter(outcome(job) for job in jobs if job["created_date"] >= since)
    assert f"{total(picture).total():,} jobs from" in picture.summary


@pytest.mark.parametrize(
    ("filters", "keeps"),
    [
        ({"job_types": ("Classic",)}, lambda job: job["job_type"] == "Classic"),
        ({"objects": ("Lead", "Order")}, lambda job: job["object"] in ("Lead", "Order")),
        ({"creators": ("005B",)}, lambda job: job["created_by_id"] == "005B"),
        (
            {"creators": ("005B",), "objects": ("Lead",)},
            lambda j: j["created_by_id"] == "005B" and j["object"] == "Lead",
        ),
        ({"objects": ("') or true --",)}, lambda job: False),
    ],
)
def test_filters_select_what_they_say(file: Path, jobs: list[dict[str, Any]], filters, keeps) -> None:
    """In each picture that supports them; a value is never SQL."""
    kept = [job for job in jobs if keeps(job) and job["created_date"].date() > TODAY - 30 * DAY]
    chosen = selection(file, **filters)

    assert total(pictures.volume(chosen)) == Counter(outcome(job) for job in kept)
    failed = [job for job in kept if job["state"] in ("Failed", "Aborted")]
    assert sum(row["jobs"] for row in pictures.failures(chosen).table) == len(failed)
    hours = Counter((job["created_date"].isoweekday(), job["created_date"].hour) for job in kept)
    weeks = {day: sum(count for (weekday, _), count in hours.items() if weekday == day) for day in range(1, 8)}
    shown = pictures.week(chosen).table
    assert {n for n, row in enumerate(shown, 1) if row["jobs on average"] > 0} == {n for n in weeks if weeks[n]}


@pytest.mark.slow
def test_a_picture_that_does_not_support_a_filter_says_so(file: Path) -> None:
    """And shows the same with and without it."""
    plain, filtered = everything(file), everything(file, objects=("Lead",), creators=("005B",), job_types=("Classic",))
    for before, after in zip(plain, filtered, strict=True):
        if not after.supported_filters:
            assert (before.summary, before.table) == (after.summary, after.table)
    assert [picture.name for picture in plain if not picture.supported_filters] == [
        "allowance",
        "limits",
        "at_once",
        "coverage",
    ]


def test_the_last_days_are_compared_with_those_before(file: Path, jobs: list[dict[str, Any]]) -> None:
    """Whole days only: not the one of the newest listing. Thirty days are not compared if only forty are recorded."""
    days = Counter((TODAY - job["created_date"].date()).days for job in jobs)
    last, before = sum(days[n] for n in range(1, 8)), sum(days[n] for n in range(8, 15))
    words = pictures.volume(selection(file)).summary

    assert (
        f"In the last 7 whole days there were {last:,}, in the 7 before {before:,} ({(last - before) / before:+.0%}".replace(
            "%", ""
        )
        in words.replace(" %", "")
    )
    assert "30 whole days" not in words


def test_a_selection_is_the_last_days_but_at_least_a_week(tmp_path: Path) -> None:
    """As far back as jobs are recorded; a single day of jobs is shown in a week, or in one day if that was asked
    for."""
    file = plant(tmp_path / "w.duckdb", query_jobs=[job(NOW - HOUR)])
    (org,) = orgs(file)

    assert (org["name"], org["jobs"], org["first_day"], org["as_of"]) == (ORG, 1, TODAY, NOW)
    assert select(file, org, 30).since == TODAY - 6 * DAY
    assert select(file, org, 1).since == TODAY
    assert select(file, {**org, "first_day": date(2026, 11, 1)}, 30).since == date(2026, 11, 1)
    assert select(file, {**org, "first_day": date(2020, 1, 1)}, 30).since == TODAY - 29 * DAY
    assert select(file, {**org, "first_day": None}, 30).since == TODAY - 6 * DAY


def test_every_number_in_a_summary_comes_from_the_views(file: Path) -> None:
    """The pictures add up what the views say, and count nothing themselves."""
    chosen = selection(file, 40)
    ((jobs,),) = rows(file, f"select sum(jobs) from jobs_by_day where day >= '{chosen.since}'")
    ((failed,),) = rows(file, f"select count(*) from failures where created_date >= '{chosen.since}'")

    assert f"{jobs:,} jobs" in pictures.volume(chosen).summary
    assert f"{failed:,} jobs" in pictures.failures(chosen).summary
