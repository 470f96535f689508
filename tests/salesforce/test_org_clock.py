"""The org's clock, from which all recorded times come: when it is trusted, and that a load stops if it cannot be."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hostile_org import answered_by, once
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import TemporaryError

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOLERANCE = "QUERY_JOBS__CLOCK_TOLERANCE_HOURS"
LISTING = r"/jobs/query$"


def was_listed(org: DemoOrg) -> bool:
    return any(request.path.endswith("/jobs/query") for request in org.requests)


@pytest.mark.parametrize("off", [-30 * DAY, 25 * HOUR, 3_650 * DAY])
@pytest.mark.parametrize("way", ["client credentials", "access token"])
def test_a_clock_that_is_far_off_is_not_trusted(recorder_of, monkeypatch, give, off: timedelta, way: str) -> None:
    """The message names both clocks, and the listing is not even requested."""
    here = datetime.now(UTC)
    with serving(org := DemoOrg(now=here + off)):
        recorder = recorder_of(org)
        if way == "access token":
            give(instance_url=org.instance_url, access_token=org.access_token)
        monkeypatch.setenv(TOLERANCE, "24")
        org.add_job()
        found = recorder.failure()
        doctor = recorder.run("doctor")

    assert isinstance(found, TemporaryError)
    assert f"{here + off:%Y-%m-%d %H}" in found.message
    assert f"{here:%Y-%m-%d %H}" in found.message
    assert not was_listed(org)
    assert not recorder.warehouse.exists()
    assert doctor.returncode == 75
    assert "clock_tolerance_hours" in doctor.stdout


def test_a_clock_within_the_tolerance_is_trusted(recorder_of, monkeypatch) -> None:
    """The org's time is recorded, not this machine's."""
    with serving(org := DemoOrg(now=datetime.now(UTC).replace(microsecond=0) - 23 * HOUR)):
        recorder = recorder_of(org)
        monkeypatch.setenv(TOLERANCE, "24")
        recorder.load()

        assert recorder.rows("select started_at from listings") == [(org.now,)]


@pytest.mark.parametrize("tolerance", ["-1", "nan", "1e9", "much"])
def test_an_invalid_tolerance_is_refused(recorder: Recorder, tolerance: str) -> None:
    """The message names the setting."""
    run = recorder.run("load", **{TOLERANCE: tolerance})

    assert run.returncode == 78
    assert "clock_tolerance_hours" in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("held", [False, True])
def test_a_clock_before_the_newest_listing_is_not_trusted(org: DemoOrg, recorder: Recorder, recorder_of, held) -> None:  # fmt: skip
    """While the file is locked, as far as the published copy shows; the doctor reports it, too."""
    recorder.load()
    with serving(earlier := DemoOrg(now=NOON - timedelta(minutes=2))):
        recorder_of(earlier)
        if held:
            with holding(recorder.primary_file, read_only=True):
                run = recorder.run()
        else:
            run = recorder.run()
        doctor = recorder.run("doctor")

    assert run.returncode == 75
    assert "11:58:00" in run.stderr
    assert "12:00:00" in run.stderr
    assert f"{datetime.now(UTC):%Y-%m-%d}" in run.stderr
    assert not was_listed(earlier)
    assert "newest recorded listing of org" in doctor.stdout
    assert recorder.rows("select count(*) from listings") == [(1,)]


def test_a_clock_a_few_seconds_behind_does_not_reorder_listings(org: DemoOrg, recorder: Recorder, recorder_of) -> None:
    """What it shows still counts as newer."""
    job = org.add_job()
    recorder.load()
    with serving(earlier := DemoOrg(now=NOON - timedelta(seconds=50))):
        earlier.add_job(id=job, state="Failed")
        recorder_of(earlier).load()

    assert recorder.rows("select started_at from listings") == [(NOON,), (NOON,)]
    assert recorder.states() == {job: "Failed"}


def test_another_orgs_listing_does_not_matter(org: DemoOrg, recorder: Recorder, recorder_of) -> None:
    """Each org has its own clock."""
    recorder.load()
    with serving(other := DemoOrg(now=NOON - 90 * DAY, seed=7)):
        recorder_of(other).load()

    assert recorder.rows("select count(*) from listings") == [(2,)]


@pytest.mark.parametrize("by", [2 * HOUR, 3_650 * DAY])
def test_a_clock_that_jumps_during_a_listing_is_refused(org: DemoOrg, recorder: Recorder, by: timedelta) -> None:
    """Whatever the tolerance: one of the two times must be wrong."""
    org.page_size = 5
    for _ in range(12):
        org.add_job()
    org.before_answer = lambda org, surface, page: org.advance(by) if page == 2 else None
    found = recorder.failure()

    assert isinstance(found, TemporaryError)
    assert "jumped" in found.message


@pytest.mark.parametrize("date", ["", "Date: x\r\n", "Date: Fri, 31 Dec 9999 23:59:59 -1200\r\n"])
def test_an_answer_without_a_date_uses_the_time_of_earlier_ones(org: DemoOrg, recorder: Recorder, date: str) -> None:
    """This machine's clock may differ."""
    body = orjson.dumps({"done": True, "records": []})
    head = f"HTTP/1.1 200 OK\r\n{date}Content-Length: {len(body)}\r\n\r\n".encode()
    with answered_by(org, LISTING, once(head, body)):
        recorder.load()

    ((started,),) = recorder.rows("select started_at from listings")
    assert NOON <= started < NOON + HOUR


def test_details_with_an_implausible_time_are_not_kept(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """It costs a note, and the details are fetched again later."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "10")
    job = org.add_job(state="JobComplete")
    body = orjson.dumps(org.job(job))
    head = f"HTTP/1.1 200 OK\r\nDate: Sun, 23 Nov 2036 12:00:00 GMT\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answered_by(org, f"/jobs/query/{job}", once(head, body)):
        run = recorder.load()

    assert "2036-11-23" in run.notes[0]
    assert recorder.rows("select count(*) from job_details") == [(0,)]
    recorder.load()
    assert recorder.rows("select asked_at from job_details") == [(NOON,)]
