"""Two listings of one org: each job is judged by the listing that shows it, as if there were no other."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows

from pipelines.warehouse.schema import read_header, views

Row = dict[str, Any]
Tables = dict[str, list[Row]]
VIEWS = views()
HAVE_FEED = sorted(name for name, sql in VIEWS.items() if "feed" in {column for column, *_ in read_header(sql)[1]})
PER_JOB = sorted({"failures", "sensitive_jobs", "job_outcomes", "time_in_state", "job_timeline", "early_deletions"})
USERS = [{"id": "005A", "name": "Ada Lovelace"}]


def history(feed: str, seed: int, **fields: Any) -> Tables:
    """Seven weeks of one listing: one that shows few jobs, one that is filtered, a pause of nine days, failures, absences."""
    dice, away = Random(seed), []
    lost = NOW - dice.randrange(20, 30) * DAY
    jobs, details, states, listings, errors = [], [], [], [], []
    times = [NOW - n * 9 * HOUR - dice.randrange(9_000) * timedelta(seconds=1) for n in range(1, 130)]
    times = [NOW, *(at for at in times if not lost - 9 * DAY < at < lost)]
    for nth, at in enumerate(times):
        reduced = 4 <= nth <= 5
        listings.append({
            "listing_id": f"{feed} {nth}", "feed": feed, "started_at": at, "finished_at": at + dice.choice((0, 40)) * timedelta(seconds=1),
            "filters": '{"isPkChunkingEnabled":"true"}' if nth % 17 == 3 else "{}", "jobs_unlisted": 1, "jobs_expected": 60,
            "jobs_lost": 50 if reduced else 0, "reduced_since": times[5] if reduced else None, "creators": 3,
        })  # fmt: skip
    for n in range(600):
        created = NOW - dice.randrange(49 * 86_400) * timedelta(seconds=1)
        stamp = created + dice.randrange(1, 9_000) * timedelta(seconds=1)
        state = dice.choice((*fields["states"], "Failed", "Failed", "Aborted", "InProgress"))
        job = {
            "id": f"750{feed}{n:06}", "created_date": created, "system_modstamp": stamp, "state": state,
            "job_type": dice.choice(fields["types"]), "operation": dice.choice(fields["operations"]),
            "object": dice.choice(("Account", "Lead")), "created_by_id": dice.choice(("005A", "005B")),
            "observed_at": min((at for at in times if at > stamp), default=NOW),
        }  # fmt: skip
        if n < 46:  # every night
            at = NOW.replace(hour=2) - n * DAY
            job |= {"created_date": at, "system_modstamp": at, "object": "Nightly", "created_by_id": "005A"}
            job |= {"job_type": fields["types"][0], "operation": fields["operations"][0]}
            job["observed_at"] = min((seen for seen in times if seen > at), default=NOW)
        jobs.append(job)
        key = {"id": job["id"]}
        states += [
            key | {"system_modstamp": at, "state": was, "observed_at": min((t for t in times if t > at), default=NOW)}
            for at, was in ((created, "Open"), (stamp, state))
        ]
        if state in fields["states"] and n % 3:
            counts = dice.choice(((90, 0), (90, 3), (90, 90)))
            details.append(key | dict(zip(("number_records_processed", "number_records_failed"), counts, strict=True)))
            if counts[1] and n % 5:
                details[-1]["results_outcome"] = "read"
                code = "NEW" if created > NOW - 6 * DAY and n % 2 else "LOCKED"
                errors.append(key | {"reason": code, "level": "record", "error_code": code, "records": counts[1],
                                     "read_at": stamp})  # fmt: skip
        later = [at for at in sorted(times) if at > job["observed_at"]]
        if later and (n % 4 == 0 or job["created_by_id"] == "005B"):
            last = max(at for at in times if at < later[0])
            away.append(key | {"feed": feed, "state": state, "last_listed_at": last, "unlisted_at": later[0]})
    return {
        f"{feed}_jobs": jobs, f"{feed}_job_states": states, "listings": listings, "job_details": details,
        "unlisted_jobs": away, "record_errors": errors, "users": USERS,
    }  # fmt: skip


def both(*of: Tables) -> Tables:
    return {name: [row for tables in of for row in tables.get(name, ())] for tables in of for name in tables} | {
        "users": USERS
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Warehouses of query jobs alone, of loads alone, and of both."""
    folder = tmp_path_factory.mktemp("feeds")
    queries = history("query", 1, states=("JobComplete", "Closed"), types=("V2Query", "Classic"),
                      operations=("query", "queryAll", "insert"))  # fmt: skip
    loads = history("ingest", 2, states=("JobComplete",), types=("V2Ingest", "BigObjectIngest", "NewIngest", None),
                    operations=("insert", "delete", "refresh"))  # fmt: skip
    return {
        "query": plant(folder / "query.duckdb", **queries),
        "ingest": plant(folder / "ingest.duckdb", **loads),
        "both": plant(folder / "both.duckdb", **both(queries, loads)),
    }


