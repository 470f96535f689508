"""`job_details.error_template` of rows recorded without one, or with another version's template."""

from datetime import timedelta

import duckdb
import pytest
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.recording import error_templates
from pipelines.tables import DATASET

TEMPLATES = "select error_message, error_template from job_details order by id"
DEFINITION = f"{DATASET}.{error_templates.DEFINED}()"


@pytest.fixture(autouse=True)
def recorded(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two failures, an answer without an error, and the file as this version leaves it."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "50")
    org.add_job(state="Failed", errorMessage="Timeout after 300 s")
    org.add_job(state="Failed", errorMessage="Timeout after 301 s")
    org.add_job(state="JobComplete")
    recorder.load()


WANTED = [("Timeout after 300 s", "Timeout after … s"), ("Timeout after 301 s", "Timeout after … s"), (None, None)]


def edit(recorder: Recorder, sql: str) -> None:
    with duckdb.connect(recorder.primary_file) as file:
        file.execute(sql)


def test_an_answer_gets_its_template_immediately(recorder: Recorder) -> None:
    """And none if there was no error."""
    assert recorder.rows(TEMPLATES) == WANTED


@pytest.mark.slow
def test_a_recording_without_templates_gets_them_with_the_next_load(org: DemoOrg, recorder: Recorder) -> None:
    """However old its rows are; the file has neither the column nor the definition."""
    edit(recorder, f"alter table {DATASET}.job_details drop column error_template; drop macro {DEFINITION[:-2]}")
    org.advance(timedelta(days=400))
    recorder.load()

    assert recorder.rows(TEMPLATES) == WANTED


@pytest.mark.slow
def test_a_changed_definition_replaces_all_templates(org: DemoOrg, recorder: Recorder) -> None:
    """Once; then they stay unchanged."""
    edit(
        recorder,
        f"create or replace macro {DEFINITION} as 'an earlier one'; "
        f"update {DATASET}.job_details set error_template = 'by an earlier one' where id is not null",
    )
    org.advance(timedelta(days=400))
    recorder.load()
    assert recorder.rows(TEMPLATES) == WANTED

    edit(recorder, f"update {DATASET}.job_details set error_template = 'stays' where error_template is not null")
    recorder.load()
    assert recorder.rows("select distinct error_template from job_details order by 1") == [("stays",), (None,)]


@pytest.mark.slow
def test_rows_that_an_earlier_version_added_since_get_templates(org: DemoOrg, recorder: Recorder) -> None:
    """It loaded into this version's file: recently, or a listing that had been kept for long."""
    edit(recorder, f"update {DATASET}.job_details set error_template = null")
    org.advance(timedelta(days=59))
    recorder.load()
    assert recorder.rows(TEMPLATES) == WANTED

    edit(recorder, f"update {DATASET}.job_details set error_template = null")
    org.advance(timedelta(days=400))
    with holding(recorder.primary_file, read_only=True):
        assert recorder.run().returncode == 75
    assert recorder.rows(TEMPLATES, recorder.primary_file) == [(message, None) for message, _ in WANTED]
    recorder.load()
    assert recorder.rows(TEMPLATES) == WANTED


@pytest.mark.slow
def test_more_messages_than_fit_into_memory_at_once(org: DemoOrg, recorder: Recorder) -> None:
    """All distinct."""
    edit(
        recorder,
        f"insert into {DATASET}.job_details by name select org_id, '750' || n as id, asked_at, outcome, attempts, "
        "listed_state, listed_modstamp, 'Timeout after ' || n || ' s' as error_message "
        f"from (from {DATASET}.job_details limit 1), range(60_000) as numbers(n)",
    )
    org.advance(timedelta(hours=1))
    recorder.load()

    counted = "select error_template, count(*), max(asked_at) from job_details group by 1 order by 2"
    assert recorder.rows(counted) == [(None, 1, NOON), ("Timeout after … s", 60_002, NOON)]


def test_an_earlier_answer_keeps_its_message_and_template(org: DemoOrg, recorder: Recorder) -> None:
    """A later call that is refused removes neither."""
    job = next(job for job, row in org.jobs.items() if row["state"] == "Failed")
    org.advance(timedelta(hours=1))
    org.move_job(job, "Failed")
    org.fail_next(500, [{"errorCode": "UNKNOWN", "message": "No."}], path=f"/jobs/query/{job}")
    recorder.load()

    asked = f"select attempts, error is not null, error_template from job_details where id = '{job}'"
    assert recorder.rows(asked) == [(2, True, "Timeout after … s")]
