"""What was sent is kept: kills, two runs at once, damaged files, channels that drip."""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

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
    "text",
    [
        "", "{", "[]", '{"version": 1}', '{"version": 1, "salt": "x", "open": {}, "channels": {}}', "\0" * 100,
        '{"version": 1, "salt": "00", "open": {}, "channels": '
        '{"x": {"outbox": [], "told_at": {"y": 1%s}, "is_new": false}}}' % ("0" * 400),
    ],
)  # fmt: skip
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


EVENT = {"change": "began", "at": "2026-11-01T00:00:00+00:00", "reason": ""}
PROBLEM = {"key": "x", "org_id": "o", "heading": "H", "text": "T", "urgent": False, "since": EVENT["at"]}


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({}, {"since": "yesterday"}),
        ({}, {"since": "2026-11-01T00:00:00"}),
        ({}, {"text": None}),
        ({}, {"urgent": "no"}),
        ({"at": "never"}, {}),
        ({"change": "moved"}, {}),
    ],
)
def test_an_event_that_cannot_be_sent_counts_as_damage(
    recorder: Recorder, channel: Web, event: dict[str, Any], problem: dict[str, Any]
) -> None:
    """As from an earlier version, whose file has no checksum: it would stop every later run."""
    assert notify() == (1, "")
    kept = state_of(recorder)
    for box in kept["channels"].values():
        box["outbox"] = [EVENT | event | {"problem": PROBLEM | problem}]
    (recorder.state_folder / "alerts.json").write_text(json.dumps(kept))
    assert notify() == (1, "")
    assert channel.titles[3:] == ["3 findings open now"]


@pytest.mark.parametrize("name", ["alerts.json", "alerts.json.damaged", "."])
@pytest.mark.parametrize("kind", ["folder", "FIFO", "link to itself", "link to nothing"])
def test_something_else_in_the_place_of_a_file_is_named(recorder: Recorder, channel: Web, name: str, kind: str) -> None:
    """A FIFO would be waited for without end."""
    if (kind, name) in (("folder", "."), ("link to nothing", "alerts.json.damaged")):
        pytest.skip("nothing is wrong with that")
    place = recorder.state_folder / name
    if name != ".":
        recorder.state_folder.mkdir()
    if name.endswith(".damaged"):
        (recorder.state_folder / "alerts.json").write_text("{")
    make = {
        "folder": place.mkdir,
        "FIFO": lambda: os.mkfifo(place),
        "link to itself": lambda: place.symlink_to(place),
        "link to nothing": lambda: place.symlink_to(recorder.home / "nothing" / "there"),
    }
    make[kind]()
    ended = recorder.run("check", "--notify")
    assert (ended.returncode, str(recorder.home) in ended.stderr, channel.notes) == (78, True, [])
    assert "Let this user write" not in ended.stderr


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
