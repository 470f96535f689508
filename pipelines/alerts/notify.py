"""One run of `check --notify`: what changed since the last one goes to every channel, and to each only once."""

import hashlib
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pipelines.alerts.alert_state import AlertState, Mailbox, exclusive_alert_state
from pipelines.alerts.channels import Channel, open_channels
from pipelines.alerts.events import CHECK_FAILED, Event, Problem
from pipelines.alerts.messages import messages
from pipelines.alerts.settings import read_alert_settings
from pipelines.answers.check import current_key
from pipelines.answers.findings.finding import Finding
from pipelines.answers.findings.thresholds import Thresholds
from pipelines.answers.org_choice import chosen_orgs
from pipelines.config.settings import read_settings, warehouse_to_read
from pipelines.errors import TemporaryError, UsageError, describe_unexpected, unwrap_error
from pipelines.plural import counted
from pipelines.warehouse.reader import Warehouse

# A run a day starts some seconds earlier or later than the last one: without this, every second reminder would wait
# for another day.
EARLY: Final = 0.1  # of the time between reminders, but at most
MAX_EARLY: Final = timedelta(minutes=30)
BY_HAND: Final = "`check --verbose` on the recorder's machine shows all of it."
MAX_WAITING: Final = 500  # events for one channel: then it gets what is open once it answers


@contextmanager
def notifying(given: Path | None, names: Sequence[str], as_of: str | None) -> Iterator["Notifier"]:
    """Holds the lock of the alert state; what the block notes is sent at its end. If the block fails, which means that
    `check` could not look, that is sent instead.

    Raises ConfigError if no channel is set, or one is wrong; TemporaryError if one cannot be reached.
    """
    if as_of:
        raise UsageError("--notify reports what is wrong now, not as of an earlier time.", "Leave out --as-of.")
    alerts, settings = read_alert_settings(), read_settings()
    channels = open_channels(alerts.urls)
    if given is None and not settings.warehouse.exists() and not settings.primary_file.exists():
        warehouse_to_read(None, None)  # raises: nothing is recorded yet, and the demo alerts no one
    with exclusive_alert_state(settings.primary_file, _file_name(given, settings.warehouse)) as state:
        notifier = Notifier(state, channels, alerts.remind_after)
        try:
            yield notifier
        except Exception as error:
            if not notifier.has_noted and (given or names):
                raise  # a run by hand
            failure = unwrap_error(error)
            message = failure.message if failure else f"{describe_unexpected(error)}. {BY_HAND}"
            if not notifier.has_noted:
                notifier.note_failed_check(message)
            if undelivered := notifier.deliver():
                raise TemporaryError(f"{message}\n{undelivered.message}", undelivered.remedy) from None
            raise
        if undelivered := notifier.deliver():
            raise undelivered


def _file_name(given: Path | None, published: Path) -> str:
    """Of any other warehouse than our own, a file of its own: it has other findings."""
    if given is None or given.resolve() == published.resolve():
        return "alerts.json"
    return f"alerts-{hashlib.sha256(str(given.resolve()).encode()).hexdigest()[:12]}.json"


