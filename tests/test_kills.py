"""Killed at any moment, a load costs nothing but itself."""

import os
import random
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from conftest import Recorder
from planted import spans_by_hand

from pipelines.demo_org.org import DemoOrg

HOUR = timedelta(hours=1)


def test_kill_9_at_any_moment_costs_nothing(
    org: DemoOrg, recorder: Recorder, record_property: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at random moments of loads; one quiet load later the warehouse equals the truth, without doubles."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__EXTRAS", "true")
    dice = random.Random(20261102)
    org.page_size = 40
    history: dict[tuple[str, str, str], object] = {}

    def note() -> None:
        for job in org.jobs.values():
            history.setdefault((job["id"], job["systemModstamp"], job["state"]), org.now)

    for _ in range(100):
        org.add_job()
    assert recorder.run().returncode == 0
    note()
    before = dict(recorder.rows("select id || state, observed_at from query_job_states"))
    kills = 0
    for _ in range(int(os.environ.get("KILLS", "14"))):
        org.advance(HOUR)
        for job in dice.sample(sorted(org.jobs), 30):
            org.move_job(job, dice.choice(["InProgress", "JobComplete", "Failed"]), stamp=dice.random() < 0.8)
        for _ in range(10):
            org.add_job()
        note()
        org.delete_job(dice.choice(sorted(org.jobs)))
        load = recorder.start()
        time.sleep(0.6 + dice.random() * 2)
        kills += load.poll() is None
        load.kill()
        load.communicate()
    org.advance(HOUR)
    final = recorder.run()

    assert final.returncode == 0, final.stderr
    stored_states = recorder.states()
    assert {job: stored_states[job] for job in org.jobs} == {job: record["state"] for job, record in org.jobs.items()}
    away = {job for (job,) in recorder.rows("select id from unlisted_jobs where listed_again_at is null")}
    assert away == stored_states.keys() - org.jobs.keys()
    finished = {job for job, state in stored_states.items() if state in ("JobComplete", "Failed")} - away
    asked = [job for (job,) in recorder.rows("select id from job_details")]
    assert len(asked) == len(set(asked))
    assert finished <= set(asked)
    spans = sorted(recorder.rows("select * from state_spans"), key=str)
    assert spans == spans_by_hand(recorder.rows("select * from query_job_states"))
    doubles = "select 1 from query_job_states group by org_id, id, system_modstamp, state having count(*) > 1"
    assert recorder.rows(doubles) == []
    assert recorder.rows("select 1 from listings group by listing_id having count(*) > 1") == []
    stored = recorder.rows(
        "select id, strftime(system_modstamp, '%Y-%m-%dT%H:%M:%S.000+0000'), state from query_job_states"
    )
    assert set(stored) <= set(history)
    now = dict(recorder.rows("select id || state, min(observed_at) from query_job_states group by 1"))
    assert before.items() <= now.items()
    record_property("kills", kills)
    assert kills >= 3
