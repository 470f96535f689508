"""When the record is provably complete, and what is known to be missing from it."""

from datetime import timedelta
from typing import Any

from pipelines.answers import charts
from pipelines.answers.findings.words import counted, duration, when
from pipelines.answers.pictures.picture import Picture
from pipelines.answers.selection import Selection
from pipelines.answers.time_axis import Span
from pipelines.warehouse.reader import Row


def coverage(selection: Selection) -> Picture:
    """The covered time as a strip, its gaps, and how many jobs appeared and vanished between listings."""
    title = "Gaps in the record"
    whole = Span(selection.since, selection.until)
    times = {"since": whole.since, "until": whole.until}
    covered = selection.query("""
        select greatest(covered_from, $since) as start, least(covered_to, $until) as end
        from coverage where org_id = $org and covered_to > $since and covered_from < $until order by start
    """, **times)  # fmt: skip
    holes = selection.query("""
        select hole_from, hole_to, hours from coverage_holes
        where org_id = $org and hole_to > $since and hole_from < $until order by hole_from
    """, **times)  # fmt: skip
    listings = selection.query("""
        select listed_at as start from proving_listings
        where org_id = $org and listed_at >= $since and listed_at < $until order by start
    """, **times)  # fmt: skip
    numbers = {
        "complete_listings": len(listings),
        "last_listing": listings[-1]["start"] if listings else None,
        "holes": holes,
        "days": (selection.until - selection.since).days + 1,
        **_missing(selection),
    }
    if not covered:
        said = "Nothing in this time is provably complete: there is no complete, unfiltered listing."
        return Picture("coverage", title, said, numbers, supported_filters=())
    table = [{"gap from": hole["hole_from"], "to": hole["hole_to"], "hours": hole["hours"]} for hole in holes]
    span = selection.span
    return Picture(
        "coverage",
        title,
        " ".join(_words(numbers)),
        numbers,
        table,
        lambda width: charts.strip(covered, listings, span, width),
        supported_filters=(),
    )


def _missing(selection: Selection) -> Row:
    """The longest time between two listings without a gap, the deletions seen, and an estimate of the jobs never seen:
    for the days that can be added up, and the number of these days. Null if no such day was counted."""
    (found,) = selection.query("""
        select
            (
                select cast(max(date_diff('second', listed_before, listed_at)) as double) / 3600
                from proving_listings
                where org_id = $org and is_continuous
                    and listed_at > $since and listed_before < $until
            ) as longest_gap_hours,
            (
                select count(*) from early_deletions
                where org_id = $org and unlisted_at >= $since and unlisted_at < $until
            ) as deleted,
            cast(sum(unseen) as bigint) as unseen_estimated,
            count(*) as days_counted
        from unseen_jobs
        where org_id = $org and day >= $since and day < $until and adds_up
    """)
    return found


def _words(numbers: Row) -> list[str]:
    words = [
        counted(numbers["complete_listings"], "complete listing")
        + (
            f", at most {duration(timedelta(hours=numbers['longest_gap_hours']))} apart"
            if numbers["longest_gap_hours"]
            else ""
        )
        + (" outside the gaps" if numbers["longest_gap_hours"] and numbers["holes"] else "")
        + (f"; the last started {when(numbers['last_listing'])}." if numbers["last_listing"] else ".")
    ]
    for hole in numbers["holes"]:
        if hole["hours"] * 60 < 1:  # as in `check`: a listing itself may take that long
            continue
        length, start, end = duration(timedelta(hours=hole["hours"])), when(hole["hole_from"]), when(hole["hole_to"])
        words.append(f"A gap of {length} from {start} to {end}: the next listing came more than seven days later.")
    if numbers["deleted"]:
        was = "was" if numbers["deleted"] == 1 else "were"
        words.append(
            f"{counted(numbers['deleted'], 'recorded job')} {was} deleted before Salesforce would have removed "
            f"{'it' if numbers['deleted'] == 1 else 'them'}."
        )
    if numbers["days_counted"]:
        unseen: Any = numbers["unseen_estimated"]
        jobs = f"About {counted(unseen, 'query job')}" if unseen else "No query jobs"
        words.append(
            f"{jobs} appeared and vanished unseen, by the org's own count on {numbers['days_counted']:,} of "
            f"{counted(numbers['days'], 'day')}."
        )
    return words
