"""The views: what their headers say is so, and their numbers are those counted another way."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from conftest import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.warehouse import VIEWS, read_header

FILES = sorted(VIEWS.glob("*.sql"))


@pytest.fixture
def planted(org: DemoOrg, recorder: Recorder) -> Recorder:
    """Jobs on both sides of midnight UTC, in several states, loaded every six hours for two days."""
    late = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
    for n in range(12):
        org.add_job(createdDate=late + n * timedelta(minutes=5), state="JobComplete" if n % 3 else "Failed")
    org.add_job(createdDate="<datetime>", systemModstamp=NOON, state="Open", jobType="Classic", operation="insert")
    moving = [org.add_job(state="UploadComplete") for _ in range(4)]
    for state in ("InProgress", "JobComplete"):
        recorder.load()
        org.advance(timedelta(hours=6))
        for job in moving[:3]:
            org.move_job(job, state)
    recorder.load()
    return recorder


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_header_is_what_the_view_has(planted: Recorder, file) -> None:
    """Names, types, order and comments, in the loader's file and in the published copy."""
    grain, columns = read_header(file.read_text(encoding="utf-8"))
    for database in (planted.loader_file, planted.warehouse):
        described = planted.rows(f"describe {file.stem}", database)
        assert [(name, kind) for name, kind, *_ in described] == [(name, kind) for name, kind, _ in columns]
        comments = planted.rows(
            f"select column_name, comment from duckdb_columns() where table_name = '{file.stem}' order by column_index",
            database,
        )
        assert comments == [(name, meaning) for name, _, meaning in columns]
        assert planted.rows(f"select comment from duckdb_views() where view_name = '{file.stem}'", database) == [
            (grain,)
        ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_the_header_calls_unique_is(planted: Recorder, file) -> None:
    """On data that has nulls in it."""
    (unique,) = [line for line in file.read_text().splitlines() if line.startswith("-- unique: ")]
    key = unique.removeprefix("-- unique: ")

    assert planted.rows(f"select count(*) > 3 from {file.stem}") == [(True,)]
    assert planted.rows(f"select {key} from {file.stem} group by {key} having count(*) > 1") == []


def test_jobs_by_day_counts_utc_days(planted: Recorder) -> None:
    """Half an hour before and after midnight are two days, whatever zone the reader lives in."""
    counted = Counter(
        (
            date.fromisoformat(job["createdDate"][:10]) if job["createdDate"][0] == "2" else None,
            job["jobType"],
            job["state"],
        )
        for job in planted.org.jobs.values()
    )
    sql = "select day, job_type, state, jobs from jobs_by_day"
    elsewhere = f"set TimeZone = 'America/Los_Angeles'; {sql}"

    assert {(day, kind, state): jobs for day, kind, state, jobs in planted.rows(sql)} == counted
    assert sorted(planted.rows(elsewhere), key=str) == sorted(planted.rows(sql), key=str)
    assert sum(counted.values()) == 17


def test_state_changes_by_day_follows_each_job(planted: Recorder) -> None:
    """Three jobs moved twice, six hours apart; everything else was seen once."""
    changes = planted.rows(
        "select day, from_state, to_state, changes from state_changes_by_day where from_state is not null"
    )

    assert sorted(changes) == [
        (NOON.date(), "UploadComplete", "InProgress", 3),
        (NOON.date() + timedelta(days=1), "InProgress", "JobComplete", 3),
    ]
    assert planted.rows("select sum(changes) from state_changes_by_day where from_state is null") == [(17,)]


def test_changes_within_one_second_are_told_in_their_natural_order(org: DemoOrg, recorder: Recorder) -> None:
    """One stamp, one listing: a job does not go from JobComplete to InProgress."""
    job = org.add_job()
    recorder.load()
    org.advance(timedelta(hours=1))
    org.move_job(job, "Failed", stamp=False)
    recorder.load()

    assert recorder.rows("select from_state, to_state from state_changes_by_day order by 1 nulls first") == [
        (None, "InProgress"),
        ("InProgress", "Failed"),
    ]
