"""`alerts.json` as the first version with notifications wrote it: nothing is sent twice because of an upgrade, and
nothing that waits is lost."""

import json
from datetime import UTC, datetime

import pytest
from receivers import web
from recorders import Recorder
from situations import notify, publish, state_of, use_channels

from pipelines.alerts.alert_state import AlertState
from pipelines.warehouse.state_folder import StateFolder

SINCE = "2026-11-02T06:00:00+00:00"


def test_what_waits_is_sent_once_and_what_is_open_ends(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with web() as channel:
        use_channels(monkeypatch, channel)
        publish(recorder, "Lead", "Account")
        notify()
        now = state_of(recorder)
        (digest,) = now["channels"]
        problems = {
            key: {"key": key, "org_id": one["org_id"], "heading": f"Earlier {number}", "text": "as it was",
                  "urgent": False, "since": SINCE}
            for number, (key, one) in enumerate(now["open"].items())
        }  # fmt: skip
        waiting, told = problems
        event = {"change": "began", "at": SINCE, "problem": problems[waiting], "reason": ""}
        mailbox = {"outbox": [event], "told_at": {told: datetime.now(UTC).timestamp()}, "is_new": False}
        earlier = {"version": 1, "salt": now["salt"], "open": problems, "channels": {digest: mailbox}}
        (recorder.state_folder / "alerts.json").write_text(json.dumps(earlier))
        channel.requests.clear()

        assert notify() == (1, "")
        assert channel.titles == ["Earlier 0"]
        assert notify() == (1, "")
        assert len(channel.titles) == 1
        publish(recorder)
        assert notify() == (0, "")
        assert sorted(channel.titles[1:]) == ["Over: UNFINISHED in Acme"] * 2
        assert all(
            "2 November 2026" in note["message"] or "2026-11-02" in note["message"] for note in channel.notes[1:]
        )


def test_a_channel_is_known_by_the_same_hash(recorder: Recorder) -> None:
    """With another one, every channel would count as new, and get everything again."""
    state = AlertState(StateFolder(recorder.primary_file), "alerts.json")
    state.salt = "00112233445566778899aabbccddeeff"
    assert state.digest("json://127.0.0.1:8080/x") == "ed767e1f4753d30755ca6ea17a6b2377"
