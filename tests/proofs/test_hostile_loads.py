"""Fuzzed pages among good ones, through whole loads: what was good is kept, and no record wedges the loads after it."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hostile_records import broken, lost, pages
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from recorders import Recorder

from pipelines.answers.check import Thresholds, check
from pipelines.answers.report import write_report
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import unwrap_error
from pipelines.recording.records import NewFields, jobs_to_arrow
from pipelines.salesforce.json_answers import decoded
from pipelines.warehouse.schema import views

LISTING = r"/jobs/query$"
FUZZ = int(os.environ.get("FUZZ", "0"))
loads = settings(
    max_examples=FUZZ // 30 or 8,
    deadline=None,
    derandomize=settings.default.derandomize and not FUZZ,
    database=None,
    phases=[Phase.generate],  # every load builds on those before it: a smaller example would be another one
    suppress_health_check=list(HealthCheck),
)


def stored(recorder: Recorder) -> dict[str, dict[str, Any]]:
    """The rows of query_jobs by id."""
    with duckdb.connect(recorder.warehouse, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.sql("select * from salesforce.query_jobs").to_arrow_table().to_pylist()
    return {row["id"]: row for row in rows}


def see(recorder: Recorder, org: DemoOrg, page: bytes, status: int) -> bool:
    """A load whose second page is this one; whether it was loaded, which then is checked record by record."""
    org.fail_next(status, page, after=1, path=LISTING)
    org.advance(timedelta(hours=1))
    try:
        run = recorder.load()
    except Exception as error:
        said = str(unwrap_error(error))
        if said == "None":
            raise
        assert len(said) < 1_000
        assert all(c.isprintable() or c == "\n" for c in said)
        return False
    rows, listed = stored(recorder), decoded(page)["records"]
    assert run.snapshot.shown.jobs == 3 + len(listed)
    assert rows.keys() >= org.jobs.keys() - set(list(org.jobs)[3:])
    table, rejected = jobs_to_arrow(listed, org.org_id, NewFields())
    kept = {record for (record,) in recorder.rows("select record from rejected_records")}
    assert kept >= {one.record for one in rejected}
    keyed = {tuple(row.values()) for row in table.select(["id", "system_modstamp", "state"]).to_pylist()}
    history = set(recorder.rows("select id, system_modstamp, state from query_job_states"))
    assert keyed <= history
    last: dict[str, tuple[Any, Any]] = {}
    for record, row in zip((r for r in listed if not is_rejected(r, rejected)), table.to_pylist(), strict=True):
        if row["id"] not in last or last[row["id"]][1]["system_modstamp"] <= row["system_modstamp"]:
            last[row["id"]] = record, row
    for job, (record, row) in last.items():
        now = rows[job]
        assert now["system_modstamp"] >= row["system_modstamp"]
        if now["system_modstamp"] == row["system_modstamp"]:
            assert lost(record, now) == [], (record, now)
    return True


def is_rejected(record: Any, rejected: list[Any]) -> bool:
    text = json.dumps(record, sort_keys=True)
    return any(json.dumps(json.loads(one.record), sort_keys=True) == text for one in rejected)


@pytest.mark.slow
def test_fuzzed_pages_load_one_after_the_other(org: DemoOrg, recorder: Recorder, record_property: Callable) -> None:
    """Into one warehouse, which stays one: each load is the good load after a bad one."""
    org.page_size, org.order = 3, "oldest"
    for _ in range(5):
        org.add_job()
    loaded = []

    @loads
    @given(pages(most=25) | pages(most=25) | broken(), st.sampled_from([200, 200, 200, 400]))
    def load(page: bytes, status: int) -> None:
        loaded.append(see(recorder, org, page, status))

    load()
    record_property("loads", len(loaded))
    assert 0 < sum(loaded) < len(loaded)
    org.advance(timedelta(hours=1))
    recorder.load()
    assert_readable(recorder.warehouse)
    print(f"{len(loaded)} loads, {sum(loaded)} of them complete, {len(stored(recorder))} jobs")


def assert_readable(warehouse: Path) -> None:
    """Every view, the check and the report."""
    with duckdb.connect(warehouse, read_only=True) as connection:
        for name in views():
            connection.sql(f"select * from salesforce.{name}").to_arrow_table().to_pylist()
    check(warehouse, Thresholds())
    write_report(warehouse, warehouse.with_name("report.html"), 30)
