"""reason_trends: for which reasons records fail, against the weeks before, and what is new."""

from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere

WEEK = 7 * DAY
TWIN = "00DTw0000001000MAA"
DAILY = [
    {"started_at": NOW - n * DAY, "feed": feed, "org_id": org}
    for org in (ORG, TWIN)
    for feed in ("query", "ingest")
    for n in range(60)
]
Job = dict[str, Any]


def loads(*ages: timedelta, first: int = 1, **columns: Any) -> list[Job]:
    """V2 loads of 1,000 records, one of each age, all read."""
    return [
        {"id": f"7501{n:011}AAA", "age": age, "processed": 1_000, "read": "read", "reasons": {}} | columns
        for n, age in enumerate(ages, first)
    ]


def planted(file: Path, jobs: list[Job], listings: list[Any] = DAILY) -> Path:
    """A warehouse of these loads; `reasons` is (code, fields, message) -> records."""
    tables: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        org, at = job.get("org", ORG), NOW - job["age"]
        fields = {name: job[name] for name in ("operation", "object", "created_by_id", "state") if name in job}
        feed = job.get("feed", "ingest")
        more = {"job_type": "Classic", "operation": "insert", "state": "Closed"} if feed == "query" else {}
        tables[f"{feed}_jobs"].append({"id": job["id"], "org_id": org, "created_date": at} | more | fields)
        failed = job.get("failed", sum(job["reasons"].values()))
        tables["job_details"].append({
            "id": job["id"], "org_id": org, "number_records_processed": job["processed"],
            "number_records_failed": failed, "results_outcome": job["read"] if failed else None,
        })  # fmt: skip
        tables["record_errors"] += [
            {
                "id": job["id"], "org_id": org, "reason": "/".join(map(str, reason)), "level": "record",
                "error_code": reason[0], "fields": reason[1], "message": reason[2], "records": records,
                "retryable": reason[0] == "LOCKED", "read_at": at,
            }
            for reason, records in job["reasons"].items()
            if job["read"]
        ]  # fmt: skip
    return plant(file, listings=listings, **tables)


OLD, NEW, LOCK = ("OLD", None, "old"), ("NEW", "Name", "new"), ("LOCKED", None, "locked")


def trend(tmp_path: Path, jobs: list[Job], columns: str, code: str = "NEW", **more: Any) -> tuple[Any, ...]:
    file = planted(tmp_path / f"{len(list(tmp_path.iterdir()))}.duckdb", jobs, **more)
    (row,) = rows(file, f"select {columns} from reason_trends where error_code = '{code}'")
    return row


def nightly(nights: int, since: int = 0) -> tuple[timedelta, ...]:
    return tuple(5 * HOUR + n * DAY for n in range(since, nights))


def test_a_reason_that_a_known_series_never_had_is_new(tmp_path: Path) -> None:
    """With its numbers, and those of the weeks before."""
    jobs = loads(*nightly(40), reasons={OLD: 10})
    for job in jobs[:3]:
        job["reasons"] = {OLD: 10, NEW: 50}
    columns = "is_new, is_comparable, jobs, records, sustained_records, records_processed, round(records_percent, 3), "

    assert trend(tmp_path, jobs, columns + "weeks_before, most_records_before, first_at, last_id, retryable") == (
        True, False, 3, 150, 100, 7_000, 2.143, 4, 0, NOW - 5 * HOUR - 2 * DAY, jobs[0]["id"], False,
    )  # fmt: skip
    assert trend(tmp_path, jobs, "is_new, is_comparable, records, most_records_before", "OLD") == (False, True, 70, 70)


@pytest.mark.parametrize(
    ("jobs", "is_new"),
    [
        (loads(*nightly(40, 1)), True),  # nothing ever failed before
        (loads(*nightly(40, 1), reasons={OLD: 10}, read=None), None),  # as before an upgrade
        (loads(*nightly(17, 1)), True),
        (loads(*nightly(7, 1)), None),  # a new series
        (loads(2 * DAY, 9 * DAY), None),  # that hardly ever runs
        (loads(2 * DAY, 9 * DAY, 16 * DAY), True),
        ([], None),  # its first load
        (loads(*nightly(40, 1), created_by_id="005B"), None),  # another user's
        (
            loads(*nightly(20, 1), reasons={OLD: 1}) + loads(*nightly(40, 20), first=50, reasons={OLD: 1}, read=None),
            True,
        ),
        (
            loads(*nightly(12, 1), reasons={OLD: 1}) + loads(*nightly(40, 12), first=50, reasons={OLD: 1}, read=None),
            None,
        ),
        (loads(*nightly(40, 1)) + loads(70 * DAY, first=50, reasons={NEW: 1}), False),  # long ago
        (loads(*nightly(40, 1)) + loads(9 * DAY, first=50, reasons={OLD: 1}, read=None), None),  # may have been this
        (loads(*nightly(40, 1)) + loads(9 * DAY, first=50, reasons={OLD: 1}, read="first 0 of 1", failed=1), None),
    ],
)
def test_what_is_new_depends_on_what_is_known(tmp_path: Path, jobs: list[Job], is_new: bool | None) -> None:
    """The last load has a reason. Loads whose results were never read tell nothing."""
    assert trend(tmp_path, jobs + loads(HOUR, first=99, reasons={NEW: 50}), "is_new") == (is_new,)


