"""Gaps in the record, and gaps to come: old listings, holes, listings that do not show all users' jobs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from pipelines.answers.findings.finding import RETENTION, URGENT_AFTER, CheckContext, Finding
from pipelines.answers.findings.words import duration, when

MIN_OWN_JOBS: Final = 10  # a new org may have a handful of jobs, all of one user
VIEW_PERMISSION: Final = (
    "Check that the recorder's user still has 'Manage Data Integrations': without it, other users' jobs go unrecorded."
)


def coverage(context: CheckContext) -> Iterator[Finding]:
    """The last complete listing is old: Salesforce is about to forget finished jobs, or already has."""
    age = context.now - context.proven
    if age >= timedelta(hours=context.thresholds.listing_age_hours):
        lost_from = context.proven + RETENTION
        lost = context.now >= lost_from
        yield context.finding(
            "coverage",
            message=f"the last complete listing is {duration(age)} old, of {when(context.proven)}: jobs that "
            f"finished since then {'have been' if lost else 'will be'} lost from {when(lost_from)} on.",
            remedy="Load now: make load. If it fails, it says why; make doctor checks the set-up.",
            urgent=age >= URGENT_AFTER,
            numbers={"last_listing": context.proven, "age_hours": age / timedelta(hours=1), "lost_from": lost_from},
        )


def reduced_view(context: CheckContext) -> Iterator[Finding]:
    """The newest listing shows only a fraction of the jobs that must still exist."""
    for view in context.query("select * from reduced_views where org_id = $org and is_ongoing"):
        before, left = view["creators_before"], view["jobs_expected"] - view["jobs_lost"]
        users = "" if before is None else f", and jobs of {view['creators']:,} instead of {before:,} users"
        context.reported.reduced.add(context.org_id)
        yield context.finding(
            "reduced view",
            message=f"the listing lost {view['jobs_lost']:,} of {view['jobs_expected']:,} jobs at once: on "
            f"{when(view['reduced_from'])} it showed {left:,} of them{users}.",
            remedy=f"{VIEW_PERMISSION} If the jobs were deleted on purpose, mute this finding.",
            urgent=True,
            numbers={name: value for name, value in view.items() if name != "org_id"},
        )


def own_jobs_only(context: CheckContext) -> Iterator[Finding]:
    """All jobs of the newest complete listing belong to the user who listed them, unless that was reported already as a
    reduced view."""
    for listing in () if context.reported.reduced else context.query("""
        select l.listed_by_id, n.name, l.jobs_listed, c.listed_at
        from complete_listings as c
        inner join listings as l on l.listing_id = c.listing_id and l.org_id = c.org_id
        left join user_names as n on n.org_id = l.org_id and n.id = l.listed_by_id
        where c.org_id = $org and c.listed_at = $as_of and l.only_creator_id = l.listed_by_id
            and l.jobs_listed >= $own_jobs
    """, own_jobs=MIN_OWN_JOBS):  # fmt: skip
        yield context.finding(
            "own jobs only",
            message=f"all {listing['jobs_listed']:,} jobs of the listing of {when(listing['listed_at'])} were created "
            f"by {listing['name'] or listing['listed_by_id']}, the recorder's own user.",
            remedy=f"{VIEW_PERMISSION} If no other user runs jobs, mute this finding.",
            numbers={"jobs": listing["jobs_listed"], "user_id": listing["listed_by_id"]},
        )


def holes(context: CheckContext) -> Iterator[Finding]:
    """A listing of the last week came too late. Holes of less than a minute are ignored: a listing itself may take that
    long."""
    for hole in context.query("""
        select hole_from, hole_to, hours from coverage_holes
        where org_id = $org and hole_to + interval 7 days >= $as_of - interval 7 days and hours * 60 >= 1
    """):
        yield context.finding(
            "hole",
            when(hole["hole_from"]),
            message=f"jobs created in the {duration(timedelta(hours=hole['hours']))} from {when(hole['hole_from'])} "
            f"to {when(hole['hole_to'])} may be lost: the next listing came more than seven days later.",
            remedy="They cannot be recovered. Load at least daily, and let cron mail failures.",
            numbers=hole,
        )
