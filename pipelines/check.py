"""`make check`: what needs a person, in words with the numbers and the ids; on a healthy day nothing at all.

Reads the published warehouse only, through the views. What a finding is called (`key`) stays the same while the
trouble lasts, so that `known_findings` of config.toml can silence what somebody is already working on.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration

from pipelines.dlt_context import named, resolved, section
from pipelines.failures import Misconfigured
from pipelines.ids import full_id
from pipelines.reader import Row, Warehouse, opened
from pipelines.tables import FINISHED

# Salesforce forgets a finished job after seven days (salesforce_app_limits_platform_bulkapi): what no listing showed
# by then is lost, and so is the file that says which records of a load failed.
MEMORY: Final = timedelta(days=7)
LOUD: Final = timedelta(days=5)
SHOWN_IDS: Final = 5
MOST: Final = 1_000_000  # of any threshold


@section("check")
@configspec
class Thresholds(BaseConfiguration):
    """`[check]` of .dlt/config.toml, or CHECK__… of the environment."""

    failures_in_a_row: int = 3
    unfinished_hours: float = 24.0
    allowance_percent: float = 80.0
    api_percent: float = 80.0
    unusual_percent: float = 50.0
    unusual_jobs: int = 20
    listing_age_hours: float = 24.0
    known_findings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """One thing that needs a person. `numbers` are those of the message, `ids` all jobs that it is about."""

    kind: str
    key: str
    org_id: str
    org: str
    message: str
    remedy: str
    urgent: bool = False
    ids: tuple[str, ...] = ()
    numbers: Row = field(default_factory=dict)

    @property
    def shown_ids(self) -> str:
        """The first of the ids, and how many more there are."""
        more = len(self.ids) - SHOWN_IDS
        return ", ".join(self.ids[:SHOWN_IDS]) + (f" and {more:,} more" if more > 0 else "")

    def __str__(self) -> str:
        lines = [f"{'URGENT ' if self.urgent else ''}{self.kind.upper()} in {self.org}: {self.message}"]
        lines += [f"  {'job' if len(self.ids) == 1 else 'jobs'}: {self.shown_ids}"] if self.ids else []
        return "\n".join([*lines, f"  {self.remedy}"])


@dataclass(frozen=True)
class Question:
    """An org, and as of when it is asked about: `as_of` is its newest complete listing, `proven` the newest that proves
    coverage, `now` the reader's clock."""

    warehouse: Warehouse
    thresholds: Thresholds
    org_id: str
    org: str
    as_of: datetime
    proven: datetime
    now: datetime

    def ask(self, sql: str, **parameters: Any) -> list[Row]:
        known = {**self.thresholds, "org": self.org_id, "as_of": self.as_of}
        return self.warehouse.rows(sql, known | parameters)

    def finding(self, kind: str, *key: object, **rest: Any) -> Finding:
        return Finding(kind, "/".join(str(part) for part in (kind, self.org_id, *key)), self.org_id, self.org, **rest)


def read_thresholds() -> Thresholds:
    """The thresholds. Raises Misconfigured, naming the key and where it is set."""
    thresholds = resolved(Thresholds(), "check")
    for name, value in thresholds.items():
        if isinstance(value, int | float) and not 0 <= value <= MOST:
            raise Misconfigured(f"{named(f'check.{name}')} is {value}.", f"It must be a number from 0 to {MOST:,}.")
    return thresholds


def check(warehouse: Path | Warehouse, thresholds: Thresholds, now: datetime | None = None) -> list[Finding]:
    """What needs a person, urgent things first, less what is known. `now` is this machine's clock; that of the demo
    stands still at its last load.

    Raises Misconfigured where the file is not a warehouse.
    """
    now = now or datetime.now(UTC)
    found: list[Finding] = []
    with opened(warehouse) as file:
        for org in file.rows(ORGS):
            as_of = org["as_of"]
            clock = as_of if file.is_demo else now
            question = Question(file, thresholds, org["org_id"], org["name"], as_of, org["proven"], clock)
            for examine in EXAMINATIONS:
                found += examine(question)
    known = {_current_key(key) for key in thresholds.known_findings}
    return sorted((finding for finding in found if finding.key not in known), key=lambda finding: not finding.urgent)


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


# An org's newest complete listing; of a recorder that always filters, its newest listing.
AS_OF: Final = """
coalesce(
    max(case when filters = '{}' then coalesce(restarted_at, started_at) end), max(coalesce(restarted_at, started_at))
)
"""

