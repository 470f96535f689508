"""The wording of messages, within the room that a service has."""

from datetime import timedelta

import pytest
from apprise.plugins.pagerduty import PAGERDUTY_API_LOOKUP
from planted import NOW
from receivers import web

from pipelines.alerts.channels import open_channels
from pipelines.alerts.events import Change, Event, Problem
from pipelines.alerts.messages import messages


def event(number: int, change: Change = "began", *, urgent: bool = False) -> Event:
    heading = f"{'URGENT ' if urgent else ''}FAILING in Acme"
    text = f"series {number:03} has failed 3 times. {'x' * 200}\njob: 750\nFix it."
    return Event(change, NOW.isoformat(), Problem(f"key {number}", "00D", heading, text, urgent, NOW.isoformat()))


@pytest.mark.parametrize("room", [100, 500, 1_000, 30_000])
def test_one_message_of_many_counts_what_it_leaves_out(room: int) -> None:
    """Urgent findings come first, those that are over last."""
    events = [event(1, "over"), *(event(n) for n in range(2, 40)), event(40, urgent=True)]
    ((message, told),) = messages(events, NOW, room)
    assert told == events
    assert message.title == "Findings: 39 new, 1 over"
    assert message.level == "failure"
    assert len(message.body) <= room
    shown = message.body.count(" has failed ")
    assert f"… and {40 - shown} more." in message.body
    assert shown == 0 or message.body.startswith("URGENT FAILING in Acme: series 040")


def test_a_message_that_comes_late_says_of_when_it_is() -> None:
    ((message, _),) = messages([event(1, "over")], NOW + timedelta(hours=2), 30_000)
    assert message.title == "Over: FAILING in Acme"
    assert message.body.startswith("No longer reported. First found 2026-11-16 06:00 UTC.\nIt was: series 001")
    assert message.body.endswith("This is as of 2026-11-16 06:00 UTC: it could not be delivered before.")


@pytest.mark.parametrize(
    ("url", "name", "room"),
    [
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "slack", 35_000),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts", "slack", 35_000),
        ("pagerduty://0123456789abcdef0123456789abcdef@s3cret?action=map", "pagerduty", 774),
        ("mailtos://user:s3cret@smtp.example.com:587?from=a@example.com&to=b@example.com", "mailtos, smtp.example.com", 32_768),
        ("jsons://us/er:s3cret@example.com/", "jsons", 32_768),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord", 2_000),
    ],
)  # fmt: skip
def test_channels_are_named_without_a_secret(url: str, name: str, room: int) -> None:
    (channel,) = open_channels([url, url])
    assert channel.name == f"number 1 of `urls` ({name})"
    assert channel.room == room


def test_the_end_of_a_finding_resolves_its_incident(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PagerDuty gets, at another address: each finding is an incident of its own."""
    with web() as pagerduty:
        monkeypatch.setitem(PAGERDUTY_API_LOOKUP, "us", f"http://{pagerduty.host}/enqueue")
        pagerduty.status = 202
        (channel,) = open_channels(["pagerduty://0123456789abcdef0123456789abcdef@key?action=map"])
        for change, number in (("began", 1), ("began", 2), ("over", 1)):
            ((message, _),) = messages([event(number, change)], NOW, channel.room)
            assert channel.send(message) is None
    first, second, end = pagerduty.notes
    assert [note["event_action"] for note in pagerduty.notes] == ["trigger", "trigger", "resolve"]
    assert first["dedup_key"] == end["dedup_key"] != second["dedup_key"]
