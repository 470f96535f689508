"""The derived table: in whatever order versions arrive, it equals what the whole history says."""

from datetime import timedelta
from random import Random

import duckdb
import pytest
from planted import spans_by_hand
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("seed", range(3))
def test_it_follows_every_load(org: DemoOrg, recorder: Recorder, seed: int) -> None:
    """Stamps that move, do not move, or come late; jobs without a date; several changes at once."""
    dice = Random(seed)
    jobs = [org.add_job(state="UploadComplete") for _ in range(6)]
    org.add_job(createdDate="<datetime>", systemModstamp=NOON)
    for _ in range(6):
        recorder.load()
        org.advance(timedelta(minutes=dice.randint(1, 5_000)))
        for job in dice.sample(jobs, 3):
            if job in org.jobs:
                stamp = dice.choice((True, False, org.now - timedelta(seconds=dice.randint(1, 90))))
                org.move_job(job, dice.choice(("InProgress", "JobComplete", "Failed", "Closed")), stamp=stamp)
        jobs.append(org.add_job())

        assert sorted(recorder.rows("select * from state_spans"), key=str) == spans_by_hand(
            recorder.rows("select * from query_job_states")
        )


@pytest.mark.slow
def test_times_in_states_add_up(org: DemoOrg, recorder: Recorder) -> None:
    """By the org's own stamps if these moved, else by the listing that showed the change."""
    job, still = org.add_job(state="UploadComplete"), org.add_job()
    for state, stamp in (("InProgress", True), ("JobComplete", False)):
        recorder.load()
        org.advance(HOUR)
        org.move_job(job, state)
        org.move_job(still, state, stamp=stamp)
    org.advance(HOUR / 2)
    recorder.load()

    rows = recorder.rows("select id, state, spans, first_at, seconds from time_in_state order by id, first_at")
    assert rows == [
        (job, "UploadComplete", 1, NOON, 3_600),
        (job, "InProgress", 1, NOON + HOUR, 3_600),
        (job, "JobComplete", 1, NOON + 2 * HOUR, None),
        (still, "InProgress", 1, NOON, 9_000),
        (still, "JobComplete", 1, NOON + 2.5 * HOUR, None),
    ]


@pytest.mark.slow
def test_a_state_is_entered_by_the_end_of_the_listing_that_showed_it(org: DemoOrg, recorder: Recorder) -> None:
    """A listing takes time: what its last page shows may have happened minutes after its start. A state entered before
    that, by the next version's stamp, had been left by then."""
    org.page_size = 2
    jobs = [org.add_job(state="UploadComplete") for _ in range(5)]
    recorder.load()

    def meanwhile(org: DemoOrg, surface: str, page: int) -> None:
        org.advance(timedelta(minutes=7))
        if page == 2:
            for job in jobs[::2]:
                org.move_job(job, "InProgress", stamp=False)

    org.before_answer = meanwhile
    recorder.load()
    org.move_job(jobs[0], "JobComplete")
    recorder.load()

    listings = recorder.rows("select org_id, started_at, finished_at from listings")
    assert sorted(recorder.rows("select * from state_spans"), key=str) == spans_by_hand(
        recorder.rows("select * from query_job_states"), listings
    )
    ends = {start: end for _, start, end in listings}
    found = recorder.rows("select observed_at, observed_by, entered_at, by_stamp from state_spans where nth = 2")
    assert found
    assert all(by == ends[at] > at for at, by, *_ in found)
    assert all(entered == by for _, by, entered, stamped in found if not stamped)


def test_two_orgs_do_not_disturb_each_other(org: DemoOrg, recorder: Recorder, recorder_of) -> None:
    """The other one's clock may be anywhere."""
    org.add_job()
    recorder.load()
    other = DemoOrg(now=NOON - timedelta(days=90), seed=7)
    with serving(other):
        other.add_job()
        recorder_of(other).load()

    assert recorder.rows("select count(*), count(distinct org_id) from state_spans") == [(2, 2)]
    assert sorted(recorder.rows("select * from state_spans"), key=str) == spans_by_hand(
        recorder.rows("select * from query_job_states")
    )


@pytest.mark.slow
def test_kept_listings_of_two_orgs_both_update_the_spans(org: DemoOrg, recorder: Recorder, recorder_of) -> None:
    """The load that brings them in belongs to one org; the file was locked when the other org was listed."""
    job = org.add_job()
    recorder.load()
    other = DemoOrg(now=NOON, seed=7)
    other.add_job()
    with serving(other), holding(recorder.primary_file):
        assert recorder_of(other).run().returncode == 75
    org.advance(HOUR)
    org.move_job(job, "JobComplete")
    recorder_of(org).load()

    assert recorder.rows("select count(*), count(distinct org_id) from state_spans") == [(3, 2)]
    assert sorted(recorder.rows("select * from state_spans"), key=str) == spans_by_hand(
        recorder.rows("select * from query_job_states")
    )


@pytest.mark.parametrize("damage", ["drop table salesforce.state_spans cascade", "delete from salesforce.state_spans"])
def test_the_table_is_rebuilt_if_damaged(org: DemoOrg, recorder: Recorder, damage: str) -> None:
    """Whatever happened to it, the next load rebuilds it."""
    jobs = [org.add_job() for _ in range(5)]
    recorder.load()
    with duckdb.connect(recorder.primary_file) as connection:
        connection.execute(damage)
    org.advance(HOUR)
    org.move_job(jobs[0], "JobComplete")
    recorder.load()

    assert sorted(recorder.rows("select * from state_spans"), key=str) == spans_by_hand(
        recorder.rows("select * from query_job_states")
    )
    assert recorder.rows("select count(*) from state_changes_by_day") == [(2,)]
