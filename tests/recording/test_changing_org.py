"""An org that changes while it is listed, in every way that can be drawn."""

import uuid
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorders import NOON

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


Change = st.tuples(
    st.integers(0, 24),
    st.sampled_from(["InProgress", "JobComplete", "Failed", "Aborted", "Closed"]),
    st.sampled_from(["moves", "stands still", "late"]),
)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(Change, max_size=8),
    during=st.lists(st.tuples(st.integers(1, 5), Change), max_size=12),
    paging=st.sampled_from(["snapshot", "live"]),
    order=st.sampled_from(["shuffled", "newest", "oldest"]),
)
def test_after_one_quiet_run_the_warehouse_is_what_the_org_lists(recorder_of, before, during, paging, order) -> None:
    """Whatever changes before and while a listing is read, in whatever order it is read."""
    demo_org = DemoOrg(now=NOON, page_size=5, paging=paging, order=order)
    with serving(demo_org):
        recorder = recorder_of(demo_org, str(uuid.uuid4()))
        jobs = [demo_org.add_job() for _ in range(25)]

        def change(number: int, state: str, stamp: str) -> None:
            how = {"moves": True, "stands still": False, "late": demo_org.now - 3 * SECOND}[stamp]
            demo_org.move_job(jobs[number], state, stamp=how)

        recorder.load()
        demo_org.advance(HOUR)
        for one in before:
            change(*one)

        def meanwhile(_: DemoOrg, listing: str, page: int) -> None:
            demo_org.advance(SECOND)
            for at, one in during:
                if at == page:
                    change(*one)

        demo_org.before_answer = meanwhile
        recorder.load()
        demo_org.before_answer = None
        recorder.load()

        truth = {job: record["state"] for job, record in demo_org.jobs.items()}
        newest_first = recorder.states()
        stale = {job for job in truth if newest_first[job] != truth[job]}
        # "late" gives a job an older stamp than it had, which no org does to one and the same job: there the newer
        # stamp stays current, and the history has both.
        assert all(truth[job] in recorder.history(job) for job in stale)
        assert stale <= {jobs[n] for n, _, how in [*before, *(one for _, one in during)] if how == "late"}
        assert (
            recorder.rows(
                "select count(*) from query_job_states group by org_id, id, system_modstamp, state having count(*) > 1"
            )
            == []
        )
