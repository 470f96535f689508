"""A load stopped at any moment loses only its own work. KILLS sets how many random moments are tried."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from processes import process
from recorders import Recorder
from truth import Truth

from pipelines.demo_org.org import DemoOrg, Request

KILLS = int(os.environ.get("KILLS", "10"))
SCRIPT = Path(__file__).with_name("interrupted_load.py")
HOUR = timedelta(hours=1)
TYPES = ("V2Query", "V2Ingest", "Classic")
FAILED_RECORDS = [
    ("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --", {"Name": "Anna"}),
    ("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--", {"Name": "Bo"}),
]
SAID = {
    signal.SIGKILL: (-signal.SIGKILL, ""),
    signal.SIGTERM: (143, "Terminated. The next load picks up where this one stopped.\n"),
    signal.SIGINT: (130, "Interrupted. The next load picks up where this one stopped.\n"),
}


class Stopped:
    """A recorder whose loads are stopped, one after another, while its org keeps changing."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.org, self.truth = recorder, recorder.org, Truth(recorder.org)
        self.org.page_size = 20
        self.dice = random.Random(20261102)
        for n in range(50):
            self.org.add_job(state=self.dice.choice(["InProgress", "JobComplete"]), jobType=TYPES[n % 3])
        self.newest = self.org.now
        self.finish(self.start())
        self.stopped = 0

    def live(self) -> None:
        self.org.advance(HOUR)
        for job in self.dice.sample(self.jobs, 12):
            state = self.dice.choice(["InProgress", "JobComplete", "Failed"])
            self.org.move_job(job, state, stamp=self.dice.random() < 0.8)
        for n in range(6):
            self.org.add_job(jobType=TYPES[n % 3])
        self.org.fail_records(self.org.add_job(jobType="V2Ingest", state="JobComplete"), FAILED_RECORDS)
        self.org.delete_job(self.dice.choice(self.jobs))

    @property
    def jobs(self) -> list[str]:
        return sorted([*self.org.jobs, *self.org.ingest_jobs])

    def start(self, *command: object) -> subprocess.Popen[str]:
        """A load after further changes: with the command line, or another command."""
        self.truth.begin("{}")
        if not command:
            return self.recorder.start("load", "--quiet")
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=self.recorder.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, load: subprocess.Popen[str], number: int = 0) -> str:
        """Waits for a load. It was ended by the signal, as it should be, or completed; in either case, the published
        copy is intact, and is the old or the new one."""
        output, errors = load.communicate(timeout=120)
        listings = self.truth.readings[-1].values()
        if load.returncode == 0:
            assert errors == ""
            self.truth.loaded += listings
        else:
            assert (load.returncode, errors.partition(" ERROR: ")[2]) == SAID[signal.Signals(number)]
            self.stopped += 1
        (newest,) = self.recorder.rows("select max(started_at) from listings")[0] if self.published else (None,)
        starts = {start for listing in listings for start in listing.starts}
        assert newest in (starts | {self.newest} if load.returncode else starts)
        self.newest = newest
        return output

    @property
    def published(self) -> bool:
        return self.recorder.warehouse.exists()

    def all_is_right(self) -> None:
        """One undisturbed load."""
        self.org.advance(HOUR)
        self.finish(self.start())
        self.truth.check(self.recorder.rows)
        finished = "select id from all_jobs where state in ('JobComplete', 'Failed')"
        gone = "select id from unlisted_jobs where listed_again_at is null"
        assert self.recorder.rows(f"{finished} except select id from job_details except {gone}") == []
        failed = "select id from job_details where number_records_failed = 2"
        assert self.recorder.rows(f"{failed} except select id from record_errors except {gone}") == []
        once = "select id, count(*), sum(records) from record_errors group by all having count(*) <> 2 or sum(records) <> 2"
        assert self.recorder.rows(once) == []


