"""What the views say about a single job, for each way that one can go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, plant, rows

SECOND = timedelta(seconds=1)
CLASSIC = {"job_type": "Classic", "operation": "upsert", "state": "Closed"}
Row = dict[str, Any]


def counts(processed: int | None, failed: int | None, *batches: int, **more: Any) -> Row:
    """Details of a Classic job: its records, and its batches completed, failed, and in total."""
    names = "number_batches_completed", "number_batches_failed", "number_batches_total"
    found = {"number_records_processed": processed, "number_records_failed": failed, **more}
    return found | dict(zip(names, batches, strict=False))


def of_one_job(file: Path, view: str, columns: str, job: Row, **tables: Any) -> list[tuple]:
    """What a view says about a single job."""
    plant(file, query_jobs=[{"id": "1", **job}], **tables)
    return rows(file, f"select {columns} from {view}")


def test_a_job_whose_batches_are_still_to_come_has_not_lost_every_record(tmp_path: Path) -> None:
    """One batch of ten is done, and all of its records failed: the others may succeed."""
    details = [{"id": "1", **counts(100, 100, 1, 0, 10, provisional=True)}]

    assert of_one_job(tmp_path / "w", "jobs", "outcome", CLASSIC, job_details=details) == [("unfinished",)]


def test_a_job_that_processed_records_has_not_lost_all_of_them(tmp_path: Path) -> None:
    """A batch can fail after some of its records were stored: these are not rolled back."""
    details = [{"id": "1", **counts(200, 50, 0, 1, 1, provisional=False)}]

    assert of_one_job(tmp_path / "w", "jobs", "outcome", CLASSIC, job_details=details) == [("partly failed",)]


@pytest.mark.parametrize(("failed", "outcome"), [(0, "gone unfinished"), (3, "partly failed")])
def test_a_closed_job_that_is_gone_does_not_stay_unfinished(tmp_path: Path, failed: int, outcome: str) -> None:
    """Batches were still to come when its details were last fetched; by now that is no longer possible."""
    details = [{"id": "1", **counts(100, failed, 1, 0, 10, provisional=True)}]
    gone = [{"id": "1", "state": "Closed"}]
    found = of_one_job(tmp_path / "w", "jobs", "outcome", CLASSIC, job_details=details, unlisted_jobs=gone)

    assert found == [(outcome,)]


@pytest.mark.parametrize("moved", [0, 60])
def test_a_job_does_not_end_before_it_was_created(tmp_path: Path, moved: int) -> None:
    """A listing takes time: a job created after its start that fails at once can be on its last page."""
    created = NOW + 30 * SECOND
    job = {"state": "Failed", "created_date": created, "system_modstamp": created + moved * SECOND, "observed_at": NOW}

    ((seconds,),) = of_one_job(tmp_path / "w", "jobs", "seconds", job)
    assert seconds >= moved


def test_a_closed_job_with_batches_to_come_has_not_ended(tmp_path: Path) -> None:
    """`jobs` calls it unfinished."""
    details = [{"id": "1", **counts(0, 0, 0, 0, 2, provisional=True)}]

    assert of_one_job(tmp_path / "w", "stuck_jobs", "state", CLASSIC, job_details=details) == [("Closed",)]


def test_a_state_that_a_job_returned_to_unseen_has_no_start(tmp_path: Path) -> None:
    """There and back with an unmoved stamp is a version recorded before: when it came back is not known."""
    states = ("Open", "InProgress")
    versions = [
        {"id": "1", "state": state, "system_modstamp": NOW - 9 * HOUR, "observed_at": NOW - (8 - n) * HOUR}
        for n, state in enumerate(states)
    ]
    job = versions[0] | {"created_date": NOW - 9 * HOUR, "current_since": NOW - HOUR}
    found = of_one_job(
        tmp_path / "w", "stuck_jobs", "state, in_state_since, age_hours, hours_in_state", job, query_job_states=versions
    )

    assert found == [("Open", None, 9.0, None)]
    spent = of_one_job(tmp_path / "v", "time_in_state", "state, seconds", job, query_job_states=versions)
    assert sorted(spent) == [("InProgress", None), ("Open", None)]


@pytest.mark.parametrize(
    ("answer", "as_of", "hours"),
    [
        ({"asked_at": NOW - 3 * HOUR}, NOW - 3 * HOUR, 4.0),
        ({"asked_at": NOW - HOUR, "error": "Classic API: HTTP 500"}, None, None),  # counts are of an earlier answer
        ({"asked_at": NOW - HOUR, "error": "HTTP 503", "outcome": "refused"}, None, None),
    ],
)
def test_a_closed_load_is_unfinished_as_of_its_details(tmp_path: Path, answer: Row, as_of, hours) -> None:
    """All of its batches may be done since: the listing does not say."""
    created = {"created_date": NOW - 7 * HOUR, "system_modstamp": NOW - 7 * HOUR, "observed_at": NOW - 7 * HOUR}
    details = [{"id": "1", **counts(0, 0, 0, 0, 2, provisional=True), **answer}]
    job = CLASSIC | created
    found = of_one_job(tmp_path / "w", "stuck_jobs", "as_of, age_hours, hours_in_state", job, job_details=details)

    assert found == [(as_of, hours, hours)]
    known = of_one_job(tmp_path / "v", "jobs", "outcome, outcome_as_of", job, job_details=details)
    assert known == [("unfinished", as_of)]


@pytest.mark.parametrize("year", [1970, 2999])
def test_an_implausible_date_has_no_duration(tmp_path: Path, year: int) -> None:
    """Neither an age nor a duration; it has its day and its place in the lists."""
    odd = {
        "created_date": datetime(year, 1, 1, tzinfo=UTC),
        "system_modstamp": NOW - 2 * HOUR,
        "observed_at": NOW - HOUR,
    }
    running = of_one_job(
        tmp_path / "w", "stuck_jobs", "created_date, age_hours, hours_in_state", {"state": "InProgress", **odd}
    )
    done = of_one_job(tmp_path / "v", "jobs", "seconds, ended_by <= now()", {"state": "JobComplete", **odd})
    stamp = of_one_job(
        tmp_path / "x", "job_lifetimes", "ended_by, by_stamp",
        {"state": "JobComplete", "created_date": NOW - 3 * HOUR, "system_modstamp": odd["created_date"], "observed_at": NOW},
    )  # fmt: skip

    assert running == [(odd["created_date"], None, 1.0)]
    assert done == [(None, True)]
    assert stamp == [(NOW, False)]


def test_what_a_listing_showed_was_so_by_its_end(tmp_path: Path) -> None:
    """The second page is read later than the start, and a listing that starts again takes longer still: an upper bound
    that lies before the end is none."""
    start, end = NOW - 3 * HOUR, NOW - 2 * HOUR
    listings = [{"started_at": start, "restarted_at": start + HOUR / 2, "finished_at": end}, {"started_at": NOW}]
    job = {"created_date": NOW - 5 * HOUR, "system_modstamp": NOW - 5 * HOUR, "observed_at": start}
    file = plant(tmp_path / "w", query_jobs=[{"id": "1", **job}], listings=listings)

    assert rows(file, "select ended_by, seconds, by_stamp from job_lifetimes") == [(end, 3 * 3_600, False)]
    assert rows(file, "select ended_by from jobs") == [(end,)]
    assert rows(file, "select event_at, source from job_timeline where event = 'JobComplete'") == [(end, "listing")]
    assert rows(file, "select observed_at, observed_by from state_spans") == [(start, end)]
    assert rows(file, "select at_once from jobs_at_once where hour = '2026-11-16 03:00'") == [(1,)]
    assert rows(file, "select at_once from jobs_at_once where hour = '2026-11-16 04:00'") == [(0,)]


def test_what_a_listing_did_not_show_was_gone_by_its_end(tmp_path: Path) -> None:
    """Its start is no bound either, nor is that of its first try."""
    at, end = NOW - 2 * HOUR, NOW - HOUR
    listings = [{"started_at": at - HOUR, "restarted_at": at, "finished_at": end}, {"started_at": NOW}]
    job = {"id": "1", "state": "InProgress", "created_date": NOW - 4 * HOUR, "observed_at": NOW - 4 * HOUR}
    away = [{"id": "1", "state": "InProgress", "unlisted_at": at}]
    file = plant(tmp_path / "w", query_jobs=[job], listings=listings, unlisted_jobs=away)

    assert rows(file, "select ended_by, is_gone from job_lifetimes") == [(end, True)]
    assert rows(file, "select age_hours from early_deletions") == [(3.0,)]
    assert rows(file, "select event_at from job_timeline where event = 'no longer listed'") == [(end,)]


def test_every_absence_is_in_the_timeline(tmp_path: Path) -> None:
    """Missing, back, and expired a week later."""
    days = [(8, 7), (6, 5), (1, None)]
    away = [
        {"id": "1", "unlisted_at": NOW - gone * DAY, "listed_again_at": None if back is None else NOW - back * DAY}
        for gone, back in days
    ]
    job = {"id": "1", "created_date": NOW - 9 * DAY, "observed_at": NOW - 9 * DAY}
    file = plant(tmp_path / "w", query_jobs=[job], unlisted_jobs=away)

    sql = "select event, event_at from job_timeline where source = 'listing' and event like '%listed%' order by 2"
    found = [("no longer listed", 8), ("listed again", 7), ("no longer listed", 6), ("listed again", 5)]
    assert rows(file, sql) == [(what, NOW - n * DAY) for what, n in [*found, ("no longer listed", 1)]]
    assert rows(file, "select count(*) from jobs") == [(1,)]


def test_a_job_that_was_seen_again_was_not_deleted(tmp_path: Path) -> None:
    """By a filtered listing, which knows nothing of absences, or which recorded that."""
    away = {"unlisted_at": NOW - 5 * HOUR}
    created = {"created_date": NOW - DAY, "system_modstamp": NOW - DAY, "observed_at": NOW - DAY}
    jobs = [created | {"current_since": NOW - HOUR}, created, created]
    gone = [{"id": f"750{n:012}AAA", **away} for n in (1, 2, 3)]
    gone[1]["listed_again_at"] = NOW - HOUR
    file = plant(tmp_path / "w", query_jobs=jobs, unlisted_jobs=gone)

    assert rows(file, "select id, age_hours from early_deletions") == [(f"750{3:012}AAA", 19.0)]


def test_a_job_that_came_back_to_a_state_is_in_it_since_then(tmp_path: Path) -> None:
    """It waits again, say, after a try that did not work."""
    states = ("UploadComplete", "InProgress", "UploadComplete")
    versions = [{"id": "1", "state": state, "system_modstamp": NOW + (n - 5) * HOUR} for n, state in enumerate(states)]
    versions = [version | {"observed_at": version["system_modstamp"]} for version in versions]
    found = of_one_job(tmp_path / "w", "stuck_jobs", "hours_in_state", versions[-1], query_job_states=versions)

    assert found == [(3.0,)]


@pytest.mark.parametrize("newest", [{"restarted_at": NOW + HOUR}, {"started_at": NOW - HOUR}, {}])
def test_no_job_is_longer_in_its_state_than_there_at_all(tmp_path: Path, newest: Row) -> None:
    """Created while a listing ran that then started again; shown by a filtered one since; created while one ran."""
    job = {"state": "InProgress", "created_date": NOW + SECOND, "observed_at": NOW}
    sql = "age_hours >= 0 and hours_in_state between 0 and age_hours"

    assert of_one_job(tmp_path / "w", "stuck_jobs", sql, job, listings=[newest]) == [(True,)]


def test_the_first_version_is_dated_by_its_own_stamp(tmp_path: Path) -> None:
    """Created, and listed in the same second."""
    job = {"created_date": NOW, "system_modstamp": NOW, "observed_at": NOW, "state": "InProgress"}

    found = of_one_job(tmp_path / "w", "job_timeline where event = 'InProgress'", "event_at, source", job)
    assert found == [(NOW, "systemModstamp")]
