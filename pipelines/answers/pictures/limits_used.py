"""Who uses the allowance of query jobs and the daily batches, and how much of them."""

from datetime import timedelta
from typing import Final

from pipelines.answers import limit_charts, ranked_charts
from pipelines.answers.findings.words import percent, when
from pipelines.answers.pictures.other_limits import QUERY_JOBS, forecast, forecasts
from pipelines.answers.pictures.picture import MAX_ENTRIES, Picture, day
from pipelines.answers.selection import COVERED_DAYS, Selection
from pipelines.answers.time_axis import Span, merged
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

HIGH_PERCENT: Final = 80  # of the allowance: the summary counts days with such a peak


def allowance(selection: Selection) -> Picture:
    """V2 query jobs in any 24 hours, against the allowance; at most one point per hour."""
    title = "How much of the query-job allowance is used?"
    found = selection.query("""
        select
            case when $granularity = 'day' then hour else date_trunc('day', hour) end as start,
            max_by(used, fullness) as value, max_by(allowance, fullness) as limit,
            max_by(counted is not null, fullness) as is_counted
        from allowance_by_hour
        where org_id = $org and hour >= $since and hour < $until
        group by 1
        order by 1
    """)
    days = selection.query("""
        select day, used as "most in 24 hours", allowance, share_percent from allowance_by_day
        where org_id = $org and day >= $since and day < $until
        order by day
    """)
    peak = selection.busiest
    high = [peak_day for peak_day in days if (peak_day.pop("share_percent") or 0) >= HIGH_PERCENT]
    unknown = sum(row["allowance"] is None for row in days)  # before the limits were read for the first time
    ahead = forecasts(row for name, row in selection.limits_ahead.items() if name == QUERY_JOBS)
    numbers = {
        **{f"peak_{name}": peak.get(name) for name in ("used", "allowance", "share_percent", "counted", "recorded")},
        "peak_at": peak.get("peak_at"),
        "days_from_80_percent": len(high) if peak.get("allowance") else None,
        "days_without_allowance": unknown if peak.get("allowance") else None,
        "ahead": ahead,
    }
    if not peak.get("used"):
        return Picture(
            "allowance", title, "No V2 query jobs are recorded in this period.", numbers, supported_filters=()
        )
    of = counted(peak["used"], "V2 query job")
    if peak["share_percent"] is not None:
        of = f"{peak['used']:,} of {peak['allowance']:,} V2 query jobs ({percent(peak['share_percent'])})"
    by_count = peak["counted"] is not None and peak["counted"] > peak["recorded"]
    by = ", by the org's own count" if by_count else ""
    words = [
        f"Peak: {of} in the 24 hours up to {when(peak['peak_at'])}{by}"
        + (f"; {peak['recorded']:,} of these are recorded." if by_count else "."),
        f"{counted(len(high), 'day') if high else 'No day'} reached {HIGH_PERCENT} %"
        + (f"; of {counted(unknown, 'day')}, the allowance is not known." if unknown else ".")
        if peak["share_percent"] is not None
        else "The org allows none."
        if peak["allowance"] == 0
        else "The org's allowance is not known: fetch_org_metadata is off, or the user may not see the limits.",
        *map(forecast, ahead),
    ]
    # Not covered are also the 24 hours after a gap: what they count began in it. The org's own count is right anywhere.
    gaps = merged((gap["start"], gap["end"] + timedelta(days=1)) for gap in selection.span.unknown)
    span = Span(selection.since, selection.until, [gap for gap in gaps if gap[0] < selection.end])
    drawn = [
        {**row, "value": None if span.is_unknown(row["start"]) and not row["is_counted"] else row["value"]}
        for row in found
    ]
    return Picture(
        "allowance",
        title,
        " ".join(words),
        numbers,
        days,
        lambda width: limit_charts.line_under_limit(drawn, "query jobs in 24 hours", "allowance", span, width),
        supported_filters=(),
    )