# A sandbox has the name of the org that it was made of.
NAMES: Final = """
select
    org_id,
    case when count(*) over (partition by name) = 1 then name
        else name || ' (' || case when is_sandbox then 'sandbox ' else '' end || org_id || ')' end as name
from orgs
"""

ORGS: Final = f"""
select l.org_id, coalesce(o.name, l.org_id) as name, {AS_OF} as as_of,
    coalesce(max(c.covered_to), {AS_OF}) as proven
from listings as l
left join (select org_id, max(covered_to) as covered_to from coverage group by 1) as c on c.org_id = l.org_id
left join ({NAMES}) as o on o.org_id = l.org_id
group by all
order by name, l.org_id
"""

# Of a row `s` of failure_streaks: it goes on, and silence of three usual pauses, or a day, has not ended it.
STILL_TRIED: Final = """
(
    s.ended_at is null
    and s.last_failure_at + greatest(
        interval 24 hours, 3 * (s.last_failure_at - s.failing_since) / greatest(s.failures - 1, 1)
    ) >= $as_of
)
"""

# allowance_by_hour, and until when these 24 hours are: to the end of the hour, or, where the org's own counter knows of
# more than is recorded, to the snapshot that said so.
ALLOWANCE: Final = """
select
    a.*, greatest(a.query_jobs, a.counted) as used,
    case when a.counted > a.query_jobs then s.asked_at else (a.hour + interval 1 hour) at time zone 'UTC' end as until
from allowance_by_hour as a
left join (
    select date_trunc('hour', asked_at at time zone 'UTC') as hour, max(asked_at) as asked_at
    from org_limits
    where org_id = $org and limit_name = 'DailyBulkV2QueryJobs' and app = ''
    group by 1
) as s on s.hour = a.hour
where a.org_id = $org
"""

# Whose V2 query jobs were created in the 24 hours up to $end. The view allowance_by_user tells the same of each day's
# fullest 24 hours by recorded jobs, which are others where the org's counter knows of more.
USED_BY: Final = """
select
    j.org_id, j.created_by_id, coalesce(u.name, j.created_by_id, '?') as created_by, j.object, count(*) as query_jobs,
    cast(sum(count(*)) over () as bigint) as listed
from query_jobs as j
left join users as u on u.org_id = j.org_id and u.id = j.created_by_id
where j.org_id = $org and j.job_type = 'V2Query'
    and j.created_date >= $end - interval 24 hours and j.created_date < $end
group by 1, 2, 3, 4
order by query_jobs desc, created_by, j.object
"""


def _coverage(question: Question) -> Iterator[Finding]:
    """The last complete listing is old: finished jobs are about to be forgotten, or are already."""
    age = question.now - question.proven
    if age >= timedelta(hours=question.thresholds.listing_age_hours):
        wall = question.proven + MEMORY
        lost = question.now >= wall
        yield question.finding(
            "coverage",
            message=f"the last complete listing is {_duration(age)} old, of {_when(question.proven)}: jobs that "
            f"finished since {'have been' if lost else 'will be'} lost from {_when(wall)} on.",
            remedy="Load now (make load). If that fails, it says why; make doctor checks the set-up.",
            urgent=age >= LOUD,
            numbers={"last_listing": question.proven, "age_hours": age / timedelta(hours=1), "lost_from": wall},
        )


def _reduced_view(question: Question) -> Iterator[Finding]:
    """The newest listing shows a fraction of what must still be there: what others do is not recorded any more."""
    for view in question.ask("select * from reduced_views where org_id = $org and is_ongoing"):
        before, left = view["creators_before"], view["jobs_expected"] - view["jobs_lost"]
        users = "" if before is None else f", and jobs of {view['creators']:,} instead of {before:,} users"
        yield question.finding(
            "reduced view",
            message=f"the listing lost {view['jobs_lost']:,} of {view['jobs_expected']:,} jobs at once: on "
            f"{_when(view['reduced_from'])} it showed {left:,} of them{users}.",
            remedy="Check that the recorder's user still has 'Manage Data Integrations': without it, other users' jobs "
            "go unrecorded. If the jobs were deleted on purpose, mute this finding.",
            urgent=True,
            numbers={name: value for name, value in view.items() if name != "org_id"},
        )


