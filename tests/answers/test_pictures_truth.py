"""What the pictures must not claim: changes, weeks and averages from days without coverage, or from other days."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from picture_rows import MONTH, TODAY, job, selection
from planted import DAY, HOUR, NOW, ORG, plant

from pipelines.answers import pictures
from pipelines.answers.check import Thresholds, check
from pipelines.answers.selection import Selection, orgs

CLASSIC = '{"jobType": "Classic"}'
OPEN = {"state": "Open", "job_type": "Classic", "operation": "insert"}


def listed(*days_ago: float, filters: str = "{}"):
    return [{"started_at": NOW - days * DAY, "filters": filters} for days in days_ago]


def test_a_first_listing_allows_no_comparison(tmp_path: Path) -> None:
    """It covers a week; a job open since long before had company then."""
    jobs = [job(NOW - days * DAY) for days in range(1, 7) for _ in range(20)]
    jobs += [job(NOW - days * DAY, **OPEN) for days in (61, 10)]
    words = pictures.volume(selection(plant(tmp_path / "w.duckdb", query_jobs=jobs))).summary

    assert "whole days" not in words


@pytest.mark.parametrize(
    ("listings", "note"),
    [
        (listed(*range(40)), " (-57 %)."),
        (listed(*range(5, 40)) + listed(*range(5), filters=CLASSIC), " (covered: 2.2 and 7 of 7 days)."),
        (listed(*range(40), filters=CLASSIC), " (covered: 0 and 0 of 7 days)."),
    ],
    ids=["complete", "filtered of late", "always filtered"],
)
def test_days_without_coverage_allow_no_percentage(tmp_path: Path, listings, note: str) -> None:
    """A gap at the end of the record is as unknown as a hole in it."""
    jobs = [job(NOW - days * DAY) for days in range(5, 40) for _ in range(20)]
    words = pictures.volume(selection(plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=listings))).summary

    assert f"In the last 7 whole days there were 60, in the 7 before 140{note}" in words


@pytest.mark.parametrize(
    ("listings", "unknown"),
    [
        (listed(*range(5, 40)) + listed(*range(5), filters=CLASSIC), [(NOW - 5 * DAY, NOW)]),
        (listed(*range(40), filters=CLASSIC), [(datetime(2026, 10, 18, tzinfo=UTC), NOW)]),
        (listed(*range(40)), []),
    ],
    ids=["filtered of late", "always filtered", "complete"],
)
def test_times_without_coverage_are_marked(tmp_path: Path, listings, unknown) -> None:
    """Up to the newest listing, even a filtered one; later times are still to come."""
    chosen = selection(plant(tmp_path / "w.duckdb", listings=listings))

    assert [(part["start"], part["end"]) for part in chosen.span.unknown] == unknown
    before = Selection(chosen.warehouse, ORG, TODAY - 30 * DAY, TODAY - 20 * DAY)
    assert all(part["end"] <= before.span.until for part in before.span.unknown)


def test_abandoned_series_are_shown_as_such(tmp_path: Path) -> None:
    """As `check` sees it, which does not report them."""
    jobs = [job(NOW - 25 * DAY + n * HOUR, state="Failed") for n in range(3)]
    jobs += [job(NOW - n * DAY, object="Lead", state="Failed") for n in range(1, 6)]
    picture = pictures.streaks(selection(plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=MONTH)))

    assert picture.summary == (
        "query of Lead (V2Query) by 005A has failed 5 times in a row since 2026-11-11 06:00 UTC. query of Account "
        "(V2Query) by 005A failed 3 times in a row from 2026-10-22 06:00 UTC to 2026-10-22 08:00 UTC, and has not run "
        "since."
    )
    assert [row["until"] for row in picture.table] == ["still failing", "last failed 2026-10-22 08:00 UTC"]


def test_the_users_are_those_of_the_allowances_fullest_hours(tmp_path: Path) -> None:
    """Which hours are the fullest is decided by the org's counter."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[job(NOW - 26 * HOUR)] * 40 + [job(NOW - HOUR, created_by_id="005B")] * 45,
        org_limits=[
            {
                "limit_name": "DailyBulkV2QueryJobs",
                "max": 100,
                "remaining": 5,
                "asked_at": NOW - 5 * HOUR,
                "listing_id": "",
            }
        ],
        listings=MONTH,
    )
    chosen = selection(file)

    assert pictures.allowance(chosen).summary.startswith(
        "Peak: 95 of 100 V2 query jobs (95 %) in the 24 hours up to 2026-11-16 01:00 UTC, by the org's own count; 40 of "
        "these are recorded."
    )
    assert pictures.users(chosen).summary == (
        "In the busiest 24 hours, up to 2026-11-16 01:00 UTC, 40 V2 query jobs were recorded, most by 005A "
        "on Account: 40 (40 % of the allowance). The org counted 55 more, which no listing showed."
    )


def test_one_peak_is_not_reported_as_two(tmp_path: Path) -> None:
    """A finding looks three days back: a peak that came half an hour earlier is the same event."""
    before = NOW - 3 * DAY - timedelta(minutes=30)
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[job(before - HOUR)] * 90,
        org_limits=[
            {"limit_name": "DailyBulkV2QueryJobs", "max": 100, "remaining": 3, "asked_at": before, "listing_id": ""}
        ],
        listings=MONTH,
    )
    (finding,) = [finding for finding in check(file, Thresholds(), now=NOW) if finding.kind == "allowance"]
    numbers = pictures.allowance(selection(file)).numbers

    assert (finding.numbers["used"], finding.numbers["peak_at"]) == (97, before)
    assert (numbers["peak_used"], numbers["peak_at"]) == (97, before)


