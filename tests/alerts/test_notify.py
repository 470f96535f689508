"""`check --notify`: which messages a channel gets, over several runs."""

import errno
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from planted import DAY, NOW, ORG
from receivers import Web, web
from recorders import Recorder
from situations import OTHER, notify, publish, state_of, use_channels


@pytest.fixture
def channel(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The only channel."""
    with web() as receiver:
        use_channels(monkeypatch, receiver)
        yield receiver


def test_a_finding_is_told_when_it_begins_and_when_it_is_over(recorder: Recorder, channel: Web) -> None:
    """Once each, whatever its numbers are meanwhile."""
    publish(recorder)
    assert notify() == (0, "")
    assert channel.requests == []
    publish(recorder, "Lead")
    assert notify() == (1, "")
    publish(recorder, "Lead", "Lead")  # the same finding, of two jobs
    assert notify() == (1, "")
    assert channel.titles == ["UNFINISHED in Acme"]
    (note,) = channel.notes
    assert note["message"].startswith("1 query job of 005A on Lead is still InProgress, after 71 hours.\njob: 750")
    assert note["type"] == "warning"
    publish(recorder)
    assert notify() == (0, "")
    assert notify() == (0, "")
    assert channel.titles == ["UNFINISHED in Acme", "Over: UNFINISHED in Acme"]
    assert "It was: 2 query jobs of 005A on Lead are still InProgress" in channel.notes[-1]["message"]
    assert channel.notes[-1]["type"] == "success"


def test_a_finding_that_becomes_urgent_does_not_wait_for_its_reminder(recorder: Recorder, channel: Web) -> None:
    """Once, as long as it stays urgent."""
    for days in (2, 6, 6.5):
        publish(recorder, listings=[{"started_at": datetime.now(UTC) - days * DAY}])
        assert notify() == (1, "")
    assert channel.titles == ["COVERAGE in Acme", "Now URGENT COVERAGE in Acme"]
    assert channel.notes[-1]["type"] == "failure"
    assert "First found" in channel.notes[-1]["message"]


def test_up_to_five_come_one_by_one_and_more_as_one(recorder: Recorder, channel: Web) -> None:
    publish(recorder, *"ABCDE")
    notify()
    assert len(channel.notes) == 5
    publish(recorder, *"FGHIJK")  # six begin, five are over
    notify()
    assert len(channel.notes) == 6
    assert channel.titles[-1] == "Findings: 6 new, 5 over"
    text = channel.notes[-1]["message"]
    assert all(f"on {name} is still" in text for name in "ABCDEFGHIJK")
    assert text.count("Over: ") == 5
    assert channel.notes[-1]["type"] == "warning"


@pytest.mark.parametrize(("hours", "reminders"), [("0.000001", 2), ("0", 0), ("1", 0), ("1e-6", 2)])
def test_reminders(
    recorder: Recorder, channel: Web, monkeypatch: pytest.MonkeyPatch, hours: str, reminders: int
) -> None:
    monkeypatch.setenv("ALERTS__REMIND_AFTER_HOURS", hours)
    publish(recorder, "Lead")
    for _ in range(3):
        notify()
    assert channel.titles == ["UNFINISHED in Acme"] + ["Still: UNFINISHED in Acme"] * reminders


def test_a_run_a_day_that_starts_a_little_earlier_reminds(recorder: Recorder, channel: Web) -> None:
    """Not every second day only. A clock that was set back reminds of nothing, and does not silence it either; nor
    does a note that is no time."""
    publish(recorder, "Lead")
    notify()
    told = state_of(recorder)
    (mailbox,) = told["channels"].values()
    for seconds, expected in (
        (23.75 * 3_600, 2),
        (-7 * 86_400, 2),
        (23.75 * 3_600, 3),
        (math.nan, 3),
        (23.75 * 3_600, 4),
    ):
        (key,) = mailbox["told_at"]
        mailbox["told_at"][key] -= seconds
        (recorder.state_folder / "alerts.json").write_text(json.dumps(told))
        notify()
        assert len(channel.notes) == expected
        told = state_of(recorder)
        (mailbox,) = told["channels"].values()
        assert mailbox["told_at"][key] == pytest.approx(NOW.timestamp(), abs=10 * 365 * 86_400)


def test_a_channel_added_later_gets_what_is_open_as_one(
    recorder: Recorder, channel: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that was removed is forgotten: if it comes back, it is new again."""
    publish(recorder, "Lead", "Case")
    notify()
    with web() as later:
        use_channels(monkeypatch, channel, later)
        publish(recorder, "Lead", "Case", "Order")
        notify()
        assert later.titles == ["3 findings open now"]
        assert len(channel.notes) == 3
        use_channels(monkeypatch, later)
        publish(recorder, "Order")
        notify()
        assert later.titles[1:] == ["Over: UNFINISHED in Acme"] * 2
        assert len(state_of(recorder)["channels"]) == 1
        use_channels(monkeypatch, later, channel)
        notify()
    assert channel.titles[3:] == ["1 finding open now"]
    assert len(later.notes) == 3


def test_a_channel_that_fails_is_tried_again_alone(
    recorder: Recorder, channel: Web, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it was not told comes later, even if it is over by then; the other channels get nothing twice."""
    with web() as broken:
        broken.status = 503
        use_channels(monkeypatch, broken, channel)
        publish(recorder, "Lead")
        code, said = notify()
        assert code == 75
        assert said.startswith("1 of 2 channels could not be notified: number 1 of `urls` (json, 127.0.0.1): HTTP 503.")
        assert "UNFINISHED in Acme: 1 query job" in capsys.readouterr().out
        publish(recorder)
        assert notify()[0] == 75
        assert channel.titles == ["UNFINISHED in Acme", "Over: UNFINISHED in Acme"]
        broken.status, broken.requests = 200, []
        assert notify() == (0, "")
        assert notify() == (0, "")
    assert broken.titles == channel.titles
    assert len(channel.notes) == 2


@pytest.mark.slow
def test_a_channel_that_is_new_and_fails_is_still_new(
    recorder: Recorder, channel: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(recorder, "Lead", "Case")
    notify()
    with web() as later:
        later.status = 500
        use_channels(monkeypatch, channel, later)
        assert notify()[0] == 75
        later.status, later.requests = 200, []
        publish(recorder, "Lead")
        assert notify() == (1, "")
        assert later.titles == ["1 finding open now"]


@pytest.mark.slow
def test_runs_for_some_orgs_leave_the_findings_of_others_alone(
    recorder: Recorder, channel: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An org that left the settings says so."""
    publish(recorder, "Lead")
    notify()
    publish(recorder, "Case", org=OTHER)
    assert notify("--org", "Umbrella") == (1, "")
    assert channel.titles == ["UNFINISHED in Acme", "UNFINISHED in Umbrella"]
    assert notify("--org", "Acme") == (0, "")
    assert channel.titles[2:] == ["Over: UNFINISHED in Acme"]
    monkeypatch.setenv("CHECK__MUTED_FINDINGS", json.dumps([f"unfinished/{OTHER}/InProgress/query/Case/005A"]))
    assert notify() == (0, "")
    assert "No longer reported: it is muted." in channel.notes[-1]["message"]
    monkeypatch.delenv("CHECK__MUTED_FINDINGS")
    notify()
    publish(recorder, orgs=[{"name": "Acme"}], listings=[{"org_id": ORG}])
    notify()
    assert "No longer reported: its org is no longer recorded." in channel.notes[-1]["message"]


def test_a_check_that_cannot_look_ends_no_finding(recorder: Recorder, channel: Web) -> None:
    """It is reported itself, once, and is over when it can look again."""
    publish(recorder, "Lead")
    notify()
    kept = recorder.warehouse.read_bytes()
    recorder.warehouse.write_bytes(b"no database" * 1_000)
    for _ in range(2):
        code, said = notify()
        assert code == 78
        assert "is not a readable DuckDB file" in said
    assert channel.titles == ["UNFINISHED in Acme", "CHECK FAILED"]
    recorder.warehouse.write_bytes(kept)
    assert notify() == (1, "")
    assert channel.titles[2:] == ["Over: CHECK FAILED"]


def test_an_unexpected_error_is_sent_by_its_place(
    recorder: Recorder, channel: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not in its own words, which may quote a value of a record."""

    def broken(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "s3cret", "/s3cret")

    publish(recorder, "Lead")
    monkeypatch.setattr("pipelines.answers.check.check", broken)
    with pytest.raises(FileNotFoundError):
        notify()
    (note,) = channel.notes
    where = r"unexpected FileNotFoundError \(No such file or directory\) in test_notify, line \d+\. `check --verbose`"
    assert re.search(where, note["message"])
    assert "s3cret" not in str(note)