class Notifier:
    """What one run sends."""

    def __init__(self, state: AlertState, channels: Sequence[Channel], remind_after: timedelta | None) -> None:
        self.state, self.remind_after = state, remind_after
        self.has_noted = False
        self.now = datetime.now(UTC)
        self.channels = {state.digest(channel.url): channel for channel in channels}
        self.added = self.channels.keys() - state.mailboxes.keys()
        boxes = {
            digest: state.mailboxes.get(digest, Mailbox()) for digest in self.channels
        }  # a removed one is forgotten
        for digest in self.added:
            boxes[digest].is_new = not state.is_first
        state.mailboxes = boxes

    def note(
        self, warehouse: Warehouse, found: Sequence[Finding], thresholds: Thresholds, names: Sequence[str]
    ) -> None:
        """Compares these findings of the orgs of these names (without names, of all) with what is known to be open, and
        puts what changed into every outbox."""
        problems: dict[str, Problem] = {}
        for finding in found:
            problems.setdefault(current_key(finding.key), Problem.of(finding, self.now))
        asked = chosen_orgs(warehouse, names)
        recorded = "select org_id from recorded_orgs where left_settings_at is null"
        still = {row["org_id"] for row in warehouse.rows(recorded)}
        muted = {current_key(key) for key in thresholds.muted_findings}
        over: list[Event] = []
        for key, problem in self.state.open.items():
            if key in problems or (names and problem.org_id and problem.org_id not in asked):
                continue
            left = problem.org_id and problem.org_id not in still
            reason = "it is muted" if key in muted else "its org is no longer recorded" if left else ""
            over.append(self._event("over", problem, reason))
        self._note(problems, over)

    def note_failed_check(self, message: str) -> None:
        """What is open stays so: nothing is known about it."""
        self._note({CHECK_FAILED: Problem.of_failed_check(message, self.now)}, [])

    def _note(self, problems: dict[str, Problem], over: Sequence[Event]) -> None:
        state = self.state
        changed = [
            self._event("now urgent" if key in state.open else "began", problem)
            for key, problem in problems.items()
            if key not in state.open or (problem.urgent and not state.open[key].urgent)
        ]
        for key, problem in problems.items():
            state.open[key] = replace(problem, since=state.open.get(key, problem).since)
        ended = {event.problem.key for event in over}
        for key in ended:
            del state.open[key]
        for mailbox in state.mailboxes.values():
            mailbox.outbox = [
                one for one in mailbox.outbox if one.change in ("began", "over") or one.problem.key not in ended
            ]
            mailbox.outbox += [*changed, *over]
            mailbox.outbox += self._reminders(mailbox, problems)
            mailbox.told_at = {key: at for key, at in mailbox.told_at.items() if key in state.open}
            mailbox.is_new = mailbox.is_new or len(mailbox.outbox) > MAX_WAITING
            if mailbox.is_new:
                mailbox.outbox = [self._event("began", problem) for problem in state.open.values()]
                mailbox.is_new = bool(mailbox.outbox)
        state.write()
        self.has_noted = True

    def _reminders(self, mailbox: Mailbox, problems: Collection[str]) -> Iterator[Event]:
        if self.remind_after is None:
            return
        due_after = (self.remind_after - min(EARLY * self.remind_after, MAX_EARLY)).total_seconds()
        waiting = {event.problem.key for event in mailbox.outbox}
        for key in problems:
            at = mailbox.told_at.get(key)
            if at is None or key in waiting:
                continue
            if not at <= time.time():  # the clock was set back, or this is no time: NaN
                mailbox.told_at[key] = time.time()
            elif time.time() - at >= due_after:
                yield self._event("goes on", self.state.open[key])

    def _event(self, change: str, problem: Problem, reason: str = "") -> Event:
        return Event(change, self.now.isoformat(timespec="seconds"), problem, reason)  # type: ignore[arg-type]

    def deliver(self) -> TemporaryError | None:
        """Sends what is in the outboxes; returns the error to end with if a channel failed. The others are not held up
        by it, and it gets the rest with the next run."""
        failed: list[str] = []
        for digest, channel in self.channels.items():
            mailbox = self.state.mailboxes[digest]
            for message, events in messages(mailbox.outbox, self.now, channel.room, together=mailbox.is_new):
                if (cause := channel.send(message)) is not None:
                    failed.append(f"{channel.name}: {cause}")
                    break
                mailbox.outbox = [event for event in mailbox.outbox if event not in events]
                mailbox.is_new = False
                mailbox.told_at |= {e.problem.key: time.time() for e in events if e.problem.key in self.state.open}
                self.state.write()
        if not failed:
            return None
        return TemporaryError(
            f"{len(failed):,} of {counted(len(self.channels), 'channel')} could not be notified: {'; '.join(failed)}.",
            "What they missed is kept, and the next `check --notify` sends it.",
        )
