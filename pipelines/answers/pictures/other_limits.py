"""How close the org came to its other limits, how that changes, and when one is reached if it goes on."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, Final

from pipelines.answers import limit_charts, ranked_charts
from pipelines.answers.chart_style import Chart
from pipelines.answers.findings.words import percent, when
from pipelines.answers.pictures.picture import MAX_ENTRIES, Picture, day
from pipelines.answers.selection import Selection
from pipelines.answers.time_axis import Span
from pipelines.plural import counted
from pipelines.warehouse.reader import Row

QUERY_JOBS: Final = "DailyBulkV2QueryJobs"  # the limit of the picture `allowance`
MAX_FORECASTS: Final = 3  # in the summary; the table has the rest
MAX_AHEAD: Final = 4  # the part of the time shown that its charts look ahead at most


def limits(selection: Selection) -> Picture:
    """The peak of each other limit, as far as snapshots and answers show."""
    title = "How close did other limits come?"
    found = selection.query("""
        select
            limit_name as "limit", app, max_by(used, (used_percent, used, read_at)) as used,
            max_by(max, (used_percent, used, read_at)) as max, max(used_percent) as percent,
            max_by(read_at, (used_percent, used, read_at)) as at
        from limit_readings
        where org_id = $org and read_at >= $since and read_at < $until
            and used_percent is not null and limit_name <> $query_jobs
        group by limit_name, app
        having percent > 0
        order by percent desc, "limit", app
    """, query_jobs=QUERY_JOBS)  # fmt: skip
    ahead = {name: row for name, row in selection.limits_ahead.items() if name != QUERY_JOBS}
    first: Row = found[0] if found else {}
    numbers: dict[str, Any] = {"limits": len(found)} | {
        f"nearest_{name}": first.get(name) for name in ("limit", "app", "used", "max", "percent", "at")
    }
    numbers["ahead"] = forecasts(ahead.values())
    if not found:
        return Picture(
            "limits", title, "No use of other limits is recorded in this period.", numbers, supported_filters=()
        )
    words = [
        f"{f'Of {len(found):,} limits in use, ' if len(found) > 1 else ''}{first['limit']}{_app(first['app'])} came "
        f"closest: {first['used']:,} of {first['max']:,} ({percent(first['percent'])}), read {when(first['at'])}.",
        *map(forecast, numbers["ahead"][:MAX_FORECASTS]),
    ]
    shown = [
        {"name": f"{row['limit']}{_app(row['app'])}", "value": row["percent"],
         "said": f"{percent(row['percent'])} · {row['used']:,} of {row['max']:,}"}
        for row in found[:MAX_ENTRIES]
    ]  # fmt: skip
    panels, span = _trends(selection, found, ahead)

    def draw(width: int) -> Chart:
        peaks = ranked_charts.ranking(shown, "highest recorded use", width, limit_charts.MARKS)
        return ranked_charts.above(peaks, limit_charts.trends(panels, span, width))

    table = [
        {**row, "reached on, if its peaks keep growing": ahead[row["limit"]]["reached_on"]
         if not row["app"] and row["limit"] in ahead else None}
        for row in found
    ]  # fmt: skip
    return Picture("limits", title, " ".join(words), numbers, table, draw, supported_filters=())


def forecasts(ahead: Iterable[Row]) -> list[Row]:
    """Of those limits that are reached if it goes on, in how many weeks that shows and on which day."""
    return [{name: row[name] for name in ("limit", "weeks", "reached_on")} for row in ahead if row["reached_on"]]


def forecast(row: Row) -> str:
    return (
        f"{row['limit']} reaches its limit on {day(row['reached_on'])}, if its weekly peaks keep growing as in the "
        f"last {counted(row['weeks'], 'week')}."
    )


def _trends(
    selection: Selection, found: list[Row], ahead: dict[str, Row]
) -> tuple[dict[str, limit_charts.Trend], Span]:
    """The peaks of the limits that came closest, bin by bin, and how their trends go on; the time that this needs."""
    peaks = selection.query("""
        select
            limit_name, app, cast(date_trunc($granularity, read_at at time zone 'UTC') as date) as start,
            max(used_percent) as value
        from limit_readings
        where org_id = $org and read_at >= $since and read_at < $until and used_percent is not null
        group by all
        order by all
    """)
    room = (selection.until - selection.since) // MAX_AHEAD
    panels, last = {}, selection.until
    for row in found[: limit_charts.MAX_PANELS]:
        points = [
            {"start": peak["start"], "value": peak["value"]}
            for peak in peaks
            if (peak["limit_name"], peak["app"]) == (row["limit"], row["app"])
        ]
        trend: list[Row] = []
        forecast = ahead.get(row["limit"], {}) if not row["app"] else {}
        if (forecast.get("growth") or 0) > 0:
            end: date = selection.until + room
            weeks = (end - selection.until) / timedelta(weeks=1)
            lately = [peak["value"] for peak in points if peak["start"] > selection.until - timedelta(weeks=1)]
            height = max(lately or [points[-1]["value"]])
            trend = [
                {"start": selection.until, "value": height},
                {"start": end, "value": height + weeks * forecast["growth"]},
            ]
            last = end
        panels[f"{row['limit']}{_app(row['app'])}"] = limit_charts.Trend(points, trend)
    return panels, Span(selection.since, last, [(gap["start"], gap["end"]) for gap in selection.span.unknown])


def _app(app: str) -> str:
    return f" ({app})" if app else ""
