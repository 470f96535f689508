"""Why the records of Classic loads failed, batch by batch."""

from datetime import timedelta
from typing import Any

import pytest
from demo_org_client import FIXTURES
from failed_loads import MISSING, answer, classic_load_of, counts, outcomes, record_errors, result_calls
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

MINUTE = timedelta(minutes=1)
NAMESPACE = 'xmlns="http://www.force.com/2009/06/asyncapi/dataload"'


@pytest.fixture(autouse=True)
def errors_are_recorded(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    record_errors(monkeypatch)


def batch(job: str, number: int, state: str = "Completed", failed: int = 0, said: str | None = None) -> dict[str, Any]:
    about = {"id": f"751Dm{number:010}", "jobId": job, "state": state, "createdDate": "2026-11-02T11:00:00.000+0000", "systemModstamp": "2026-11-02T11:01:00.000+0000"}  # fmt: skip
    counted = {"numberRecordsProcessed": 5, "numberRecordsFailed": failed, "totalProcessingTime": 70}
    return about | counted | ({"stateMessage": said} if said else {})


def as_xml(batches: list[dict[str, Any]]) -> str:
    inner = "".join(f"<batchInfo>{''.join(f'<{k}>{v}</{k}>' for k, v in one.items())}</batchInfo>" for one in batches)
    return f'<?xml version="1.0" encoding="UTF-8"?><batchInfoList {NAMESPACE}>{inner}</batchInfoList>'


RESULTS = {
    "CSV": '"Id","Success","Created","Error"\n"001","true","false",""\n"","false","false","' + f'{MISSING}"\n',
    "JSON": (FIXTURES / "c_result_60_json_null_id.json").read_text(),
    "XML": (FIXTURES / "c_result_59_two_errors.xml").read_text(),
}


@pytest.mark.parametrize("form", ["CSV", "JSON", "XML"])
def test_batches_of_a_classic_load_are_read_if_they_have_failures(org: DemoOrg, recorder: Recorder, form: str) -> None:
    job = classic_load_of(org, failed=1, failed_batches=1, contentType=form)
    failed = "InvalidBatch : Field name not found : Foo__c"
    batches = [
        batch(job, 1),
        batch(job, 2, failed=1),
        batch(job, 3, "Failed", said=failed),
        batch(job, 4, "NotProcessed"),
    ]
    answer(org, "/batch", {"batchInfo": batches} if form == "JSON" else as_xml(batches))
    answer(org, "/result", RESULTS[form])
    recorder.load()

    assert [call.partition("/")[0] for call in result_calls(org)] == [job, job]
    assert result_calls(org)[1].startswith(f"{job}/batch/751Dm0000000002")
    rows = recorder.rows(
        "select level, error_code, message, records, further_records, batches from record_errors order by level, records desc"
    )
    code, further = ("INVALID_FIELD_FOR_INSERT_UPDATE", 1) if form == "XML" else ("REQUIRED_FIELD_MISSING", 0)
    assert rows[0] == ("batch", "InvalidBatch", "Field name not found : Foo__c", None, None, 1)
    assert [(row[0], row[1], row[3], row[4]) for row in rows[1:]] == (
        [("record", code, 1, 0), ("record", code, 0, further)] if further else [("record", code, 1, 0)]
    )
    assert recorder.rows(
        "select length(id), state, message, number_records_failed, job_id from job_batches order by id"
    ) == [
        (18, "Completed", None, 0, job),
        (18, "Completed", None, 1, job),
        (18, "Failed", "InvalidBatch: Field name not found : Foo__c", 0, job),
        (18, "NotProcessed", None, 0, job),
    ]
    assert outcomes(recorder) == {job: "read"}


def test_a_load_that_still_runs_is_read_later(org: DemoOrg, recorder: Recorder) -> None:
    job = classic_load_of(org, numberBatchesCompleted=1, numberBatchesQueued=2)
    recorder.load()
    assert result_calls(org) == []

    org.edit_job(job, numberBatchesCompleted=3, numberBatchesQueued=0)
    answer(org, "/batch", {"batchInfo": [batch(job, 1, failed=1)]})
    answer(org, "/result", RESULTS["CSV"])
    org.advance(timedelta(hours=3))
    recorder.load()
    assert counts(recorder) == {job: {"REQUIRED_FIELD_MISSING": 1}}


def test_batches_of_a_load_that_was_aborted_are_recorded(org: DemoOrg, recorder: Recorder) -> None:
    """Those that never ran say why, and how many records that concerns is not known."""
    job = org.add_job(
        jobType="Classic", operation="insert", state="Aborted", numberBatchesTotal=2, numberBatchesCompleted=1
    )
    answer(org, "/batch", {"batchInfo": [batch(job, 1), batch(job, 2, "NotProcessed", said="Records not processed")]})
    recorder.load()
    assert recorder.rows("select state, message from job_batches order by id") == [
        ("Completed", None), ("NotProcessed", "Records not processed"),
    ]  # fmt: skip
    assert result_calls(org) == [f"{job}/batch"]


FOREIGN_FIELD = "InvalidBatch : Field name not found : Foo__c"


def failed_load_of(org: DemoOrg, batches: int) -> str:
    """Each batch failed as a whole."""
    job = classic_load_of(
        org,
        0,
        batches,
        state="Failed",
        errorMessage=FOREIGN_FIELD,
        numberBatchesTotal=batches,
        numberBatchesCompleted=0,
    )
    failed = [batch(job, number, "Failed", said=FOREIGN_FIELD) for number in range(batches)]
    answer(org, "/batch", {"batchInfo": failed}, times=9)
    return job


@pytest.mark.parametrize("is_back", [True, False])
def test_a_failed_load_waits_for_a_classic_api_that_is_off(org: DemoOrg, recorder: Recorder, is_back: bool) -> None:
    """It may have batches that say more; after three tries, the job's own text has to do."""
    org.classic_api = False
    job = failed_load_of(org, 2)
    levels = []
    for _ in range(3):
        recorder.load()
        levels.append(recorder.rows("select level, error_code from record_errors"))
        org.classic_api = is_back
        org.advance(timedelta(hours=1))
    own, of_batches = [("job", "InvalidBatch")], [("batch", "InvalidBatch")]
    assert levels == ([[], of_batches, of_batches] if is_back else [[], [], own])
    assert len(recorder.rows(f"from job_batches where job_id = '{job}'")) == 2 * is_back


def test_only_batches_with_failed_records_cost_a_call(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__SALESFORCE__API_BUDGET_PERCENT", "100")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["ingest"]')
    failed_load_of(org, 20)
    org.daily_api_requests = 20
    recorder.load()
    assert recorder.rows("select error_code, batches from record_errors") == [("InvalidBatch", 20)]