def _holes(question: Question) -> Iterator[Finding]:
    """A listing of the last days came too late: it is over, and somebody should know."""
    for hole in question.ask("""
        select hole_from, hole_to, hours from coverage_holes
        where org_id = $org and hole_to + interval 7 days >= $as_of - interval 7 days
    """):
        yield question.finding(
            "hole",
            _when(hole["hole_from"]),
            message=f"jobs created in the {_duration(timedelta(hours=hole['hours']))} from {_when(hole['hole_from'])} "
            f"to {_when(hole['hole_to'])} may be lost: no listing came within seven days.",
            remedy="Nothing brings them back. Load at least daily, and let cron mail what fails.",
            numbers=hole,
        )


def _streaks(question: Question) -> Iterator[Finding]:
    """What has failed every time, and is still tried."""
    for streak in question.ask(f"""
        select
            s.* replace (
                coalesce(s.operation, '?') as operation, coalesce(s.object, '?') as object,
                coalesce(s.job_type, '?') as job_type, coalesce(s.created_by, '?') as created_by
            ),
            f.error_code, f.error
        from failure_streaks as s
        left join failures as f on f.org_id = s.org_id and f.id = s.last_failed_id
        where s.org_id = $org and s.failures >= $failures_in_a_row and {STILL_TRIED}
        order by s.failures desc, s.failing_since, s.object, s.operation, s.created_by_id
    """):
        error = ": ".join(part for part in (streak["error_code"], streak["error"]) if part)
        before = streak["last_success_at"]
        yield question.finding(
            "failing",
            *(streak[part] for part in ("job_type", "operation", "object", "created_by_id")),
            message=f"{streak['operation']} of {streak['object']} ({streak['job_type']}) by {streak['created_by']} has "
            f"failed {streak['failures']:,} times in a row since {_when(streak['failing_since'])}, the last time "
            f"{_when(streak['last_failure_at'])}"
            + (f"; it last worked {_when(before)}" if before else "; no success is recorded")
            + (f". {error}" if error else "."),
            remedy="Fix or disable it: each attempt counts against the daily allowance.",
            ids=(streak["last_failed_id"],),
            numbers={name: streak[name] for name in ("failures", "failing_since", "last_failure_at")},
        )


def _lost_loads(question: Question) -> Iterator[Finding]:
    """Loads that Salesforce calls Closed, though every record failed: nobody else tells. It goes by their end, for one
    can stand open for longer than a week."""
    for load in question.ask("""
        select
            coalesce(created_by, '?') as created_by, created_by_id, coalesce(operation, '?') as operation,
            coalesce(object, '?') as object, count(*) as jobs,
            cast(sum(coalesce(records_failed, 0)) as bigint) as records,
            list(id order by ended_by desc, id) as ids, max(ended_by) as last_at
        from failures
        where org_id = $org and outcome = 'every record failed' and ended_by >= $as_of - interval 7 days
        group by all
        order by last_at desc, operation, object, created_by_id
    """):
        # Where whole batches failed, the org may have counted no records at all.
        lost = f"every one of {load['records']:,} records" if load["records"] else "every batch"
        yield question.finding(
            "closed but failed",
            *(load[part] for part in ("operation", "object", "created_by_id")),
            message=f"{_jobs_are(load)} Closed as if done, but {lost} failed; the last job ended by "
            f"{_when(load['last_at'])}.",
            remedy="Salesforce keeps the file that says why for seven days: Setup, Bulk Data Load Jobs.",
            ids=tuple(load["ids"]),
            numbers={"jobs": load["jobs"], "records_failed": load["records"]},
        )


