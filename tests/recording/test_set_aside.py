"""What does not fit into the file is set aside, and holds up nothing else."""

from datetime import timedelta

import duckdb
import pytest
from processes import holding
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

HOUR = timedelta(hours=1)


def test_a_listing_that_does_not_fit_is_set_aside_and_named(org: DemoOrg, recorder: Recorder) -> None:
    """Its column has become a number in the file. The listings before and after it are loaded, and nothing says that
    its own jobs are recorded."""
    recorder.load()
    org.advance(HOUR)
    before = org.add_job()
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
        org.delete_job(before)
        org.advance(HOUR)
        unfit = org.add_job(newField="text")
        later = org.add_job(state="JobComplete")
        assert recorder.run().returncode == 75
        org.delete_job(unfit)
        org.advance(HOUR)
        assert recorder.run().returncode == 75
    with duckdb.connect(recorder.primary_file) as primary:
        primary.execute("alter table salesforce.query_jobs add column new_field bigint")
    org.delete_job(later)
    org.advance(HOUR)
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert run.stderr.count("was moved to") == 1
    assert set(recorder.states()) == {before, later}
    assert recorder.rows("select jobs_listed from listings order by started_at") == [(0,), (1,), (1,), (0,)]


def test_details_that_do_not_fit_are_set_aside_and_their_listing_stays(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its jobs are recorded."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "9")
    org.add_job(state="JobComplete")
    recorder.load()
    with duckdb.connect(recorder.primary_file) as primary:
        primary.execute("alter table salesforce.job_details alter error_message type bigint")
    org.advance(HOUR)
    org.add_job(state="Failed", errorMessage="InvalidBatch : Field name not found : Foo__c")
    assert recorder.run().returncode == 70
    org.advance(HOUR)
    run = recorder.run()
    assert run.returncode == 70
    assert "was moved to" in run.stderr
    with duckdb.connect(recorder.primary_file) as primary:
        primary.execute("alter table salesforce.job_details alter error_message type varchar")
    org.advance(HOUR)
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert recorder.rows("select jobs_listed from listings order by started_at") == [(1,), (2,), (2,), (2,)]
