"""What `make check` says of an org whose two listings are recorded: of loads that have come later, fail, or went."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from check_rows import NAMES, Row, found, limit, listed
from planted import DAY, HOUR, NOW, ORG, plant

from pipelines.answers.check import Finding, Thresholds, check
from pipelines.answers.pictures import pictures
from pipelines.answers.selection import orgs, select

WEEK = 7 * DAY


def keys(findings: list[Finding]) -> list[str]:
    return [finding.key.replace(f"/{ORG}", "") for finding in findings]


def months_of_queries() -> dict[str, list[Row]]:
    """Eight weeks of nightly and hourly queries and Classic loads, with a listing a day."""
    nights = [NOW.replace(hour=2) - n * DAY for n in range(56)]
    jobs = [{"created_date": at, "object": thing} for at in nights for thing in ("Account", "Lead", "Case")]
    classic = {"job_type": "Classic", "operation": "insert", "state": "Closed", "created_by_id": "005B"}
    jobs += [classic | {"created_date": at + n * HOUR / 4} for at in nights for n in range(30)]
    jobs = [job for job in jobs if job["created_date"] < NOW]
    return {"query_jobs": jobs, "listings": listed(*(n * DAY for n in range(50)))}


def week_of_loads(**columns: Any) -> list[Row]:
    """Hundreds of V2 loads, all of the last seven days: the org has forgotten the others."""
    hours = [NOW - n * HOUR / 2 for n in range(1, 300)]
    loads = [{"created_date": at, "created_by_id": "005C", "object": "Order"} for at in hours]
    loads += [{"created_date": at, "created_by_id": "005B", "object": "Account"} for at in hours]
    loads += [{"created_date": NOW.replace(hour=3) - n * DAY, "object": "Lead"} for n in range(7)]
    return [columns | load for load in loads]


@pytest.mark.parametrize("age", [0, 1, 3])
def test_the_first_listings_of_loads_are_no_news(tmp_path: Path, age: int) -> None:
    """After months of query jobs: no new source, unusual day, missing run, hole or rate comes of it."""
    queries = months_of_queries()
    first = [{"feed": "ingest", "started_at": NOW - n * DAY + timedelta(seconds=1)} for n in range(age + 1)]
    with_loads = {**queries, "ingest_jobs": week_of_loads(), "listings": [*queries["listings"], *first]}

    assert found(tmp_path, queries) == []
    assert found(tmp_path, with_loads) == []


def test_nor_is_the_report_misled_by_them(tmp_path: Path) -> None:
    """Twice as many jobs as in the week before are not called growth, and nothing recorded before is shaded."""
    queries = months_of_queries()
    listings = [*queries["listings"], {"feed": "ingest", "started_at": NOW}]
    tables = {**queries, "ingest_jobs": week_of_loads(), "listings": listings}
    file = plant(tmp_path / "w.duckdb", **NAMES | tables)
    (org,) = orgs(file)
    selection = select(file, org, 30)
    by_name = {picture.name: picture for picture in pictures(selection)}
    numbers = by_name["volume"].numbers

    assert numbers["jobs_last_7_whole_days"] > 2 * numbers["jobs_7_whole_days_before"]
    assert numbers["change_percent_7_whole_days"] is None
    assert numbers["covered_days_of_last_7"] < 7
    assert selection.span.unknown == []
    assert by_name["coverage"].numbers["ingest"]["complete_listings"] == 1
    assert "1 complete listing of loads (/jobs/ingest); the last started 2026-11-16 06:00 UTC." in by_name["coverage"].summary  # fmt: skip
    assert by_name["at_once"].numbers["loads_at_once"] is not None


def test_a_missing_load_is_reported_once_loads_are_known_well_enough(tmp_path: Path) -> None:
    """And what fails: by the history of the loads, whatever that of the queries is."""
    nights = [NOW.replace(hour=2) - n * DAY for n in range(2, 40)]
    loads = [{"created_date": at, "object": "Lead", "created_by_id": "005B"} for at in nights]
    loads += [{"created_date": NOW - n * HOUR, "object": "Case", "state": "Failed"} for n in range(1, 4)]
    tables = {"ingest_jobs": loads, "listings": listed(*(n * DAY for n in range(40)), feed="ingest")}
    findings = found(tmp_path, tables)

    assert keys(findings) == ["failing/V2Ingest/insert/Case/005A", "missing run/005B/2026-11-15"]
    assert findings[0].message.startswith(
        "insert of Case (V2Ingest) by Ada Lovelace has failed 3 times in a row since "
    )


def test_a_load_that_lost_every_record_is_shown_in_its_actual_state(tmp_path: Path) -> None:
    """A V2 load is never Closed."""
    load = {"id": "750L", "created_date": NOW - 2 * HOUR, "object": "Lead", "created_by_id": "005B"}
    counts = [{"id": "750L", "number_records_processed": 4, "number_records_failed": 4}]
    feeds = [{}, {"feed": "ingest"}]
    (finding,) = found(tmp_path, {"ingest_jobs": [load], "job_details": counts, "listings": feeds})

    assert finding.kind == "closed but failed"
    assert finding.message.startswith(
        "1 insert job of Data Warehouse on Lead shows as JobComplete, but all 4 records failed; "
    )


@pytest.mark.parametrize(
    ("query", "ingest", "wanted"),
    [
        (1, 1, []),
        (30, 30, ["coverage"]),  # one event
        (30, 60, ["coverage", "coverage/ingest"]),  # the loads have been missing for longer
        (1, 30, ["coverage/ingest"]),
        (60, 1, ["coverage"]),
        (None, 30, ["coverage/ingest"]),
        (None, 30 * 24, ["coverage/ingest"]),
        (1, 13 * 24, ["coverage/ingest"]),
        (1, 14 * 24 + 1, []),  # no longer recorded: everything that could be lost is
        (14 * 24 + 2, 1, []),
    ],
)
def test_each_listing_may_be_old(tmp_path: Path, query: int | None, ingest: int, wanted: list[str]) -> None:
    """For the listing of query jobs under the key that it has always had."""
    listings = [{"feed": "ingest", "started_at": NOW - ingest * HOUR - timedelta(seconds=2)}]
    listings += [] if query is None else [{"started_at": NOW - query * HOUR}]
    findings = found(tmp_path, {"listings": listings})

    assert keys(findings) == wanted
    for finding in findings:
        is_load = finding.key.endswith("/ingest")
        assert (" listing of loads (/jobs/ingest), of " in finding.message) == is_load
        own, other = (ingest, query) if is_load else (query, ingest)
        is_alone = own is not None and other is not None and own - other >= 24
        assert ("mute this finding" in finding.remedy) == is_alone


def test_a_listing_that_is_no_longer_recorded_keeps_no_finding_alive(tmp_path: Path) -> None:
    """Loads that failed, ran, or were due when it was last read are not reported for ever; as of then, they are."""
    then = NOW - 20 * DAY
    loads = [{"created_date": then.replace(hour=2) - n * DAY, "object": "Lead"} for n in range(2, 30)]
    loads += [{"created_date": then - n * HOUR, "object": "Case", "state": "Failed"} for n in range(1, 9)]
    loads += [{"created_date": then - 2 * DAY, "object": "Task", "state": "InProgress"}]
    of_loads = [{"feed": "ingest", "started_at": then - n * DAY} for n in range(30)]
    tables = {"ingest_jobs": [{"observed_at": then} | load for load in loads]}

    dropped = found(tmp_path, tables | {"listings": [*listed(*(n * DAY for n in range(50))), *of_loads]})
    assert dropped == []
    file = plant(tmp_path / "then.duckdb", **NAMES | tables | {"listings": of_loads})
    assert keys(check(file, Thresholds(), now=then)) == [
        "failing/V2Ingest/insert/Case/005A", "unfinished/InProgress/insert/Task/005A",
        f"missing run/005A/{then - DAY:%Y-%m-%d}",
    ]  # fmt: skip


def test_a_hole_in_both_listings_is_one_finding(tmp_path: Path) -> None:
    """One in the listing of loads alone has a key of its own."""
    apart = (20 * DAY, 3 * DAY, timedelta(0))
    seconds = [
        row | {"feed": "ingest", "started_at": row["started_at"] + timedelta(seconds=3)} for row in listed(*apart)
    ]
    all_days = listed(*(n * DAY for n in range(30)))

    assert keys(found(tmp_path, {"listings": [*listed(*apart), *seconds]})) == ["hole/2026-10-27 06:00 UTC"]
    (finding,) = found(tmp_path, {"listings": [*all_days, *seconds]})
    assert keys([finding]) == ["hole/2026-10-27 06:00 UTC/ingest"]
    assert finding.message.startswith("loads created in the 10.0 days from 2026-10-27 06:00 UTC ")
    assert "the next listing of loads (/jobs/ingest) came" in finding.message


def test_a_reduced_view_of_both_listings_is_one_finding(tmp_path: Path) -> None:
    """A permission that was lost hides others' jobs in both."""
    lost = {"jobs_unlisted": 30, "jobs_expected": 40, "jobs_lost": 30, "creators": 1}
    query = {"reduced_since": NOW} | lost
    ingest = {"feed": "ingest", "started_at": NOW + timedelta(seconds=1), "reduced_since": NOW + timedelta(seconds=1)}
    before = [{"started_at": NOW - HOUR, "feed": feed} for feed in ("query", "ingest")]

    assert keys(found(tmp_path, {"listings": [*before, query, ingest | lost]})) == ["reduced view"]
    (finding,) = found(tmp_path, {"listings": [*before, {}, ingest | lost]})
    assert keys([finding]) == ["reduced view/ingest"]
    assert finding.message.startswith("the listing of loads (/jobs/ingest) lost 30 of 40 jobs at once: ")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (None, ["own jobs only/ingest"]),
        (("005A", 40), ["own jobs only"]),
        ((None, 40), []),  # others' query jobs are visible: only the recorder's user loads
        (("005A", 3), ["own jobs only/ingest"]),
    ],
)
def test_a_recorder_may_be_the_only_one_who_loads(tmp_path: Path, query, wanted: list[str]) -> None:
    own = {"listed_by_id": "005A", "only_creator_id": "005A", "jobs_listed": 40}
    listings = [own | {"feed": "ingest"}]
    listings += [own | {"only_creator_id": query[0], "jobs_listed": query[1]}] if query else []

    assert keys(found(tmp_path, {"listings": listings})) == wanted


@pytest.mark.parametrize("later", [0, 2, -2])
def test_why_details_are_missing_comes_from_the_newest_run(tmp_path: Path, later: int) -> None:
    """By the one of its two listings that says why, whichever began first."""
    at = {"created_date": NOW - 2 * DAY, "observed_at": NOW - 2 * DAY}
    times = [NOW - n * HOUR for n in range(3)]
    listings = [
        {"started_at": time, "details_stopped": stopped}
        for time, stopped in zip(times, ("the budget is used up", None, "old"), strict=True)
    ]
    listings += [{"feed": "ingest", "started_at": time + timedelta(seconds=later)} for time in times]
    (finding,) = found(tmp_path, {"ingest_jobs": [at], "listings": listings, "org_limits": [limit("X", 0, 1)]})
    listings[0]["details_stopped"] = None

    assert finding.message.endswith(": the budget is used up")
    assert found(tmp_path, {"ingest_jobs": [at], "listings": listings}) == []
