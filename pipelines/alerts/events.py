"""What is to be sent: a finding that began, became urgent, goes on, or is over."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from pipelines.answers.findings.finding import Finding
from pipelines.errors import sanitize
from pipelines.recording.message_templates import message_template

Change = Literal["began", "now urgent", "goes on", "over"]

CHECK_FAILED: Final = "check"  # the key of the one finding that is not of an org: that `check` could not look


@dataclass(frozen=True)
class Problem:
    """A finding as it is sent and remembered: what the org's own texts quote is in it as a template only."""

    key: str
    org_id: str
    heading: str  # URGENT COVERAGE in Acme
    text: str
    urgent: bool
    since: str  # when it was first found, in ISO 8601

    @classmethod
    def of(cls, finding: Finding, now: datetime) -> "Problem":
        """From a finding of `check`."""
        message = finding.message
        for quoted in filter(None, finding.quotes):
            before, found, after = message.rpartition(quoted)
            message = f"{before}{message_template(quoted)}{after}" if found else message
        jobs = [f"{'job' if len(finding.ids) == 1 else 'jobs'}: {finding.shown_ids}"] if finding.ids else []
        return cls(
            finding.key,
            finding.org_id,
            f"{'URGENT ' if finding.urgent else ''}{finding.kind.upper()} in {finding.org}",
            "\n".join([message, *jobs, finding.remedy]),
            finding.urgent,
            _time(now),
        )

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "Problem":
        """From the file that keeps it. Raises ValueError or TypeError."""
        found = cls(**given)
        texts = found.key, found.org_id, found.heading, found.text
        if not all(isinstance(text, str) for text in texts) or not isinstance(found.urgent, bool):
            raise ValueError
        _check_time(found.since)
        return found

    @classmethod
    def of_failed_check(cls, message: str, now: datetime) -> "Problem":
        """From the reason why `check` could not look."""
        text = f"`check` could not look for problems: {sanitize(message)}"
        return cls(CHECK_FAILED, "", "CHECK FAILED", text, urgent=True, since=_time(now))


@dataclass(frozen=True)
class Event:
    """One thing to send, as of when. `reason`: why a finding is over, if that is not because the problem is."""

    change: Change
    at: str
    problem: Problem
    reason: str = ""

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "Event":
        """From the file that keeps it. Raises ValueError, TypeError or KeyError."""
        found = cls(**{**given, "problem": Problem.from_json(given["problem"])})
        _check_time(found.at)
        if found.change not in get_args(Change) or not isinstance(found.reason, str):
            raise ValueError
        return found


def _check_time(text: str) -> None:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
