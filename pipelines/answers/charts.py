"""The charts of report and notebook, drawn by Altair: rows in, a chart of a given width out.

Colours are consistent and colour-blind safe. States use Okabe and Ito's palette (Color Universal Design,
jfly.uni-koeln.de/color), plus a grey that is distinct from its purple; kinds of failure are shades of the colour of
Failed; every other amount has the palette's green. Text and lines take the colour of the page, so that they also show
on a dark one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import altair as alt

from pipelines.answers.time_axis import Span, milliseconds

Row = Mapping[str, Any]
Chart = Any  # any of Altair's chart classes: single, layered or concatenated

STATES: Final = {
    "JobComplete": "#0072B2",
    "Closed": "#56B4E9",
    "InProgress": "#F0E442",
    "UploadComplete": "#E69F00",
    "Open": "#CC79A7",
    "Aborted": "#707070",
    "Failed": "#D55E00",
}
OUTCOMES: Final = {
    "aborted": "#707070",
    "partly failed": "#F6B58A",
    "every record failed": "#9C1F3F",
    "failed": "#D55E00",
}
UNDOCUMENTED: Final = "#6B4C9A"  # a state that Salesforce does not document
AMOUNT: Final = "#009E73"
INK: Final = "currentColor"
PERCENTILES: Final = {"median": [1, 0], "95th percentile": [4, 3]}  # and their dash patterns
UNKNOWN: Final[Mapping[str, Any]] = {"color": "#808080", "opacity": 0.22}  # a time without coverage
WHEN: Final = alt.Tooltip("when:N", title="from")
LABEL: Final = 290  # pixels for the names beside bars
NARROW: Final = 500  # pixels; below, charts are laid out for a phone
TEXT: Final = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
CONFIG: Final = {
    "background": "transparent",
    "aria": False,  # the summary describes the chart; a screen reader that spells out each bar helps no one
    "view": {"stroke": None},
    "axis": {
        **TEXT, "titleFontWeight": "normal", "gridColor": INK, "gridOpacity": 0.12, "domainColor": INK,
        "domainOpacity": 0.4, "tickColor": INK, "tickOpacity": 0.4,
    },
    "legend": {
        **TEXT, "orient": "top", "symbolType": "square", "symbolStrokeColor": INK, "columnPadding": 18, "labelLimit": 0,
    },
    "title": {"color": INK, "anchor": "start", "fontSize": 13, "fontWeight": "bold"},
    "text": {"fontSize": 12},
}  # fmt: skip


def stacked_bars(
    panels: Mapping[str, Sequence[Row]], colours: Mapping[str, str], title: str, span: Span, width: int
) -> Chart:
    """One panel of bars over time for each entry; rows: start, end, group, value."""
    groups = {row["group"] for rows in panels.values() for row in rows}
    domain = [group for group in colours if group in groups] + sorted(groups - colours.keys())
    # The last of the domain is drawn on top, but what went wrong belongs at the bottom, on the axis.
    scale = alt.Scale(domain=domain, range=[colours.get(group, UNDOCUMENTED) for group in domain])
    colour = alt.Color("group:N", title=None, scale=scale, legend=alt.Legend(columns=0 if width > NARROW else 2))
    charts = []
    for name, rows in panels.items():
        values = [{**row, "order": domain.index(row["group"])} for row in rows]
        sums: Counter[date] = Counter()
        for row in rows:
            sums[row["start"]] += row["value"]
        bars = (
            alt.Chart(_data(values))
            .mark_bar(orient="vertical", stroke=INK, strokeWidth=0.5, strokeOpacity=0.6)
            .encode(
                x=span.axis("start", width),
                x2="end:T",
                y=alt.Y("value:Q", title=title, stack="zero", axis=_whole(list(sums.values()))),
                color=colour,
                order=alt.Order("order:Q", sort="descending"),
                tooltip=[WHEN, alt.Tooltip("group:N", title=" "), alt.Tooltip("value:Q", title=title)],
            )
        )
        charts.append(_layers(span, width, bars).properties(width=width, height=_height(width), title=name))
    return alt.vconcat(*charts) if len(charts) > 1 else charts[0]


def line_under_limit(rows: Sequence[Row], title: str, limit_title: str, span: Span, width: int) -> Chart:
    """An area over time, and its limit as a line; rows: start, value, limit (may be None)."""
    base = alt.Chart(_data(rows)).encode(x=span.axis("start", width))
    amount = alt.Y("value:Q", title=title, axis=_whole([row["value"] for row in rows]))
    tooltip = [WHEN, alt.Tooltip("value:Q", title=title), alt.Tooltip("limit:Q", title=limit_title)]
    area = base.mark_area(color=AMOUNT, opacity=0.35, interpolate="step-after").encode(y=amount)
    line = base.mark_line(color=AMOUNT, strokeWidth=1.5, interpolate="step-after").encode(y=amount, tooltip=tooltip)
    layers = [area, line]
    limits = [row for row in rows if row["limit"] is not None]
    if limits:
        rule = base.transform_filter("isValid(datum.limit)")
        layers.append(rule.mark_line(color=INK, strokeDash=[6, 4], strokeWidth=2).encode(y="limit:Q"))
        last = alt.Chart(_data(limits[-1:])).mark_text(color=INK, align="right", dy=-8, fontWeight="bold")
        said = f"{limit_title}: {limits[-1]['limit']:,}"
        layers.append(last.encode(x=alt.value(width), y="limit:Q", text=alt.value(said)))
    return _layers(span, width, *layers).properties(width=width, height=_height(width) + 40)


def lines(panels: Mapping[str, Sequence[Row]], title: str, span: Span, width: int) -> Chart:
    """One panel with an area over time for each entry; rows: start, value."""
    charts = []
    for name, rows in panels.items():
        chart = (
            alt.Chart(_data(rows))
            .mark_area(color=AMOUNT, opacity=0.6, line={"color": AMOUNT, "strokeWidth": 1}, interpolate="step-after")
            .encode(
                x=span.axis("start", width),
                y=alt.Y("value:Q", title=title, axis=_whole([row["value"] for row in rows])),
                tooltip=[WHEN, alt.Tooltip("value:Q", title=title)],
            )
        )
        charts.append(_layers(span, width, chart).properties(width=width, height=_height(width) - 30, title=name))
    return alt.vconcat(*charts) if len(charts) > 1 else charts[0]


def ranking(rows: Sequence[Row], title: str, width: int) -> Chart:
    """Bars, greatest first, each with its label; rows: name, value, said."""
    # Room for the label at the end of the longest bar
    room = max(row["value"] for row in rows) * (1.3 if width > NARROW else 1.7) or 1
    base = alt.Chart(_data(rows)).encode(
        y=_names(width), x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, room], nice=False))
    )
    bars = base.mark_bar(color=AMOUNT, height=_thick(width), yOffset=_below(width))
    said = base.mark_text(color=INK, align="left", dx=4, yOffset=_below(width)).encode(text="said:N")
    return _named(base, [bars, said], width).properties(height=_row(width) * len(rows), title=title)


def periods(rows: Sequence[Row], span: Span, width: int) -> Chart:
    """Bars from start to end, one line each; rows: name, start, end, said, over (bool)."""
    room = width - LABEL if width > NARROW else width
    base = alt.Chart(_data(rows)).encode(x=span.axis("start", room), y=_names(width))
    bars = base.mark_bar(color=OUTCOMES["failed"], height=_thick(width), yOffset=_below(width)).encode(
        x2="end:T",
        opacity=alt.Opacity("over:N", legend=None, scale=alt.Scale(domain=[False, True], range=[1, 0.4])),
        tooltip=[alt.Tooltip("name:N", title=" "), alt.Tooltip("said:N", title=" ")],
    )
    said = base.mark_text(color=INK, align="right", dx=-4, yOffset=_below(width)).encode(text="said:N")
    return _named(base, [bars, said], width).properties(height=_row(width) * len(rows))


def small_lines(panels: Mapping[str, Sequence[Row]], title: str, span: Span, width: int) -> Chart:
    """A small panel for each entry, with a solid line for the median and a dashed one for the 95th percentile; rows:
    start, which, value."""
    columns = 3 if width > NARROW else 1
    each = width // columns - (64 if columns > 1 else 0)
    scale = alt.Scale(domain=list(PERCENTILES), range=list(PERCENTILES.values()))
    dash = alt.StrokeDash("which:N", legend=None, scale=scale)
    charts = []
    for name, rows in panels.items():
        base = alt.Chart(_data(rows)).encode(
            x=span.axis("start", each),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(tickCount=4, format="~g"), scale=alt.Scale(zero=True)),
            tooltip=[WHEN, alt.Tooltip("which:N", title=" "), alt.Tooltip("value:Q", format=",.1f")],
        )
        points = {"color": AMOUNT, "size": 18} if len(rows) < each // 4 else False
        line = base.mark_line(color=AMOUNT, point=points).encode(strokeDash=dash)
        charts.append(line.properties(width=each, height=90, title=name))
    legend = alt.TitleParams(["solid: median", "dashed: 95th percentile"], fontWeight="normal")
    return alt.concat(*charts, columns=columns, title=legend)


def week(rows: Sequence[Row], title: str, width: int) -> Chart:
    """The hours of a week as a heat map; rows: weekday (Monday is 1), hour, value."""
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    values = [{**row, "day": names[row["weekday"] - 1]} for row in rows]
    most = max(row["value"] for row in rows) or 1
    return (
        alt.Chart(_data(values))
        .mark_rect(color=AMOUNT, stroke=INK, strokeOpacity=0.15, strokeWidth=0.5)
        .encode(
            x=alt.X(
                "hour:O",
                title="hour of the day, UTC",
                scale=alt.Scale(domain=list(range(24))),
                axis=alt.Axis(labelAngle=0, labelOverlap=True),
            ),
            y=alt.Y("day:O", title=None, scale=alt.Scale(domain=names)),
            opacity=alt.Opacity(
                "value:Q",
                title=title,
                scale=alt.Scale(domain=[0, most], range=[0, 1]),
                legend=alt.Legend(symbolFillColor=AMOUNT, columns=0 if width > NARROW else 3),
            ),
            tooltip=["day:O", "hour:O", alt.Tooltip("value:Q", title=title, format=",.1f")],
        )
        .properties(width=width, height=7 * (22 if width > NARROW else 18))
    )


def strip(covered: Sequence[Row], listings: Sequence[Row], span: Span, width: int) -> Chart:
    """Covered time in green, the rest in grey; a tick for each listing if there is room. Rows: start (, end)."""
    x = span.axis("start", width)
    bars = alt.Chart(_data(covered)).mark_bar(color=AMOUNT, height=26).encode(x=x, x2="end:T")
    layers = [bars]
    if len(listings) <= width // 8:
        layers.append(alt.Chart(_data(listings)).mark_tick(color=INK, thickness=1, height=34, opacity=0.5).encode(x=x))
    return _layers(span, width, *layers).properties(width=width, height=44)


def styled(chart: Chart, font: str = "sans-serif") -> Chart:
    """The chart, styled to match the page that shows it."""
    return chart.properties(config={**CONFIG, "font": font})


def _layers(span: Span, width: int, *charts: alt.Chart) -> Chart:
    if not span.unknown:
        return alt.layer(*charts)
    shade = alt.Chart(_data(span.unknown)).mark_rect(**UNKNOWN).encode(x=span.axis("start", width), x2="end:T")
    return alt.layer(shade, *charts)


def _data(rows: Sequence[Row]) -> alt.InlineData:
    """Rows as Vega expects them: times as milliseconds, which are UTC in any time zone of the machine, and `when` as
    text for the tooltip."""
    values = [{name: milliseconds(v) if isinstance(v, date) else v for name, v in row.items()} for row in rows]
    for value, row in zip(values, rows, strict=True):
        if "start" in row:
            value["when"] = (
                f"{row['start']:%Y-%m-%d %H:%M} UTC"
                if isinstance(row["start"], datetime)
                else f"{row['start']:%a, %d %b %Y}"
            )
    return alt.InlineData(values=values)


def _names(width: int) -> alt.Y:
    """The axis of names beside bars, in the order of the rows; on a phone they are above their bars."""
    beside = alt.Axis(labelLimit=LABEL, ticks=False, domain=False)
    return alt.Y("name:N", sort=None, title=None, axis=beside if width > NARROW else None)


def _named(base: alt.Chart, layers: list[alt.Chart], width: int) -> Chart:
    if width > NARROW:
        return alt.layer(*layers).properties(width=width - LABEL)
    name = base.mark_text(color=INK, align="left", yOffset=-9, limit=width).encode(x=alt.value(0), text="name:N")
    return alt.layer(*layers, name).properties(width=width)


def _whole(values: Sequence[int]) -> alt.Axis:
    """An axis of whole numbers, without ticks at halves."""
    most = max(values)
    return alt.Axis(format=",d", values=list(range(most + 1))) if most < 5 else alt.Axis(format=",d")


def _row(width: int) -> int:
    return 24 if width > NARROW else 40


def _thick(width: int) -> int:
    return 17 if width > NARROW else 12


def _below(width: int) -> int:
    """How far below the middle of its row a bar is: on a phone, its name is above it."""
    return 0 if width > NARROW else 8


def _height(width: int) -> int:
    return 150 if width > NARROW else 120