def found(file: Path, view: str, feed: str | None = None) -> Counter[tuple[Any, ...]]:
    """Its rows without fractions that depend on the order of a sum."""
    where = f" where feed = '{feed}'" if feed else ""
    seen = rows(file, f"select * from {view}{where}")
    return Counter(tuple(round(v, 6) if isinstance(v, float) else v for v in row) for row in seen)


@pytest.mark.parametrize("feed", ["query", "ingest"])
@pytest.mark.parametrize("view", sorted({*HAVE_FEED} - {"new_sources"}))
def test_each_listing_is_judged_as_if_there_were_no_other(files: dict[str, Path], view: str, feed: str) -> None:
    """Coverage, holes, absences, outcomes, streaks, what is usual: nothing of one gets into the other."""
    alone = found(files[feed], view, feed)

    assert found(files["both"], view, feed) == alone
    assert alone


@pytest.mark.parametrize("view", PER_JOB)
def test_every_job_of_either_is_there_once(files: dict[str, Path], view: str) -> None:
    """With the same answer as from its listing alone."""
    assert found(files["both"], view) == found(files["query"], view) + found(files["ingest"], view)


@pytest.mark.parametrize("view", ["allowance_by_hour", "allowance_by_day", "allowance_by_user"])
def test_loads_do_not_count_against_the_allowance_of_query_jobs(files: dict[str, Path], view: str) -> None:
    assert found(files["both"], view) == found(files["query"], view)
    assert not found(files["ingest"], view)


def test_loads_have_their_own_outcomes(tmp_path: Path) -> None:
    """JobComplete says nothing about the records; until the details are there, they are unknown."""
    cases = [
        ("V2Ingest", "JobComplete", None, "done: record failures unknown"),
        ("V2Ingest", "JobComplete", (10, 0), "done"),
        ("V2Ingest", "JobComplete", (10, 3), "partly failed"),
        ("V2Ingest", "JobComplete", (10, 10), "every record failed"),
        ("V2Ingest", "Failed", (0, 0), "failed"),
        ("V2Ingest", "Aborted", None, "aborted"),
        ("V2Ingest", "Open", None, "unfinished"),
        ("V2Ingest", "UploadComplete", None, "unfinished"),
        ("BigObjectIngest", "JobComplete", None, "done: record failures unknown"),
        ("BigObjectIngest", "JobComplete", (None, None), "done: record failures unknown"),
        ("Unheard", "JobComplete", (5, 5), "every record failed"),
        (None, "Paused", None, None),
    ]
    loads = [{"id": f"750{n}", "job_type": kind, "state": state} for n, (kind, state, *_) in enumerate(cases)]
    details = [
        {"id": f"750{n}", "number_records_processed": counts[0], "number_records_failed": counts[1]}
        for n, (_, _, counts, _) in enumerate(cases)
        if counts
    ]
    file = plant(tmp_path / "w.duckdb", ingest_jobs=loads, job_details=details, listings=[{"feed": "ingest"}])

    assert rows(file, "select job_type, kind, outcome from jobs order by cast(substr(id, 4) as int)") == [
        (kind, "load", outcome) for kind, _, _, outcome in cases
    ]


