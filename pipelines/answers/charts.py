"""The charts over time of report and notebook, drawn by Altair: rows in, a chart of a given width out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import altair as alt

from pipelines.answers.chart_style import (
    AMOUNT,
    DECIMALS,
    INK,
    MARGIN,
    NARROW,
    OUTCOMES,
    OWN_SCALES,
    UNDOCUMENTED,
    WHEN,
    Chart,
    Row,
    amount,
    data,
    height,
    note,
    panel_title,
    shaded,
    small_panels,
    stacked,
    styled,
    ticks,
)
from pipelines.answers.time_axis import Span

__all__ = [
    "AMOUNT", "OUTCOMES", "PERCENTILES", "Chart", "known_values", "lines", "small_lines", "stacked_bars", "strip",
    "styled", "week",
]  # fmt: skip

PERCENTILES: Final = {"median": [1, 0], "95th percentile": [4, 3]}  # and their dash patterns


def stacked_bars(  # noqa: PLR0917 - as every chart: what, in which colours, called what, when, how wide
    panels: Mapping[str, Sequence[Row]],
    colours: Mapping[str, str],
    title: str,
    span: Span,
    width: int,
    rates: Mapping[str, Sequence[Row]] | None = None,
) -> Chart:
    """One panel of bars over time for each entry; rows: start, end, group, value. Below each, if given, a line of its
    rates in percent; rows: start, middle, value, said."""
    groups = {row["group"] for rows in panels.values() for row in rows}
    domain = [group for group in colours if group in groups] + sorted(groups - colours.keys())
    # The last of the domain is drawn on top, but what went wrong belongs at the bottom, on the axis.
    scale = alt.Scale(domain=domain, range=[colours.get(group, UNDOCUMENTED) for group in domain])
    legend = alt.Legend(columns=_columns(domain, width)) if len(domain) > 1 else None
    colour = alt.Color("group:N", title=None, scale=scale, legend=legend)
    charts, tops = [], set()
    for name, rows in panels.items():
        # A week or month may begin before the time shown, and end after it.
        first, last = span.since.date(), span.until.date()
        values = [
            {
                **row, "order": domain.index(row["group"]),
                "start": max(row["start"], first), "end": min(row["end"], last),
            }
            for row in rows
        ]  # fmt: skip
        sums: Counter[date] = Counter()
        for row in rows:
            sums[row["start"]] += row["value"]
        tops.add(ticks(max(sums.values(), default=0))[-1])
        bars = (
            alt.Chart(data(values))
            .mark_bar(orient="vertical", stroke=INK, strokeWidth=0.5, strokeOpacity=0.6)
            .encode(
                x=span.axis("start", width),
                x2="end:T",
                y=amount(list(sums.values()), title, stack="zero"),
                color=colour,
                order=alt.Order("order:Q", sort="descending"),
                tooltip=[WHEN, alt.Tooltip("group:N", title=" "), alt.Tooltip("value:Q", title=title)],
            )
        )
        charts.append(
            shaded(span, width, bars).properties(width=width, height=height(width), title=panel_title(name, width))
        )
        if rates and any(row["value"] is not None for row in rates.get(name, ())):
            charts.append(_rate(rates[name], span, width))
    return stacked(charts, own_scales=len(tops) > 1 or (bool(rates) and len(panels) > 1))


def _rate(rows: Sequence[Row], span: Span, width: int) -> Chart:
    marks = ticks(max(row["value"] or 0 for row in rows) or 1, 3, whole=False)
    axis = alt.Axis(values=marks, format=DECIMALS)
    chart = alt.Chart(data(rows)).encode(
        x=span.axis("middle", width),
        y=alt.Y("value:Q", title="% failed", axis=axis, scale=alt.Scale(domain=[0, marks[-1]], nice=False)),
        tooltip=[WHEN, alt.Tooltip("said:N", title="failed")],
    )
    # A point between two without a rate would not show as part of a line.
    points = {"color": OUTCOMES["failed"], "size": 16} if len(rows) < width // 4 else False
    line = chart.mark_line(color=OUTCOMES["failed"], strokeWidth=2, point=points, invalid="break-paths-show-domains")
    return shaded(span, width, line).properties(width=width, height=60)


def _columns(names: Sequence[str], width: int) -> int:
    """Into how many columns a legend's names fit."""
    sizes = [7 * len(name) + 40 for name in names]
    for columns in range(len(names), 1, -1):
        if sum(max(sizes[column::columns]) for column in range(columns)) <= width:
            return columns
    return 1


