"""The charts with a line for each name: rankings, spells of failure, reasons with their sparklines."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Final

import altair as alt

from pipelines.answers.chart_style import AMOUNT, INK, MARGIN, NARROW, OUTCOMES, Chart, Row, data
from pipelines.answers.time_axis import Span

LABEL: Final = 290  # pixels for the names beside bars
SAID: Final = 200  # pixels for what is said in a column beside them
SAID_AT_END: Final = 80  # or at their ends
SPARK: Final = 22  # pixels: the height of a sparkline
LINES: Final = alt.Y("name:N", sort=None, axis=None)  # in the order of the rows


def ranking(rows: Sequence[Row], title: str, width: int, marks: Sequence[int] = ()) -> Chart:
    """Bars, greatest first, each with its label, and a line at each of the marks; rows: name, value, said. Labels are
    at the ends of bars or, where lines would cross them, in a column. Names are at the left edge of other charts."""
    most = max([*(row["value"] for row in rows), *marks]) or 1
    left, right = (LABEL if width > NARROW else 0) - MARGIN, width - (SAID if marks else SAID_AT_END)
    x = alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, most], range=[left, right], nice=False))
    base = alt.Chart(data(rows)).encode(y=LINES, x=x)
    bars = base.mark_bar(color=AMOUNT, height=_thick(width), yOffset=_below(width))
    said = base.mark_text(color=INK, align="left", dx=10 if marks else 4, yOffset=_below(width)).encode(text="said:N")
    layers = [bars, said.encode(x=alt.value(right)) if marks else said]
    if marks:
        at = alt.Chart(
            data([{"value": mark, "said": f"{mark} %" if mark == marks[-1] else f"{mark}"} for mark in marks])
        ).encode(x=x)
        if width > NARROW:
            layers[1:1] = [at.mark_rule(color=INK, strokeDash=[2, 4])]
        else:  # not across the names
            crossed = alt.Chart(data([{"name": row["name"], "value": mark} for row in rows for mark in marks]))
            ticks = crossed.mark_tick(color=INK, thickness=1, height=_thick(width) + 4, yOffset=_below(width))
            layers[1:1] = [ticks.encode(y=LINES, x=x)]
        layers.append(at.mark_text(color=INK, align="left", dx=-8, dy=-8).encode(y=alt.value(0), text="said:N"))
    return alt.layer(*layers, _names(rows, -MARGIN, width)).properties(
        width=width, height=_row(width) * len(rows), title=alt.TitleParams(title, offset=20 if marks else 4)
    )


def periods(rows: Sequence[Row], span: Span, width: int) -> Chart:
    """Bars from start to end, one line for each name; rows: name, start, end, said, over (bool)."""
    room = width - LABEL if width > NARROW else width
    base = alt.Chart(data(rows)).encode(x=span.axis("start", room), y=LINES)
    bars = base.mark_bar(color=OUTCOMES["failed"], height=_thick(width), yOffset=_below(width)).encode(
        x2="end:T",
        opacity=alt.Opacity("over:N", legend=None, scale=alt.Scale(domain=[False, True], range=[1, 0.4])),
        tooltip=[alt.Tooltip("name:N", title=" "), alt.Tooltip("said:N", title=" ")],
    )
    said = base.mark_text(color=INK, align="left", dx=4, yOffset=_below(width)).encode(
        text="said:N", x=span.axis("end", room)
    )
    names = _names(rows, 10 - LABEL if width > NARROW else -MARGIN, width)
    number = len({row["name"] for row in rows})
    return alt.layer(bars, said, names).properties(width=room, height=_row(width) * number)


def sparklines(rows: Sequence[Row], title: str, span: Span, width: int) -> Chart:
    """A line of text with a sparkline for each name, each to a scale of its own, at the left edge of the charts below;
    rows: name, said, short, points, which are (time, value) in order, each until the next. On a phone, names are above
    their sparklines."""
    wide = width > NARROW
    row, left, right = (30, 370, 510) if wide else (54, -MARGIN, width - 225)
    edge = alt.Scale(domain=[0, row * len(rows)], range=[0, row * len(rows)], nice=False)
    texts, points = [], []
    room = (left if wide else width) + MARGIN - 16
    names = _distinct([line["name"] for line in rows], room // 8)
    for nth, line in enumerate(rows):
        base = row * (nth + 1) - 6
        texts.append({
            "name": names[nth], "said": line["said" if wide else "short"], "base": base, "y": base - 4,
            "top": base - (4 if wide else 30),
        })  # fmt: skip
        most = max(value or 0 for _, value in line["points"]) or 1
        points += [
            {"start": at, "name": f"{nth}", "base": base, "top": None if value is None else base - SPARK * value / most}
            for at, value in line["points"]
        ]

    def at(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", axis=None, scale=edge)

    area = (
        alt.Chart(data(points))
        .mark_area(color=OUTCOMES["failed"], interpolate="step-after", invalid="break-paths-show-domains")
        .encode(x=span.axis("start", right - left, [left, right]), y=at("top"), y2="base:Q", detail="name:N")
    )
    lines = alt.Chart(data(texts))
    line = lines.mark_rule(color=INK, strokeOpacity=0.3).encode(y=at("base"), x=alt.value(left), x2=alt.value(right))
    name, said = (lines.mark_text(color=INK, align="left", baseline="alphabetic", limit=limit) for limit in (room, 0))
    return alt.layer(
        area,
        line,
        name.encode(x=alt.value(-MARGIN), y=at("top"), text="name:N"),
        said.encode(x=alt.value(right + 12), y=at("y"), text="said:N"),
    ).properties(
        width=width,
        height=row * len(rows),
        title=alt.TitleParams(textwrap.wrap(title, (width + MARGIN) // 8), offset=8),
    )


def _distinct(names: Sequence[str], most: int) -> list[str]:
    """Names that would be cut off to the same letters lose their middle instead."""
    beginnings = Counter(name[:most] for name in names)
    return [
        f"{name[: most // 2]}…{name[most // 2 + 1 - most :]}"
        if len(name) > most and beginnings[name[:most]] > 1
        else name
        for name in names
    ]


def above(one: Chart, other: Chart) -> Chart:
    """Two charts of one picture, each with its own legend and scales."""
    chart = alt.concat(one, other, columns=1, align="none", spacing=28)
    return chart.resolve_scale(color="independent")


def _names(rows: Sequence[Row], x: int, width: int) -> Chart:
    """The names in the order of the rows, beside their bars; on a phone above them."""
    room = LABEL - 10 if width > NARROW else width + MARGIN
    names = list(dict.fromkeys(row["name"] for row in rows))
    shown = [{"name": name, "shown": text} for name, text in zip(names, _distinct(names, room // 8), strict=True)]
    mark = alt.Chart(data(shown)).mark_text(color=INK, align="left", limit=room, yOffset=0 if width > NARROW else -9)
    return mark.encode(x=alt.value(x), y=LINES, text="shown:N")


def _row(width: int) -> int:
    return 24 if width > NARROW else 40


def _thick(width: int) -> int:
    return 17 if width > NARROW else 12


def _below(width: int) -> int:
    """How far below the middle of its row a bar is: on a phone, its name is above it."""
    return 0 if width > NARROW else 8
