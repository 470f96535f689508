"""The findings as `check` prints them: for one org one after the other, for several org by org."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from pipelines.answers.findings.finding import Finding
from pipelines.answers.findings.words import duration, when
from pipelines.plural import counted

HOW_TO_MUTE: Final = (
    "Already being handled? Mute it: add its key (see check --json) to muted_findings in .dlt/config.toml."
)


def as_text(found: list[Finding]) -> Iterator[str]:
    """A paragraph for each finding, in their order, and how to mute them. If they are of several orgs, those of one org
    stand together under its name, first those that have gone silent while others are recorded; orgs that all stopped
    being recorded are reported as one."""
    if len({finding.org_id for finding in found}) < 2:
        yield from map(str, found)
    else:
        together = [finding for finding in found if finding.numbers.get("all_orgs_stopped")]
        if len(together) > 1:
            yield _stopped(together)
        by_org: dict[str, list[Finding]] = {}
        for finding in found:
            if len(together) < 2 or finding not in together:
                by_org.setdefault(finding.org_id, []).append(finding)
        for own in sorted(by_org.values(), key=lambda own: not any(map(_has_gone_silent, own))):
            yield _heading(own)
            yield from map(str, own)
    yield HOW_TO_MUTE


def _has_gone_silent(finding: Finding) -> bool:
    return finding.numbers.get("all_orgs_stopped") is False


def _heading(own: list[Finding]) -> str:
    urgent = sum(finding.urgent for finding in own)
    return f"--- {own[0].org}: {counted(len(own), 'finding')}{f', {urgent:,} of them urgent' if urgent else ''} ---"


def _stopped(together: list[Finding]) -> str:
    """The old listings of all orgs as one event."""
    oldest = min(together, key=lambda finding: finding.numbers["last_listing"])
    orgs = sorted({finding.org for finding in together})
    return (
        f"{'URGENT ' if any(finding.urgent for finding in together) else ''}COVERAGE in {len(orgs):,} orgs: no org has "
        f"a complete listing that is newer than {when(max(f.numbers['last_listing'] for f in together))}; the oldest "
        f"is {duration(timedelta(hours=oldest.numbers['age_hours']))} old. Jobs that finished since then are lost from "
        f"{when(oldest.numbers['lost_from'])} on.\n  orgs: {', '.join(orgs)}\n  {oldest.remedy}"
    )
