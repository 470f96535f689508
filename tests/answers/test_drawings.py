"""What is drawn, and what is not: uncertain times, limits, repeated names; and how a drawing becomes part of a page."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from picture_rows import MONTH, job, selection
from planted import DAY, HOUR, NOW, plant
from test_charts import BARS, LINE, NAMED, SPAN, SPELL

from pipelines.answers import limit_charts, pictures, ranked_charts
from pipelines.answers.charts import OUTCOMES, stacked_bars, strip
from pipelines.answers.pictures import Picture
from pipelines.answers.svg import drawing
from pipelines.answers.time_axis import milliseconds

HOLE = [{"started_at": NOW - hours * HOUR} for hours in (0, 12, 24, 15 * 24, 15 * 24 + 12)]  # seven days are covered
IN_HOLE = NOW - 10 * DAY


def drawn(picture: Picture) -> list[dict[str, Any]]:
    """All rows of its chart."""
    assert picture.draw
    found: list[dict[str, Any]] = []
    for rows in picture.draw(800).to_dict()["datasets"].values():
        found += rows
    return found


def values(picture: Picture, name: str, hours: range) -> list[Any]:
    """What is drawn of these hours after the job in the hole; what has no such field is another layer."""
    times = {milliseconds(IN_HOLE.replace(minute=0) + n * HOUR) for n in hours}
    return [row[name] for row in drawn(picture) if name in row and row["start"] in times]


def test_use_of_the_allowance_is_not_drawn_where_it_is_too_low(tmp_path: Path) -> None:
    """In a gap, and a day longer: what counts then was created in the gap. What the org counted is drawn."""
    jobs = [job(IN_HOLE), job(NOW - DAY)]
    counted = {"listing_id": "1", "limit_name": "DailyBulkV2QueryJobs", "max": 10, "remaining": 7}
    file = plant(tmp_path / "a.duckdb", query_jobs=jobs, listings=HOLE)
    known = plant(
        tmp_path / "b.duckdb", query_jobs=jobs, listings=HOLE, org_limits=[{**counted, "asked_at": IN_HOLE + 5 * HOUR}]
    )

    assert set(values(pictures.allowance(selection(file)), "value", range(24))) == {None}
    assert values(pictures.allowance(selection(known)), "value", range(4, 7)) == [None, 3, None]
    assert [row["value"] for row in drawn(pictures.allowance(selection(file))) if row.get("value")][:1] == [1]


def test_jobs_that_pile_up_between_listings_are_no_peak(tmp_path: Path) -> None:
    """Their end was not seen: nothing is drawn of that time, and nothing at all if no hour is certain."""
    jobs = [job(IN_HOLE + n * HOUR, observed_at=NOW - DAY, state="InProgress") for n in range(5)] + [job(NOW - DAY)]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=HOLE)
    alone = plant(tmp_path / "alone.duckdb", query_jobs=[job(NOW - HOUR)])

    assert set(values(pictures.at_once(selection(file)), "value", range(6))) == {None}
    assert pictures.at_once(selection(alone)).draw is None


def test_each_layer_has_the_ticks_of_all() -> None:
    """Where they differ, Vega-Lite draws those of none: half of them were missing."""
    layers = limit_charts.line_under_limit(LINE, "jobs", "allowance", SPAN, 800).to_dict()["layer"]
    axes = [layer["encoding"]["y"]["axis"]["values"] for layer in layers if "y" in layer["encoding"]]

    assert len(axes) == 6
    assert all(axis == [0, 5, 10, 15, 20] for axis in axes)


def test_a_limit_is_a_line_from_edge_to_edge() -> None:
    """Also if it was read once."""
    once = [{**LINE[0], "limit": None}, {**LINE[4], "limit": 20}]
    rows = limit_charts.line_under_limit(once, "jobs", "allowance", SPAN, 800).to_dict()["datasets"].values()
    limits = [
        sorted(row["start"] for row in of) for of in rows if all("value" not in row for row in of) and len(of) > 2
    ]

    assert [(of[0], of[-1]) for of in limits] == [(milliseconds(SPAN.since), milliseconds(SPAN.until))]


def test_a_series_that_failed_again_and_again_has_one_line(tmp_path: Path) -> None:
    """With all its spells, and a label for the longest."""
    jobs = []
    for week in range(3):
        jobs += [job(NOW - (7 * week + n) * DAY, object="Lead", state="Failed") for n in range(1, 4 + week)]
        jobs.append(job(NOW - (7 * week + 6) * DAY, object="Lead"))
    picture = pictures.streaks(selection(plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=MONTH)))
    rows = [row for row in drawn(picture) if "said" in row]

    assert picture.draw
    assert [(row["name"], row["said"]) for row in rows] == [
        ("query Lead (V2Query) · 005A", said) for said in ("3×", "", "")
    ]
    assert picture.draw(800).to_dict()["height"] == picture.draw(800).to_dict()["height"] // len(rows) * len(rows) == 24


def test_names_that_are_cut_off_alike_stay_apart() -> None:
    """Such as two reasons with the same beginning."""
    points = [(SPAN.since.date(), 1), (SPAN.until.date(), None)]
    reasons = [
        {"name": f"UNABLE_TO_LOCK_ROW: {'x' * 80} {end}", "said": "1", "short": "1", "points": points}
        for end in ("this", "that")
    ]
    series = [{**SPELL[0], "name": reason["name"]} for reason in reasons]
    for chart in (
        ranked_charts.sparklines(reasons, "jobs", SPAN, 800),
        ranked_charts.ranking([{**row, "value": 1} for row in series], "jobs", 800),
        ranked_charts.periods(series, SPAN, 800),
    ):
        shown = json.dumps(chart.to_dict(), ensure_ascii=False)
        assert set(re.findall(r'UNABLE[^"]*…x+ (this|that)', shown)) == {"this", "that"}


def test_plots_begin_at_the_same_place() -> None:
    """However long their numbers are, and if they have none."""
    charts = [
        stacked_bars({"queries": [{**BARS[0], "value": value}]}, OUTCOMES, "jobs", SPAN, 700) for value in (1, 30_000)
    ]
    listed = [{"start": SPAN.since, "end": SPAN.until}]
    pictures = [
        Picture("", "", "", {}, [], lambda _, chart=chart: chart)
        for chart in (*charts, strip(listed, listed, SPAN, 700))
    ]
    begin = [float(re.findall(r"translate\(([\d.]+),", drawing(picture, 700, ""))[0]) for picture in pictures]

    assert max(begin) - min(begin) <= 2


def test_labels_of_a_ranking_do_not_cross_its_lines() -> None:
    """They are in a column to the right of the last one."""
    chart = ranked_charts.ranking([{**NAMED[0], "value": 70}], "%", 800, limit_charts.MARKS).to_dict()
    (said,) = [layer for layer in chart["layer"] if layer["encoding"].get("text") == {"field": "said", "type": "nominal"}
               and "value" in layer["encoding"]["x"]]  # fmt: skip
    (bars,) = [layer for layer in chart["layer"] if layer["mark"]["type"] == "bar"]

    assert bars["encoding"]["x"]["scale"]["domain"] == [0, 100]
    assert said["encoding"]["x"]["value"] == bars["encoding"]["x"]["scale"]["range"][1]


def test_the_first_and_the_last_week_end_with_the_time_shown(tmp_path: Path) -> None:
    """No bar is drawn beside its axis."""
    jobs = [job(NOW - n * DAY) for n in range(200)]
    listings = [{"started_at": NOW - n * DAY} for n in range(210)]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=listings)
    chosen = selection(file, days=150)
    bars = [row for row in drawn(pictures.volume(chosen)) if "group" in row]

    assert chosen.granularity == "week"
    assert min(row["start"] for row in bars) == milliseconds(chosen.since)
    assert max(row["end"] for row in bars) == milliseconds(chosen.until + timedelta(days=1))


def test_a_drawing_has_nothing_unseen_and_all_its_text(tmp_path: Path) -> None:
    """Places have a tenth of a pixel; numbers in text keep their decimals."""
    name = 'x="7.777" class="a" id="clip0" (url(#clip0)) fill="#808183" opacity="0.22"'
    users = [{"id": "005A", "name": name}]
    file = plant(tmp_path / "w.duckdb", query_jobs=[job(NOW - HOUR)], users=users, listings=HOLE)
    ranked = drawing(pictures.users(selection(file)), 800, "own-")
    shaded = drawing(pictures.volume(selection(file)), 800, "own-")
    tags = re.findall("<[^<>]+>", ranked + shaded)

    assert f">{name[:20]}" in ranked
    assert any("own-hatch" in tag for tag in tags)
    assert not [tag for tag in tags if re.search(r' (?:class|role|pointer-events|font-family)="| display="none"', tag)]
    assert not [tag for tag in tags if re.search(r' (?:d|x|y|transform)="[^"]*\d\.\d\d', tag)]
