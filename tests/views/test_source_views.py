"""Where jobs come from: what is new, which API versions and how much of the Classic API are used, counted by hand."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, kind, plant, plausible, rows, rows_elsewhere

SECOND, WEEK = timedelta(seconds=1), timedelta(days=7)
MIDNIGHT = NOW.replace(hour=0)
YOUNG, QUIET = "00DDm0000002000MAA", "00DDm0000003000MAA"  # a record of one day; one without listings
KINDS = {"query": "query", "queryAll": "query", None: None}
NAMES = {(ORG, "005A"): "Ada"}
ASKED = {ORG: 67.0, YOUNG: None}
LISTINGS = [
    *({"started_at": NOW - n * DAY, "api_version": "61.0" if n else "67.0"} for n in (17, 12, 7, 2, 0)),
    *({"org_id": YOUNG, "started_at": NOW - n * DAY, "api_version": None} for n in (1, 0)),
]


@pytest.fixture(scope="module")
def jobs() -> list[dict[str, Any]]:
    """Four weeks of jobs from many sources, some of which appeared late; nulls everywhere, ties, and times around
    midnight."""
    dice = Random(31)
    moments = [NOW - timedelta(seconds=dice.randrange(28 * 86_400)) for _ in range(200)]
    edges = [NOW - WEEK, MIDNIGHT, MIDNIGHT - WEEK, *(NOW - 2 * DAY,) * 20]
    moments += [at + n * SECOND for at in edges for n in (-1, 0, 1)]
    odd = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC), NOW + HOUR]  # no plausible creation
    users = [None, *(f"005{letter}" for letter in "ABCDEFGHIJ")]
    dealt = []
    for _ in range(1_200):
        created, user = dice.choice((None, *moments)) if dice.random() < 0.95 else dice.choice(odd), dice.choice(users)
        if user and user > "005E" and created:  # half of the users appeared only days ago
            created = max(created, NOW - WEEK + (ord(user[-1]) - ord("G")) * HOUR)
        dealt.append(
            {
                "org_id": dice.choice((ORG, ORG, YOUNG, QUIET)),
                "operation": dice.choice(("query", "queryAll", "hardDelete", "refresh", None)),
                "object": dice.choice(("Account", "Case", "Lead", None))
                if created is None or user != "005J"
                else "New",
                "created_by_id": user,
                "created_date": created,
                "job_type": dice.choice(("V2Query", "V2Query", "Classic", None)),
                "api_version": dice.choice((68.0, 67.0, 52.0, 30.5, None)),
                "system_modstamp": NOW,
                "observed_at": NOW,
            }
        )
    return dealt


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, jobs: list[dict[str, Any]]) -> Path:
    named = [{"org_id": org, "id": user, "name": name} for (org, user), name in NAMES.items()]
    return plant(
        tmp_path_factory.mktemp("sources") / "w.duckdb",
        query_jobs=jobs,
        listings=LISTINGS,
        users=[*named, {"id": "005B", "name": None}],
    )


def grouped(jobs: list[dict[str, Any]], *columns: str) -> dict[tuple, list[dict[str, Any]]]:
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for job in jobs:
        groups.setdefault(tuple(job[column] for column in columns), []).append(job)
    return groups


def dates(jobs: list[dict[str, Any]]) -> list[Any]:
    """When the first and the last were created, among plausible times."""
    created = [at for job in jobs if (at := plausible(job["created_date"], NOW))]
    return [min(created, default=None), max(created, default=None)]


def test_a_source_is_new_if_its_first_job_is_less_than_a_week_old(file: Path, jobs: list[dict[str, Any]]) -> None:
    """The source, its user, its object; null if the record is too short to tell, or no job has a date."""
    by_user, by_object = grouped(jobs, "org_id", "created_by_id"), grouped(jobs, "org_id", "object")
    expected = []
    for key, source in grouped(jobs, "org_id", "created_by_id", "job_type", "operation", "object").items():
        org, user, job_type, operation, thing = key
        firsts = [dates(some)[0] for some in (source, by_user[org, user], by_object[org, thing])]
        flags = [first > NOW - WEEK if first and org == ORG else None for first in firsts]
        kind = KINDS.get(operation, "load")
        who = (org, user, NAMES.get((org, user), user))
        expected.append((*who, kind, job_type, operation, thing, len(source), *dates(source), *flags, "query"))
    found = rows(file, "select * from new_sources")

    assert Counter(found) == Counter(expected)
    assert {row[-4:-1] for row in found if row[0] == ORG} >= {(True, True, True), (True, False, False), (False,) * 3}
    assert sum(row[7] for row in found) == len(jobs)


def first_seen(file: Path, *listed: dict[str, Any]) -> list[tuple]:
    """The flags of a source with one job, created the day before yesterday."""
    file = plant(file, query_jobs=[{"created_date": NOW - 2 * DAY}], listings=list(listed))
    return rows(file, "select new_source, new_user, new_object from new_sources")


def test_the_record_has_to_go_back_14_days(tmp_path: Path) -> None:
    """The first listing covers the week before it: a second one a week later is just enough."""
    known = [{"started_at": NOW - WEEK}, {"started_at": NOW}]
    assert first_seen(tmp_path / "just", *known) == [(True, True, True)]
    known[0] = {"started_at": NOW - WEEK + SECOND}
    assert first_seen(tmp_path / "not", *known) == [(None, None, None)]


@pytest.mark.parametrize(
    "old",
    [
        {"started_at": NOW - 300 * DAY},
        {"started_at": NOW - 10 * DAY, "filters": '{"jobType": "Classic"}'},
    ],
    ids=["hole", "filtered"],
)
def test_a_source_that_may_have_gone_unseen_is_not_called_new(tmp_path: Path, old: dict[str, Any]) -> None:
    """It may have had jobs every day until a week ago, when nothing was recorded."""
    assert first_seen(tmp_path / "w", old, {"started_at": NOW}) == [(None, None, None)]


def test_versions_are_counted_by_user_with_releases_behind(file: Path, jobs: list[dict[str, Any]]) -> None:
    """Behind the version of the newest listing, if that has one; last week is the one before the newest listing."""
    expected = []
    by_kind = [job | {"kind": kind(job["operation"])} for job in jobs]
    for key, group in grouped(by_kind, "org_id", "created_by_id", "kind", "job_type", "api_version").items():
        org, user, sort, job_type, version = key
        behind = ASKED[org] - version if ASKED.get(org) and version else None
        created = [plausible(job["created_date"], NOW) for job in group if org != QUIET]
        recent = [at for at in created if at and at > NOW - WEEK]
        who = (org, user, NAMES.get((org, user), user))
        expected.append((*who, sort, job_type, version, behind, len(group), len(recent), *dates(group)))
    found = rows(file, "select * from api_versions")

    assert Counter(found) == Counter(expected)
    assert {row[6] for row in found} == {-1.0, 0.0, 15.0, 36.5, None}
    assert sum(row[7] for row in found) == len(jobs)


def test_an_unreadable_version_has_a_row_without_a_number(tmp_path: Path) -> None:
    """One row; how far behind it is is not known, nor whether a job without a date is from last week."""
    jobs = [{"api_version": None, "created_date": at} for at in (None, NOW - WEEK, NOW - WEEK + SECOND)]
    file = plant(tmp_path / "w", query_jobs=jobs)

    found = rows(file, "select api_version, releases_behind, jobs, last_week, first_job_at from api_versions")
    assert found == [(None, None, 3, 1, NOW - WEEK)]


def test_the_share_of_the_classic_api_is_by_week_and_kind(file: Path, jobs: list[dict[str, Any]]) -> None:
    """Jobs without a type do not count as Classic; users without an id are not counted."""
    weeks: dict[tuple, list[dict[str, Any]]] = {}
    for job in (job for job in jobs if job["created_date"]):
        day = job["created_date"].date()
        monday = day - timedelta(days=day.weekday())
        weeks.setdefault((monday, job["org_id"], KINDS.get(job["operation"], "load")), []).append(job)
    expected = []
    for key, week in weeks.items():
        classic = [job for job in week if job["job_type"] == "Classic"]
        users = {job["created_by_id"] for job in classic} - {None}
        expected.append((*key, len(week), len(classic), round(100 * len(classic) / len(week), 9), len(users)))
    found = [(*row[:5], round(row[5], 9), row[6]) for row in rows(file, "select * from classic_by_week")]

    assert Counter(found) == Counter(expected)
    assert sum(row[3] for row in found) == sum(1 for job in jobs if job["created_date"])


def test_loads_are_all_classic_and_weeks_begin_on_monday(tmp_path: Path) -> None:
    """An unknown operation counts as a load; a missing one as neither."""
    classic = {"job_type": "Classic", "created_by_id": None}
    jobs = [
        {"created_date": MIDNIGHT - SECOND, **classic, "operation": "insert"},
        {"created_date": MIDNIGHT, **classic, "operation": "refresh"},
        {"created_date": MIDNIGHT, **classic},
        {"created_date": MIDNIGHT},
        {"created_date": MIDNIGHT, "operation": None},
        {"created_date": None, **classic},
    ]
    file = plant(tmp_path / "w", query_jobs=jobs)

    columns = "week, kind, jobs, classic_percent, classic_users"
    assert rows(file, f"select {columns} from classic_by_week order by week, kind nulls last") == [
        (date(2026, 11, 9), "load", 1, 100.0, 0),
        (date(2026, 11, 16), "load", 1, 100.0, 0),
        (date(2026, 11, 16), "query", 2, 50.0, 0),
        (date(2026, 11, 16), None, 1, 0.0, 0),
    ]


@pytest.mark.parametrize("view", ["new_sources", "api_versions", "classic_by_week"])
def test_the_readers_time_zone_does_not_matter(file: Path, view: str) -> None:
    """Weeks are in UTC, and seven days are 168 hours even where a clock is put back."""
    assert Counter(rows_elsewhere(file, view)) == Counter(rows(file, f"select * from {view}"))


NAMING = (
    "allowance_by_user",
    "api_versions",
    "jobs_by_day",
    "jobs_by_hour",
    "new_sources",
    "repeats_by_day",
    "sensitive_jobs",
)


@pytest.mark.parametrize("view", NAMING)
def test_two_users_with_the_same_name_are_kept_apart(tmp_path: Path, view: str) -> None:
    """Each with the username, as in user_names."""
    jobs = [{"created_by_id": user, "operation": "queryAll"} for user in ("005A", "005B")] * 2
    users = [{"id": f"005{n}", "name": "Integration User", "username": f"{n}@example.org"} for n in "AB"]
    file = plant(tmp_path / "w", query_jobs=jobs, users=users)

    assert rows(file, f"select distinct created_by from {view} where created_by is not null order by 1") == [
        ("Integration User (A@example.org)",),
        ("Integration User (B@example.org)",),
    ]