def test_without_two_weeks_of_coverage_nothing_is_new_or_comparable(tmp_path: Path) -> None:
    """Salesforce shows older jobs, too, if their state is not final or by chance."""
    jobs = loads(*nightly(40, 1)) + loads(HOUR, first=99, reasons={NEW: 50})
    hourly = [{"started_at": NOW - n * HOUR, "feed": "ingest"} for n in range(100)]

    assert trend(tmp_path, jobs, "is_new, is_comparable", listings=hourly) == (None, False)


@pytest.mark.parametrize(
    ("records", "until", "replaces"),
    [
        (10, 3, True),
        (30, 3, True),
        (31, 3, False),
        (4, 3, True),
        (3, 3, False),
        (10, 2, False),  # still occurs
        (10, 11, False),  # ended a week and more before
    ],
)
def test_an_old_reason_with_another_code_is_not_new(tmp_path: Path, records: int, until: int, replaces: bool) -> None:
    """A release may change the code and the text of what is the same cause: one ended as the other began, and cost as
    many."""
    jobs = loads(*nightly(40))
    for n, job in enumerate(jobs):
        job["reasons"] = ({NEW: records} if n < 3 else {}) | ({OLD: 10} if n >= until else {})
    expected = (False, "/".join(map(str, OLD))) if replaces else (True, None)

    assert trend(tmp_path, jobs, "is_new, replaces") == expected


@pytest.mark.parametrize(("text", "later"), [(None, "new"), ("new", None)])
def test_a_text_that_is_kept_or_not_is_no_new_reason(tmp_path: Path, text: str | None, later: str | None) -> None:
    """A setting decides that, and the version."""
    jobs = loads(*nightly(40))
    for n, job in enumerate(jobs):
        job["reasons"] = {("NEW", "Name", text if n > 2 else later): 10 if n > 2 else 1_000 - n}
        job["processed"] = 10_000

    columns = f"is_new from reason_trends where message is not distinct from {repr(later) if later else 'null'} --"
    assert rows(planted(tmp_path / "w.duckdb", jobs), f"select {columns}") == [(False,)]


def test_loads_that_lost_all_records_count_only_for_the_first_time(tmp_path: Path) -> None:
    """They have a finding of their own."""
    jobs = loads(*nightly(40))
    jobs[4]["reasons"] = {NEW: 1_000}
    file = planted(tmp_path / "lost.duckdb", jobs)
    assert rows(file, "select * from reason_trends") == []
    jobs[1]["reasons"] = {NEW: 20}
    assert trend(tmp_path, jobs, "is_new, jobs, records, records_processed, first_at") == (
        True, 1, 20, 6_000, NOW - 5 * HOUR - 4 * DAY,
    )  # fmt: skip


# The truth, computed load by load


def random_loads(dice: Random) -> list[Job]:
    jobs = []
    for n in range(1_500):
        reasons = {
            reason: dice.choice((1, 5, 60, 400))
            for reason in dice.sample(
                [OLD, NEW, LOCK, ("NEW", "Name", None), (None, None, None)], dice.choice((0, 1, 2))
            )
        }
        feed = dice.choice(("query", "ingest"))
        at = dice.randrange(50 * 86_400) * timedelta(seconds=1)
        if at > 5 * DAY and dice.random() < 0.9:
            reasons.pop(NEW, None)
        jobs.append({
            "id": f"7501{n:011}AAA", "org": dice.choice((ORG, TWIN)), "age": at, "feed": feed,
            "object": dice.choice(("Account", "Lead", "Case", None)), "created_by_id": dice.choice(("005A", "005B", None)),
            "processed": dice.choice((500, 1_000, 5_000)), "reasons": reasons,
            "state": dice.choice(("JobComplete", "JobComplete", "Failed", "InProgress")) if feed == "ingest" else "Closed",
            "read": dice.choice(("read", "read", "read", "first 5 of 9", "first 0 of 9", None)),
        })  # fmt: skip
        if not reasons or (jobs[-1]["object"] == "Case" and at > 5 * DAY and dice.random() < 0.9):
            jobs[-1]["read"] = None
        if jobs[-1]["read"] == "first 0 of 9":
            jobs[-1] |= {"failed": sum(reasons.values()), "reasons": {}}
    return jobs


