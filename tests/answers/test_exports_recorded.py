"""Thefts among an org's own life: recorded over HTTP, and distinguished from the demo org's ordinary days."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from check_rows import Tables
from planted import DAY, HOUR, plant
from recorders import Recorder

from pipelines.answers.check import Finding, Thresholds, check
from pipelines.demo.command import UNTIL
from pipelines.demo_org.cast import day_of
from pipelines.demo_org.org import DemoOrg

pytestmark = pytest.mark.slow_cases

MINUTE = timedelta(minutes=1)
STOLEN = ("Account", "Case", "Contact")


def exports(file: Path, now: datetime) -> list[Finding]:
    return [finding for finding in check(file, Thresholds(), now=now) if finding.kind == "unusual export"]


def lived(seed: int, until: datetime, days: int = 24) -> Tables:
    """The queries of so many days of the demo org's life, each listed on the hour, and counted unless its user deletes
    it: more than the demo records of them."""
    jobs: list[dict[str, Any]] = []
    details, away = [], []
    today = until.date() - datetime(1970, 1, 1, tzinfo=UTC).date()
    for day in range(today.days - days, today.days):
        for plan in day_of(day, seed, int(UNTIL.timestamp())):
            if plan.fields.get("operation", "query") not in ("query", "queryAll"):
                continue
            created = datetime.fromtimestamp(plan.at, UTC)
            ended = created + plan.moves[-1].after * timedelta(seconds=1)
            shown, job = ended.replace(minute=0, second=0) + HOUR, f"750{len(jobs):012}AAA"
            if plan.deleted_after:
                shown = (created + plan.deleted_after * timedelta(seconds=1)).replace(minute=0, second=0)
                if shown < created:
                    continue  # no listing ever showed it
                away.append({"id": job, "last_listed_at": shown, "unlisted_at": shown + HOUR})
            jobs.append({
                "id": job, "object": plan.fields["object"], "created_by_id": plan.user, "created_date": created,
                "operation": plan.fields.get("operation", "query"), "system_modstamp": min(ended, shown),
                "state": plan.moves[-1].state, "observed_at": shown,
            })  # fmt: skip
            records = plan.moves[-1].details.get("numberRecordsProcessed")
            if records is not None and not plan.deleted_after:
                details.append({"id": job, "number_records_processed": records})
    listings = [{"started_at": until - n * HOUR} for n in range(days * 24)]
    return {"query_jobs": jobs, "job_details": details, "unlisted_jobs": away, "listings": listings}


@pytest.mark.parametrize(("seed", "weeks"), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 2)])
def test_the_demo_orgs_ordinary_days_are_silent(tmp_path: Path, seed: int, weeks: int) -> None:
    """A person who exports what she likes, a newcomer with a large object, an integration that deletes all its jobs;
    among them, a theft is found."""
    until = UNTIL - weeks * 7 * DAY
    tables = lived(seed, until)
    assert exports(plant(tmp_path / "ordinary.duckdb", **tables), until) == []

    for n, name in enumerate(STOLEN):
        at = until - 20 * HOUR + n * MINUTE
        job = {"id": f"750T{n:011}AAA", "object": name, "created_by_id": "A thief", "created_date": at}
        tables["query_jobs"].append(job | {"observed_at": at + HOUR})
        tables["unlisted_jobs"].append({"id": job["id"], "last_listed_at": at + HOUR, "unlisted_at": at + 2 * HOUR})
    (finding,) = exports(plant(tmp_path / "theft.duckdb", **tables), until)
    assert finding.urgent
    assert finding.numbers["objects"] == list(STOLEN)


@pytest.mark.parametrize("seen", ["finished", "running"])
def test_a_theft_is_found_in_what_an_org_lists(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    """Three queries of a new user, deleted five minutes after they ended. If a listing came in these five minutes, their
    rows are counted; if it came while they ran, their number stays unknown. It is the only finding."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "100")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    usual, thief = org.add_user("Data Warehouse", "warehouse@example.com"), org.add_user("Eve", "eve@example.com")

    def query(user: str, name: str) -> str:
        return org.add_job(object=name, createdById=user, state="InProgress")

    def finish(*jobs: str, records: int) -> None:
        for job in jobs:
            org.move_job(job, "JobComplete", numberRecordsProcessed=records)

    for pause in (timedelta(days=6, hours=12), timedelta(days=1), 30 * MINUTE):
        night = [query(usual, name) for name in STOLEN]
        org.advance(5 * MINUTE)
        finish(*night, records=9_000)
        recorder.load()
        org.advance(pause)
    assert check(recorder.warehouse, Thresholds(), now=org.now) == []

    jobs = [query(thief, name) for name in STOLEN]
    if seen == "running":
        recorder.load()
    org.advance(20 * MINUTE)
    finish(*jobs, records=1_300_000)
    org.advance(2 * MINUTE)
    if seen == "finished":
        recorder.load()
    org.advance(3 * MINUTE)
    for job in jobs:
        org.delete_job(job)
    org.advance(30 * MINUTE)
    recorder.load()

    (finding,) = check(recorder.warehouse, Thresholds(), now=org.now)
    rows = "3,900,000 rows" if seen == "finished" else "an unknown number of rows"
    assert (finding.kind, finding.urgent) == ("unusual export", True)
    assert finding.message.startswith(f"Eve read {rows} of Account, Case and Contact by 3 bulk queries on Tuesday, ")
    assert f"All 3 jobs were deleted soon after, the last by {org.now:%Y-%m-%d %H:%M} UTC." in finding.message
    assert finding.ids == tuple(jobs)
