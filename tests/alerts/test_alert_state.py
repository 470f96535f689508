"""What was sent is kept: kills, two runs at once, damaged files, channels that drip."""

import json
import signal
import time
from collections.abc import Iterator

import pytest
from receivers import Web, web
from recorders import Recorder
from situations import notify, publish, state_of, use_channels


@pytest.fixture
def channel(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The only channel; the copy has three findings."""
    with web() as receiver:
        use_channels(monkeypatch, receiver)
        publish(recorder, "A", "B", "C")
        yield receiver


@pytest.mark.parametrize("nth", [2, 1, 3])
def test_a_kill_repeats_one_message_and_loses_none(recorder: Recorder, channel: Web, nth: int) -> None:
    """Before the answer to this message, with a real SIGKILL."""
    running = recorder.start("check", "--notify")
    channel.on_request = lambda: running.kill() if len(channel.requests) == nth else None
    running.communicate(timeout=120)
    assert running.returncode == -signal.SIGKILL
    assert len(channel.notes) == nth
    assert notify() == (1, "")
    assert len(channel.notes) == 4
    assert channel.notes[nth - 1] == channel.notes[nth]  # that one, twice
    assert len({note["message"] for note in channel.notes}) == 3
    assert [file.name for file in recorder.state_folder.glob(".*")] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_the_next_run_goes_on(recorder: Recorder, channel: Web, number: signal.Signals) -> None:
    running = recorder.start("check", "--notify")
    channel.on_request = lambda: running.send_signal(number) if len(channel.requests) == 2 else None
    _, said = running.communicate(timeout=120)
    assert running.returncode == 128 + number
    assert said.endswith("The next check picks up where this one stopped.\n")
    assert notify() == (1, "")
    assert len({note["message"] for note in channel.notes}) == 3
    assert 3 <= len(channel.notes) <= 4


def test_two_at_once_tell_nothing_twice(recorder: Recorder, channel: Web) -> None:
    """The second one waits for the first."""
    channel.on_request = lambda: time.sleep(0.3)
    both = [recorder.start("check", "--notify") for _ in range(2)]
    outcomes = [run.communicate(timeout=120) for run in both]
    assert [run.returncode for run in both] == [1, 1], outcomes
    assert len(channel.notes) == 3


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 1}', '{"version": 1, "salt": "x", "open": {}, "channels": {}}', "\0" * 100]
)
def test_a_damaged_file_is_put_aside(
    recorder: Recorder, channel: Web, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Then it is not known what was sent: everything open is, as one message."""
    recorder.state_folder.mkdir()
    (recorder.state_folder / "alerts.json").write_text(text)
    assert notify() == (1, "")
    assert channel.titles == ["3 findings open now"]
    assert "alerts.json is damaged; it is now alerts.json.damaged." in caplog.text
    assert (recorder.state_folder / "alerts.json.damaged").read_text() == text
    assert len(state_of(recorder)["open"]) == 3


def test_a_file_of_a_newer_version_is_left_alone(recorder: Recorder, channel: Web) -> None:
    recorder.state_folder.mkdir()
    file = recorder.state_folder / "alerts.json"
    file.write_text(newer := json.dumps({"version": 2, "told": "in another way"}))
    code, said = notify()
    assert code == 78
    assert "was written by a newer version" in said
    assert file.read_text() == newer
    assert channel.requests == []


@pytest.mark.slow
def test_a_channel_that_drips_is_given_up(recorder: Recorder, channel: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """After half a minute; the others get theirs."""
    with web() as other:
        channel.drips = True
        use_channels(monkeypatch, channel, other)
        began = time.monotonic()
        assert notify()[0] == 75
        assert time.monotonic() - began < 60
        assert len(other.notes) == 3