@pytest.fixture
def scene(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Stopped:
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", "true")
    monkeypatch.setenv("QUERY_JOBS__RECORD_ERRORS", "true")
    monkeypatch.setenv("SOURCES__SALESFORCE__FEEDS", '["query", "ingest"]')
    return Stopped(recorder)


class Countdown:
    """Sends a signal to a load while the answer to its n-th request is in transit."""

    def __init__(self, org: DemoOrg, number: int, nth: int) -> None:
        self.log, self.number, self.left = org.log, number, nth
        self.load: subprocess.Popen[str] | None = None
        org.log = self  # type: ignore[assignment]

    def __call__(self, request: Request) -> None:
        self.log(request)
        self.left -= 1
        if not self.left and self.load:
            self.load.send_signal(self.number)
            time.sleep(0.2)  # the signal is there before the answer


@pytest.mark.slow
@pytest.mark.parametrize("number", SAID)
def test_stopped_at_every_request(scene: Stopped, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """During the first answer, the second, and so on, until a load completes."""
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "3")
    log = scene.org.log
    for nth in itertools.count(1):
        scene.live()
        scene.org.add_job(createdById=scene.org.add_user(f"User {nth}", f"{nth}@demo-org.example"))
        countdown = Countdown(scene.org, number, nth)
        countdown.load = scene.start()
        scene.finish(countdown.load, number)
        scene.org.log = log  # type: ignore[method-assign]
        if countdown.left > 0:
            break
    assert nth > 12  # sign-in, three pages of each listing, users, limits, details, results
    monkeypatch.setenv("QUERY_JOBS__DETAILS_PER_RUN", "500")
    scene.all_is_right()


@pytest.mark.slow
@pytest.mark.parametrize("number", SAID)
def test_stopped_at_any_line(scene: Stopped, number: int, record_property: Callable[[str, object], None]) -> None:
    """Of extract, normalize, load, details, spans, views and publishing."""
    for _ in range(2):  # the first load has moments that no later one has
        scene.live()
        moments = int(scene.finish(scene.start(SCRIPT, 0, 0)).split()[-1])
    places = []
    for moment in sorted(scene.dice.sample(range(1, moments), max(KILLS // 2, 4))):
        scene.live()
        places.append(scene.finish(scene.start(SCRIPT, number, moment), number).strip())
    scene.all_is_right()
    record_property("places", places)
    assert scene.stopped >= len(places) / 2


@pytest.mark.slow
def test_killed_at_any_time(scene: Stopped, record_property: Callable[[str, object], None]) -> None:
    """In the middle of a statement, or anything else without lines."""
    scene.live()
    began = time.monotonic()
    scene.finish(scene.start())
    usual = time.monotonic() - began
    for _ in range(KILLS):
        scene.live()
        load = scene.start()
        time.sleep(usual * scene.dice.uniform(0.3, 1.05))
        load.kill()
        scene.finish(load, signal.SIGKILL)
    scene.all_is_right()
    record_property("kills", scene.stopped)
    assert scene.stopped >= KILLS / 4


WRITER = """
    import duckdb, sys
    connection = duckdb.connect(sys.argv[1])
    connection.execute("create table mine as select 1 as one")
    print("written", flush=True)
    sys.stdin.read()
"""
# A load that is killed just before this event on a file of this name: `python -c AT_FILE EVENT NAME`.
AT_FILE = """
import os, signal, sys
def kill(event, given):
    if event == sys.argv[1] and sys.argv[2] in [os.path.basename(str(one)) for one in given]:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
from pipelines.query_jobs import main
sys.exit(main(["load", "--quiet"]))
"""


@pytest.mark.parametrize(("event", "name"), [("os.remove", "warehouse.duckdb.wal"), ("os.rename", "warehouse.duckdb")])
def test_killed_between_two_steps_of_publishing(org: DemoOrg, recorder: Recorder, event: str, name: str) -> None:
    """Another program's log is removed before the copy that it belongs to, so readers never find it beside a different
    one."""
    first = org.add_job()
    recorder.load()
    with process(WRITER, recorder.warehouse):
        pass  # and killed
    assert recorder.warehouse.with_name("warehouse.duckdb.wal").exists()
    second = org.add_job()
    load = subprocess.run(
        [sys.executable, "-c", AT_FILE, event, name], cwd=recorder.home, capture_output=True, text=True, check=False
    )

    assert load.returncode == -signal.SIGKILL, load.stderr
    assert set(recorder.states()) == {first}
    recorder.load()
    assert set(recorder.states()) == {first, second}
    with pytest.raises(duckdb.CatalogException):
        recorder.rows("select * from mine")
