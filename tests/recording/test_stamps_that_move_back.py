"""A job whose systemModstamp moves back: the newest listing decides what is current, the history keeps both."""

from datetime import timedelta
from typing import Any

import pytest
from planted import spans_by_hand
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.recording import snapshot as listed_jobs

HOUR = timedelta(hours=1)
LISTING = r"/jobs/query$"


def test_the_current_row_is_what_the_newest_listing_shows(org: DemoOrg, recorder: Recorder) -> None:
    """And nothing changes as long as it shows the same."""
    job = org.add_job()
    org.advance(HOUR)
    org.move_job(job, "InProgress")
    runs = [recorder.load()]
    for _ in range(3):
        org.advance(HOUR)
        org.move_job(job, "JobComplete", stamp=NOON + HOUR / 2)
        runs.append(recorder.load())

    assert recorder.states() == {job: "JobComplete"}
    assert [run.snapshot.jobs_changed for run in runs] == [1, 1, 0, 0]
    assert recorder.history(job) == ["InProgress", "JobComplete"]
    assert recorder.rows("select state, entered_at, left_at, seconds from state_spans order by nth") == [
        ("InProgress", NOON + HOUR, NOON + 2 * HOUR, 3_600),
        ("JobComplete", NOON + 2 * HOUR, None, None),
    ]
    assert recorder.rows("select ended_by, by_stamp from job_lifetimes") == [(NOON + 2 * HOUR, False)]
    assert recorder.rows("select event, source from job_timeline where event in ('InProgress', 'JobComplete')") == [
        ("InProgress", "systemModstamp"),
        ("JobComplete", "listing"),
    ]


@pytest.mark.slow
def test_a_state_that_comes_back_is_current_again(org: DemoOrg, recorder: Recorder) -> None:
    """With the very same stamp as before: observed_at is the first time, current_since the listing that showed it
    again."""
    job = org.add_job(state="InProgress", systemModstamp=NOON)
    changed = []
    for state, stamp in (
        ("InProgress", NOON),
        ("JobComplete", NOON - HOUR),
        ("InProgress", NOON),
        ("InProgress", NOON),
    ):
        org.move_job(job, state, stamp=stamp)
        changed.append(recorder.load().snapshot.jobs_changed)
        org.advance(HOUR)

    assert changed == [1, 1, 1, 0]
    current = "select state, system_modstamp, observed_at, current_since from query_jobs"
    assert recorder.rows(current) == [("InProgress", NOON, NOON, NOON + 2 * HOUR)]
    assert recorder.history(job) == ["InProgress", "JobComplete"]


@pytest.mark.slow
def test_a_kept_listing_that_is_loaded_late_overrides_nothing(org: DemoOrg, recorder: Recorder) -> None:
    """Even if its stamp is the newest and the job is no longer listed: a later listing showed another state."""
    job = org.add_job(state="UploadComplete")
    recorder.load()
    org.advance(HOUR)
    org.move_job(job, "InProgress")
    with holding(recorder.primary_file, read_only=True):
        assert recorder.run().returncode == 75
    kept = recorder.state_folder / "kept"
    kept.rename(recorder.home / "aside")
    org.advance(HOUR)
    org.move_job(job, "Failed", stamp=NOON)
    recorder.load()
    (recorder.home / "aside").rename(kept)
    org.delete_job(job)
    org.advance(HOUR)
    recorder.load()

    assert recorder.states() == {job: "Failed"}
    assert recorder.history(job) == ["UploadComplete", "InProgress", "Failed"]
    assert sorted(recorder.rows("select * from state_spans"), key=str) == spans_by_hand(
        recorder.rows("select * from query_job_states")
    )


@pytest.mark.parametrize("at_once", [listed_jobs.BYTES_KEPT, 0])
def test_if_a_listing_shows_a_job_twice_the_later_row_is_kept(
    org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Whatever the stamps, and even if dlt got the earlier one long before."""
    monkeypatch.setattr(listed_jobs, "BYTES_KEPT", at_once)
    monkeypatch.setattr(listed_jobs, "PAGES_AT_ONCE", 1)
    later, earlier = (shown(org, org.add_job(), state=state, stamp=stamp) for state, stamp in
                      (("JobComplete", "2026-11-02T11:00:00.000+0000"), ("InProgress", "2026-11-02T12:00:00.000+0000")))  # fmt: skip
    later["id"] = earlier["id"]
    for number in range(2):
        first = {"done": False, "nextRecordsUrl": "/x?queryLocator=y", "records": [earlier, shown(org, org.add_job())]}
        org.fail_next(200, first, path=LISTING)
        org.fail_next(200, {"done": True, "records": [later]}, path=LISTING)
        recorder.load()
        org.advance(HOUR)

        assert recorder.rows(f"select state from query_jobs where id = '{later['id']}'") == [("JobComplete",)], number
    assert sorted(recorder.history(later["id"])) == ["InProgress", "JobComplete"]


def shown(org: DemoOrg, job: str, **fields: Any) -> dict[str, Any]:
    """A job's record in a listing, as a copy."""
    record = {**org.job(job)}
    if "stamp" in fields:
        record["systemModstamp"] = fields.pop("stamp")
    return record | fields
