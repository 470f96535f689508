"""All orgs at a glance: a line for each, those that need attention first, and the whole in words."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pipelines.answers.findings.coverage import is_recorder_off
from pipelines.answers.findings.finding import Finding
from pipelines.answers.findings.thresholds import Thresholds
from pipelines.answers.findings.words import duration, when
from pipelines.plural import counted
from pipelines.warehouse.reader import Row, Warehouse

MAX_NAMED: Final = 5  # orgs in a sentence; the table has the rest
GROUPS: Final = ("Production", "Sandboxes", "No longer recorded")


@dataclass(frozen=True)
class Fleet:
    """The lines of the orgs that are shown, most urgent first: rows of the view `fleet` with `hours_since_listing`,
    `findings`, `urgent_findings`, `finding_kinds` and `group`, one of GROUPS; the time that counts as now; and since
    when no org at all is recorded, if the recorder seems to be off."""

    orgs: Sequence[Row]
    now: datetime
    off_since: datetime | None = None

    @property
    def groups(self) -> dict[str, list[Row]]:
        """Group -> its orgs, without empty groups."""
        by_group = {group: [org for org in self.orgs if org["group"] == group] for group in GROUPS}
        return {group: orgs for group, orgs in by_group.items() if orgs}

    @property
    def summary(self) -> str:
        """What an owner has to know first."""
        current = [org for org in self.orgs if not org["left_settings_at"]]
        words = []
        if self.off_since:
            words.append(
                f"No org has a complete listing newer than {when(self.off_since)}, "
                f"{duration(self.now - self.off_since)} ago: the recorder seems to be off."
            )
        silent = [org for org in current if org["is_silent"]]
        if silent:
            words.append(f"Gone silent while others are recorded: {_named(silent)}.")
        urgent = [org for org in current if org["urgent_findings"] and not org["is_silent"]]
        if urgent:
            words.append(f"Urgent findings{' also' if silent else ''} in {_named(urgent)}.")
        quiet = sum(not org["findings"] for org in current)
        if quiet == len(current):
            words += ["Nothing needs attention."] if current else []
        elif quiet:
            words.append(f"In {quiet:,} of {counted(len(current), 'org')}, nothing needs attention.")
        else:
            words.append("In every org, something needs attention.")
        sandboxes = sum(bool(org["is_sandbox"]) for org in current)
        words.append(f"{counted(len(current), 'org')}, of which {counted(sandboxes, 'sandbox', 'sandboxes')}.")
        left = len(self.orgs) - len(current)
        if left:
            words.append(f"{counted(left, 'more org')} {'is' if left == 1 else 'are'} no longer in the settings.")
        return " ".join(words)


def read_fleet(file: Warehouse, org_ids: Collection[str], findings: Sequence[Finding], thresholds: Thresholds) -> Fleet:
    """The orgs of these ids, with what `check` found, urgent findings first."""
    orgs = []
    for org in file.rows("select * from fleet order by name, org_id"):
        if org["org_id"] not in org_ids:
            continue
        own = [finding for finding in findings if finding.org_id == org["org_id"]]
        orgs.append({
            **org,
            "hours_since_listing": (file.clock - org["as_of"]) / timedelta(hours=1),
            "findings": len(own),
            "urgent_findings": sum(finding.urgent for finding in own),
            "finding_kinds": list(dict.fromkeys(finding.kind for finding in own)),
            "group": GROUPS[2 if org["left_settings_at"] else 1 if org["is_sandbox"] else 0],
        })  # fmt: skip
    (newest,) = file.rows("select max(newest_as_of) as at from org_rhythms")
    is_off = is_recorder_off(newest["at"], file.clock, thresholds)
    return Fleet(sorted(orgs, key=_urgency), file.clock, newest["at"] if is_off else None)


def _urgency(org: Row) -> tuple[int | bool, ...]:
    """Production before sandboxes, then silent orgs, urgent findings, findings, failed jobs; ties by name."""
    return (
        GROUPS.index(org["group"]), not org["is_silent"], -org["urgent_findings"], -org["findings"], -org["failed_jobs"]
    )  # fmt: skip


def _named(orgs: Sequence[Row]) -> str:
    more = len(orgs) - MAX_NAMED
    return ", ".join(org["name"] for org in orgs[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")