def users(selection: Selection) -> Picture:
    """Who created the V2 query jobs of the busiest 24 hours, the peak of `allowance`, and on which object."""
    title, filters = "Who uses it up?", ("objects", "creators")
    peak = selection.busiest
    found = selection.query(
        f"""
        select coalesce(created_by, '?') as created_by, coalesce(object, '?') as object, query_jobs, share_percent
        from allowance_by_user
        where {selection.where_clause(*filters)} and day = $day
        order by query_jobs desc, created_by, created_by_id, object
        """,
        day=peak.get("day"),
    )
    first: Row = found[0] if found else {}
    numbers = {
        "peak_used": peak.get("used"),
        "peak_recorded": peak.get("recorded"),
        "peak_not_recorded": peak["used"] - peak["recorded"] if peak else None,
        "peak_at": peak.get("peak_at"),
        "most_by_user": first.get("created_by"),
        "most_by_object": first.get("object"),
        "most_by_jobs": first.get("query_jobs"),
        "most_by_share_percent": first.get("share_percent"),
    }
    if not peak.get("used"):
        return Picture(
            "users", title, "No V2 query jobs are recorded in this period.", numbers, supported_filters=filters
        )
    used, recorded = peak["used"], peak["recorded"]
    words = (
        f"In the busiest 24 hours, up to {when(peak['peak_at'])}, {counted(recorded, 'V2 query job')} "
        f"{'was' if recorded == 1 else 'were'} recorded"
    )
    if found:
        words += f", most {'of those selected ' if selection.objects or selection.creators else ''}by "
        words += f"{first['created_by']} on {first['object']}: {first['query_jobs']:,}"
        words += f" ({percent(first['share_percent'])} of the allowance)" if first["share_percent"] is not None else ""
    elif recorded:
        words += ", none of those selected"
    words += f". The org counted {used - recorded:,} more, which no listing showed." if used > recorded else "."
    if not found:
        return Picture("users", title, words, numbers, supported_filters=filters)
    shown = [
        {"name": f"{row['created_by']} · {row['object']}", "value": row["query_jobs"], "said": f"{row['query_jobs']:,}"}
        for row in found[:MAX_ENTRIES]
    ]
    if len(found) > MAX_ENTRIES:
        rest = sum(row["query_jobs"] for row in found[MAX_ENTRIES:])
        shown.append({"name": f"{len(found) - MAX_ENTRIES:,} more", "value": rest, "said": f"{rest:,}"})
    table = [
        {"user": row["created_by"], "object": row["object"], "query jobs": row["query_jobs"],
         "% of the allowance": row["share_percent"]}
        for row in found
    ]  # fmt: skip
    return Picture(
        "users",
        title,
        words,
        numbers,
        table,
        lambda width: ranked_charts.ranking(shown, "query jobs in the busiest 24 hours", width),
        filters,
    )


def batches(selection: Selection) -> Picture:
    """Who took how many of the org's batches: Classic jobs by the org's count, V2 loads at least."""
    title, filters = "Who uses the daily batches?", ("creators",)
    found = selection.query(f"""
        select
            coalesce(created_by, '?') as "user", cast(coalesce(sum(batches), 0) as bigint) as batches,
            cast(coalesce(sum(classic_batches), 0) as bigint) as "of Classic jobs",
            cast(coalesce(sum(load_batches), 0) as bigint) as "of V2 loads, at least",
            cast(sum(jobs) as bigint) as jobs, cast(sum(jobs_counted) as bigint) as "jobs counted"
        from batches_by_day
        where {selection.where_clause(*filters)} and day >= $since and day < $until
        group by created_by_id, created_by
        order by batches desc, jobs desc, "user", created_by_id
    """)
    busiest = selection.query(f"""
        select day, cast(sum(batches) as bigint) as batches
        from batches_by_day
        where {selection.where_clause(*filters)} and day in (
            select day from ({COVERED_DAYS}) where covered_percent = 100 and day >= $since and day < $until
        )
        group by day
        having sum(batches) > 0
        order by batches desc, day desc
        limit 1
    """, feeds=list(selection.feeds))  # fmt: skip
    allowed = selection.query("""
        select max from limit_readings
        where org_id = $org and limit_name = 'DailyBulkApiBatches' and app = '' and read_at < $until
        order by read_at desc
        limit 1
    """)
    first, peak = (found or [{}])[0], (busiest or [{}])[0]
    numbers = {
        "batches": sum(row["batches"] for row in found),
        "load_batches": sum(row["of V2 loads, at least"] for row in found),
        "jobs": sum(row["jobs"] for row in found),
        "jobs_not_counted": sum(row["jobs"] - row["jobs counted"] for row in found),
        "since": selection.since,
        "until": selection.until,
        "most_by_user": first.get("user"),
        "most_by_batches": first.get("batches"),
        "busiest_day": peak.get("day"),
        "busiest_day_batches": peak.get("batches"),
        "allowed": allowed[0]["max"] if allowed else None,
    }
    if not numbers["batches"]:
        words = "No batches of Classic jobs or V2 loads are known in this period."
        return Picture("batches", title, words, numbers, supported_filters=filters)
    least = "At least " if numbers["load_batches"] or numbers["jobs_not_counted"] else ""
    of = f" of the {numbers['allowed']:,} that the org allows in any 24 hours" if numbers["allowed"] else ""
    words = (
        f"{least}{counted(numbers['batches'], 'batch', 'batches')} from {day(selection.since)} to "
        f"{day(selection.until)}, most by {first['user']}: {first['batches']:,}."
    )
    if peak:
        words += f" Most on one day that is covered: {peak['batches']:,}{of}, on {day(peak['day'])}."
    if missing := numbers["jobs_not_counted"]:
        words += f" The number of batches of {missing:,} of the {counted(numbers['jobs'], 'job')} is unknown."
    shown = [{"name": row["user"], "value": row["batches"], "said": f"{row['batches']:,}"} for row in found]
    if len(shown) > MAX_ENTRIES:
        rest = sum(row["batches"] for row in found[MAX_ENTRIES:])
        more = {"name": f"{len(found) - MAX_ENTRIES:,} more", "value": rest, "said": f"{rest:,}"}
        shown = [*shown[:MAX_ENTRIES], more]
    return Picture(
        "batches", title, words, numbers, found, lambda width: ranked_charts.ranking(shown, "batches", width), filters
    )