def test_a_run_that_could_list_only_one_makes_no_job_of_the_other_gone(tmp_path: Path) -> None:
    """A listing that was read in the same second, and ended later, says nothing about the other's jobs."""
    listings = [
        {"feed": "query", "started_at": NOW - HOUR},
        {"feed": "ingest", "started_at": NOW - HOUR, "finished_at": NOW - HOUR / 2},
        {"feed": "query", "started_at": NOW},
    ]
    running = {"state": "InProgress", "created_date": NOW - 2 * HOUR, "observed_at": NOW - HOUR}
    away = [{"id": "750Q", "state": "InProgress", "unlisted_at": NOW - HOUR}]
    file = plant(tmp_path / "w.duckdb", listings=listings, unlisted_jobs=away,
                 query_jobs=[running | {"id": "750Q", "observed_at": NOW - 2 * HOUR}], ingest_jobs=[running | {"id": "750L"}])  # fmt: skip

    assert rows(file, "select id, is_gone, gone_by from all_jobs order by id") == [
        ("750L", False, None), ("750Q", True, NOW - HOUR),
    ]  # fmt: skip
    assert rows(file, "select id, as_of from stuck_jobs") == [("750L", NOW - HOUR)]
    assert rows(file, "select feed, as_of, is_current from recorded_feeds order by feed") == [
        ("ingest", NOW - HOUR, True), ("query", NOW, True),
    ]  # fmt: skip
    assert rows(file, "select as_of, listings from recorded_orgs") == [(NOW, 3)]


def of_days(feed: str, first: int, last: int = 0) -> Iterator[Row]:
    for n in range(last, first + 1):
        yield {"feed": feed, "listing_id": f"{feed} {n}", "started_at": NOW - n * DAY}


@pytest.mark.parametrize(
    ("query", "ingest", "wanted"),
    [
        ((40, 0), (3, 0), ("query", 47)),  # a recording of months, to which the loads have come lately
        ((40, 13), (3, 0), ("query", 47)),  # the listing of queries fails
        ((40, 20), (19, 0), ("ingest", 26)),  # or is no longer recorded
        ((3, 0), (40, 20), ("query", 10)),
    ],
)
def test_an_org_is_as_complete_as_the_listing_of_query_jobs_while_that_is_recorded(
    tmp_path: Path, query, ingest, wanted: tuple[str, int]
) -> None:
    file = plant(tmp_path / "w.duckdb", listings=[*of_days("query", *query), *of_days("ingest", *ingest)])
    feed, days = wanted
    ends = {"query": query[1], "ingest": ingest[1]}

    assert rows(file, "select as_of, covered_from, covered_to, listings from recorded_orgs") == [
        (NOW, NOW - days * DAY, NOW - ends[feed] * DAY, sum(a - b + 1 for a, b in (query, ingest))),
    ]  # fmt: skip


def test_hours_in_which_loads_were_not_recorded_yet_are_covered_as_before(tmp_path: Path) -> None:
    """From then on, an hour is covered for loads if both listings cover it: Classic loads are in the other."""
    listings = [*of_days("query", 30), *of_days("ingest", 3, 2)]
    jobs = [{"created_date": NOW - n * DAY, "job_type": "Classic", "operation": "insert", "state": "Closed"} for n in range(30)]  # fmt: skip
    jobs += [{"created_date": NOW - n * DAY} for n in range(30)]
    file = plant(tmp_path / "w.duckdb", listings=listings, query_jobs=jobs)
    shown = rows(file, "select kind, hour, covered_percent from jobs_at_once where covered_percent = 100")
    hours = {kind: [hour for k, hour, _ in shown if k == kind] for kind in ("query", "load")}
    since = {min(hours[kind]) for kind in hours}

    assert since == {(NOW - 29 * DAY).replace(tzinfo=None)}
    assert [max(hours[kind]) for kind in ("query", "load")] == [
        (NOW - n * DAY - HOUR).replace(tzinfo=None) for n in (0, 2)
    ]
    assert rows(file, f"select count(*) from unseen_jobs where org_id = '{ORG}'") == [(0,)]