def lines(panels: Mapping[str, Sequence[Row]], title: str, span: Span, width: int) -> Chart:
    """One panel with an area over time for each entry; rows: start, value."""
    charts, tops = [], set()
    for name, given in panels.items():
        rows = known_values(given, span)
        values = [row["value"] or 0 for row in rows]
        tops.add(ticks(max(values))[-1])
        chart = (
            alt.Chart(data(rows))
            .mark_area(
                color=AMOUNT,
                opacity=0.6,
                line={"color": AMOUNT, "strokeWidth": 1},
                interpolate="step-after",
                invalid="break-paths-show-domains",
            )
            .encode(
                x=span.axis("start", width),
                y=amount(values, title),
                tooltip=[WHEN, alt.Tooltip("value:Q", title=title)],
            )
        )
        charts.append(
            shaded(span, width, chart).properties(
                width=width, height=height(width) - 30, title=panel_title(name, width)
            )
        )
    return stacked(charts, own_scales=len(tops) > 1)


def known_values(rows: Sequence[Row], span: Span) -> list[dict[str, Any]]:
    """The rows, without those zeros that are only the absence of a record: in times that it does not cover."""
    return [
        {**row, "value": None if not row["value"] and span.is_unknown(row["start"]) else row["value"]} for row in rows
    ]


def small_lines(panels: Mapping[str, Sequence[Row]], title: str, span: Span, width: int) -> Chart:
    """A small panel for each entry, with a solid line for the median and a dashed one for the 95th percentile; rows:
    start, which, value."""
    columns, each = small_panels(width)
    scale = alt.Scale(domain=list(PERCENTILES), range=list(PERCENTILES.values()))
    dash = alt.StrokeDash("which:N", legend=None, scale=scale)
    charts, tops = [], set()
    for name, rows in panels.items():
        marks = ticks(max(row["value"] for row in rows), 4, whole=False)
        tops.add(marks[-1])
        axis, domain = alt.Axis(values=marks, format=DECIMALS), alt.Scale(domain=[0, marks[-1]], nice=False)
        base = alt.Chart(data(rows)).encode(
            x=span.axis("start", each),
            y=alt.Y("value:Q", title=title, axis=axis, scale=domain),
            tooltip=[WHEN, alt.Tooltip("which:N", title=" "), alt.Tooltip("value:Q", format=",.1f")],
        )
        points = {"color": AMOUNT, "size": 18} if len(rows) < each // 4 else False
        line = base.mark_line(color=AMOUNT, point=points).encode(strokeDash=dash)
        charts.append(shaded(span, each, line).properties(width=each, height=90, title=panel_title(name, each)))
    words = ["solid: median", "dashed: 95th percentile", *([OWN_SCALES] if len(tops) > 1 else [])]
    return alt.concat(*charts, columns=columns, title=note(*words))


def week(panels: Mapping[str, Sequence[Row]], title: str, width: int) -> Chart:
    """For each entry the hours of a week as a heat map; rows: weekday (Monday is 1), hour, value."""
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    charts = []
    for name, rows in panels.items():
        values = [{**row, "day": names[row["weekday"] - 1]} for row in rows]
        most = max(row["value"] for row in rows) or 1
        legend = alt.Legend(symbolFillColor=AMOUNT, columns=0 if width > NARROW else 3)
        scale = alt.Scale(domain=[0, most], range=[0, 1])
        charts.append(
            alt.Chart(data(values))
            .mark_rect(color=AMOUNT, stroke=INK, strokeOpacity=0.15, strokeWidth=0.5)
            .encode(
                x=alt.X(
                    "hour:O",
                    title="hour of the day, UTC",
                    scale=alt.Scale(domain=list(range(24))),
                    axis=alt.Axis(labelAngle=0, values=list(range(0, 24, 1 if width > NARROW else 3))),
                ),
                y=alt.Y("day:O", title=None, scale=alt.Scale(domain=names), axis=alt.Axis(minExtent=MARGIN)),
                opacity=alt.Opacity("value:Q", title=title, scale=scale, legend=legend),
                tooltip=["day:O", "hour:O", alt.Tooltip("value:Q", title=title, format=",.1f")],
            )
            .properties(width=width, height=7 * (22 if width > NARROW else 18), title=panel_title(name, width))
        )
    chart = stacked(charts, own_scales=True)
    return chart.resolve_scale(opacity="independent") if len(charts) > 1 else chart


def strip(covered: Sequence[Row], listings: Sequence[Row], span: Span, width: int) -> Chart:
    """Covered time in green, the rest hatched; a tick for each listing if there is room. Rows: start (, end)."""
    x = span.axis("start", width)
    y = alt.YDatum(
        "covered",
        type="nominal",
        title=None,
        axis=alt.Axis(minExtent=MARGIN, domain=False, ticks=False, labelPadding=6),
    )
    layers = [alt.Chart(data(covered)).mark_bar(color=AMOUNT, height=26).encode(x=x, x2="end:T", y=y)]
    if len(listings) <= width // 8:
        layers.append(alt.Chart(data(listings)).mark_tick(color=INK, thickness=1, height=34, opacity=0.5).encode(x=x))
    return shaded(span, width, *layers).properties(width=width, height=44)