def by_hand(jobs: list[Job]) -> Counter[tuple[Any, ...]]:
    """The rows: org, type, object, user, reason, first, last id, jobs, records, sustained, processed, weeks, most before,
    is_new, replaces."""
    series: dict[tuple[Any, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        if job["state"] != "InProgress":
            failed = job.get("failed", sum(job["reasons"].values()))
            kept = job["reasons"] if job["read"] else {}
            known = not failed or job["read"] in ("read", "first 5 of 9")
            lost = failed >= job["processed"] and job["state"] != "Failed"
            more = {
                "failed": failed,
                "kept": kept,
                "known": known,
                "lost": lost,
                "at": NOW - job["age"],
                "week": job["age"] // WEEK,
            }
            key = (job["org"], "Classic" if job["feed"] == "query" else "V2Ingest", job["object"], job["created_by_id"])
            series[key].append(job | more)
    found: Counter[tuple[Any, ...]] = Counter()
    for key, of in series.items():
        seen = {reason: [job for job in of if reason in job["kept"]] for job in of for reason in job["kept"]}
        for reason, alike in seen.items():
            now = [job for job in alike if job["week"] == 0 and not job["lost"]]
            if not now:
                continue
            weekly: dict[int, list[Job]] = defaultdict(list)
            for job in of:
                if job["known"] and not job["lost"] and job["week"] <= 4:
                    weekly[job["week"]].append(job)
            before = [sum(job["kept"].get(reason, 0) for job in weekly[week]) for week in range(1, 5) if weekly[week]]
            records = [job["kept"][reason] for job in now]
            is_new, replaces = judged(reason, seen, of)
            last = max(alike, key=lambda job: (job["at"], job["id"]))
            found[
                (
                    *key, "/".join(map(str, reason)), min(job["at"] for job in alike), last["id"], len(now), sum(records),
                    sum(records) - max(records), sum(job["processed"] for job in weekly[0]), len(before),
                    max(before, default=None), is_new, replaces,
                )
            ] += 1  # fmt: skip
    return found


def judged(reason: Any, seen: dict[Any, list[Job]], of: list[Job]) -> tuple[bool | None, str | None]:
    first = min(job["at"] for job in seen[reason])
    if first <= NOW - WEEK:
        return False, None
    replaced, alike = [], False
    for other, jobs in seen.items():
        last = max(job["at"] for job in jobs)
        ratio = share(reason, seen[reason]) / share(other, jobs)
        if first - WEEK <= last < first and 0.3333 < ratio < 3.0001:
            replaced.append("/".join(map(str, other)))
        if min(job["at"] for job in jobs) < first and other[:2] == reason[:2] and None in (other[2], reason[2]):
            alike = True
    if replaced or alike:
        return False, max(replaced, default=None)
    before = [job for job in of if first - 4 * WEEK <= job["at"] < first]
    known = [job["at"] for job in before if job["known"]]
    failing = [job["known"] for job in before if job["failed"]]
    enough = len(known) >= 3 and len(before) <= 2 * len(known) and min(known) <= first - WEEK
    enough = enough and len(failing) <= 2 * sum(failing)
    return (True if enough else None), None


def share(reason: Any, jobs: list[Job]) -> float:
    return sum(job["kept"][reason] for job in jobs) / sum(job["processed"] for job in jobs)


def test_trends_are_those_of_the_loads(tmp_path: Path) -> None:
    """Two orgs, both listings, unknown parts, loads that were not read, or only in part."""
    columns = """org_id, job_type, object, created_by_id, reason, first_at, last_id, jobs, records, sustained_records,
        records_processed, weeks_before, most_records_before, is_new, replaces"""
    news = set()
    for seed in range(4):
        jobs = random_loads(Random(seed))
        file = planted(tmp_path / f"{seed}.duckdb", jobs)
        expected = by_hand(jobs)
        assert Counter(rows(file, f"select {columns} from reason_trends")) == expected
        assert Counter(rows_elsewhere(file, "reason_trends")) == Counter(rows(file, "from reason_trends"))
        news |= {row[-2:] for row in expected}
    assert {(True, None), (False, None), (None, None)} < news  # and some that replace another


def test_the_seven_days_end_with_the_listing_that_proves_coverage(tmp_path: Path) -> None:
    """Of the load's own feed."""
    late = [row for row in DAILY if row["feed"] == "query" or row["started_at"] <= NOW - 3 * DAY]
    jobs = loads(*nightly(60, 3), reasons={OLD: 10})

    assert trend(tmp_path, jobs, "covered_to, jobs", "OLD", listings=late) == (NOW - 3 * DAY, 7)
