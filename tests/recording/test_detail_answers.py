"""Answers about single jobs, in JSON and XML, and where each job's resource is."""

from datetime import timedelta
from typing import Any

import pytest
from demo_org_client import FIXTURES, recorded
from finished_jobs import ASYNC, PER_RUN, closed
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def details_are_on(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PER_RUN, "500")


def test_an_answer_about_another_job_changes_nothing(org: DemoOrg, recorder: Recorder) -> None:
    """Even if the job was answered before."""
    job = org.add_job(
        jobType="Classic", operation="insert", state="Closed", numberBatchesTotal=2, numberBatchesCompleted=1,
        numberBatchesInProgress=1, numberRecordsProcessed=5,
    )  # fmt: skip
    org.advance(timedelta(minutes=1))
    recorder.load()
    org.advance(HOUR)
    other = {"id": "750000000000001AAA", "state": "Failed", "numberRecordsProcessed": 7, "errorMessage": "not ours"}
    org.fail_next(200, other, path="/jobs/query/")
    recorder.load()

    columns = "outcome, state, number_records_processed, error_message, attempts"
    assert recorder.details(columns) == {job: ["answered", "Closed", 5, None, 2]}


def test_an_id_of_fifteen_characters_is_the_same_job(org: DemoOrg, recorder: Recorder) -> None:
    """In either API's answer; an id that differs only in case belongs to another job."""
    job, odd = org.add_job(state="JobComplete"), org.add_job(state="JobComplete")
    org.fail_next(200, {"id": job[:15], "numberRecordsProcessed": 7}, path=f"/jobs/query/{job}")
    org.fail_next(200, {"id": odd[:15].swapcase(), "numberRecordsProcessed": 7}, path=f"/jobs/query/{odd}")
    recorder.load()

    assert recorder.details() == {job: ["answered", 7, None], odd: ["refused", None, None]}


@pytest.mark.parametrize(
    ("batches", "provisional"),
    [
        ({"numberBatchesTotal": 4, "numberBatchesCompleted": 3}, False),  # the original batch of a PK-chunked query
        ({"numberBatchesTotal": 4, "numberBatchesCompleted": 3, "numberBatchesQueued": 1}, True),
        ({"numberBatchesTotal": 4, "numberBatchesCompleted": 3, "numberBatchesInProgress": 1}, True),
        ({"numberBatchesTotal": 4, "numberBatchesCompleted": 3, "numberBatchesQueued": ...}, True),
        ({"numberBatchesTotal": 4, "numberBatchesCompleted": ..., "numberBatchesQueued": ...}, None),
    ],
)
def test_a_closed_job_is_done_when_nothing_is_queued_or_running(
    org: DemoOrg, recorder: Recorder, batches: dict[str, Any], provisional: bool | None
) -> None:
    job = org.add_job(jobType="Classic", state="Closed", **batches)
    recorder.load()
    assert recorder.details("provisional") == {job: [provisional]}


# --- the Classic API's XML ---


def test_xml_is_read_like_json(org: DemoOrg, recorder: Recorder) -> None:
    """The documented answer for a CSV job: 251 of 251 records failed."""
    job = org.add_job(id="750R00000000001AAA", jobType="Classic", operation="insert", object="Lead", state="Closed")
    org.fail_next(200, (FIXTURES / "c_one_61_doc_csv.xml").read_bytes(), path=ASYNC)
    recorder.load()

    columns = "number_records_processed, number_records_failed, number_batches_total, retries, provisional, error"
    assert recorder.details(columns) == {job: [251, 251, 1, 0, False, None]}
    assert recorder.rows("select outcome from jobs") == [("every record failed",)]


@pytest.mark.parametrize("form", ["content type", "asked"])
@pytest.mark.parametrize("content", ["CSV", "XML", "JSON"])
def test_both_formats_of_the_demo_orgs_answer_are_read(
    org: DemoOrg, recorder: Recorder, form: Any, content: str
) -> None:
    """The documented and the recorded one."""
    org.async_form = form
    counts = {
        "numberRecordsProcessed": 4,
        "numberRecordsFailed": 3,
        "numberBatchesTotal": 1,
        "numberBatchesCompleted": 1,
    }
    job = org.add_job(jobType="Classic", operation="insert", state="Closed", contentType=content, **counts)
    recorder.load()

    assert recorder.details() == {job: ["answered", 4, 3]}


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE jobInfo [<!ENTITY a "750">]><jobInfo><id>&a;</id></jobInfo>',
        '<!DOCTYPE jobInfo [<!ENTITY a SYSTEM "file:///etc/passwd">]><jobInfo><id>JOB</id><x>&a;</x></jobInfo>',
        '<!DOCTYPE jobInfo SYSTEM "http://127.0.0.1:9/x.dtd"><jobInfo><id>JOB</id></jobInfo>',
        "<a>" * 10_000,
        "<jobInfo><id>JOB</id><id>750000000000001AAA</id></jobInfo>",
        "<jobInfo><id>750000000000001AAA</id><numberRecordsFailed>1</numberRecordsFailed></jobInfo>",
        '<?xml version="1.0" encoding="none"?><jobInfo><id>JOB</id></jobInfo>',
        "<jobInfo><id>JOB</id><numberRecordsFailed>1</jobInfo>",
        f"<jobInfo><id>JOB</id><x>{'x' * 70_000}</x></jobInfo>",
    ],
)
def test_xml_unlike_salesforces_is_rejected(org: DemoOrg, recorder: Recorder, xml: str) -> None:
    """Entities above all: nothing is fetched or expanded, and only this job's counts are lost."""
    (job,) = closed(org, 1)
    org.fail_next(200, xml.replace("JOB", job), path=ASYNC)
    recorder.load()

    ((outcome, failed, error),) = recorder.details("outcome, number_records_failed, error").values()
    assert (outcome, failed) == ("answered", None)
    assert error.startswith("Classic API: ")


# --- where a job's resource is ---


@pytest.mark.parametrize("kind", ["V2Ingest", "BigObjectIngest"])
def test_details_of_a_listed_load_are_requested_under_ingest(org: DemoOrg, recorder: Recorder, kind: str) -> None:
    """It is not at jobs/query/{id}."""
    org.lists_loads = True
    job = org.add_job(
        jobType=kind, operation="upsert", state="JobComplete", numberRecordsProcessed=8, numberRecordsFailed=8
    )
    recorder.load()

    assert recorder.details() == {job: ["answered", 8, 8]}
    assert any(request.path.endswith(f"/jobs/ingest/{job}") for request in org.requests)


def test_a_job_that_was_just_listed_is_never_gone(org: DemoOrg, recorder: Recorder) -> None:
    """Nor a job that 0.1.0 recorded as gone: it is requested again. A deleted one is not."""
    job, deleted = org.add_job(state="JobComplete"), org.add_job(state="JobComplete")
    org.fail_next(404, recorded("e_33_not_found"), path="/jobs/query/", times=2)
    recorder.load()
    assert recorder.details("outcome, attempts") == {job: ["refused", 1], deleted: ["refused", 1]}

    org.delete_job(deleted)
    org.advance(HOUR)
    recorder.load()
    assert recorder.details("outcome, attempts") == {job: ["answered", 2], deleted: ["refused", 1]}