def test_a_limit_is_shown_as_it_was_at_its_peak(tmp_path: Path) -> None:
    """With the limit at that time, and only from the days shown, even though a week has others."""
    used = {NOW - 4 * DAY: (14_000, 14_000), NOW - 3 * HOUR: (12_000, 15_000), NOW: (100, 30_000)}
    limits = [
        {"listing_id": f"{at}", "limit_name": "DailyApiRequests", "max": most, "remaining": most - n, "asked_at": at}
        for at, (n, most) in used.items()
    ]
    file = plant(tmp_path / "w.duckdb", org_limits=limits)

    assert "14,000 of 14,000 (100 %), read 2026-11-12 06:00 UTC." in pictures.limits(selection(file)).summary
    assert "12,000 of 15,000 (80 %), read 2026-11-16 03:00 UTC." in pictures.limits(selection(file, days=2)).summary


def test_coverage_is_about_the_days_shown(tmp_path: Path) -> None:
    """A long time between listings, and deletions, before and after these days do not matter."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[job(NOW - 2 * DAY)],
        unlisted_jobs=[{"id": f"750{1:012}AAA", "unlisted_at": NOW}],
        listings=listed(200, 194, *(n / 4 for n in range(760))),
    )
    words = pictures.coverage(selection(file)).summary
    before = pictures.coverage(Selection(file, ORG, TODAY - 40 * DAY, TODAY - 20 * DAY)).summary
    long_ago = pictures.coverage(Selection(file, ORG, TODAY - 198 * DAY, TODAY - 190 * DAY)).summary

    assert "at most 6 hours apart; the last started 2026-11-16 06:00 UTC. " in words
    assert "at most 6 hours apart;" in before
    assert "deleted before" not in before
    assert "at most 6.0 days apart;" in long_ago


def test_a_stray_job_does_not_make_its_hour_covered(tmp_path: Path) -> None:
    """A job open since before the record began does not halve the average for its hour of the week."""
    monday = NOW - 2 * HOUR
    jobs = [job(monday + timedelta(minutes=n)) for n in range(10)] + [job(monday - 21 * DAY, **OPEN)]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs)

    assert "The busiest hour is Monday, 04:00 UTC, with 10." in pictures.week(selection(file)).summary


def test_without_coverage_there_is_no_average_week(tmp_path: Path) -> None:
    """Hours without a job would be missing from it."""
    file = plant(tmp_path / "w.duckdb", query_jobs=[job(NOW - DAY)], listings=listed(*range(9), filters=CLASSIC))

    assert pictures.week(selection(file)).draw is None


def test_orgs_with_the_same_name_are_shown_with_their_ids(tmp_path: Path) -> None:
    """In report and notebook, as in `check`."""
    sandbox = {"org_id": "00DX", "name": "Acme", "is_sandbox": True}
    file = plant(tmp_path / "w.duckdb", orgs=[{"name": "Acme"}, sandbox], listings=[{}, {"org_id": "00DX"}])

    assert [org["name"] for org in orgs(file)] == [f"Acme ({ORG})", "Acme (sandbox 00DX)"]


def test_an_org_that_allows_no_query_jobs_is_shown_as_such(tmp_path: Path) -> None:
    """That differs from limits that the user may not see. And one job is in the singular."""
    none = {"listing_id": "listing 0", "limit_name": "DailyBulkV2QueryJobs", "max": 0, "remaining": 0}
    words = pictures.allowance(
        selection(plant(tmp_path / "w.duckdb", query_jobs=[job(NOW - HOUR)], org_limits=[none]))
    ).summary

    assert words == "Peak: 1 V2 query job in the 24 hours up to 2026-11-16 06:00 UTC. The org allows none."


def test_no_weekday_is_the_fullest_without_a_job(tmp_path: Path) -> None:
    """An incomplete Monday says nothing about Mondays, and a Tuesday without jobs did not have the most."""
    file = plant(tmp_path / "1.duckdb", query_jobs=[job(NOW - HOUR)])
    assert pictures.week(selection(file, 7)).summary.startswith("The busiest hour is Monday, 05:00 UTC")
    file = plant(tmp_path / "2.duckdb", query_jobs=[job(NOW - DAY)], listings=MONTH)
    assert pictures.week(selection(file)).summary.startswith("Most on Sundays: 0.2 jobs on average.")


def test_a_gap_of_seconds_is_not_shown(tmp_path: Path) -> None:
    """As in `check`: it would begin and end in the same minute."""
    for seconds, gaps in ((59, 0), (60, 1)):
        listings = listed(10, 3 - seconds / 86_400, 0)
        file = plant(tmp_path / f"{seconds}.duckdb", query_jobs=[job(NOW - 9 * DAY)], listings=listings)
        assert pictures.coverage(selection(file)).summary.count("A gap of 1 minute") == gaps
        assert pictures.coverage(selection(file)).summary.count("A gap") == gaps
