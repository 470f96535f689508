"""`make report`: the pictures as one HTML file without scripts, for a mail, a wiki or a printer. Links lead to parts of
the same page. Of several orgs, a page of the fleet comes first; of many, there is nothing else unless orgs are named.

Each chart is in it twice, for a wide page and for a phone; the page shows the one that fits. The page loads nothing
from a network: its Content-Security-Policy makes sure of that.
"""

import itertools
import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pipelines.answers.charts import Chart, styled
from pipelines.answers.check import check, read_thresholds
from pipelines.answers.findings.words import percent
from pipelines.answers.fleet import Fleet, read_fleet
from pipelines.answers.org_choice import chosen_orgs
from pipelines.answers.output_file import check_output, write_output
from pipelines.answers.pictures import Picture, pictures
from pipelines.answers.report_numbers import BEGINNING, Section, numbers_as_json
from pipelines.answers.selection import orgs, select
from pipelines.errors import ConfigError
from pipelines.warehouse.one_org import narrowed
from pipelines.warehouse.reader import Warehouse, opened

WIDE, PHONE = 800, 270  # pixels of a chart without its labels
BREAKS: Final = re.compile(r"(?<=_)(?=\w)|(?<=[a-z0-9])(?=[A-Z])")  # where a code or the name of a limit may break
MEASURED_IN: Final = "Verdana"  # a wide font, so that text fits whatever font the page is shown in
MAX_ROWS: Final = 100  # per table; use a query for the rest
MAX_ORGS: Final = 10  # with charts, unless named: each takes some 5 seconds and 0.6 MB


def write_report(
    warehouse: Path | Warehouse, output: Path, days: int, numbers: Path | None = None, names: Sequence[str] = ()
) -> None:
    """Writes the page about the last `days` days of the orgs of these names (without names, of every recorded org, but
    without charts if these are more than MAX_ORGS), and its numbers as JSON to `numbers`. Files are replaced
    atomically; stdout (`-`), devices and FIFOs with a reader are written to.

    Raises ConfigError if a file cannot be written, or exists and is something else, if there is no warehouse, or if it
    has no org of a name.
    """
    check_output(output, "--output", "page", b"<!doctype html")
    if numbers:
        check_output(numbers, "--numbers", "file of numbers", BEGINNING)
        if os.path.realpath(numbers) == os.path.realpath(output):
            raise ConfigError(
                f"The page and its numbers cannot both go to {output}.", "Name another file: --output or --numbers."
            )
    sections = []
    with opened(warehouse) as file:  # opened once: what is published meanwhile is not part of this page
        thresholds = read_thresholds()
        findings = check(file, thresholds, names=names)
        recorded, chosen = orgs(file), chosen_orgs(file, names)
        fleet = read_fleet(file, chosen, findings, thresholds)
        drawn = chosen if names or len(chosen) <= MAX_ORGS else []
        for org in recorded:
            if org["org_id"] not in drawn:
                continue
            selection = select(file, org, days)
            own = [finding for finding in findings if finding.org_id == org["org_id"]]
            with narrowed(file, org["org_id"]) if len(recorded) > 1 else nullcontext():
                sections.append(Section(org, selection, own, list(pictures(selection))))
        page = render(sections, fleet, is_demo=file.is_demo)
        as_json = numbers_as_json(file, sections, fleet) if numbers else ""
    write_output(output, "--output", page)
    if numbers:
        write_output(numbers, "--numbers", as_json)


def render(sections: list[Section], fleet: Fleet, is_demo: bool) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("pipelines.answers", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    numbers = itertools.count()
    environment.filters |= {
        "shown": _shown,
        "drawn": lambda picture, width: _drawn(picture, width, next(numbers)),
        "counted": lambda number: "?" if number is None else f"{number:,}",
        "of_limit": percent,
        "breakable": lambda name: Markup(BREAKS.sub("<wbr>", str(escape(name)))),  # noqa: S704 - escaped
    }
    return environment.get_template("report.html").render(
        sections=sections, fleet=fleet, is_demo=is_demo, max_rows=MAX_ROWS, wide=WIDE, phone=PHONE
    )


def _drawn(picture: Picture, width: int, number: int) -> str:
    """The chart as SVG. Its ids are made unique: they apply to the whole page."""
    if picture.draw is None:
        return ""
    with debug_mode(False):  # validating each part of a chart takes twice as long as all else
        chart = styled(picture.draw(width), MEASURED_IN)
    svg = _svg(chart).replace(f'font-family="{MEASURED_IN}"', "")
    own = rf"\g<1>chart{number}-\2"
    svg = re.sub(r'(\bid=")((?:clip|gradient_)\d+")', own, svg)
    return re.sub(r"(url\(#)((?:clip|gradient_)\d+\))", own, svg)


def _svg(chart: Chart) -> str:
    """The drawing. The specification is taken as it is: the tests validate it."""
    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), vl_version=version)
    return svg


def _shown(value: Any) -> str:
    """A value formatted for a table."""
    match value:
        case None:
            return ""
        case float():
            return f"{value:,.1f}"
        case int():
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case date():
            return f"{value:%Y-%m-%d}"
    return str(value)
