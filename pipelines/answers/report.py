"""`make report`: the pictures as one HTML file, for a mail, a wiki or a printer. Links lead to parts of the same page,
and from job ids to Setup in the org they were recorded from. Of several orgs, a page of the fleet comes first; of many,
there is nothing else unless orgs are named.

Each chart is in it twice, for a wide page and for a phone; the page shows the one that fits. The page loads nothing
from a network, and runs no script but `report.js`, which sorts and filters tables: its Content-Security-Policy makes
sure of that. It is complete without the script.
"""

import base64
import hashlib
import itertools
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.answers.check import check, read_thresholds
from pipelines.answers.findings.words import percent
from pipelines.answers.fleet import Fleet, read_fleet
from pipelines.answers.org_choice import chosen_orgs
from pipelines.answers.output_file import check_output, write_output
from pipelines.answers.page_text import breakable, headline, rich, shown
from pipelines.answers.pictures import pictures
from pipelines.answers.pictures.read_once import read_once
from pipelines.answers.report_numbers import BEGINNING, Section, numbers_as_json
from pipelines.answers.report_pngs import check_pngs, write_pngs
from pipelines.answers.selection import orgs, select
from pipelines.answers.svg import drawing
from pipelines.errors import ConfigError
from pipelines.warehouse.narrowed import narrowed
from pipelines.warehouse.reader import Warehouse, opened

WIDE, PHONE = 755, 225  # pixels of a chart without its labels
SCRIPT: Final = Path(__file__).with_name("report.js")
MAX_ROWS: Final = 100  # per table; use a query for the rest
MAX_ORGS: Final = 10  # with charts, unless named: each takes some 5 seconds and 0.8 MB


def write_report(
    warehouse: Path | Warehouse,
    output: Path,
    days: int,
    numbers: Path | None = None,
    names: Sequence[str] = (),
    *,
    pngs: Path | None = None,
) -> int:
    """Writes the page about the last `days` days of the orgs of these names (without names, of every recorded org, but
    without charts if these are more than MAX_ORGS), its numbers as JSON to `numbers`, and its pictures as
    images into the folder `pngs`; the number of these. Files are replaced atomically; stdout (`-`), devices and FIFOs
    with a reader are written to.

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
    if pngs:
        check_pngs(pngs)
    sections = []
    with opened(warehouse) as file:  # opened once: what is published meanwhile is not part of this page
        thresholds = read_thresholds()
        findings = check(file, thresholds, names=names)
        recorded, chosen = orgs(file), chosen_orgs(file, names)
        if len(chosen) == 1 and not numbers:  # only the name is shown: the view `fleet` takes as long as a picture
            only = [{"name": org["display_name"]} for org in recorded if org["org_id"] in chosen]
            fleet = Fleet(only, file.clock)
        else:
            fleet = read_fleet(file, chosen, findings, thresholds)
        drawn = chosen if names or len(chosen) <= MAX_ORGS else []
        selections = [(org, select(file, org, days)) for org in recorded if org["org_id"] in drawn]
        with read_once(file, [selection for _, selection in selections]) if selections else nullcontext():
            for org, selection in selections:
                own = [finding for finding in findings if finding.org_id == org["org_id"]]
                with narrowed(file, org["org_id"]):
                    sections.append(Section(org, selection, own, list(pictures(selection)), headline(file, own)))
        page = render(sections, fleet, is_demo=file.is_demo)
        as_json = numbers_as_json(file, sections, fleet) if numbers else ""
    write_output(output, "--output", page)
    if numbers:
        write_output(numbers, "--numbers", as_json)
    return write_pngs(pngs, sections, fleet) if pngs else 0


def render(sections: list[Section], fleet: Fleet, is_demo: bool) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("pipelines.answers", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    numbers = itertools.count()
    script = SCRIPT.read_text(encoding="utf-8")
    environment.filters |= {
        "shown": shown,
        "rich": rich,
        "drawn": lambda picture, width: drawing(picture, width, f"chart{next(numbers)}-"),
        "counted": lambda number: "?" if number is None else f"{number:,}",
        "of_limit": percent,
        "breakable": breakable,
    }
    return environment.get_template("report.html").render(
        sections=sections, fleet=fleet, is_demo=is_demo, max_rows=MAX_ROWS, wide=WIDE, phone=PHONE,
        script=Markup(script),  # noqa: S704 - our own
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip
