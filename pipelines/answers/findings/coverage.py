"""Gaps in the record, and gaps to come: old listings, holes, listings that do not show all users' jobs.

Each of an org's listings is judged by itself, but what happens to both at once is one finding: that of query jobs.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from pipelines.answers.findings.finding import RETENTION, URGENT_AFTER, CheckContext, Finding, RecordedFeed
from pipelines.answers.findings.thresholds import Thresholds
from pipelines.answers.findings.words import duration, when
from pipelines.config.project import command_for

MIN_OWN_JOBS: Final = 10  # a new org may have a handful of jobs, all of one user
SAME_EVENT: Final = timedelta(hours=1)  # a run reads both listings: what begins in both by then has one cause
VIEW_PERMISSION: Final = (
    "Check that the recorder's user still has 'Manage Data Integrations': without it, other users' jobs go unrecorded."
)
LOAD_NOW: Final = (
    f"Load now: {command_for('load')}. If it fails, it says why; {command_for('doctor')} checks the set-up."
)


def coverage(context: CheckContext) -> Iterator[Finding]:
    """The last complete listing is old: Salesforce is about to forget finished jobs, or already has."""
    old_for = timedelta(hours=context.thresholds.listing_age_hours)
    reported: list[RecordedFeed] = []
    for nth, feed in enumerate(context.feeds):
        age = context.now - feed.proven
        # Runs that stopped read neither listing, unless one of them had been old before.
        same = any(abs(feed.proven - other.proven) < SAME_EVENT for other in context.feeds[:nth])
        if age < old_for or same or any(feed.proven > other.proven - old_for for other in reported):
            continue
        reported.append(feed)
        lost_from = feed.proven + RETENTION
        lost = context.now >= lost_from
        yield context.finding(
            "coverage",
            *feed.key,
            message=f"the last complete {feed.listing}, of {when(feed.proven)}, is {duration(age)} old: {feed.jobs} "
            f"that finished since then {'have been' if lost else 'will be'} lost from {when(lost_from)} on.",
            remedy=_how_to_list(context, feed, old_for),
            urgent=age >= URGENT_AFTER,
            numbers={"last_listing": feed.proven, "age_hours": age / timedelta(hours=1), "lost_from": lost_from}
            | ({} if context.newest_as_of is None else {"all_orgs_stopped": _all_stopped(context)}),
        )


def _all_stopped(context: CheckContext) -> bool:
    return is_recorder_off(context.newest_as_of, context.now, context.thresholds)


def is_recorder_off(newest_as_of: datetime | None, now: datetime, thresholds: Thresholds) -> bool:
    """Whether no org of the file is recorded any more, so that it is no single org's fault."""
    return newest_as_of is not None and now - newest_as_of >= timedelta(hours=thresholds.listing_age_hours)


def _how_to_list(context: CheckContext, feed: RecordedFeed, old_for: timedelta) -> str:
    """What to do about an old listing: it may be left out on purpose, which only the settings of the loads tell."""
    for other in context.feeds:
        if other.proven >= feed.proven + old_for:
            return (
                f"Load now: {command_for('load')}. If it fails to read /jobs/{feed.name}, it says why. If `feeds` in "
                f".dlt/config.toml names only {other.name}, mute this finding; it ends two weeks after the listing."
            )
    if context.newest_as_of is None:
        return LOAD_NOW
    if _all_stopped(context):
        return f"{LOAD_NOW} No other org is recorded either: is the recorder off?"
    return f"Other orgs were recorded up to {when(context.newest_as_of)}, so it is this org that fails. {LOAD_NOW}"


