"""How near the org's limits came: its allowance of query jobs and who used it, and the others."""

from typing import Any, Final

from pipelines.answers import charts
from pipelines.answers.findings.words import counted, percent, when
from pipelines.answers.pictures.picture import MAX_ENTRIES, Picture
from pipelines.answers.selection import Selection
from pipelines.warehouse.reader import Row

# Of a row of allowance_by_hour: of several, the one with the greatest of these is the peak, here and in `check`.
PEAK: Final = "(coalesce(share_percent, -1), coalesce(used, -1), hour)"
HIGH_PERCENT: Final = 80  # a day that came so near is counted


def allowance(selection: Selection) -> Picture:
    """V2 query jobs in each rolling 24 hours against the allowance; at most one point an hour."""
    title, of_all = "How near is the allowance of query jobs?", ()
    found = selection.ask(f"""
        select
            case when $bin = 'day' then hour else date_trunc('day', hour) end as start,
            max_by(used, {PEAK}) as value, max_by(allowance, {PEAK}) as limit, max(share_percent) as share_percent
        from allowance_by_hour
        where org_id = $org and hour >= $since and hour < $until and used is not null
        group by 1
        order by 1
    """)
    peak = _peak(selection)
    by_day: dict[Any, Row] = {}
    for row in sorted(found, key=_order):
        by_day[row["start"].date()] = row
    high = [day for day, row in by_day.items() if (row["share_percent"] or 0) >= HIGH_PERCENT]
    numbers = {
        **{f"peak_{name}": peak.get(name) for name in ("used", "allowance", "share_percent", "counted", "recorded")},
        "peak_at": peak.get("peak_at"),
        "days_from_80_percent": len(high) if peak.get("allowance") else None,
    }
    if not peak.get("used"):
        return Picture("allowance", title, "No V2 query jobs are recorded in this time.", numbers, obeys=of_all)
    of = counted(peak["used"], "V2 query job")
    if peak["share_percent"] is not None:
        of = f"{peak['used']:,} of {peak['allowance']:,} V2 query jobs ({percent(peak['share_percent'])})"
    by_count = peak["counted"] is not None and peak["counted"] > peak["recorded"]
    by = " by the org's own count" if by_count else ""
    words = [
        f"At most {of} in 24 hours{by} up to {when(peak['peak_at'])}"
        + (f"; {peak['recorded']:,} of these are recorded." if by_count else "."),
        f"{counted(len(high), 'day') if high else 'No day'} came to {HIGH_PERCENT} % or more."
        if peak["share_percent"] is not None
        else "The org allows none."
        if peak["allowance"] == 0
        else "The org's allowance is not known: `fetch_org_metadata` is off, or the user may not see the limits.",
    ]
    table = [
        {"day": day, "most in 24 hours": row["value"], "allowance": row["limit"]} for day, row in sorted(by_day.items())
    ]
    span = selection.span
    return Picture(
        "allowance",
        title,
        " ".join(words),
        numbers,
        table,
        lambda width: charts.line_under_limit(found, "query jobs in 24 hours", "allowance", span, width),
        of_all,
    )


def _order(row: Row) -> tuple[Any, ...]:
    """As PEAK."""
    return -1 if row["share_percent"] is None else row["share_percent"], row["value"], row["start"]


def _peak(selection: Selection) -> Row:
    """The fullest 24 hours of the time shown: used, counted, recorded, allowance, share_percent, peak_at, and `day`, by
    which allowance_by_user knows them; empty where there are none."""
    found = selection.ask(f"""
        select
            p.*, coalesce(
                (select max(all_jobs) from allowance_by_user as u where u.org_id = $org and u.day = p.day), 0
            ) as recorded
        from (
            select cast(hour as date) as day, used, allowance, share_percent, counted, peak_at
            from allowance_by_hour
            where org_id = $org and hour >= $since and hour < $until and used is not null
            order by {PEAK} desc
            limit 1
        ) as p
    """)
    return found[0] if found else {}


def users(selection: Selection) -> Picture:
    """Who filled the fullest 24 hours of V2 query jobs, those of the picture before, and on which object."""
    title, obeys = "Who uses it up?", ("objects", "creators")
    peak = _peak(selection)
    found = selection.ask(
        f"""
        select coalesce(created_by, '?') as created_by, coalesce(object, '?') as object, query_jobs, share_percent
        from allowance_by_user
        where {selection.only(*obeys)} and day = $day
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
        return Picture("users", title, "No V2 query jobs are recorded in this time.", numbers, obeys=obeys)
    used, recorded = peak["used"], peak["recorded"]
    words = (
        f"In the fullest 24 hours, up to {when(peak['peak_at'])}, {counted(recorded, 'V2 query job')} "
        f"{'was' if recorded == 1 else 'were'} recorded"
    )
    if found:
        words += f", most {'of those chosen ' if selection.objects or selection.creators else ''}by "
        words += f"{first['created_by']} on {first['object']}: {first['query_jobs']:,}"
        words += f" ({percent(first['share_percent'])} of the allowance)" if first["share_percent"] is not None else ""
    elif recorded:
        words += ", none of those chosen"
    words += f". The org counted {used - recorded:,} more, which no listing showed." if used > recorded else "."
    if not found:
        return Picture("users", title, words, numbers, obeys=obeys)
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
        lambda width: charts.ranking(shown, "query jobs in the fullest 24 hours", width),
        obeys,
    )


def limits(selection: Selection) -> Picture:
    """How near the org's other limits came: the greatest share that a snapshot or an answer showed, limit by limit."""
    title = "And the org's other limits?"
    found = selection.ask("""
        select
            limit_name as "limit", app, max_by(used, (percent, used, asked_at)) as used,
            max_by(max, (percent, used, asked_at)) as max, max(percent) as percent,
            max_by(asked_at, (percent, used, asked_at)) as at
        from (
            select limit_name, app, max - remaining as used, max, 100.0 * (max - remaining) / max as percent, asked_at
            from org_limits
            where org_id = $org and limit_name <> 'DailyBulkV2QueryJobs' and max > 0 and remaining is not null
            union all
            -- each answer tells the API calls, as `check` reads them, too
            select 'DailyApiRequests', '', api_usage, api_usage_max, 100.0 * api_usage / api_usage_max, finished_at
            from listings
            where org_id = $org and api_usage_max > 0 and api_usage is not null
        )
        where asked_at >= $since and asked_at < $until
        group by limit_name, app
        having percent > 0
        order by percent desc, "limit", app
    """)
    first: Row = found[0] if found else {}
    numbers = {"limits": len(found)} | {
        f"nearest_{name}": first.get(name) for name in ("limit", "app", "used", "max", "percent", "at")
    }
    if not found:
        return Picture("limits", title, "No use of other limits is recorded in this time.", numbers, obeys=())
    words = (
        f"Of {counted(len(found), 'limit')} of which something was used, {first['limit']}{_app(first['app'])} came "
        f"nearest: {first['used']:,} of {first['max']:,} ({percent(first['percent'])}) by {when(first['at'])}."
    )
    shown = [
        {"name": f"{row['limit']}{_app(row['app'])}", "value": row["percent"],
         "said": f"{percent(row['percent'])} · {row['used']:,} of {row['max']:,}"}
        for row in found[:MAX_ENTRIES]
    ]  # fmt: skip
    return Picture(
        "limits",
        title,
        words,
        numbers,
        found,
        lambda width: charts.ranking(shown, "the greatest share that a snapshot showed", width),
        obeys=(),
    )


def _app(app: str) -> str:
    return f" ({app})" if app else ""
