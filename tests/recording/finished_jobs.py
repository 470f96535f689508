"""Finished jobs of a demo org, whose details a run fetches."""

from typing import Any

from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

PER_RUN = "QUERY_JOBS__DETAILS_PER_RUN"
ASYNC = "/services/async/"


def add(org: DemoOrg, count: int, **fields: Any) -> list[str]:
    return [org.add_job(**fields) for _ in range(count)]


def closed(org: DemoOrg, count: int) -> list[str]:
    counts = {
        "numberRecordsProcessed": 9,
        "numberRecordsFailed": 0,
        "numberBatchesTotal": 1,
        "numberBatchesCompleted": 1,
    }
    return add(org, count, jobType="Classic", operation="insert", state="Closed", **counts)


def answered(recorder: Recorder) -> set[str]:
    return {job for (job,) in recorder.rows("select id from job_details where outcome = 'answered'")}