def _unfinished(question: Question) -> Iterator[Finding]:
    """Jobs that run or wait for too long, or were left open. A Closed query is left out: with PK chunking its first
    batch is never processed, and whether the counts leave that one out is documented nowhere. Of a Closed load only its
    own answers tell, which are asked for less and less often: it counts by the last of them. A recorder that always
    filters learns of no job's end that its filter hides, and so of none that is stuck."""
    for stuck in question.ask("""
        with unfinished as (
            select
                s.*, d.asked_at,
                -- Of a job without a readable date: how long it was seen so.
                coalesce(s.age_hours, s.hours_in_state)
                    - coalesce(greatest(date_diff('second', d.asked_at, s.as_of), 0) / 3600.0, 0) as hours
            from stuck_jobs as s
            left join job_details as d on d.org_id = s.org_id and d.id = s.id and s.state = 'Closed'
            where s.org_id = $org and (s.state <> 'Closed' or (s.kind = 'load' and d.outcome = 'answered'))
        )
        select
            state, coalesce(operation, '?') as operation, coalesce(object, '?') as object,
            coalesce(created_by, '?') as created_by, created_by_id,
            count(*) as jobs, max(hours) as hours, list(id order by hours desc, id) as ids, min(asked_at) as asked_at
        from unfinished
        where hours >= $unfinished_hours
        group by all
        order by hours desc, state, operation, object, created_by
    """):
        one = stuck["jobs"] == 1
        after = f"{'' if one else 'the oldest '}after {_duration(timedelta(hours=stuck['hours']))}"
        if stuck["asked_at"]:
            asked = f"when {'it was' if one else 'they were'} last asked: {_when(stuck['asked_at'])}"
            are = f"{_jobs_are(stuck, 'was', 'were')} Closed with batches to come {after}, {asked}"
            are += "" if one else " or later"
        else:
            are = f"{_jobs_are(stuck)} still {stuck['state']}, {after}"
        yield question.finding(
            "unfinished",
            *(stuck[part] for part in ("state", "operation", "object", "created_by_id")),
            message=f"{are}.",
            remedy="Close or abort jobs that are no longer needed: Setup, Bulk Data Load Jobs.",
            ids=tuple(stuck["ids"]),
            numbers={"jobs": stuck["jobs"], "oldest_hours": stuck["hours"]},
        )


def _allowance(question: Question) -> Iterator[Finding]:
    """V2 query jobs in a rolling 24 hours, at their fullest lately: on a Monday, Friday's peak is still news."""
    fullest = question.ask(f"""
        select hour, used, allowance, share_percent, until
        from ({ALLOWANCE})
        where hour >= ($as_of at time zone 'UTC') - interval 72 hours and share_percent >= $allowance_percent
        order by share_percent desc, hour desc
        limit 1
    """)
    for hour in fullest:
        users = question.ask(USED_BY, end=hour["until"])
        listed = users[0]["listed"] if users else 0
        shown = [
            {"created_by": user["created_by"], "object": user["object"] or "?", "query_jobs": user["query_jobs"]}
            for user in users[:3]
        ]
        most = ", ".join(f"{user['created_by']} on {user['object']} {user['query_jobs']:,}" for user in shown)
        seen = f"of the {listed:,} that were ever listed, most by" if listed < hour["used"] else "most by"
        who = f"{seen}: {most}" if users else "none of them was ever listed: their owner deletes them at once"
        yield question.finding(
            "allowance",
            message=f"{hour['used']:,} of {hour['allowance']:,} V2 query jobs ({hour['share_percent']:.0f} %) were "
            f"created in the 24 hours up to {_when(hour['until'])}; {who}.",
            remedy="At 100 % Salesforce refuses every further query job: see the view allowance_by_user.",
            urgent=hour["share_percent"] >= 100,
            numbers={**hour, "users": shown},
        )


def _api_calls(question: Question) -> Iterator[Finding]:
    """The org's other limits that Bulk API clients use up, by the snapshots and answers of the last 72 hours."""
    for limit in question.ask("""
        with seen as (
            select limit_name, app, max - remaining as used, max, asked_at
            from org_limits
            where org_id = $org and max > 0
                and limit_name in ('DailyApiRequests', 'DailyBulkApiBatches', 'DailyBulkV2QueryFileStorageMB')
            union all
            select 'DailyApiRequests', '', api_usage, api_usage_max, finished_at
            from listings
            where org_id = $org and api_usage_max > 0
        )
        select limit_name, app, max_by(used, (used / max, asked_at)) as used,
            max_by(max, (used / max, asked_at)) as max,
            max(100.0 * used / max) as percent, max_by(asked_at, (used / max, asked_at)) as at
        from seen
        where asked_at >= $as_of - interval 72 hours
        group by limit_name, app
        having percent >= $api_percent
        order by percent desc, limit_name, app
    """):
        whose = f" of {limit['app']}" if limit["app"] else ""
        yield question.finding(
            "api limit",
            limit["limit_name"],
            limit["app"],
            message=f"{limit['used']:,} of {limit['max']:,} {limit['limit_name']}{whose} ({limit['percent']:.0f} %) "
            f"were used by {_when(limit['at'])}.",
            remedy="A load stops at api_budget_percent of config.toml, to leave the rest to others.",
            urgent=limit["percent"] >= 100,
            numbers=limit,
        )