def reduced_view(context: CheckContext) -> Iterator[Finding]:
    """The newest listing shows only a fraction of the jobs that must still exist."""
    since: list[datetime] = []
    for feed in context.feeds:
        for view in context.query(
            "select * from reduced_views where org_id = $org and feed = $feed and is_ongoing", feed=feed.name
        ):
            context.reported.reduced.add(feed.name)
            if any(abs(view["reduced_from"] - other) < SAME_EVENT for other in since):
                continue
            since.append(view["reduced_from"])
            before, left = view["creators_before"], view["jobs_expected"] - view["jobs_lost"]
            users = "" if before is None else f", and jobs of {view['creators']:,} instead of {before:,} users"
            yield context.finding(
                "reduced view",
                *feed.key,
                message=f"the {feed.listing} lost {view['jobs_lost']:,} of {view['jobs_expected']:,} jobs at once: on "
                f"{when(view['reduced_from'])} it showed {left:,} of them{users}.",
                remedy=f"{VIEW_PERMISSION} If the jobs were deleted on purpose, mute this finding.",
                urgent=True,
                numbers={name: value for name, value in view.items() if name not in ("org_id", "feed")},
            )


def own_jobs_only(context: CheckContext) -> Iterator[Finding]:
    """All jobs of the newest complete listing belong to the user who listed them, unless that was reported already as a
    reduced view. An integration user may well be the only one who loads: of loads, this is reported only if the listing
    of query jobs does not show that this user may see others' jobs."""
    found = context.query("""
        select
            f.feed, l.listed_by_id, n.name, l.jobs_listed, f.as_of as listed_at,
            coalesce(l.only_creator_id = l.listed_by_id, false) as is_own, l.jobs_listed >= $own_jobs as is_enough
        from recorded_feeds as f
        inner join complete_listings as c on c.org_id = f.org_id and c.feed = f.feed and c.listed_at = f.as_of
        inner join listings as l on l.listing_id = c.listing_id and l.org_id = c.org_id
        left join user_names as n on n.org_id = l.org_id and n.id = l.listed_by_id
        where f.org_id = $org and list_contains($feeds, f.feed)
    """, own_jobs=MIN_OWN_JOBS)  # fmt: skip
    by_feed = {listing["feed"]: listing for listing in found}
    for feed in context.feeds:
        listing = by_feed.get(feed.name)
        if listing is None or feed.name in context.reported.reduced or not listing["jobs_listed"]:
            continue
        if listing["is_own"] and listing["is_enough"]:
            yield context.finding(
                "own jobs only",
                *feed.key,
                message=f"all {listing['jobs_listed']:,} jobs of the {feed.listing} of {when(listing['listed_at'])} "
                f"were created by {listing['name'] or listing['listed_by_id']}, the recorder's own user.",
                remedy=f"{VIEW_PERMISSION} If no other user runs jobs, mute this finding.",
                numbers={"jobs": listing["jobs_listed"], "user_id": listing["listed_by_id"]},
            )
        if listing["is_enough"] or not listing["is_own"]:
            return  # it shows others' jobs, or has been reported


def holes(context: CheckContext) -> Iterator[Finding]:
    """A listing of the last week came too late. Holes of less than a minute are ignored: a listing itself may take that
    long."""
    reported: list[tuple[datetime, datetime]] = []
    for feed in context.feeds:
        for hole in context.query(
            """
            select hole_from, hole_to, hours from coverage_holes
            where org_id = $org and feed = $feed and hole_to + interval 7 days >= $as_of - interval 7 days
                and hours * 60 >= 1
            order by hole_from
            """,
            feed=feed.name,
        ):
            start, end = hole["hole_from"], hole["hole_to"]
            if any(abs(start - since) < SAME_EVENT and abs(end - until) < SAME_EVENT for since, until in reported):
                continue
            reported.append((start, end))
            yield context.finding(
                "hole",
                when(start),
                *feed.key,
                message=f"{feed.jobs} created in the {duration(timedelta(hours=hole['hours']))} from {when(start)} "
                f"to {when(end)} may be lost: the next {feed.listing} came more than seven days later.",
                remedy="They cannot be recovered. Load at least daily, and let cron mail failures.",
                numbers=hole,
            )
