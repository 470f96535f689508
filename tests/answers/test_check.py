"""What `make check` reports: each problem from its threshold on, in words to act on, and nothing for a healthy org."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from check_rows import (
    LOAD,
    NAMES,
    SECOND,
    WEEK,
    Row,
    Tables,
    batches,
    calls,
    crowd,
    failing,
    found,
    hole,
    job_id,
    limit,
    listed,
    lost,
    rejected,
    sundays,
    unanswered,
    unfinished,
)
from planted import DAY, HOUR, NOW, ORG, plant, rows

from pipelines.answers.check import Thresholds, check


@dataclass(frozen=True)
class Trouble:
    """A problem planted `at` its threshold, just `below` it, and `worse`; and the expected finding for the first."""

    planted: Callable[..., Tables]
    at: Any
    below: Any
    worse: Any
    key: str
    said: tuple[str, ...]
    ids: tuple[str, ...] = ()
    lower: tuple[Row, ...] = ()  # settings each of which makes `below` a problem, too
    higher: tuple[Row, ...] = ()  # settings each of which makes `at` none

    def tables(self, level: str) -> Tables:
        how_bad = getattr(self, level)
        return self.planted(*how_bad) if isinstance(how_bad, tuple) else self.planted(how_bad)


TROUBLES = {
    "coverage": Trouble(
        lambda age: {"listings": listed(age)}, DAY, DAY - SECOND, 3 * DAY, f"coverage/{ORG}",
        (", of 2026-11-15 06:00 UTC, is 24 hours old: ", "finished since then will be lost from 2026-11-22 06:00 UTC on", "make load"),
        lower=({"listing_age_hours": 23.9},), higher=({"listing_age_hours": 24.1},),
    ),
    "hole": Trouble(
        hole, WEEK, WEEK + SECOND, 6 * DAY, f"hole/{ORG}/2026-10-27 06:00 UTC",
        ("in the 6.0 days from 2026-10-27 06:00 UTC to 2026-11-02 06:00 UTC may be lost",),
    ),
    "failing": Trouble(
        failing, 3, 2, 5, f"failing/{ORG}/V2Query/query/Lead/005B",
        (
            "query of Lead (V2Query) by Data Warehouse has failed 3 times in a row since 2026-11-14 01:00 UTC",
            "the last time 2026-11-16 01:00 UTC; it last worked 2026-10-07 06:00 UTC",
            ". InvalidBatch: Field name not found : Legacy__c\n",
        ),
        ids=(job_id(1),), lower=({"failures_in_a_row": 2},), higher=({"failures_in_a_row": 4},),
    ),
    "closed but failed": Trouble(
        lost, (1_251, 1_250), (1_250, 1_250), (1_251, 1_251), f"closed but failed/{ORG}/insert/Lead/005B",
        ("1 insert job of Data Warehouse on Lead shows as Closed", "all 1,251 records failed", "2026-11-15 06:00 UTC"),
        ids=(job_id(1),),
    ),
    "unfinished": Trouble(
        unfinished, DAY, DAY - SECOND, 6 * DAY, f"unfinished/{ORG}/InProgress/query/Case/005B",
        ("1 query job of Data Warehouse on Case is still InProgress, after 24 hours.",),
        ids=(job_id(1),), lower=({"unfinished_hours": 23.9},), higher=({"unfinished_hours": 24.1},),
    ),
    "allowance": Trouble(
        crowd, 80, 79, 120, f"allowance/{ORG}",
        (
            "80 of 100 V2 query jobs (80 %) were created in the 24 hours up to 2026-11-16 06:00 UTC",
            "most by: Data Warehouse on Order 60, Ada Lovelace on Account 20.",
        ),
        lower=({"allowance_percent": 79},), higher=({"allowance_percent": 80.5},),
    ),
    "api limit": Trouble(
        batches, 12_000, 11_999, 15_100, f"api limit/{ORG}/DailyBulkApiBatches/Order Sync",
        ("12,000 of 15,000 DailyBulkApiBatches of Order Sync (80 %) were used by 2026-11-16 06:00 UTC",),
        lower=({"api_percent": 79.9},), higher=({"api_percent": 80.1},),
    ),
    "api limit, by the answers": Trouble(
        calls, 12_000, 11_999, 15_000, f"api limit/{ORG}/DailyApiRequests/",
        ("12,000 of 15,000 DailyApiRequests (80 %) were used by 2026-11-16 06:00 UTC",),
    ),
    "unusual volume": Trouble(
        sundays, 60, 59, 90, f"unusual volume/{ORG}/query/2026-11-15",
        ("60 query jobs on Sunday, 15 November 2026, but that weekday usually has 40.",),
        lower=({"unusual_jobs": 19, "unusual_percent": 47},), higher=({"unusual_jobs": 21}, {"unusual_percent": 51}),
    ),
    "unusual volume, too low": Trouble(
        lambda count: sundays(count, **LOAD), 20, 21, 0, f"unusual volume/{ORG}/load/2026-11-15",
        ("20 load jobs on Sunday, 15 November 2026, but that weekday usually has 40.",),
    ),
    "details": Trouble(
        unanswered, DAY, DAY - SECOND, 6 * DAY, f"details/{ORG}/details",
        (
            "1 finished job has no details, since 2026-11-15 06:00 UTC: HTTP 500 UNKNOWN: no",
            "Salesforce forgets them from 2026-11-22 06:00 UTC on",
        ),
        ids=(job_id(1),),
    ),
    "rejected": Trouble(
        rejected, (DAY, DAY + SECOND), (DAY + SECOND, DAY + SECOND), (DAY, DAY), f"rejected/{ORG}/no id",
        ("1 listed record had no usable key and was set aside: no id.",),
    ),
}  # fmt: skip
EVERY_TROUBLE = pytest.mark.parametrize("kind", TROUBLES)


@EVERY_TROUBLE
def test_a_problem_is_reported_from_its_threshold_on(tmp_path: Path, kind: str) -> None:
    """Alone, with numbers, names and ids; one second, record or job less, and there is no finding. Settings change
    it."""
    trouble = TROUBLES[kind]
    at, below = (plant(tmp_path / f"{name}.duckdb", **NAMES | trouble.tables(name)) for name in ("at", "below"))
    (finding,) = check(at, Thresholds(), now=NOW)

    assert (finding.kind, finding.key, finding.ids) == (kind.partition(",")[0], trouble.key, trouble.ids)
    assert (finding.org_id, finding.org, finding.urgent) == (ORG, "Acme", False)
    for words in (f"{finding.kind.upper()} in Acme: ", *trouble.said, *trouble.ids, finding.remedy):
        assert words in str(finding)
    assert check(below, Thresholds(), now=NOW) == []
    for settings in trouble.lower:
        assert [findings.key for findings in check(below, Thresholds(**settings), now=NOW)] == [trouble.key]
    for settings in trouble.higher:
        assert check(at, Thresholds(**settings), now=NOW) == []


@EVERY_TROUBLE
def test_the_key_stays_the_same_as_long_as_the_problem(tmp_path: Path, kind: str) -> None:
    """A problem that gets worse has another message, but what is muted stays muted."""
    trouble = TROUBLES[kind]
    (finding,) = found(tmp_path, trouble.tables("worse"))

    assert finding.key == trouble.key
    assert kind == "hole" or trouble.said[0] not in finding.message


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (lost(1_251) | {"listings": listed(-6 * DAY)}, lost(1_251) | {"listings": listed(-6 * DAY - SECOND)}),
        (crowd(99, 95 * HOUR), crowd(99, 96 * HOUR)),  # whether in the 24 hours up to 72 hours ago, or not
        (batches(14_000, 3 * DAY), batches(14_000, 3 * DAY + SECOND)),
        (sundays(90), sundays(90, days_ago=2)),
    ],
    ids=["closed but failed", "allowance", "api limit", "unusual volume"],
)
def test_what_is_over_is_reported_for_a_few_days_only(tmp_path: Path, inside: Tables, outside: Tables) -> None:
    """A week for a load whose errors can still be downloaded, a weekend for a limit, a day for a volume."""
    assert len(found(tmp_path, inside)) == 1
    assert found(tmp_path, outside) == []


def test_a_limit_is_urgent_once_it_is_used_up(tmp_path: Path) -> None:
    """From then on Salesforce refuses requests."""
    for jobs, used, urgent in ((99, 14_999, False), (100, 15_000, True)):
        limits = crowd(jobs)["org_limits"] + batches(used)["org_limits"]
        findings = found(tmp_path, crowd(jobs) | {"org_limits": limits})
        assert [(finding.kind, finding.urgent) for finding in findings] == [
            ("allowance", urgent),
            ("api limit", urgent),
        ]
        assert [finding.heading for finding in findings] == ["Allowance", "API limit"]


def test_a_failing_series_is_reported_as_long_as_it_still_runs(tmp_path: Path) -> None:
    """A pause of more than a day and three usual pauses ends it; so does a success, but not an aborted job."""
    paces = {"nightly": (24, 72), "weekly": (168, 504), "hourly": (1, 24)}  # hours of a pause, and since the last run
    jobs = [
        {"object": name + more * " given up", "created_date": NOW - (silence + 0.1 * more + n * pause) * HOUR}
        for name, (pause, silence) in paces.items()
        for more in (0, 1)
        for n in range(3)
    ]
    jobs += [{"object": end, "created_date": NOW - n * HOUR} for end in ("JobComplete", "Aborted") for n in range(4)]
    jobs = [job | {"state": job["object"] if job["created_date"] == NOW else "Failed"} for job in jobs]

    assert {findings.key.split("/")[-2] for findings in found(tmp_path, {"query_jobs": jobs})} == {*paces, "Aborted"}


def test_a_closed_job_counts_as_unfinished_only_while_a_load_has_batches_to_come(tmp_path: Path) -> None:
    """A query's first batch may never be processed; and a job that is no longer listed is not waited for."""
    jobs = [LOAD | {"object": name, "created_date": NOW - 2 * DAY} for name in ("Lead", "Query", "Done", "Away")]
    jobs[1]["operation"] = "query"
    details = [{"id": job_id(n), "provisional": n != 3, "number_records_failed": 0} for n in (1, 2, 3, 4)]
    away = [{"id": job_id(4), "state": "Closed"}]
    (finding,) = found(tmp_path, {"query_jobs": jobs, "job_details": details, "unlisted_jobs": away})

    assert "on Lead was Closed with batches to come after 48 hours, when it was last asked: " in finding.message
    assert finding.ids == (job_id(1),)


