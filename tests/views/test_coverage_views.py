"""What the record proves about itself: spans, holes, unseen jobs, and jobs that were deleted early."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, covered_percent, kind, plant, rows, rows_elsewhere

OTHER = "00DDm0000002000MAA"
WEEK, SECOND = 7 * DAY, timedelta(seconds=1)
USERS = [{"id": "005A", "name": "Ada"}, {"id": "005B", "name": None}, {"org_id": OTHER, "id": "005A", "name": "Bob"}]
SHAPES = [("V2Query", "query"), ("V2Query", "queryAll"), ("Classic", "query"), ("Classic", "delete"), ("Classic", None)]
Row = dict[str, Any]


@pytest.fixture(scope="module", params=range(3))
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Row]]]:  # fmt: skip
    """Half a year of two orgs, with listings of all kinds at short and long intervals, and the planted rows."""
    dice = Random(request.param)
    planted: dict[str, list[Row]] = {"query_jobs": [], "listings": [], "org_limits": [], "unlisted_jobs": []}
    for org in (ORG, OTHER):
        at = NOW - 180 * DAY
        while at < NOW:
            at += dice.choice((SECOND, 20 * timedelta(minutes=1), 5 * HOUR, 2 * DAY, WEEK, WEEK + SECOND, 11 * DAY))
            restarted = at + dice.randrange(9_000) * SECOND if dice.random() < 0.2 else None
            filters = dice.choice(("{}", "{}", "{}", '{"jobType":"V2Query"}', '{"jobType":"Classic"}'))
            ended = (restarted or at) + dice.choice((0, 40, 3_000)) * SECOND
            planted["listings"].append(
                {"org_id": org, "started_at": at, "restarted_at": restarted, "finished_at": ended, "filters": filters}
            )
            planted["listings"][-1]["listing_id"] = str(len(planted["listings"]))
            counter = {"org_id": org, "limit_name": "DailyBulkV2QueryJobs", "max": 100, "remaining": dice.randrange(-9, 100)}  # fmt: skip
            counter["listing_id"] = len(planted["listings"])
            counter["asked_at"] = restarted or at
            counter |= dice.choice(({}, {}, {}, {"app": "Dataloader Bulk"}, {"limit_name": "DailyApiRequests"}, {"max": 0}))  # fmt: skip
            planted["org_limits"].append({**counter, "listing_id": str(counter["listing_id"])})
        for n in range(600):
            created = None if n % 50 == 0 else NOW - dice.randrange(180 * 86_400) * SECOND
            if n % 3 == 0 and created:
                created = dice.choice(planted["org_limits"])["asked_at"] - dice.choice((0, 1)) * DAY  # on the edges
            kind, operation = dice.choice(SHAPES)
            job = {"org_id": org, "id": f"750{n:012}AAA", "created_date": created, "job_type": kind, "operation": operation}  # fmt: skip
            job |= {"observed_at": created or NOW - 180 * DAY}  # and not again
            job |= {"object": dice.choice(("Lead", None)), "created_by_id": dice.choice(("005A", "005B", "005C", None))}
            planted["query_jobs"].append(job)
            if n % 2:
                last = (created or NOW) + dice.choice((HOUR, 5 * DAY, WEEK - SECOND, WEEK - HOUR))
                away = {"org_id": org, "id": job["id"], "state": dice.choice(("Closed", "Open", "InProgress"))}
                away |= {"last_listed_at": last, "unlisted_at": last + dice.choice((SECOND, HOUR, 2 * DAY))}
                planted["unlisted_jobs"].append(away | {"listed_again_at": dice.choice((None, None, NOW))})
    file = tmp_path_factory.mktemp("planted") / "w.duckdb"
    return plant(file, users=USERS, **planted), planted


def spans(listings: Sequence[Row]) -> dict[str, list[list[datetime]]]:
    """By org: the complete listings' times in order, split wherever more than seven days lie between two."""
    found: dict[str, list[list[datetime]]] = defaultdict(list)
    for listing in sorted(listings, key=lambda row: row.get("restarted_at") or row["started_at"]):
        if listing.get("filters", "{}") == "{}":
            at = listing.get("restarted_at") or listing["started_at"]
            of_org = found[listing.get("org_id", ORG)]
            if of_org and at - of_org[-1][-1] <= WEEK:
                of_org[-1].append(at)
            else:
                of_org.append([at])
    return found


def hours(time: timedelta) -> float:
    return int(time.total_seconds()) / 3600


def test_coverage_is_split_by_more_than_a_week_without_a_listing(planted: tuple[Path, dict[str, list[Row]]]) -> None:
    """Filtered listings prove nothing, and a restarted one counts from its restart."""
    file, tables = planted
    wanted = []
    for org, found in spans(tables["listings"]).items():
        for span in found:
            gaps = [(b - a).total_seconds() for a, b in pairwise(span)]
            longest, average = (max(gaps) / 3600, sum(gaps) / len(gaps) / 3600) if gaps else (None, None)
            wanted.append((org, span[0] - WEEK, span[-1], len(span), longest, average, "query"))

    assert Counter(rows(file, "select * from coverage")) == Counter(wanted)
    assert len(wanted) > 6


