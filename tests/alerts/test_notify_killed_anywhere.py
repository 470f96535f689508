"""kill -9 at any request, statement or change of a file of `check --notify`: each finding is told once; twice only if
the kill fell between the channel's answer and the note of it."""

import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from killed_at import Ended, Runs, noting, some_of
from receivers import Web, web
from recorders import Recorder
from situations import publish, state_of, use_channels

PARTS = 2


class Killed:
    """A recorder that tells two channels of two findings; for each kill, another two take their place."""

    def __init__(self, recorder: Recorder, processes: Runs, channels: Sequence[Web]) -> None:
        self.recorder, self.processes, self.channels = recorder, processes, channels
        self.names: tuple[str, ...] = ()
        self.number = 0

    def notify(self, moment: int | str = 0) -> Ended:
        """A run that has to send each channel four messages: what is new, and what is over."""
        for channel in self.channels:
            channel.requests.clear()
        self.number += 1
        gone, self.names = self.names, (f"A{self.number}", f"B{self.number}")
        self.due = Counter([*(f"new {name}" for name in self.names), *(f"over {name}" for name in gone)])
        publish(self.recorder, *self.names)
        return self._run(moment)

    def _run(self, moment: int | str = 0) -> Ended:
        ended = self.processes.run("check", "--notify", moment=moment, cwd=self.recorder.home)
        assert (ended.returncode, ended.stderr) in ((1, ""), (-signal.SIGKILL, "")), ended
        return ended

    def complete(self, killed: Ended) -> int:
        """An undisturbed run, after which all was told. Returns how many messages were sent twice."""
        assert self._run().returncode == 1
        assert [one["outbox"] for one in state_of(self.recorder)["channels"].values()] == [[], []]
        doubled: Counter[str] = Counter()
        for channel in self.channels:
            told = Counter(map(_about, channel.notes))
            assert self.due - told == Counter()
            doubled += told - self.due
        *before, deadly = killed.trail
        told_at = _last(before, r"before request$")
        noted_at = _last(before, r"before os\.rename .*/alerts\.json$")
        assert sum(doubled.values()) <= (told_at > noted_at), (doubled, deadly)
        assert [file.name for file in self.recorder.state_folder.glob(".*")] == []
        return sum(doubled.values())


def _about(note: dict[str, Any]) -> str:
    found = re.search(r" on (\w+) is still", note["message"])
    assert found
    return f"{'over' if note['title'].startswith('Over: ') else 'new'} {found[1]}"


def _last(trail: Sequence[str], pattern: str) -> int:
    return max((number for number, line in enumerate(trail) if re.search(pattern, line)), default=-1)


@pytest.fixture
def killed(recorder: Recorder, processes: Runs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killed]:
    with web() as one, web() as other:
        use_channels(monkeypatch, one, other)
        yield Killed(recorder, processes, (one, other))


@pytest.mark.slow_cases
@pytest.mark.parametrize(
    ("moment", "twice"), [(r"after request", 1), (r"before request", 0), (r"before os\.rename .*/alerts\.json", 0)]
)
def test_killed_before_and_after_an_answer(killed: Killed, moment: str, twice: int) -> None:
    """After an answer, which is not noted yet, that message is sent again."""
    assert killed.complete(killed.notify(moment)) == twice


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_every_moment(killed: Killed, part: int) -> None:
    killed.notify()
    moments, twice = len(killed.notify().trail), 0
    for moment in some_of(moments, part, PARTS):
        ended = killed.notify(moment)
        with noting(moment, moments, ended.trail[-1]):
            twice += killed.complete(ended)


@pytest.mark.slow
def test_the_first_run_killed_at_any_moment(killed: Killed) -> None:
    """Which creates the file."""
    moments = len(killed.notify().trail)
    for moment in some_of(moments, 0, 2):
        for file in killed.recorder.state_folder.glob("alerts*"):
            file.unlink()
        killed.names = ()
        killed.complete(killed.notify(moment))
