"""`make check`: problems that need attention, each with its numbers and job ids; nothing on a healthy day.

It reads the published warehouse only, through the views; the rules are in `findings/`. The key of a finding stays the
same as long as the problem lasts, so that `muted_findings` in config.toml can mute what is already being handled.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pipelines.answers.findings.coverage import coverage, holes, own_jobs_only, reduced_view
from pipelines.answers.findings.exports import LOOKED_AT, unusual_exports
from pipelines.answers.findings.failing import lost_loads, rates, streaks
from pipelines.answers.findings.few_jobs import LASTING_STREAKS, few_jobs
from pipelines.answers.findings.finding import QUERY, RETENTION, CheckContext, Finding, RecordedFeed
from pipelines.answers.findings.limits import allowance, api_calls
from pipelines.answers.findings.reasons import grown_reasons, new_reasons, unread_results
from pipelines.answers.findings.records import details, rejected
from pipelines.answers.findings.thresholds import Thresholds, read_thresholds
from pipelines.answers.findings.unfinished import unfinished
from pipelines.answers.findings.volume import missing_runs, unusual_volume
from pipelines.answers.org_choice import chosen_orgs
from pipelines.salesforce.ids import full_id
from pipelines.warehouse.narrowed import answered_once, narrowed, recent_jobs, shown
from pipelines.warehouse.reader import Row, Warehouse, opened

__all__ = ["Finding", "Thresholds", "as_json", "check", "current_key", "read_thresholds"]

# The order matters: what one of them reports, a later one does not report again.
CHECKS: Final[tuple[Callable[[CheckContext], Iterator[Finding]], ...]] = (
    coverage, reduced_view, own_jobs_only, holes, streaks, lost_loads, rates, new_reasons, grown_reasons,
    unfinished, unusual_exports, allowance, api_calls, unusual_volume, missing_runs, rejected, details, unread_results,
)  # fmt: skip

# What is wrong with recording an org does not matter once the settings no longer name it; and for how long what is
# wrong with its jobs is still reported then.
RECORDING: Final = frozenset({coverage, reduced_view, own_jobs_only, holes, rejected, details, unread_results})
STILL_NEWS: Final = RETENTION

ORGS: Final = """
select
    o.org_id, o.display_name as name, o.configured_name, o.as_of, o.left_settings_at,
    case when count(*) filter (where o.left_settings_at is null) over () > 1 then r.newest_as_of end as newest_as_of
from recorded_orgs as o
inner join org_rhythms as r on r.org_id = o.org_id
order by o.display_name, o.org_id
"""
# The listings that are recorded, see RecordedFeed; of each org that of query jobs first.
FEEDS: Final = """
select
    f.org_id, f.feed as name, f.as_of, coalesce(f.covered_to, f.as_of) as proven,
    (
        select max(p.listed_at) from proving_listings as p
        where p.org_id = f.org_id and p.feed = f.feed and p.listed_at < f.covered_to
    ) as proven_before