def test_coverage_holes_lie_between_the_spans(planted: tuple[Path, dict[str, list[Row]]]) -> None:
    """With the jobs that are recorded all the same."""
    file, tables = planted
    wanted = []
    for org, found in spans(tables["listings"]).items():
        for before, after in pairwise(found):
            start, end = before[-1], after[0] - WEEK
            jobs = [job for job in tables["query_jobs"] if job["org_id"] == org and job["created_date"]]
            within = sum(start < job["created_date"] < end for job in jobs)
            wanted.append((org, start, end, hours(end - start), within, "query"))

    assert Counter(rows(file, "select * from coverage_holes")) == Counter(wanted)
    assert sum(row[-2] for row in wanted) > 0


@pytest.mark.parametrize(("view", "step"), [("covered_days", DAY), ("covered_hours", HOUR)])
def test_days_and_hours_have_their_share_of_coverage(planted: tuple[Path, dict[str, list[Row]]], view: str, step: timedelta) -> None:  # fmt: skip
    """From the first moment of coverage, or the first job, to the newest listing of any kind."""
    file, tables = planted
    wanted = []
    for org, found in spans(tables["listings"]).items():
        complete = [at for span in found for at in span]
        listed = [row["restarted_at"] or row["started_at"] for row in tables["listings"] if row["org_id"] == org]
        created = [job["created_date"] for job in tables["query_jobs"] if job["org_id"] == org and job["created_date"]]
        at = min(complete[0] - WEEK, *created).replace(minute=0, second=0)
        at = at.replace(hour=0) if step == DAY else at
        while at <= max(listed):
            shown = at.date() if step == DAY else at.replace(tzinfo=None)
            wanted.append((shown, org, covered_percent(complete, at, at + step), "query"))
            at += step

    assert Counter(rows(file, f"select * from {view}")) == Counter(wanted)
    assert len({percent for *_, percent, _ in wanted}) > 5


def test_days_are_covered_from_the_first_moment_on(tmp_path: Path) -> None:
    """The second listing is a day late: a day is missing, spread over two days."""
    file = listed(tmp_path / "w.duckdb", NOW, NOW + 8 * DAY)
    days = dict(rows(file, "select day, covered_percent from covered_days"))

    assert [days[(NOW + n * DAY).date()] for n in range(-8, 9) if (NOW + n * DAY).date() in days] == [
        75.0, *[100.0] * 6, 25.0, 75.0, *[100.0] * 6, 25.0,
    ]  # fmt: skip
    assert rows(file, "select count(*), sum(covered_percent) from covered_hours") == [(15 * 24 + 1, 100.0 * 14 * 24)]


@pytest.mark.parametrize("odd", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)])
def test_an_implausible_date_makes_no_days_and_hours(tmp_path: Path, odd: datetime) -> None:
    """Neither back to it nor on to it."""
    job = {"created_date": odd, "system_modstamp": NOW, "observed_at": NOW}
    file = plant(tmp_path / "w.duckdb", query_jobs=[job])

    assert rows(file, "select count(*) from covered_days") == [(8,)]
    assert rows(file, "select count(*) from covered_hours") == [(7 * 24 + 1,)]
    assert rows(file, "select day, jobs, covered_percent from jobs_by_day") == [(odd.date(), 1, 0.0)]


def test_an_org_without_a_complete_listing_has_no_coverage(tmp_path: Path) -> None:
    """Its days exist from its first job on."""
    filtered = {"started_at": NOW, "filters": '{"jobType":"Classic"}'}
    file = listed(tmp_path / "w.duckdb", filtered, query_jobs=[{"created_date": NOW - 2 * DAY}])

    assert rows(file, "select covered_percent from covered_days") == [(0.0,)] * 3


def test_unseen_jobs_are_those_counted_by_the_org_but_not_recorded(planted: tuple[Path, dict[str, list[Row]]]) -> None:  # fmt: skip
    """By the last count of each UTC day for the whole org that came with a listing of V2 queries, looking 24 hours
    back."""
    file, tables = planted
    blind = {row["listing_id"] for row in tables["listings"] if "Classic" in row["filters"]}
    last: dict[tuple, Row] = {}
    for counter in sorted(tables["org_limits"], key=lambda row: row["asked_at"]):
        whole = counter["limit_name"] == "DailyBulkV2QueryJobs" and not counter.get("app") and counter["max"]
        if whole and counter["listing_id"] not in blind:
            last[counter["asked_at"].date(), counter["org_id"]] = counter
    wanted = []
    before: dict[str, tuple[datetime, bool]] = {}
    for (day, org), counter in sorted(last.items(), key=lambda item: item[0]):
        at, counted = counter["asked_at"], counter["max"] - counter["remaining"]
        created = [j["created_date"] for j in tables["query_jobs"] if j["org_id"] == org and j["job_type"] == "V2Query"]
        seen = sum(at - DAY < time <= at for time in created if time)
        time, taken = before.get(org, (at - DAY, True))
        adds_up = not taken or at - time >= DAY - timedelta(minutes=5)
        before[org] = at, adds_up
        wanted.append((day, org, at, counted, seen, max(counted - seen, 0), at - DAY, adds_up))

    assert Counter(rows(file, "select * from unseen_jobs")) == Counter(wanted)


