"""What the record lacks, or is about to lack: old listings, holes, listings that do not show everybody's jobs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from pipelines.answers.findings.finding import LOUD, MEMORY, Finding, Question
from pipelines.answers.findings.words import duration, when

OWN_JOBS: Final = 10  # in a listing of one user's jobs alone, before that says something about what it shows
VIEW_PERMISSION: Final = (
    "Check that the recorder's user still has 'Manage Data Integrations': without it, other users' jobs go unrecorded."
)


def coverage(question: Question) -> Iterator[Finding]:
    """The last complete listing is old: finished jobs are about to be forgotten, or are already."""
    age = question.now - question.proven
    if age >= timedelta(hours=question.thresholds.listing_age_hours):
        wall = question.proven + MEMORY
        lost = question.now >= wall
        yield question.finding(
            "coverage",
            message=f"the last complete listing is {duration(age)} old, of {when(question.proven)}: jobs that "
            f"finished since {'have been' if lost else 'will be'} lost from {when(wall)} on.",
            remedy="Load now (make load). If that fails, it says why; make doctor checks the set-up.",
            urgent=age >= LOUD,
            numbers={"last_listing": question.proven, "age_hours": age / timedelta(hours=1), "lost_from": wall},
        )


def reduced_view(question: Question) -> Iterator[Finding]:
    """The newest listing shows a fraction of what must still be there: what others do is not recorded any more."""
    for view in question.ask("select * from reduced_views where org_id = $org and is_ongoing"):
        before, left = view["creators_before"], view["jobs_expected"] - view["jobs_lost"]
        users = "" if before is None else f", and jobs of {view['creators']:,} instead of {before:,} users"
        question.reported.reduced.add(question.org_id)
        yield question.finding(
            "reduced view",
            message=f"the listing lost {view['jobs_lost']:,} of {view['jobs_expected']:,} jobs at once: on "
            f"{when(view['reduced_from'])} it showed {left:,} of them{users}.",
            remedy=f"{VIEW_PERMISSION} If the jobs were deleted on purpose, mute this finding.",
            urgent=True,
            numbers={name: value for name, value in view.items() if name != "org_id"},
        )


def own_jobs_only(question: Question) -> Iterator[Finding]:
    """Every job of the newest complete listing is of the user who listed. A handful of jobs says nothing: a new org has
    no others. Where others' jobs went at once, that is reported already."""
    for listing in () if question.reported.reduced else question.ask("""
        select l.listed_by_id, n.name, l.jobs_listed, c.listed_at
        from complete_listings as c
        inner join listings as l on l.listing_id = c.listing_id and l.org_id = c.org_id
        left join user_names as n on n.org_id = l.org_id and n.id = l.listed_by_id
        where c.org_id = $org and c.listed_at = $as_of and l.only_creator_id = l.listed_by_id
            and l.jobs_listed >= $own_jobs
    """, own_jobs=OWN_JOBS):  # fmt: skip
        yield question.finding(
            "own jobs only",
            message=f"all {listing['jobs_listed']:,} jobs of the listing of {when(listing['listed_at'])} were created "
            f"by {listing['name'] or listing['listed_by_id']}, the recorder's own user.",
            remedy=f"{VIEW_PERMISSION} If nobody else runs jobs, mute this finding.",
            numbers={"jobs": listing["jobs_listed"], "user_id": listing["listed_by_id"]},
        )


def holes(question: Question) -> Iterator[Finding]:
    """A listing of the last days came too late: it is over, and should be known. A hole below a minute is none: the
    listings themselves take as long."""
    for hole in question.ask("""
        select hole_from, hole_to, hours from coverage_holes
        where org_id = $org and hole_to + interval 7 days >= $as_of - interval 7 days and hours * 60 >= 1
    """):
        yield question.finding(
            "hole",
            when(hole["hole_from"]),
            message=f"jobs created in the {duration(timedelta(hours=hole['hours']))} from {when(hole['hole_from'])} "
            f"to {when(hole['hole_to'])} may be lost: no listing came within seven days.",
            remedy="Nothing brings them back. Load at least daily, and let cron mail what fails.",
            numbers=hole,
        )