from recorded_feeds as f
where f.is_current
order by f.feed desc
"""
# Views that take long to plan or to read, asked once for all orgs: at least the rows that the rules choose. Days: how
# far to look back from the oldest of the orgs' newest listings; older jobs that have not changed since do not matter.
ANSWERED_ONCE: Final[Mapping[str, tuple[str, int | None]]] = {
    "allowance_by_hour": (
        """
        select a.* from allowance_by_hour as a
        inner join recorded_orgs as o
            on o.org_id = a.org_id and a.hour >= (o.as_of at time zone 'UTC') - interval 96 hours
        """,
        7,
    ),
    "coverage_holes": (
        """
        select h.* from coverage_holes as h
        inner join recorded_orgs as o on o.org_id = h.org_id and h.hole_to >= o.as_of - interval 14 days
        """,
        None,
    ),
    "exports_by_day": (
        f"""
        select e.* from exports_by_day as e
        inner join recorded_feeds as f on f.org_id = e.org_id and f.feed = '{QUERY}'
            and e.day > (f.as_of at time zone 'UTC')::date - {LOOKED_AT.days}
        """,
        None,
    ),
    "failure_rates": ("from failure_rates", 29),
    "reason_trends": ("from reason_trends where is_new or is_comparable", None),
    "recorded_feeds": ("from recorded_feeds", None),
    "reduced_views": ("from reduced_views where is_ongoing", None),
    "unusual_days": ("from unusual_days where is_unusual", None),
    "usual_runs": ("from usual_runs where is_missing", 57),  # short_lived_jobs looks back for eight weeks
}
OF_FEW_JOBS: Final = {
    "failure_streaks": LASTING_STREAKS,
    "recent_failures": "from failures",  # of jobs that were created or changed in four weeks, and of these streaks
    "stuck_jobs": "from stuck_jobs",
}
FEW_DAYS: Final = 29


def check(
    warehouse: Path | Warehouse, thresholds: Thresholds, now: datetime | None = None, names: Sequence[str] = ()
) -> list[Finding]:
    """What needs attention in the orgs of these names (see `org_choice.py`; without names, in all), urgent findings
    first, without the muted ones. `now` is the warehouse's own clock unless given: see `Warehouse.clock`.

    Raises ConfigError if the file is not a warehouse, or has no org of a name.
    """
    found: list[Finding] = []
    with opened(warehouse) as file:
        now = now or file.clock
        chosen, recorded = chosen_orgs(file, names), file.rows(ORGS)
        asked = [org for org in recorded if org["org_id"] in chosen]
        feeds: dict[str, list[RecordedFeed]] = {}
        for feed in file.rows(FEEDS):
            feeds.setdefault(feed.pop("org_id"), []).append(RecordedFeed(**feed))
        with _answered_once(file, asked, feeds):
            for org in asked:
                with narrowed(file, org["org_id"]):
                    found += _findings(file, thresholds, org, tuple(feeds.get(org["org_id"], ())), now)
    muted = {current_key(key) for key in thresholds.muted_findings}
    return sorted((finding for finding in found if finding.key not in muted), key=lambda finding: not finding.urgent)


@contextmanager
def _answered_once(file: Warehouse, asked: list[Row], feeds: dict[str, list[RecordedFeed]]) -> Iterator[None]:
    """ANSWERED_ONCE and OF_FEW_JOBS, for these orgs."""
    newest = [org["as_of"] for org in asked]
    newest += [time for org in asked for feed in feeds.get(org["org_id"], ()) for time in (feed.as_of, feed.proven)]
    if not newest:
        yield
        return
    queries: dict[str, tuple[str, AbstractContextManager[object]]] = {
        name: (sql, recent_jobs(file, None if days is None else min(newest) - timedelta(days=days)))
        for name, (sql, days) in ANSWERED_ONCE.items()
    }
    with few_jobs(file, min(newest) - timedelta(days=FEW_DAYS)) as few:
        queries |= {name: (sql, shown(file, few)) for name, sql in OF_FEW_JOBS.items()}
        with answered_once(file, queries):
            yield


def _findings(
    file: Warehouse, thresholds: Thresholds, org: Row, feeds: tuple[RecordedFeed, ...], now: datetime
) -> Iterator[Finding]:
    left_at = org["left_settings_at"]
    if left_at and now >= left_at + STILL_NEWS:
        return
    context = CheckContext(
        file, thresholds, org["org_id"], org["name"], org["as_of"], now, feeds, org["configured_name"],
        org["newest_as_of"],
    )  # fmt: skip
    for look in CHECKS:
        if not (left_at and look in RECORDING):
            yield from look(context)


def current_key(key: str) -> str:
    """A finding's key with the 18-character id of the org: earlier versions also wrote 15 characters."""
    kind, *rest = key.split("/")
    return "/".join([kind, *(str(full_id(part)) for part in rest[:1]), *rest[1:]])


def as_json(warehouse: Warehouse, found: list[Finding]) -> str:
    """The findings as JSON: {"warehouse", "demo", "findings": [{kind, key, org, message, …}]}; the list is empty
    if there are none."""
    answer = {
        "warehouse": str(warehouse.path),
        "demo": warehouse.is_demo,
        "findings": [{k: v for k, v in asdict(finding).items() if k != "quotes"} for finding in found],
    }
    return json.dumps(answer, indent=2, default=lambda value: value.isoformat())
