"""For which time the record is provably complete, and what is known to be missing from it."""

from datetime import timedelta
from typing import Any

from pipelines.answers import charts
from pipelines.answers.findings.words import counted, duration, when
from pipelines.answers.pictures.picture import Picture
from pipelines.answers.selection import Selection
from pipelines.answers.time_axis import Span
from pipelines.warehouse.reader import Row


def coverage(selection: Selection) -> Picture:
    """The covered time as a strip, its gaps, and what came and went between listings."""
    title = "Gaps in the record"
    whole = Span(selection.since, selection.until)
    times = {"since": whole.since, "until": whole.until}
    covered = selection.ask("""
        select greatest(covered_from, $since) as start, least(covered_to, $until) as end
        from coverage where org_id = $org and covered_to > $since and covered_from < $until order by start
    """, **times)  # fmt: skip
    holes = selection.ask("""
        select hole_from, hole_to, hours from coverage_holes
        where org_id = $org and hole_to > $since and hole_from < $until order by hole_from
    """, **times)  # fmt: skip
    listings = selection.ask("""
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
        said = "Nothing is provably complete in this time: there is no complete, unfiltered listing."
        return Picture("coverage", title, said, numbers, obeys=())
    table = [{"gap from": hole["hole_from"], "to": hole["hole_to"], "hours": hole["hours"]} for hole in holes]
    span = selection.span
    return Picture(
        "coverage",
        title,
        " ".join(_words(numbers)),
        numbers,
        table,
        lambda width: charts.strip(covered, listings, span, width),
        obeys=(),
    )


def _missing(selection: Selection) -> Row:
    """The longest time between two listings that overlap, the deletions that were seen, and the estimate of jobs that
    never were: of those days that can be added up, and how many these are. Null where no such day was counted."""
    (found,) = selection.ask("""
        select
            (
                select cast(max(date_diff('second', listed_before, listed_at)) as double) / 3600
                from proving_listings
                where org_id = $org and listed_at - interval 168 hours <= listed_before
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
        + (f"; the last of {when(numbers['last_listing'])}." if numbers["last_listing"] else ".")
    ]
    for hole in numbers["holes"]:
        if hole["hours"] * 60 < 1:  # none, as in `check`: the listings themselves take as long
            continue
        length, start, end = duration(timedelta(hours=hole["hours"])), when(hole["hole_from"]), when(hole["hole_to"])
        words.append(f"A gap of {length} from {start} to {end}: no listing came within seven days.")
    if numbers["deleted"]:
        words.append(
            f"Deleted before Salesforce would have removed them: {counted(numbers['deleted'], 'recorded job')}."
        )
    if numbers["days_counted"]:
        unseen: Any = numbers["unseen_estimated"]
        words.append(
            f"{f'About {unseen:,}' if unseen else 'No'} query job{'' if unseen == 1 else 's'} came and went unseen, by "
            f"the org's own count on {numbers['days_counted']:,} of {counted(numbers['days'], 'day')}."
        )
    return words
