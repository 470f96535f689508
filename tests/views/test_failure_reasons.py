"""Why jobs fail, most frequent reason first: errors that differ only in a number or name are one reason."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted import DAY, HOUR, NOW, ORG, plant, rows, rows_elsewhere
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.recording.message_templates import message_template

ORGS = (ORG, "00DDm0000002000MAA")
USERS = {"005A": "Integration User", "005B": "Integration User", "005C": "Ada", "005D": None}
MESSAGES = (
    None,
    "",
    *(f"InvalidBatch : Timeout after {n} s" for n in range(9)),
    "InvalidBatch : InvalidBatch : Timeout after 4 s",
    "InvalidBatch : Field name not found : Email__c",
    "InvalidBatch : Field name not found : Phone__c",
    "TransientError : Timeout after 4 s",
    "No such column 'Taille'",
    "No such column 'Größe'",
)
Row = dict[str, Any]
REASON = ("org_id", "kind", "operation", "object", "created_by_id", "outcome", "error_code", "error_template")


def test_six_that_differ_in_a_number_outnumber_two_alike(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A series that times out after 300 s, 301 s and so on; and one that lacks a field, twice."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "50")
    timeouts = [org.add_job(state="Failed", object="Invoice__c", errorMessage=f"Timeout after {300 + n} s") for n in range(6)]  # fmt: skip
    for _ in range(2):
        org.add_job(state="Failed", object="Lead", errorMessage="InvalidBatch : Field name not found : Email")
    org.add_job(state="Failed", object="Lead")
    recorder.load()

    reasons = "select jobs, error_code, error_template, error, last_id from failure_reasons order by jobs desc"
    (most, second, third) = recorder.rows(reasons)
    assert most == (6, None, "Timeout after … s", "Timeout after 305 s", timeouts[-1])
    assert second[:4] == (2, "InvalidBatch", "InvalidBatch : Field name not found : Email", "Field name not found : Email")  # fmt: skip
    assert third[:4] == (1, None, None, None)
    assert recorder.rows("select id, error_template from jobs where error_template like 'Time%' order by 1") == [
        (job, "Timeout after … s") for job in timeouts
    ]
    assert recorder.rows("select count(*), min(created_date) from failures where error_template like '%…%'") == [(6, NOON)]  # fmt: skip


@pytest.fixture(scope="module", params=range(2))
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Failures and others, with ties, without dates, by namesakes and by users without a name."""
    dice = Random(request.param)
    jobs, details = [], []
    for n in range(900):
        job = {
            "org_id": dice.choice(ORGS),
            "id": f"750{dice.randrange(10**6):06}{n:06}AAA",
            "operation": dice.choice(("query", "insert", None)),
            "object": dice.choice(("Account", None)),
            "created_by_id": dice.choice((*USERS, None)),
            "created_date": dice.choice((None, NOW - dice.randrange(40) * HOUR)),
            "state": dice.choice(("Failed", "Failed", "JobComplete", "Aborted")),
        }
        message = dice.choice(MESSAGES) if job["state"] == "Failed" else None
        jobs.append(job)
        if dice.random() < 0.9:
            details.append(
                {k: job[k] for k in ("org_id", "id")}
                | {"number_records_failed": dice.choice((None, 0, 7)), "error_message": message}
                | {"error_template": None if message is None else message_template(message)}
            )
    users = [{"org_id": org, "id": user, "name": name} for org in ORGS for user, name in USERS.items()]
    file = tmp_path_factory.mktemp("reasons") / "w.duckdb"
    return plant(file, query_jobs=jobs, job_details=details, users=users)


def total(counts: Iterable[int | None]) -> int | None:
    expected = [count for count in counts if count is not None]
    return sum(expected) if expected else None


def test_failures_of_one_template_are_one_reason(planted: Path) -> None:
    """Counted by hand; the example is the newest, and neither nulls nor namesakes are mixed up."""
    shown = (*REASON, "created_by", "id", "created_date", "records_failed", "error")
    failures = [dict(zip(shown, row, strict=True)) for row in rows(planted, f"select {', '.join(shown)} from failures")]
    reasons: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for failure in failures:
        reasons[tuple(failure[name] for name in REASON)].append(failure)
    wanted = []
    for reason, group in reasons.items():
        last = max(group, key=lambda row: (row["created_date"] or datetime.min.replace(tzinfo=NOW.tzinfo), row["id"]))
        times = [row["created_date"] for row in group if row["created_date"]] or [None]
        found = {**dict(zip(REASON, reason, strict=True)), "created_by": last["created_by"], "error": last["error"]}
        found |= {"jobs": len(group), "records_failed": total(row["records_failed"] for row in group)}
        wanted.append(found | {"first_at": min(times), "last_at": max(times), "last_id": last["id"]})

    columns = list(wanted[0])
    found = rows(planted, f"select {', '.join(columns)} from failure_reasons")
    assert Counter(found) == Counter(tuple(row.values()) for row in wanted)
    assert len({row["error_template"] for row in wanted}) == 7
    assert len({row["created_by"] for row in wanted}) == 5  # two namesakes, Ada, one without a name, none


def test_the_readers_time_zone_does_not_matter(planted: Path) -> None:
    """Times are the same."""
    assert Counter(rows_elsewhere(planted, "failure_reasons")) == Counter(rows(planted, "from failure_reasons"))


def test_a_reason_over_years_is_one(tmp_path: Path) -> None:
    """Its last job is the last created, whatever its id."""
    jobs = [
        {"id": f"750{9 - n:015}", "state": "Failed", "created_date": NOW - n * DAY + timedelta(seconds=1)}
        for n in range(9)
    ]
    details = [{"id": job["id"], "error_message": job["id"], "error_template": "…"} for job in jobs]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, job_details=details)

    assert rows(file, "select jobs, last_id, error, last_at from failure_reasons") == [
        (9, jobs[0]["id"], jobs[0]["id"], NOW + timedelta(seconds=1))
    ]