def _unusual(question: Question) -> Iterator[Finding]:
    """The last whole day had far more or far fewer jobs than that weekday usually has."""
    for day in question.ask("""
        select * from unusual_days
        where org_id = $org and day >= cast(($as_of at time zone 'UTC') as date) - 1 and abs(score) >= 3.5
            and abs(jobs - usual) >= greatest($unusual_jobs, $unusual_percent / 100 * usual)
        order by day, kind
    """):
        yield question.finding(
            "unusual volume",
            day["kind"],
            day["day"],
            message=f"{day['jobs']:,} {day['kind']} jobs on {day['day']:%A, %d %B %Y}, where that weekday usually has "
            f"{day['usual']:,.0f}.",
            remedy="See the view jobs_by_day for whose they were, or whose are missing.",
            numbers=day,
        )


def _rejected(question: Question) -> Iterator[Finding]:
    """Records of a listing that could not be keyed: kept beside, but in no table of jobs."""
    for kept in question.ask("""
        select reason, count(*) as records, max(last_observed_at) as last_at
        from rejected_records
        where org_id = $org and last_observed_at >= $as_of - interval 24 hours
        group by reason
        order by reason
    """):
        yield question.finding(
            "rejected",
            kept["reason"],
            message=f"{kept['records']:,} listed {'record' if kept['records'] == 1 else 'records'} could not be keyed: "
            f"{kept['reason']}.",
            remedy="The table rejected_records has them as they came, and why.",
            numbers=kept,
        )


def _details(question: Question) -> Iterator[Finding]:
    """Finished jobs that were asked for their details in vain for a day, or that a run which stopped did not get to:
    the org forgets them with the job. A backlog that is merely long is none: details_left of `listings` tells of it."""
    for waiting in question.ask(f"""
        with newest as (
            select details_stopped from listings where org_id = $org order by started_at desc limit 1
        ),
        waiting as (
            select
                j.id, j.observed_at, d.asked_at,
                case when d.error like 'Classic API: %' then 'record counts' else 'details' end as lacking,
                case when d.id is null then n.details_stopped else d.error end as error
            from query_jobs as j
            cross join newest as n
            left join job_details as d on d.org_id = j.org_id and d.id = j.id
            left join unlisted_jobs as u on u.org_id = j.org_id and u.id = j.id and u.listed_again_at is null
            where j.org_id = $org and j.state in {FINISHED} and j.observed_at >= $as_of - interval 7 days
                and u.id is null and coalesce(d.outcome, '') <> 'gone'
        )
        select
            lacking, count(*) as jobs, min(observed_at) as since,
            max_by(error, (asked_at is not null, asked_at, id)) as error,
            list(id order by observed_at, id) as ids
        from waiting
        where error is not null
        group by lacking
        having since <= $as_of - interval 24 hours
        order by lacking
    """):
        one, counts = waiting["jobs"] == 1, waiting["lacking"] == "record counts"
        forgotten = waiting["since"] + MEMORY
        api = "the Classic API (/services/async)" if counts else "the API"
        yield question.finding(
            "details",
            waiting["lacking"],
            message=f"{waiting['jobs']:,} finished {'job has' if one else 'jobs have'} no {waiting['lacking']}, "
            f"{'since' if one else 'the oldest since'} {_when(waiting['since'])}: {waiting['error']}",
            remedy=f"Each load asks again, but Salesforce forgets them from {_when(forgotten)} on: check that the "
            f"recorder's user may use {api}, and run make doctor.",
            urgent=question.now >= waiting["since"] + LOUD,
            ids=tuple(waiting["ids"]),
            numbers={"jobs": waiting["jobs"], "since": waiting["since"], "forgotten_from": forgotten},
        )


EXAMINATIONS: Final = (
    _coverage, _reduced_view, _holes, _streaks, _lost_loads, _unfinished, _allowance, _api_calls, _unusual, _rejected,
    _details,
)  # fmt: skip


def _jobs_are(alike: Row, one_is: str = "is", more_are: str = "are") -> str:
    """How many jobs of one user, operation and object, as the beginning of a sentence."""
    one = alike["jobs"] == 1
    jobs = f"{alike['jobs']:,} {alike['operation']} {'job' if one else 'jobs'}"
    return f"{jobs} of {alike['created_by']} on {alike['object']} {one_is if one else more_are}"


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _duration(time: timedelta) -> str:
    hours = time / timedelta(hours=1)
    return f"{hours:,.0f} hours" if hours < 72 else f"{hours / 24:,.1f} days"
