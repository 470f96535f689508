"""`demo --fleet`: three orgs in one warehouse, one of which goes silent."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipelines.config.project import PROJECT


@pytest.fixture(scope="session")
def demo_fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Its warehouse after six days, and what it printed."""
    home = tmp_path_factory.mktemp("demo-fleet")
    command = [sys.executable, "-m", "pipelines.query_jobs", "demo", "--fleet", "--days", "6", "--home", str(home)]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    return home / "warehouse.duckdb", run.stdout


def test_what_it_prints(demo_fleet: tuple[Path, str]) -> None:
    said = demo_fleet[1]
    last = said.split("loads printed:\n")[1].splitlines()
    assert [line.split(":")[0].strip() for line in last[:3]] == ["production", "uat", "emea"]
    assert "emea: Salesforce refused the sign-in (invalid_client" in said
    assert last[3].startswith("  2 of 3 orgs recorded · 1 failed · ")


def test_what_it_records(demo_fleet: tuple[Path, str]) -> None:
    with duckdb.connect(demo_fleet[0], read_only=True) as warehouse:
        rows = warehouse.execute(
            "select configured_name, name, is_sandbox, left_settings_at, count(distinct started_at::date) "
            "from salesforce.orgs join salesforce.listings using (org_id) group by all order by 1"
        ).fetchall()
        spans, states = warehouse.execute(
            "select (select count(*) from salesforce.state_spans), (select count(*) from salesforce.query_job_states) "
            "+ (select count(*) from salesforce.ingest_job_states)"
        ).fetchall()[0]
    days = {name: rest for name, *rest in rows}
    assert days["production"][:3] == ["Demo Org", False, None]
    assert days["uat"][:3] == ["Demo Org", True, None]
    assert days["emea"][:3] == ["Demo Org EMEA", False, None]
    assert days["emea"][3] < days["uat"][3] == days["production"][3]
    assert spans == states
