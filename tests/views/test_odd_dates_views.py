"""A job with an odd createdDate, recorded as sent: it does not affect how others are counted, and has no duration."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from planted import DAY, HOUR, NOW, plant, rows

pytestmark = pytest.mark.slow_cases

PLAUSIBLE = datetime(2015, 1, 1, tzinfo=UTC)  # the Bulk API was introduced in 2009
IMPLAUSIBLE = [*(datetime(year, 1, 1, tzinfo=UTC) for year in (1900, 1970, 2999)), NOW + 6 * HOUR]
VIEWS = {
    "jobs_by_day": ("day", "jobs"),
    "jobs_by_hour": ("hour", "jobs"),
    "jobs_at_once": ("hour", "at_once"),
    "durations_by_week": ("week", "jobs"),
}
RUNNING = [{"created_date": NOW - n * DAY, "system_modstamp": NOW - n * DAY + HOUR} for n in (9, 8, 2)]
LISTINGS = [{"started_at": NOW - n * DAY} for n in (10, 5, 0)]


def recorded(file: Path, *odd: datetime) -> Path:
    """A warehouse of three jobs plus odd ones created at these times."""
    listed = {"observed_at": NOW, "object": "Case"}
    jobs = [*RUNNING, *({"created_date": at, "system_modstamp": at + HOUR, **listed} for at in odd)]
    return plant(file, query_jobs=jobs, listings=LISTINGS)


@pytest.mark.parametrize("view", VIEWS)
def test_one_old_date_changes_nothing_for_the_others(tmp_path: Path, view: str) -> None:
    """It has a row of its own; the recorded time has all of its rows, including those without jobs."""
    file, plain = recorded(tmp_path / "odd", PLAUSIBLE), recorded(tmp_path / "plain")
    start, count = VIEWS[view]
    within = f"select * from {view} where {start} >= '{NOW - 9 * DAY:%Y-%m-%d %H:%M}'"

    assert sorted(rows(file, within), key=str) == sorted(rows(plain, within), key=str)
    monday = "2014-12-29" if start == "week" else f"{PLAUSIBLE:%Y-%m-%d}"
    assert rows(file, f"select {count} from {view} where {start} = '{monday}'") == [(1,)]


@pytest.mark.parametrize("odd", IMPLAUSIBLE, ids=lambda odd: f"{odd:%Y-%m}")
@pytest.mark.parametrize("view", VIEWS)
def test_an_implausible_date_has_a_row_but_no_duration(tmp_path: Path, view: str, odd: datetime) -> None:
    """It counts where jobs are counted by their stated creation, and nowhere else, without days in between."""
    files = recorded(tmp_path / "odd", odd), recorded(tmp_path / "plain")
    with_it, without = (Counter(rows(file, f"select * from {view}")) for file in files)
    more, less = [*(with_it - without).elements()], [*(without - with_it).elements()]
    counted = view in {"jobs_by_day", "jobs_by_hour"}

    assert [row[-3] for row in more] == [1] * counted
    # the current day has that job, and not none
    assert [row[-3] for row in less] == [None] * (view == "jobs_by_day" and odd.date() == NOW.date())


@pytest.mark.parametrize("odd", IMPLAUSIBLE, ids=lambda odd: f"{odd:%Y-%m}")
def test_an_implausible_date_makes_no_source_new_or_old(tmp_path: Path, odd: datetime) -> None:
    """Whether its object is new is not known; its user is as old as before, and was last seen when it was."""
    file, plain = recorded(tmp_path / "odd", odd), recorded(tmp_path / "plain")

    seen = "first_job_at, last_job_at, last_week from api_versions"
    assert rows(file, f"select {seen}") == rows(plain, f"select {seen}")
    columns = "first_job_at, last_job_at, new_source, new_user, new_object"
    assert rows(file, f"select {columns} from new_sources where object = 'Case'") == [(None, None, None, False, None)]


def test_an_implausible_date_is_in_none_of_the_recorded_24_hours(tmp_path: Path) -> None:
    """And there are no hours up to it."""
    file, plain = recorded(tmp_path / "odd", *IMPLAUSIBLE), recorded(tmp_path / "plain")
    recent = "select * from allowance_by_hour where hour > '2009-01-01' order by hour"

    assert rows(file, recent) == rows(plain, recent)
    assert rows(file, "select count(*) < 200 from allowance_by_hour") == [(True,)]


@pytest.mark.parametrize("view", ["allowance_by_hour", "allowance_by_user", "unseen_jobs"])
@pytest.mark.parametrize("ahead", [HOUR / 2, HOUR, 6 * HOUR])
def test_a_date_after_the_listing_stays_out_of_all_24_hours_later(tmp_path: Path, view: str, ahead) -> None:
    """A job cannot have been created half an hour after it was listed, neither now nor as of the next listing."""
    for later in ([], [NOW + 12 * HOUR]):
        listings = [{"started_at": at} for at in (NOW - DAY, NOW, *later)]
        limits = [
            {
                "listing_id": f"listing {n}",
                "limit_name": "DailyBulkV2QueryJobs",
                "max": 9,
                "remaining": 5,
                "asked_at": at,
            }
            for n, at in enumerate((NOW - DAY, NOW, *later))
        ]
        plain = [{"created_date": NOW - HOUR}]
        odd = [*plain, {"created_date": NOW + ahead, "system_modstamp": NOW, "observed_at": NOW}]
        first, second = (
            rows(
                plant(tmp_path / f"{len(jobs)} {len(later)}", query_jobs=jobs, listings=listings, org_limits=limits),
                f"select * from {view} order by all",
            )
            for jobs in (plain, odd)
        )
        assert first == second
