"""Events in words: one message each or, if there are many, all of them in one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from pipelines.alerts.events import Change, Event
from pipelines.answers.findings.words import when
from pipelines.plural import counted

MAX_SINGLE: Final = 5  # more events at once go as one message
MAX_SHOWN: Final = 20  # in one message
MAX_TEXT: Final = 1_500  # characters of one finding
MAX_LINE: Final = 300  # of one of many
MORE: Final = "\n\n… and {:,} more. `check` lists everything that is open."
LATE: Final = timedelta(minutes=30)  # from then on a message says of when it is

Level = Literal["failure", "warning", "success"]
BEFORE: Final[dict[Change, str]] = {"began": "", "now urgent": "Now ", "goes on": "Still: ", "over": "Over: "}
COUNTED: Final[dict[Change, str]] = {
    "began": "new", "now urgent": "now urgent", "goes on": "still open", "over": "over",
}  # fmt: skip


@dataclass(frozen=True)
class Message:
    """What a channel gets; `thread` is the same for all messages about one finding, and empty for many of them."""

    title: str
    body: str
    level: Level
    thread: str = ""


def messages(
    events: Sequence[Event], now: datetime, room: int, *, together: bool = False
) -> list[tuple[Message, list[Event]]]:
    """The messages to send in this order, each with the events that it tells of, and with a body of at most `room`
    characters. `together`: a channel that is new gets everything that is open as one."""
    if together or len(events) > MAX_SINGLE:
        return [(_sum(events, "open now" if together else "", room), list(events))] if events else []
    return [(_single(event, now, room), [event]) for event in events]


def _single(event: Event, now: datetime, room: int) -> Message:
    problem = event.problem
    lines = [_cut(problem.text, MAX_TEXT)]
    if event.change == "over":
        lines = [_over(event), f"It was: {lines[0]}"]
    elif event.change != "began":
        lines.append(f"First found {_when(problem.since)}.")
    if abs(now - datetime.fromisoformat(event.at)) > LATE:
        lines.append(f"This is as of {_when(event.at)}: it could not be delivered before.")
    body = _cut("\n".join(lines), room)
    return Message(f"{BEFORE[event.change]}{problem.heading}", body, _level([event]), problem.key)


def _over(event: Event) -> str:
    return f"No longer reported{f': {event.reason}' if event.reason else ''}. First found {_when(event.problem.since)}."


def _sum(events: Sequence[Event], what: str, room: int) -> Message:
    counts = {change: sum(event.change == change for event in events) for change in BEFORE}
    title = (
        f"{counted(len(events), 'finding')} {what}"
        if what
        else "Findings: " + ", ".join(f"{number:,} {COUNTED[change]}" for change, number in counts.items() if number)
    )
    ordered = sorted(events, key=lambda event: (event.change == "over", not event.problem.urgent))
    body = ""
    for nth, event in enumerate(ordered):
        line = _line(event) if not body else f"\n\n{_line(event)}"
        if nth == MAX_SHOWN or len(body) + len(line) + len(MORE) > room:
            body += MORE.format(len(events) - nth)
            break
        body += line
    return Message(title, _cut(body, room), _level(events))


def _line(event: Event) -> str:
    first = event.problem.text.splitlines()[0]
    end = f" ({event.reason})" if event.reason else ""
    return _cut(f"{BEFORE[event.change]}{event.problem.heading}: {first}", MAX_LINE) + end


def _level(events: Sequence[Event]) -> Level:
    open_now = [event.problem for event in events if event.change != "over"]
    return "success" if not open_now else "failure" if any(one.urgent for one in open_now) else "warning"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _when(time: str) -> str:
    return when(datetime.fromisoformat(time))
