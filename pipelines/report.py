"""`make report`: the pictures as one HTML file without a script or a link, for a mail, a wiki or a printer.

Each chart is there twice, laid out for a wide page and for a phone; the page shows the one that fits. The file asks
nothing of any network, and its Content-Security-Policy makes sure of that.
"""

import errno
import io
import itertools
import os
import re
import sys
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipelines.atomic_file import is_mount, replacing
from pipelines.charts import Chart, styled
from pipelines.check import Finding, check, read_thresholds
from pipelines.failures import Misconfigured
from pipelines.pictures import Picture, pictures
from pipelines.reader import Warehouse, opened
from pipelines.selection import Selection, orgs, select

STDOUT: Final = Path("-")
WIDE, PHONE = 800, 270  # pixels of a chart without its labels
MEASURED_IN: Final = "Verdana"  # a wide font, so that texts have room in whichever the reader's page shows them
MOST_ROWS: Final = 100  # of a table; the rest is a query away


@dataclass(frozen=True)
class Section:
    """An org's part of the page."""

    org: dict[str, Any]
    selection: Selection
    findings: list[Finding]
    pictures: list[Picture]


def write_report(warehouse: Path | Warehouse, output: Path, days: int) -> None:
    """Writes the page of the last `days` days of every recorded org: a file in one step, stdout (`-`), a device or a
    FIFO with a reader as they are.

    Raises Misconfigured where the file cannot be written or is there and is no page, or where the warehouse is none.
    """
    _check_output(output)
    sections = []
    with opened(warehouse) as file:  # once: what is published meanwhile is no part of this page
        findings = check(file, read_thresholds())
        for org in orgs(file):
            selection = select(file, org, days)
            own = [finding for finding in findings if finding.org_id == org["org_id"]]
            sections.append(Section(org, selection, own, list(pictures(selection))))
        page = render(sections, is_demo=file.is_demo)
    try:
        if output == STDOUT:
            sys.stdout.flush()
            _write(sys.stdout.fileno(), page)
        elif _is_stream(output):
            _write(_open_stream(output), page)
        else:
            with replacing(output) as new:
                new.write_text(page, encoding="utf-8")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(output, error) from None


def _is_stream(output: Path) -> bool:
    """Whether it is a device, a pipe or a descriptor of this process: written to, and never replaced."""
    return output.exists() and (not output.is_file() or output.is_relative_to("/dev") or output.is_relative_to("/proc"))


def _open_stream(output: Path) -> int:
    """Without waiting for a FIFO's reader: there may never be one."""
    return os.open(output, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)


def _write(descriptor: int, page: str) -> None:
    os.set_blocking(descriptor, True)
    with open(descriptor, "w", encoding="utf-8", closefd=descriptor > 2) as stream:
        stream.write(page)


def _cannot_write(output: Path, error: OSError) -> Misconfigured:
    why = "nothing reads from this FIFO" if error.errno == errno.ENXIO else error.strerror
    if is_mount(error):
        why = f"it is a mount of its own, which cannot be replaced ({why})"
    return Misconfigured(f"Cannot write {output}: {why}.", "Name another file: --output.")


def _check_output(output: Path) -> None:
    """A page may be replaced by a newer one; nothing else is, least of all a warehouse."""
    if output == STDOUT:
        return
    try:
        if _is_stream(output):
            if output.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return
        with output.open("rb") as file:
            page = file.read(100).lstrip().lower()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_write(output, error) from None
    if page and not page.startswith(b"<!doctype html"):
        raise Misconfigured(
            f"{output} is there, and is no page: the report would replace it.", "Name another file: --output."
        )


def render(sections: list[Section], is_demo: bool) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("pipelines", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    numbers = itertools.count()
    environment.filters |= {"shown": _shown, "drawn": lambda picture, width: _drawn(picture, width, next(numbers))}
    return environment.get_template("report.html").render(
        sections=sections, is_demo=is_demo, most=MOST_ROWS, wide=WIDE, phone=PHONE
    )


def _drawn(picture: Picture, width: int, number: int) -> str:
    """The chart as SVG, with ids of its own: they count for the whole page."""
    if picture.draw is None:
        return ""
    svg = _svg(styled(picture.draw(width), MEASURED_IN)).replace(f'font-family="{MEASURED_IN}"', "")
    own = rf"\g<1>chart{number}-\2"
    svg = re.sub(r'(\bid=")((?:clip|gradient_)\d+")', own, svg)
    return re.sub(r"(url\(#)((?:clip|gradient_)\d+\))", own, svg)


def _svg(chart: Chart) -> str:
    written = io.StringIO()
    chart.save(written, format="svg")
    return written.getvalue()


def _shown(value: Any) -> str:
    """A value of a table as a person reads it."""
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
