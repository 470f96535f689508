"""The source in a pipeline of dlt's own, as anybody would use it."""

from pathlib import Path

import dlt
import duckdb
from recorders import Recorder

from pipelines.config.credentials import SalesforceCredentials
from pipelines.demo_org.org import DemoOrg
from pipelines.recording.source import salesforce


def test_the_source_works_without_the_recorder(recorder: Recorder, org: DemoOrg, tmp_path: Path) -> None:
    """Jobs of both listings, merged by a second run, incremental on systemModstamp."""
    job, load = org.add_job(), org.add_job(jobType="V2Ingest")
    keys = {"instance_url": org.instance_url, "client_id": org.client_id, "client_secret": org.client_secret}
    credentials = SalesforceCredentials.from_init_value(keys)
    file = tmp_path / "plain.duckdb"
    for state in ("InProgress", "JobComplete"):
        org.move_job(job, state)
        pipeline = dlt.pipeline(
            "plain",
            destination=dlt.destinations.duckdb(str(file)),
            dataset_name="salesforce",
            pipelines_dir=str(tmp_path),
        )
        pipeline.run(salesforce(credentials, clock_tolerance_hours=0.0, feeds=["query", "ingest"]))
    with duckdb.connect(file) as connection:
        assert connection.execute("select id, state from salesforce.query_jobs").fetchall() == [(job, "JobComplete")]
        assert connection.execute("select id from salesforce.ingest_jobs").fetchall() == [(load,)]
        assert connection.execute("select count(*) from salesforce.listings").fetchall() == [(4,)]
        states = connection.execute(
            "select state from salesforce.query_job_states order by observed_at, state"
        ).fetchall()
    assert states == [("InProgress",), ("JobComplete",)]
    incremental = pipeline.state["sources"]["salesforce"]["resources"]["query_jobs"]["incremental"]
    assert incremental["system_modstamp"]["last_value"]
