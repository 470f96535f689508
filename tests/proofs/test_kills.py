"""A load stopped at any moment loses only its own work. KILLS sets how many random moments are tried."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from processes import process
from recorders import Recorder
from stopped import EVERYTHING, SAID, Stopped

from pipelines.demo_org.org import DemoOrg, Request

KILLS = int(os.environ.get("KILLS", "10"))
SCRIPT = Path(__file__).with_name("interrupted_load.py")


@pytest.fixture
def scene(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Stopped:
    for name, value in EVERYTHING.items():
        monkeypatch.setenv(name, value)
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
