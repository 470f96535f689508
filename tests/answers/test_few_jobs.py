"""What `check` asks about a few jobs, or about recent ones, is what the views say of all."""

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant

from pipelines.answers.check import ANSWERED_ONCE, FEW_DAYS
from pipelines.answers.findings.few_jobs import LASTING_STREAKS, few_jobs
from pipelines.answers.pictures import pictures
from pipelines.answers.pictures.read_once import read_once
from pipelines.answers.selection import Selection, orgs, select
from pipelines.answers.svg import drawing
from pipelines.warehouse.narrowed import narrowed, recent_jobs, shown
from pipelines.warehouse.reader import Warehouse, opened

OTHER = "00DDm0000002000MAA"
SINCE = NOW - FEW_DAYS * DAY
# What the rules choose of the views that are asked about recent jobs.
CHOSEN = {
    "allowance_by_hour": "select * exclude (fullness) from ({}) where hour >= timestamp '2026-11-12 06:00:00'",
    "failure_rates": "{}",
    "usual_runs": "{}",
}


def warehouse(path: Path, seed: int) -> Path:
    """Two orgs with jobs of few series, of all fates and some of unknown ones, of four months."""
    random = Random(seed)
    jobs: list[dict[str, Any]] = []
    details: list[dict[str, Any]] = []
    for n in range(700):
        age = random.choice([random.random() * 5, random.random() * 40, random.random() * 120]) * DAY
        series = random.randrange(12)
        created = (NOW - age).replace(microsecond=0)
        state = random.choice(["JobComplete"] * 5 + ["Failed", "Failed", "Closed", "Closed", "Aborted", "InProgress"])
        if series < 4:  # that go on failing, some since long ago, and some of which only the records fail
            state = "JobComplete" if age > (series + 1) * 25 * DAY else ("Failed", "Closed")[series % 2]
        job = {
            "id": f"750{n:012}AAA", "org_id": random.choice([ORG, OTHER]), "state": state, "created_date": created,
            "job_type": ("V2Query", "Classic")[series % 2], "operation": ("query", "insert", None)[series % 3],
            "object": (None, "Lead", "Case", "Task")[series % 4], "created_by_id": random.choice(["005A", None]),
        }  # fmt: skip
        job["observed_at"] = NOW - age + random.choice([HOUR, HOUR, 3 * DAY])
        job["system_modstamp"] = NOW - age + timedelta(minutes=random.randrange(90))
        job["current_since"] = random.choice([None, None, None, job["observed_at"] + 50 * DAY])
        job |= random.choice([{}] * 30 + [{"created_date": None}, {"created_date": NOW + DAY}, {"state": "Unheard of"}])
        jobs.append(job)
        if state in ("JobComplete", "Closed", "Failed") and random.random() < 0.8:
            lost = random.choice([0, 0, 3, 10, None]) if series >= 4 else 10
            details.append(
                {
                    "id": job["id"], "org_id": job["org_id"], "number_records_processed": random.choice([10, 10, None]),
                    "number_records_failed": lost, "provisional": random.random() < 0.1, "number_batches_total": 2,
                    "number_batches_failed": random.choice([0, 0, 0, 2, None]), "error_message": f"InvalidBatch : no {n}",
                }
            )  # fmt: skip
    abandoned = {"org_id": OTHER, "object": "Order", "state": "Failed", "operation": "insert", "job_type": "Classic"}
    for n in range(60, 64):
        jobs.append({**abandoned, "id": f"751{n:012}AAA", "created_date": NOW - n * DAY, "observed_at": NOW - n * DAY})
    listings = [{"org_id": org, "started_at": NOW - n * 12 * HOUR} for org in (ORG, OTHER) for n in range(250)]
    gone = [
        {"id": job["id"], "org_id": job["org_id"], "state": job["state"], "unlisted_at": job["observed_at"] + DAY}
        for job in random.sample(jobs, 300)
    ]
    return plant(path, query_jobs=jobs, job_details=details, unlisted_jobs=gone, listings=listings)


def rows(file: Warehouse, sql: str) -> list[str]:
    return sorted(map(repr, file.rows(sql)))


