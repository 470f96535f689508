"""Jobs that both listings of an org show: what each shows, and where a recorder has them."""

from datetime import timedelta
from typing import Any

from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

HOUR = timedelta(hours=1)
FORBIDDEN = [{"errorCode": "API_DISABLED_FOR_ORG", "message": "not enabled"}]
STAMP = "2026-11-02T11:00:00.000Z"
BOTH, QUERY, INGEST = '["query", "ingest"]', '["query"]', '["ingest"]'
ID = "750Dm0000000001MAA"


def record(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id, "operation": "insert", "object": "Account", "createdById": "005Dm0000000001MAA", "createdDate": STAMP,
        "systemModstamp": STAMP, "state": "InProgress", **fields,
    }  # fmt: skip


def show(org: DemoOrg, feed: str, *records: Any) -> None:
    """What the feed's next listing shows."""
    org.fail_next(200, {"done": True, "records": list(records), "nextRecordsUrl": None}, path=f"/jobs/{feed}$")


def places(recorder: Recorder) -> dict[str, str]:
    """job -> the feed it stands in. Also checks that it stands in that one alone, with all of its states."""
    rows = recorder.rows("select id, 'query' from query_jobs union all select id, 'ingest' from ingest_jobs")
    assert len({job for job, _ in rows}) == len(rows), rows
    of_states = recorder.rows(
        "select id, 'query' from query_job_states union select id, 'ingest' from ingest_job_states"
    )
    assert sorted(of_states) == sorted(rows)
    assert sorted(set(recorder.rows("select id, feed from state_spans"))) == sorted(rows)
    assert (
        recorder.rows("select id from unlisted_jobs where listed_again_at is null group by all having count(*) > 1")
        == []
    )
    return dict(rows)


def states(recorder: Recorder, job: str) -> list[str]:
    return [
        state
        for (state,) in recorder.rows(
            f"select state from (from query_job_states union all from ingest_job_states) where id = '{job}' "
            "order by observed_at, system_modstamp"
        )
    ]
