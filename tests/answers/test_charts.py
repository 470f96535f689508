"""The charts: colours that everyone can distinguish, and a drawing of any rows, at any width."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipelines.answers import charts, limit_charts, ranked_charts
from pipelines.answers.chart_style import AMOUNT, OUTCOMES, UNDOCUMENTED, ticks
from pipelines.answers.time_axis import Span

pytestmark = pytest.mark.slow_cases

SINCE, UNTIL = date(2026, 11, 1), date(2026, 11, 7)
SPAN = Span(SINCE, UNTIL, [(datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 3, 12, tzinfo=UTC))])

# How people with one missing kind of cones see: Machado, Oliveira and Fernandes 2009, severity 1.0, in linear RGB.
SIGHT = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def linear(colour: str) -> list[float]:
    """sRGB, as a hex number, to linear light."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def oklab(colour: str, sight: str) -> tuple[float, ...]:
    """The colour as seen, in Björn Ottosson's Oklab, where distances are perceptual."""
    rgb = [max(0.0, sum(m * c for m, c in zip(row, linear(colour), strict=True))) for row in SIGHT[sight]]
    to_cones = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
                (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
    cones = [sum(m * c for m, c in zip(row, rgb, strict=True)) ** (1 / 3) for row in to_cones]
    to_lab = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
              (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip
    return tuple(sum(m * c for m, c in zip(row, cones, strict=True)) for row in to_lab)


@pytest.mark.parametrize("sight", SIGHT)
def test_no_two_colours_of_a_chart_look_alike(sight: str) -> None:
    """Whichever cones the reader has. A difference of 0.02 is just visible side by side; this requires four times
    that."""
    for (one, first), (other, second) in itertools.combinations(OUTCOMES.items(), 2):
        a, b = oklab(first, sight), oklab(second, sight)
        distance = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5
        assert distance > 0.08, (one, other, sight, round(distance, 3))


def test_a_colour_means_the_same_in_every_chart() -> None:
    """None is used twice."""
    own = [*OUTCOMES.values(), AMOUNT, UNDOCUMENTED]
    assert len(own) == len(set(own))


BARS = [
    {"start": SINCE, "end": SINCE + timedelta(days=1), "group": group, "value": value}
    for group, value in (("failed", 2), ("done", 5), ("in an unknown state", 1))
]
LINE = [
    {"start": datetime(2026, 11, 1, hour, tzinfo=UTC), "value": hour, "limit": 20 if hour > 3 else None}
    for hour in range(9)
]
NAMED = [{"name": "A · B", "value": 7, "said": "7"}, {"name": "C · D", "value": 0, "said": "0"}]
SPELL = [
    {"name": "A · B", "start": SPAN.since, "end": SPAN.until, "said": "3×", "over": over} for over in (True, False)
]
RATES = [{"start": SINCE, "middle": SPAN.since, "value": value, "said": ""} for value in (0.2, None)]
REASONS = [{"name": "A", "said": "1", "short": "1", "points": [(SINCE, 1), (UNTIL, None)]}]
TREND = limit_charts.Trend(
    [{"start": SINCE, "value": 70.0}], [{"start": SINCE, "value": 70}, {"start": UNTIL, "value": 90}]
)
HALVES = [{"start": SINCE, "which": which, "value": 1.5} for which in charts.PERCENTILES]
DRAWN = {
    "stacked_bars": lambda width: charts.stacked_bars({"queries": BARS, "loads": BARS[:1]}, OUTCOMES, "jobs", SPAN, width, {"queries": RATES}),
    "line_under_limit": lambda width: limit_charts.line_under_limit(LINE, "jobs", "allowance", SPAN, width),
    "line_without_limit": lambda width: limit_charts.line_under_limit(LINE[:2], "jobs", "allowance", SPAN, width),
    "lines": lambda width: charts.lines({"queries": LINE}, "jobs", SPAN, width),
    "ranking": lambda width: ranked_charts.ranking(NAMED, "jobs", width),
    "ranking_with_marks": lambda width: ranked_charts.ranking(NAMED, "%", width, [80, 100]),
    "sparklines": lambda width: ranked_charts.sparklines(REASONS, "jobs", SPAN, width),
    "trends": lambda width: limit_charts.trends({"A": TREND}, SPAN, width),
    "ranking_of_nothing": lambda width: ranked_charts.ranking(NAMED[1:], "jobs", width),
    "periods": lambda width: ranked_charts.periods(SPELL, SPAN, width),
    "small_lines": lambda width: charts.small_lines({"query A": HALVES, "query B": HALVES}, "minutes", SPAN, width),
    "week": lambda width: charts.week({"queries": [{"weekday": 7, "hour": 23, "value": 0.5}]}, "jobs", width),
    "strip": lambda width: charts.strip([{"start": SPAN.since, "end": SPAN.until}], [{"start": SPAN.since}], SPAN, width),
}  # fmt: skip


@pytest.mark.parametrize("width", [270, 800])
@pytest.mark.parametrize("name", DRAWN)
def test_every_chart_can_be_drawn_at_any_width(name: str, width: int) -> None:
    """As an image without a browser; text and lines use only the page's own colour."""
    import io

    written = io.StringIO()
    charts.styled(DRAWN[name](width)).save(written, format="svg")
    svg = written.getvalue()

    assert svg.startswith("<svg")
    assert 'fill="#000"' not in svg.replace('opacity="0"', "")
    assert "currentColor" in svg


def marks(chart: Any) -> set[str]:
    """The mark types of a chart, however it is composed."""
    spec = chart if isinstance(chart, dict) else chart.to_dict()
    mark = spec.get("mark", {})
    found = {mark["type"]} if isinstance(mark, dict) and mark else set()
    for part in ("layer", "vconcat", "hconcat", "concat"):
        for inner in spec.get(part, ()):
            found |= marks(inner)
    return found


def test_uncovered_times_are_shaded() -> None:
    """In every chart over time, and only there."""
    sure = Span(SINCE, UNTIL)

    assert "rect" in marks(charts.lines({"queries": LINE}, "jobs", SPAN, 800))
    assert "rect" not in marks(charts.lines({"queries": LINE}, "jobs", sure, 800))


def test_an_undocumented_state_has_a_colour_of_its_own() -> None:
    """The legend shows it."""
    (panel, *_) = charts.stacked_bars({"queries": BARS}, OUTCOMES, "jobs", Span(SINCE, UNTIL), 800).to_dict()["layer"]
    scale = panel["encoding"]["color"]["scale"]

    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {
        "done": OUTCOMES["done"],
        "failed": OUTCOMES["failed"],
        "in an unknown state": UNDOCUMENTED,
    }


@pytest.mark.parametrize("most", [0, 1, 3, 4, 5, 11, 16, 54, 938, 1_000, 31_650])
def test_no_bar_is_higher_than_its_axis(most: int) -> None:
    """The last tick is at or above it, all are whole numbers, and there are few."""
    marks = ticks(most)

    assert marks[0] == 0
    assert marks[-1] >= most
    assert marks[-2] < most or most == 0
    assert all(isinstance(mark, int) for mark in marks)
    assert len(marks) <= 6


def test_a_zero_in_uncovered_time_is_not_drawn_as_zero() -> None:
    """What happened then is unknown; what is known of it is drawn."""
    rows = [{"start": datetime(2026, 11, day, tzinfo=UTC), "value": value} for day, value in ((1, 0), (2, 0), (3, 4))]

    assert [row["value"] for row in charts.known_values(rows, SPAN)] == [0, None, 4]


def test_panels_with_different_scales_say_so() -> None:
    """And those with the same scale do not."""
    tall = [{**BARS[0], "value": 900}]
    different = charts.stacked_bars({"queries": tall, "loads": BARS}, OUTCOMES, "jobs", SPAN, 800).to_dict()
    same = charts.stacked_bars({"queries": BARS, "loads": BARS}, OUTCOMES, "jobs", SPAN, 800).to_dict()

    assert "scale of its own" in str(different["title"])
    assert "title" not in same


def test_limits_have_lines_at_80_and_100_percent() -> None:
    """In the ranking, in the trends, and in the allowance's own number of jobs."""
    for drawn, marks in (
        (ranked_charts.ranking(NAMED, "%", 800, limit_charts.MARKS), [80, 100]),
        (limit_charts.trends({"A": TREND}, SPAN, 800), [80, 100]),
        (limit_charts.line_under_limit(LINE, "jobs", "allowance", SPAN, 800), [16.0, 20]),
    ):
        assert all(f"{mark}" in str(drawn.to_dict()) for mark in marks)


@pytest.mark.parametrize(
    ("days", "width", "most"), [(1, 270, 3), (30, 270, 6), (30, 800, 12), (731, 270, 5), (4000, 800, 14)]
)
def test_the_time_axis_has_few_ticks_and_none_twice(days: int, width: int, most: int) -> None:
    """Days up to four months, then months: no two ticks have the same text."""
    since = date(2024, 2, 29)
    axis = Span(since, since + timedelta(days=days - 1)).axis("start", width).to_dict()["axis"]
    ticks = [datetime.fromtimestamp(value / 1000, UTC) for value in axis["values"]]

    assert 1 <= len(ticks) <= most
    assert len({tick.strftime(axis["format"]) for tick in ticks}) == len(ticks)
    assert all(tick.date() >= since for tick in ticks)
