"""The charts of what is limited: use under its limit, with lines at 80 and 100 percent, and where trends lead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from pipelines.answers.chart_style import (
    AMOUNT,
    INK,
    NARROW,
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
    ticks,
)
from pipelines.answers.charts import known_values
from pipelines.answers.time_axis import Span, milliseconds

WARNING_PERCENT: Final = 80  # of a limit: drawn as a line of its own
MARKS: Final = (WARNING_PERCENT, 100)
MAX_PANELS: Final = 6  # on a phone half as many


@dataclass(frozen=True)
class Trend:
    """The peaks of a limit in percent, and how they go on; rows: start, value."""

    points: Sequence[Row]
    ahead: Sequence[Row] = ()


def line_under_limit(rows: Sequence[Row], title: str, limit_title: str, span: Span, width: int) -> Chart:
    """An area over time, its limit as a line, a thinner one at WARNING_PERCENT of it; rows: start, value, limit (or
    None)."""
    shown = known_values(rows, span)
    most = max(max(row["value"] or 0, row["limit"] or 0) for row in shown)
    base = alt.Chart(data(shown)).encode(x=span.axis("start", width))

    def y(field: str) -> alt.Y:  # the same in each layer: Vega-Lite drops the ticks of axes that differ
        return amount([most], title, f"{field}:Q")

    tooltip = [WHEN, alt.Tooltip("value:Q", title=title), alt.Tooltip("limit:Q", title=limit_title)]
    way: Any = {"color": AMOUNT, "interpolate": "step-after", "invalid": "break-paths-show-domains"}
    layers = [
        base.mark_area(opacity=0.35, **way).encode(y=y("value")),
        base.mark_line(strokeWidth=1.5, **way).encode(y=y("value"), tooltip=tooltip),
    ]
    limits = [row for row in rows if row["limit"] is not None]
    if limits:
        known = [{"start": row["start"], "limit": row["limit"]} for row in limits]
        ends = [{**known[0], "start": span.since}, {**known[-1], "start": span.until}]  # a line from edge to edge
        both = [
            {**row, "warning": WARNING_PERCENT / 100 * row["limit"]}
            for row in sorted([*known, *ends], key=lambda row: milliseconds(row["start"]))
        ]
        rule = alt.Chart(data(both)).encode(x=span.axis("start", width))
        layers.append(
            rule.mark_line(color=INK, strokeDash=[6, 4], strokeWidth=2, interpolate="step-after").encode(y=y("limit"))
        )
        layers.append(
            rule.mark_line(color=INK, strokeDash=[2, 4], strokeWidth=1, interpolate="step-after").encode(y=y("warning"))
        )
        text: Any = {"color": INK, "align": "right", "dy": -8, "fontWeight": "bold"}
        last = alt.Chart(data([{**limits[-1], "warning": WARNING_PERCENT / 100 * limits[-1]["limit"]}]))
        said = f"{limit_title}: {limits[-1]['limit']:,}"
        layers.append(last.mark_text(**text).encode(x=alt.value(width), y=y("limit"), text=alt.value(said)))
        mark = last.mark_text(color=INK, align="left", dx=4)
        layers.append(mark.encode(x=alt.value(width), y=y("warning"), text=alt.value(f"{WARNING_PERCENT} %")))
    return shaded(span, width, *layers).properties(width=width, height=height(width) + 40)


def trends(panels: Mapping[str, Trend], span: Span, width: int) -> Chart:
    """A small panel for each entry, in percent of the limit: its peaks as a line, dashed where they lead if they keep
    growing as they did. All have the same scale, with lines at MARKS."""
    columns, each = small_panels(width)
    shown = dict(list(panels.items())[: MAX_PANELS if width > NARROW else MAX_PANELS // 2])
    most = max(row["value"] for trend in shown.values() for row in (*trend.points, *trend.ahead))
    marks = ticks(min(max(most, 100), 150), 5, whole=True)
    scale, axis = alt.Scale(domain=[0, marks[-1]], nice=False, clamp=True), alt.Axis(values=marks)
    charts = []
    for name, trend in shown.items():
        x, y = span.axis("start", each), alt.Y("value:Q", title="% used", scale=scale, axis=axis)
        rule = alt.Chart(data([{"value": mark} for mark in MARKS])).mark_rule(color=INK, strokeDash=[2, 4])
        breaks = [{"start": gap["start"], "value": None} for gap in span.unknown]
        points = sorted([*trend.points, *breaks], key=lambda row: milliseconds(row["start"]))
        line = alt.Chart(data(points)).mark_line(
            color=AMOUNT,
            strokeWidth=1.5,
            point={"color": AMOUNT} if len(trend.points) == 1 else False,
            invalid="break-paths-show-domains",
        )
        layers = [
            rule.encode(y=y),
            line.encode(x=x, y=y, tooltip=[WHEN, alt.Tooltip("value:Q", title="% used", format=",.1f")]),
        ]
        if trend.ahead:
            layers.append(alt.Chart(data(trend.ahead)).mark_line(color=AMOUNT, strokeDash=[4, 3]).encode(x=x, y=y))
        charts.append(shaded(span, each, *layers).properties(width=each, height=90, title=panel_title(name, each)))
    words = ["highest use; dashed: if weekly peaks keep growing", "lines at 80 % and 100 %"]
    return alt.concat(*charts, columns=columns, title=note(*words))
