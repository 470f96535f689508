"""`make check`: problems that need attention, each with its numbers and job ids; nothing on a healthy day.

It reads the published warehouse only, through the views; the rules are in `findings/`. The key of a finding stays the
same as long as the problem lasts, so that `muted_findings` in config.toml can mute what is already being handled.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from pipelines.answers.findings.coverage import coverage, holes, own_jobs_only, reduced_view
from pipelines.answers.findings.failing import lost_loads, rates, streaks
from pipelines.answers.findings.finding import CheckContext, Finding, RecordedFeed
from pipelines.answers.findings.limits import allowance, api_calls
from pipelines.answers.findings.reasons import grown_reasons, new_reasons, unread_results
from pipelines.answers.findings.records import details, rejected
from pipelines.answers.findings.thresholds import Thresholds, read_thresholds
from pipelines.answers.findings.unfinished import unfinished
from pipelines.answers.findings.volume import missing_runs, unusual_volume
from pipelines.salesforce.ids import full_id
from pipelines.warehouse.reader import Warehouse, opened

__all__ = ["Finding", "Thresholds", "as_json", "check", "read_thresholds"]

# The order matters: what one of them reports, a later one does not report again.
CHECKS: Final[tuple[Callable[[CheckContext], Iterator[Finding]], ...]] = (
    coverage, reduced_view, own_jobs_only, holes, streaks, lost_loads, rates, new_reasons, grown_reasons,
    unfinished, allowance, api_calls, unusual_volume, missing_runs, rejected, details, unread_results,
)  # fmt: skip

ORGS: Final = "select org_id, name, as_of from recorded_orgs order by name, org_id"
# The listings that are recorded, see RecordedFeed; that of query jobs first.
FEEDS: Final = """
select
    f.feed as name, f.as_of, coalesce(f.covered_to, f.as_of) as proven,
    (
        select max(p.listed_at) from proving_listings as p
        where p.org_id = f.org_id and p.feed = f.feed and p.listed_at < f.covered_to
    ) as proven_before,
    f.is_settled
from recorded_feeds as f
where f.org_id = $org and f.is_current
order by f.feed desc
"""


def check(warehouse: Path | Warehouse, thresholds: Thresholds, now: datetime | None = None) -> list[Finding]:
    """What needs attention, urgent findings first, without the muted ones. `now` is the warehouse's own clock unless
    given: see `Warehouse.clock`.

    Raises ConfigError if the file is not a warehouse.
    """
    found: list[Finding] = []
    with opened(warehouse) as file:
        for org in file.rows(ORGS):
            feeds = tuple(RecordedFeed(**feed) for feed in file.rows(FEEDS, {"org": org["org_id"]}))
            context = CheckContext(file, thresholds, org["org_id"], org["name"], org["as_of"], now or file.clock, feeds)
            for look in CHECKS:
                found += look(context)
    muted = {_current_key(key) for key in thresholds.muted_findings}
    return sorted((finding for finding in found if finding.key not in muted), key=lambda finding: not finding.urgent)


def _current_key(key: str) -> str:
    """A finding's key with the 18-character id of the org: earlier versions also wrote 15 characters."""
    kind, *rest = key.split("/")
    return "/".join([kind, *(str(full_id(part)) for part in rest[:1]), *rest[1:]])


def as_json(warehouse: Warehouse, found: list[Finding]) -> str:
    """The findings as JSON: {"warehouse", "demo", "findings": [{kind, key, org, message, …}]}; the list is empty
    if there are none."""
    answer = {
        "warehouse": str(warehouse.path),
        "demo": warehouse.is_demo,
        "findings": [asdict(finding) for finding in found],
    }
    return json.dumps(answer, indent=2, default=lambda value: value.isoformat())