def test_early_deletions_are_jobs_gone_within_a_week(planted: tuple[Path, dict[str, list[Row]]]) -> None:
    """By the end of the listing that no longer showed them; unless they came back, or their creation is not known."""
    file, tables = planted
    ends: dict[tuple, datetime] = {}
    for row in tables["listings"]:
        for start in (row["started_at"], row["restarted_at"]):
            ends[row["org_id"], start] = max(row["finished_at"], ends.get((row["org_id"], start), row["finished_at"]))
    jobs = {(job["org_id"], job["id"]): job for job in tables["query_jobs"]}
    names = {(user.get("org_id", ORG), user["id"]): user["name"] for user in USERS}
    wanted = []
    for away in tables["unlisted_jobs"]:
        job = jobs[away["org_id"], away["id"]]
        created, user, operation = (job[name] for name in ("created_date", "created_by_id", "operation"))
        gone = ends.get((away["org_id"], away["unlisted_at"]), away["unlisted_at"])
        if created and gone - created < WEEK and not away["listed_again_at"]:
            sort = kind(operation)
            who = names.get((away["org_id"], user)) or user
            age = hours(gone - created)
            shown = (away["org_id"], away["id"], sort, job["job_type"], operation, job["object"], who, created)
            wanted.append((*shown, away["state"], away["last_listed_at"], away["unlisted_at"], age))

    assert Counter(rows(file, "select * from early_deletions")) == Counter(wanted)
    assert len(wanted) > 50


@pytest.mark.parametrize(
    "view", ["coverage", "coverage_holes", "covered_days", "covered_hours", "unseen_jobs", "early_deletions"]
)
def test_the_readers_time_zone_does_not_matter(planted: tuple[Path, dict[str, list[Row]]], view: str) -> None:
    """Days are in UTC, and a week has 168 hours even where clocks were put back."""
    file, _ = planted
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"select * from {view}"))


def listed(file: Path, *times: datetime | Row, **tables: Sequence[Row]) -> Path:
    """A warehouse of listings at these times."""
    listings = [time if isinstance(time, dict) else {"started_at": time} for time in times]
    return plant(file, listings=listings, **tables)


@pytest.mark.parametrize("late", [0, 1])
def test_a_week_and_a_second_leaves_a_hole_of_a_second(tmp_path: Path, late: int) -> None:
    """Exactly a week leaves none."""
    after = NOW + WEEK + late * SECOND
    file = listed(tmp_path / "w.duckdb", NOW, after)

    holes = [(ORG, NOW, NOW + SECOND, 1 / 3600, 0, "query")]
    assert rows(file, "select * from coverage_holes") == holes[:late]
    assert rows(file, "select listings, longest_gap_hours from coverage") == ([(1, None)] * 2 if late else [(2, 168.0)])


def test_a_single_listing_covers_the_week_before_it(tmp_path: Path) -> None:
    """There is no gap in it, and no hole."""
    file = listed(tmp_path / "w.duckdb", NOW)

    assert rows(file, "select * from coverage") == [(ORG, NOW - WEEK, NOW, 1, None, None, "query")]
    assert rows(file, "select * from coverage_holes") == []


def test_two_listings_of_one_second_are_one_span(tmp_path: Path) -> None:
    """For example by two recorders of one org."""
    file = listed(tmp_path / "w.duckdb", NOW - 9 * DAY, NOW, NOW)

    assert rows(file, "select covered_from, listings, longest_gap_hours from coverage order by 1") == [
        (NOW - 16 * DAY, 1, None),
        (NOW - WEEK, 2, 0.0),
    ]


def test_filtered_listings_fill_no_hole(tmp_path: Path) -> None:
    """They leave jobs out; those that they showed are counted in the hole."""
    filtered = {"started_at": NOW + 6 * DAY, "filters": '{"jobType":"Classic"}'}
    jobs = [{"created_date": NOW + days * DAY} for days in (0, 1, 2, 3, 4)] + [{"created_date": None}]
    file = listed(tmp_path / "w.duckdb", NOW, filtered, NOW + 10 * DAY, query_jobs=jobs)

    assert rows(file, "select hole_from, hole_to, hours, jobs from coverage_holes") == [(NOW, NOW + 3 * DAY, 72.0, 2)]


def test_a_restarted_listing_is_complete_as_of_its_restart(tmp_path: Path) -> None:
    """What its first try had shown does not count."""
    again = {"started_at": NOW + WEEK, "restarted_at": NOW + WEEK + HOUR}
    file = listed(tmp_path / "w.duckdb", NOW, again)

    assert rows(file, "select hole_from, hole_to from coverage_holes") == [(NOW, NOW + HOUR)]
    assert rows(file, "select max(covered_to) from coverage") == [(NOW + WEEK + HOUR,)]