def believable(dice: Random, until: datetime) -> Iterator[tuple[Row, Row]]:
    """Six weeks of jobs with their details: busy working days, quiet weekends, and everyday failures."""
    for day in range(43):
        midnight = until.replace(hour=0) - day * DAY
        weekend = midnight.weekday() > 4
        for n, name in enumerate(("Account", "Contact", "Lead", "Case", "Opportunity", "Task")):
            extract = {"object": name, "created_by_id": "005B", "created_date": midnight + HOUR + n * HOUR / 12}
            if dice.random() < 0.15:
                error = {"error_message": "Timeout : Query exceeded the time it may take"}
                yield extract | {"state": "Failed"}, error
                extract |= {"created_date": extract["created_date"] + HOUR / 2}
            yield extract, {"number_records_processed": dice.randrange(9_000)}
        for _ in range(int((8 if weekend else 90) * dice.uniform(0.8, 1.2))):
            at = midnight + dice.uniform(6, 20) * HOUR
            yield {"object": "Order", "created_date": at, "state": dice.choice(["JobComplete"] * 60 + ["Failed"])}, {}
        for _ in range(2 if weekend else 12):
            counts = {"number_records_processed": 900, "number_records_failed": dice.choice((0, 0, 0, 12, 899))}
            yield LOAD | {"created_date": midnight + dice.uniform(6, 18) * HOUR}, counts
        if not weekend:
            yield {"operation": "queryAll", "created_date": midnight + 9 * HOUR, "state": "Aborted"}, {}
    yield {"state": "InProgress", "created_date": until - 2 * HOUR}, {}
    to_come = {"provisional": True, "number_records_processed": 100, "number_records_failed": 0}
    yield LOAD | {"operation": "query", "created_date": until - 3 * DAY}, to_come
    yield LOAD | {"created_date": until - 5 * HOUR}, to_come