@pytest.mark.parametrize("seed", range(3))
def test_the_few_jobs_are_those_that_matter(tmp_path: Path, seed: int) -> None:
    lately = f"created_date >= timestamptz '{SINCE}' or ended_by >= timestamptz '{NOW - 8 * DAY}'"
    with opened(warehouse(tmp_path / "w.duckdb", seed)) as file:
        of_all = {
            "from stuck_jobs": rows(file, "from stuck_jobs"),
            LASTING_STREAKS: rows(file, "from failure_streaks where status <> 'recovered'"),
            f"from failures where {lately}": rows(file, f"from failures where {lately}"),
        }
        with few_jobs(file, SINCE) as few, shown(file, few):
            jobs = file.rows("select count(*) as jobs from query_jobs")[0]["jobs"]
            of_few = {sql: rows(file, sql) for sql in of_all}
        assert len(file.rows("from query_jobs")) == 704

    assert of_few == of_all
    assert all(of_all.values())
    assert jobs < 600
    for status in ("ongoing", "abandoned"):
        assert any(f"'status': '{status}'" in row for row in of_all[LASTING_STREAKS])


@pytest.mark.parametrize("view", CHOSEN)
def test_older_jobs_make_no_difference(tmp_path: Path, view: str) -> None:
    sql, days = ANSWERED_ONCE[view]
    assert days is not None
    chosen = CHOSEN[view].format(sql if sql.lstrip().startswith("select") else f"select * {sql}")
    with opened(warehouse(tmp_path / "w.duckdb", 7)) as file:
        of_all = rows(file, chosen)
        with recent_jobs(file, NOW - timedelta(days=days)):
            recent = rows(file, chosen)
            assert 0 < file.rows("select count(*) as jobs from query_jobs")[0]["jobs"] < 704

    assert recent == of_all
    assert of_all or view == "usual_runs"


def test_recent_jobs_of_one_org(tmp_path: Path) -> None:
    """Those created, changed or restored since then; as before when that is over."""
    times = {
        "old": (40, 39, None), "created": (5, 5, None), "changed": (40, 3, None), "restored": (40, 39, 2), "undated": (None, 3, None),
    }  # fmt: skip
    jobs = [
        {
            "id": f"{name} {org}",
            "org_id": org,
            "created_date": None if created is None else NOW - created * DAY,
            "observed_at": NOW - observed * DAY,
            "current_since": None if current is None else NOW - current * DAY,
        }
        for name, (created, observed, current) in times.items()
        for org in (ORG, OTHER)
    ]

    def names() -> set[str]:
        return {row["id"] for row in file.rows("select id from all_jobs")}

    file_of_two = plant(
        tmp_path / "w.duckdb", query_jobs=jobs, listings=[{"org_id": ORG}, {"org_id": OTHER, "listing_id": "other"}]
    )
    with opened(file_of_two) as file:
        everything = names()
        with narrowed(file, ORG):
            of_org = names()
            with recent_jobs(file, NOW - 7 * DAY):
                assert names() == of_org - {f"old {ORG}"}
            assert names() == of_org
        with recent_jobs(file, NOW - 7 * DAY):
            assert names() == everything - {f"old {ORG}", f"old {OTHER}"}
        with recent_jobs(file, None):
            assert names() == everything
        assert names() == everything


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "days"), [(0, 30), (1, 7), (2, 60)])
def test_pictures_say_the_same_of_what_is_read_once_for_several_orgs(tmp_path: Path, seed: int, days: int) -> None:
    with opened(warehouse(tmp_path / "w.duckdb", seed)) as file:
        selections = [select(file, org, days) for org in orgs(file)]
        alone = [said(selection) for selection in selections]
        with read_once(file, selections):
            together = []
            for selection in selections:
                with narrowed(file, selection.org):
                    together.append(said(selection))
        assert file.rows("select count(*) as rows from jobs_at_once")[0]["rows"] > 1_000
    assert together == alone
    assert all(
        any(numbers.values()) for picture, numbers, *_ in alone[0] if picture in ("at_once", "allowance", "users")
    )


def said(selection: Selection) -> list[tuple[Any, ...]]:
    return [
        (one.name, one.numbers, one.summary, one.table, one.draw and drawing(one, 800, ""))
        for one in pictures(selection)
    ]
