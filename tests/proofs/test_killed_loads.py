"""kill -9 at any request, statement or change of a file of a load: until the next one, the old published copy or the
new one is there; the next one, undisturbed, has everything right. KILLS sets how many of its moments are tried; many
thousands mean all."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_at import Ended, Runs, noting, some_of
from receivers import Web, web
from recorders import Recorder
from stopped import EVERYTHING, HOUR, Stopped

PARTS = 8


@pytest.fixture
def pinged() -> Iterator[Web]:
    with web() as receiver:
        yield receiver


class Killed(Stopped):
    """A recorder whose loads are killed at a chosen moment, and ping."""

    def __init__(self, recorder: Recorder, processes: Runs, pinged: Web) -> None:
        self.processes, self.pinged = processes, pinged
        super().__init__(recorder)

    def first_load(self) -> None:
        self.truth.begin("{}")
        self._run(0)

    def load(self, moment: int | str = 0) -> Ended:
        """One load after further changes."""
        self.live()
        self.truth.begin("{}")
        return self._run(moment)

    def _run(self, moment: int | str) -> Ended:
        before = len(self.pinged.pings)
        ended = self.processes.run("load", "--quiet", moment=moment, cwd=self.recorder.home)
        self.ended(ended.returncode, ended.stderr, signal.SIGKILL)
        pings = [path for path, _ in self.pinged.pings[before:]]
        assert pings == ["/start", "/"][: len(pings)]
        is_new = self.newest in {start for each in self.truth.readings[-1].values() for start in each.starts}
        assert is_new or "/" not in pings  # success is never said of what is not published
        assert len(pings) == 2 or ended.returncode
        return ended

    def undisturbed(self) -> None:
        """One more load, after which everything is right."""
        self.org.advance(HOUR)
        self.truth.begin("{}")
        assert self._run(0).returncode == 0
        self.check()


@pytest.fixture
def killed(recorder: Recorder, processes: Runs, pinged: Web, monkeypatch: pytest.MonkeyPatch) -> Killed:
    for name, value in {**EVERYTHING, "ALERTS__PING_URL": f"http://{pinged.host}"}.items():
        monkeypatch.setenv(name, value)
    return Killed(recorder, processes, pinged)


def test_killed_before_rows_are_merged_and_before_they_are_published(killed: Killed) -> None:
    for moment in (r"before duckdb .*insert into .*query_job_states", r"before os\.rename \S+/\.warehouse\.duckdb\."):
        assert killed.load(moment).returncode == -signal.SIGKILL
    killed.undisturbed()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_every_moment(killed: Killed, part: int) -> None:
    moments = len(killed.load().trail)
    for moment in some_of(moments, part, PARTS):
        at = killed.load(moment).trail[-1]
        with noting(moment, moments, at):
            killed.undisturbed()
    assert killed.stopped


@pytest.mark.slow
def test_the_first_load_killed(processes: Runs, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which creates everything: the next load begins anew, or goes on."""
    for name, value in EVERYTHING.items():
        monkeypatch.setenv(name, value)
    jobs = {recorder.org.add_job(state="JobComplete") for _ in range(3)}
    _first(processes, recorder)  # which may make what new databases are copied from
    moments = len(_first(processes, recorder).trail)
    for moment in some_of(moments, 0, 4):
        killed = _first(processes, recorder, moment)
        assert killed.returncode == -signal.SIGKILL, killed
        ended = processes.run("load", "--quiet", cwd=recorder.home)
        assert (ended.returncode, ended.stderr, set(recorder.states())) == (0, "", jobs), (moment, killed.trail[-1])
        doubled = "select count(*), (select count(*) from query_job_states), (select count(*) from state_spans)"
        assert recorder.rows(f"{doubled} from query_jobs") == [(3, 3, 3)], (moment, killed.trail[-1])


def _first(processes: Runs, recorder: Recorder, moment: int = 0) -> Ended:
    for file in recorder.home.glob("*.duckdb*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    for file in Path(recorder.home).glob(".*.duckdb*"):
        file.unlink()
    return processes.run("load", "--quiet", moment=moment, cwd=recorder.home)
