"""When the record is provably complete, and what is known to be missing from it: for each of the org's listings."""

from datetime import timedelta
from typing import Any

from pipelines.answers import charts
from pipelines.answers.findings.words import duration, when
from pipelines.answers.pictures.picture import Picture
from pipelines.answers.selection import Selection
from pipelines.answers.time_axis import Span, merged
from pipelines.plural import counted
from pipelines.warehouse.reader import Row


def coverage(selection: Selection) -> Picture:
    """The covered time as a strip, its gaps, and how many jobs appeared and vanished between listings."""
    title = "Gaps in the record"
    whole = Span(selection.since, selection.until)
    first, *others = selection.feeds or ("query",)
    record = _record(selection, whole, first)
    rest = {feed: _record(selection, whole, feed) for feed in others}
    numbers = {
        **{name: record[name] for name in ("complete_listings", "last_listing", "holes")},
        "days": (selection.until - selection.since).days + 1,
        "longest_gap_hours": record["longest_gap_hours"],
        **_missing(selection),
        # of the other listing, if both are recorded: that of loads
        **{feed: {name: value for name, value in of.items() if name != "listings"} for feed, of in rest.items()},
    }
    span = selection.span
    covered = _covered(selection, whole)
    if not covered:
        said = "Nothing in this period is provably complete: there is no complete, unfiltered listing."
        return Picture("coverage", title, said, numbers, supported_filters=())
    table = [
        {"gap from": hole["hole_from"], "to": hole["hole_to"], "hours": hole["hours"]}
        | ({"listing": f"/jobs/{feed}"} if rest else {})
        for feed, of in {first: record, **rest}.items()
        for hole in of["holes"]
    ]
    if rest and all(_of_listings(of) == _of_listings(record) for of in rest.values()):
        words = _of_listings(record, f" of each kind ({' and '.join(f'/jobs/{feed}' for feed in (first, *rest))})", "")
    else:
        words = _of_listings(record)
        for feed, of in rest.items():
            words += _of_listings(of, *2 * [f" of loads (/jobs/{feed})"])
    return Picture(
        "coverage",
        title,
        " ".join([*words, *_words(numbers)]),
        numbers,
        table,
        lambda width: charts.strip(covered, record["listings"], span, width),
        supported_filters=(),
    )


def _record(selection: Selection, whole: Span, feed: str) -> Row:
    """What one of the org's listings proves: how many were complete, the last of them, the longest time between two
    without a gap, and the gaps."""
    times = {"since": whole.since, "until": whole.until, "feed": feed}
    listings = selection.query("""
        select listed_at as start from proving_listings
        where org_id = $org and feed = $feed and listed_at >= $since and listed_at < $until order by start
    """, **times)  # fmt: skip
    (longest,) = selection.query("""
        select cast(max(date_diff('second', listed_before, listed_at)) as double) / 3600 as hours
        from proving_listings
        where org_id = $org and feed = $feed and is_continuous and listed_at > $since and listed_before < $until
    """, **times)  # fmt: skip
    holes = selection.query("""
        select hole_from, hole_to, hours from coverage_holes
        where org_id = $org and feed = $feed and hole_to > $since and hole_from < $until order by hole_from
    """, **times)  # fmt: skip
    return {
        "listings": listings,
        "complete_listings": len(listings),
        "last_listing": listings[-1]["start"] if listings else None,
        "longest_gap_hours": longest["hours"],
        "holes": holes,
    }


def _covered(selection: Selection, whole: Span) -> list[Row]:
    """The times that some listing covers, without those that another one shown does not."""
    found = selection.query(
        """
        select greatest(covered_from, $since) as start, least(covered_to, $until) as end
        from coverage
        where org_id = $org and list_contains($feeds, feed) and covered_to > $since and covered_from < $until
        """,
        since=whole.since,
        until=whole.until,
        feeds=list(selection.feeds),
    )
    covered: list[Row] = []
    for start, end in merged((row["start"], row["end"]) for row in found):
        since = start
        for gap in selection.span.unknown:
            if gap["start"] < end and gap["end"] > since:
                covered += [{"start": since, "end": gap["start"]}] if since < gap["start"] else []
                since = gap["end"]
        covered += [{"start": since, "end": end}] if since < end else []
    return covered


def _missing(selection: Selection) -> Row:
    """The deletions seen, and an estimate of the query jobs never seen: for the days that can be added up, and the
    number of these days. Null if no such day was counted."""
    (found,) = selection.query("""
        select
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


def _of_listings(record: Row, what: str = "", what_came: str = "") -> list[str]:
    """The complete listings and their gaps, in words; `what` they are, and the next one after a gap."""
    gap_hours, last = record["longest_gap_hours"], record["last_listing"]
    words = [
        counted(record["complete_listings"], "complete listing")
        + what
        + (f", at most {duration(timedelta(hours=gap_hours))} apart" if gap_hours else "")
        + (" outside the gaps" if gap_hours and record["holes"] else "")
        + (f"; the last started {when(last)}." if last else ".")
    ]
    for hole in record["holes"]:
        if hole["hours"] * 60 < 1:  # as in `check`: a listing itself may take that long
            continue
        length, start, end = duration(timedelta(hours=hole["hours"])), when(hole["hole_from"]), when(hole["hole_to"])
        words.append(
            f"A gap of {length} from {start} to {end}: the next listing{what_came} came more than seven days later."
        )
    return words


def _words(numbers: Row) -> list[str]:
    words = []
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