@pytest.mark.parametrize("days", [0, 2, 5])
def test_a_healthy_org_has_no_findings(tmp_path: Path, days: int) -> None:
    """On Mondays and Saturdays alike; single failures, partly failed loads, aborted and running jobs are normal."""
    until = NOW - days * DAY
    findings = [(job, row) for job, row in believable(Random(days), until) if job["created_date"] < until]
    jobs = [{"id": job_id(n), "observed_at": until - HOUR, **job} for n, (job, _) in enumerate(findings)]
    details = [{"id": job_id(n), "asked_at": until, **row} for n, (_, row) in enumerate(findings) if row]
    at = [until - n * DAY / 2 for n in range(84)]
    listings = [{"started_at": time, "api_usage": 9_000, "api_usage_max": 15_000} for time in at]
    limits = [limit("DailyBulkV2QueryJobs", 110, 1_000, asked_at=time) for time in at]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, job_details=details, listings=listings, org_limits=limits)

    assert check(file, Thresholds(), now=until + HOUR) == []
    outcomes = {outcome for (outcome,) in rows(file, "select distinct outcome from jobs")}
    assert outcomes == {"done", "failed", "partly failed", "aborted", "unfinished"}
    yesterday = f"select count(usual) from unusual_days where day = date '{until - DAY:%Y-%m-%d}'"
    assert rows(file, yesterday) == [(2,)]
