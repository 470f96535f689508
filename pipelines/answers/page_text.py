"""Text on the page: escaped, with dates that do not break, and links from job ids to Setup's page of the job."""

import calendar
import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape

from pipelines.answers.findings.finding import Finding
from pipelines.answers.findings.words import duration
from pipelines.plural import counted
from pipelines.warehouse.reader import Warehouse

BREAKS: Final = re.compile(r"(?<=_)(?=\w)|(?<=[a-z0-9])(?=[A-Z])")  # where a code or the name of a limit may break
MONTHS: Final = "|".join(calendar.month_name[1:])
WHOLE: Final = re.compile(
    rf"(?P<whole>\b\d{{4}}-\d\d-\d\d(?: \d\d:\d\d(?: UTC)?)?\b|\b\d{{1,2}} (?:{MONTHS})(?: \d{{4}})?\b|\b[\d.,]+ %)"
    r"|(?P<job>\b750[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?\b)"
)
# Nothing but a host is taken from the recorded address: links lead to that org, or there are none.
INSTANCE: Final = re.compile(r"(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?)/?", re.IGNORECASE)
# The page of Setup -> Bulk Data Load Jobs for one job
JOB_PAGE: Final = "/lightning/setup/AsyncApiJobStatus/page?address="
NO_EVENT: Final = frozenset({"forgotten_from", "lost_from", "covered_to", "expected_at", "as_of"})  # of a finding


def breakable(name: str) -> Markup:
    """A code that may break where its words begin."""
    return Markup(BREAKS.sub("<wbr>", str(escape(name))))  # noqa: S704 - escaped


def rich(text: Any, instance_url: str | None) -> Markup:
    """A text with its dates and percentages in one piece, and its job ids as links if the org's address is known."""
    instance = INSTANCE.fullmatch(instance_url or "")

    def marked(found: re.Match[str]) -> str:
        if found["whole"]:
            return f'<span class="whole">{found["whole"]}</span>'
        if not instance:
            return found["job"]
        return f'<a href="{instance[1]}{JOB_PAGE}{quote("/" + found["job"], safe="")}">{found["job"]}</a>'

    return Markup(WHOLE.sub(marked, str(escape(text))))  # noqa: S704 - escaped


def shown(value: Any) -> str:
    """A value formatted for a table."""
    match value:
        case None:
            return ""
        case float():
            return f"{value:,.1f}"
        case int():
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case date():
            return f"{value:%Y-%m-%d}"
    return str(value)


def headline(file: Warehouse, findings: Sequence[Finding]) -> str:
    """'5 problems, 1 of them urgent, newest 2 hours ago': the time of the newest job or event that one is about."""
    if not findings:
        return "Nothing needs attention."
    urgent = sum(finding.urgent for finding in findings)
    words = counted(len(findings), "urgent problem" if urgent == len(findings) else "problem")
    words += f", {urgent:,} of them urgent" if 0 < urgent < len(findings) else ""
    newest = _newest_event(file, findings)
    return f"{words}, newest {duration(file.clock - newest)} ago." if newest else f"{words}."


def _newest_event(file: Warehouse, findings: Sequence[Finding]) -> datetime | None:
    ids = [id_ for finding in findings for id_ in finding.ids]
    (jobs,) = file.rows(
        "select max(began_at) as at from all_jobs where list_contains($orgs, org_id) and list_contains($ids, id)",
        {"orgs": list({finding.org_id for finding in findings}), "ids": ids},
    )
    times = [
        time
        for finding in findings
        for name, time in finding.numbers.items()
        if name not in NO_EVENT and isinstance(time, datetime) and time.tzinfo and time <= file.clock
    ]
    return max([*times, *([jobs["at"]] if jobs["at"] else [])], default=None)
