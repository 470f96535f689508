"""What all charts have in common: colours, text, axes of whole numbers, and how rows become data of Vega.

Colours are consistent and colour-blind safe. Outcomes use Okabe and Ito's palette (Color Universal Design,
jfly.uni-koeln.de/color), plus a grey that is distinct from its purple; kinds of failure are shades of the colour of
failed; every other amount has the palette's green. Text and lines take the colour of the page, so that they also show
on a dark one.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import altair as alt

from pipelines.answers.time_axis import Span, milliseconds

Row = Mapping[str, Any]
Chart = Any  # any of Altair's chart classes: single, layered or concatenated

OUTCOMES: Final = {
    "done": "#0072B2",
    "done: record failures unknown": "#56B4E9",
    "unfinished": "#F0E442",
    "gone unfinished": "#CC79A7",
    "aborted": "#707070",
    "partly failed": "#F6B58A",
    "every record failed": "#9C1F3F",
    "failed": "#D55E00",
}
UNDOCUMENTED: Final = "#6B4C9A"  # a state that Salesforce does not document
AMOUNT: Final = "#009E73"
INK: Final = "currentColor"
UNCOVERED: Final = "#808183"  # a time without coverage: the report hatches what has exactly this colour
UNKNOWN: Final[Mapping[str, Any]] = {"color": UNCOVERED, "opacity": 0.22}
WHEN: Final = alt.Tooltip("when:N", title="from")
NARROW: Final = 500  # pixels; below, charts are laid out for a phone
MARGIN: Final = 76  # pixels of a chart's axis with its title
DECIMALS: Final = ",.3~f"  # "~g" would become 1e+1 on an axis
OWN_SCALES: Final = "Each panel has a scale of its own."
TEXT: Final = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
CONFIG: Final = {
    "background": "transparent",
    "aria": False,  # the summary describes the chart; a screen reader that spells out each bar helps no one
    "view": {"stroke": None},
    "axis": {
        **TEXT, "titleFontWeight": "normal", "gridColor": INK, "gridOpacity": 0.12, "domainColor": INK,
        "domainOpacity": 0.4, "tickColor": INK, "tickOpacity": 0.4, "labelOverlap": False,
    },
    "axisY": {"minExtent": MARGIN - 16},  # panels begin at the same place, whatever the length of their numbers
    "legend": {
        **TEXT, "orient": "top", "symbolType": "square", "symbolStrokeColor": INK, "columnPadding": 18, "labelLimit": 0,
    },
    "title": {"color": INK, "anchor": "start", "fontSize": 13, "fontWeight": "bold"},
    "text": {"fontSize": 12},
}  # fmt: skip


def styled(chart: Chart, font: str = "sans-serif") -> Chart:
    """The chart, styled to match the page that shows it."""
    return chart.properties(config={**CONFIG, "font": font})


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Rows as Vega expects them: times as milliseconds, which are UTC in any time zone of the machine, and `when` as
    text for the tooltip. Altair copies lists each time that it puts charts together, which took as long as all the
    rest; a tuple is not copied."""
    values = [{name: milliseconds(v) if isinstance(v, date) else v for name, v in row.items()} for row in rows]
    for value, row in zip(values, rows, strict=True):
        if "start" in row:
            value["when"] = (
                f"{row['start']:%Y-%m-%d %H:%M} UTC"
                if isinstance(row["start"], datetime)
                else f"{row['start']:%a, %d %b %Y}"
            )
    return alt.InlineData(values=tuple(values))


def ticks(most: float, count: int = 5, *, whole: bool = True) -> list[float]:
    """From zero to the first round number that is not below `most`, so that no bar is higher than the axis."""
    step = 1.0 if whole else 0.001
    while most / step > count:
        step *= 2 if f"{step:e}"[0] in "15" else 2.5
    number = int(-(-most // step)) or 1
    return [int(n * step) if whole else round(n * step, 3) for n in range(number + 1)]


def amount(values: Sequence[float], title: str, field: str = "value:Q", **rest: Any) -> alt.Y:
    """The axis of these whole numbers: ticks at whole numbers only, the last of them above the highest bar."""
    marks = ticks(max(values, default=0))
    axis = alt.Axis(format=",d", values=marks)
    return alt.Y(field, title=title, axis=axis, scale=alt.Scale(domain=[0, marks[-1]], nice=False), **rest)


def shaded(span: Span, width: int, *charts: alt.Chart) -> Chart:
    """The charts in layers, on top of the times that the record does not cover."""
    if not span.unknown:
        return alt.layer(*charts)
    shade = alt.Chart(data(span.unknown)).mark_rect(**UNKNOWN).encode(x=span.axis("start", width), x2="end:T")
    return alt.layer(shade, *charts)


def stacked(charts: Sequence[Chart], *, own_scales: bool) -> Chart:
    """Panels below each other; a note if their scales differ."""
    if len(charts) == 1:
        return charts[0]
    return alt.vconcat(*charts, title=note(OWN_SCALES)) if own_scales else alt.vconcat(*charts)


def small_panels(width: int) -> tuple[int, int]:
    """How many small panels are side by side, and the width of each."""
    return (3, width // 3 - MARGIN - 8) if width > NARROW else (1, width)


def panel_title(name: str, width: int) -> alt.TitleParams:
    """A panel's title, which is cut off where the panel ends."""
    return alt.TitleParams(name, limit=width + MARGIN)


def note(*lines: str) -> alt.TitleParams:
    """What is said above panels that have titles of their own."""
    return alt.TitleParams(list(lines), fontWeight="normal", fontSize=12, offset=12)


def height(width: int) -> int:
    return 150 if width > NARROW else 120
