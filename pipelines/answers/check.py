"""`make check`: what needs a person, in words with the numbers and the ids; on a healthy day nothing at all.

Reads the published warehouse only, through the views; what it looks for is in `findings/`. What a finding is called
(`key`) stays the same while the trouble lasts, so that `muted_findings` of config.toml can silence what is being
handled already.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from pipelines.answers.findings.coverage import coverage, holes, own_jobs_only, reduced_view
from pipelines.answers.findings.failing import lost_loads, rates, streaks
from pipelines.answers.findings.finding import SETTLED, Finding, Question
from pipelines.answers.findings.limits import allowance, api_calls
from pipelines.answers.findings.records import details, rejected
from pipelines.answers.findings.thresholds import Thresholds, read_thresholds
from pipelines.answers.findings.unfinished import unfinished
from pipelines.answers.findings.volume import missing_runs, unusual_volume
from pipelines.salesforce.ids import full_id
from pipelines.warehouse.reader import Warehouse, opened

__all__ = ["Finding", "Thresholds", "as_json", "check", "read_thresholds"]

# In this order: what one reports, a later one does not report again.
EXAMINATIONS: Final[tuple[Callable[[Question], Iterator[Finding]], ...]] = (
    coverage, reduced_view, own_jobs_only, holes, streaks, lost_loads, rates, unfinished,
    allowance, api_calls, unusual_volume, missing_runs, rejected, details,
)  # fmt: skip

# Each org with its newest complete listing, the newest that proves coverage (all there is of a recorder that always
# filters), the one that did before it, and since when all is covered.
ORGS: Final = """
select
    o.org_id, o.name, o.as_of, coalesce(o.covered_to, o.as_of) as proven, c.covered_from,
    (
        select max(p.listed_at) from proving_listings as p
        where p.org_id = o.org_id and p.listed_at < o.covered_to
    ) as proven_before
from recorded_orgs as o
left join coverage as c on c.org_id = o.org_id and c.covered_to = o.covered_to
order by o.name, o.org_id
"""


def check(warehouse: Path | Warehouse, thresholds: Thresholds, now: datetime | None = None) -> list[Finding]:
    """What needs a person, urgent things first, less what is known. `now` is the warehouse's own clock if not given:
    see `Warehouse.clock`.

    Raises Misconfigured where the file is not a warehouse.
    """
    found: list[Finding] = []
    with opened(warehouse) as file:
        for org in file.rows(ORGS):
            is_settled = bool(org["covered_from"] and org["covered_from"] <= org["proven"] - SETTLED)
            question = Question(
                file, thresholds, org["org_id"], org["name"], org["as_of"], org["proven"], org["proven_before"],
                is_settled, now or file.clock,
            )  # fmt: skip
            for examine in EXAMINATIONS:
                found += examine(question)
    muted = {_current_key(key) for key in thresholds.muted_findings}
    return sorted((finding for finding in found if finding.key not in muted), key=lambda finding: not finding.urgent)


def _current_key(key: str) -> str:
    """A key of a finding with the org's id as it is written now: earlier versions took 15 characters, too."""
    kind, *rest = key.split("/")
    return "/".join([kind, *(str(full_id(part)) for part in rest[:1]), *rest[1:]])


def as_json(warehouse: Warehouse, found: list[Finding]) -> str:
    """The findings for a program: {"warehouse", "demo", "findings": [{kind, key, org, message, …}]}; an empty list
    where there are none."""
    told = {
        "warehouse": str(warehouse.path),
        "demo": warehouse.is_demo,
        "findings": [asdict(finding) for finding in found],
    }
    return json.dumps(told, indent=2, default=lambda value: value.isoformat())
