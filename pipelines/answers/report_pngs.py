"""`report --pngs FOLDER`: the summary and each picture as an image, for mail gateways that let no HTML through."""

import re
import struct
import textwrap
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import vl_convert
from markupsafe import escape

from pipelines.answers.findings.finding import Finding
from pipelines.answers.findings.words import sentence
from pipelines.answers.fleet import Fleet
from pipelines.answers.output_file import STDOUT, check_output, write_bytes
from pipelines.answers.page_text import shown
from pipelines.answers.pictures import Picture
from pipelines.answers.report_numbers import Section
from pipelines.answers.svg import drawing
from pipelines.errors import ConfigError
from pipelines.plural import counted

WIDTH, EDGE, CHART = 960, 24, 780  # pixels; images have twice as many
LINE: Final = 21  # pixels from line to line
LETTERS: Final = 104  # in a line of WIDTH
MAX_FINDINGS: Final = 12
SCALE: Final = 2.0
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
OPTION: Final = "--pngs"


def check_pngs(folder: Path) -> None:
    """Raises ConfigError if that is no folder, but a file or stdout."""
    if folder == STDOUT or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{folder} is not a folder: there are several images.", f"Name a folder: {OPTION}.")


def write_pngs(folder: Path, sections: Sequence[Section], fleet: Fleet) -> int:
    """Writes the images to the folder, those of several orgs to a folder each, beside a summary of all; the number of
    images. There is one for every picture of the page, also for one without a chart: none is left over from before.

    Raises ConfigError if that is not possible, or if a file that is there is no PNG.
    """
    files = {folder / name: svg for name, svg in _images(sections, fleet)}
    for path in filter(Path.exists, files):  # the folder may be a new one
        check_output(path, OPTION, "picture", b"\x89png")
    for path, svg in files.items():
        write_bytes(path, OPTION, _deflated(vl_convert.svg_to_png(svg, scale=SCALE)))
    return len(files)


def _deflated(png: bytes) -> bytes:
    """The same image, a quarter as large: it comes barely compressed, and a mail has to hold all of them."""
    kept, pixels, at = [], b"", len(SIGNATURE)
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        at += size + 12
        if kind == b"IDAT":
            pixels += content
        elif kind != b"IEND":
            kept.append((kind, content))
    chunks = [*kept, (b"IDAT", zlib.compress(zlib.decompress(pixels))), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _images(sections: Sequence[Section], fleet: Fleet) -> Iterator[tuple[str, str]]:
    """The name of each image, and the image as SVG."""
    if len(fleet.orgs) != 1:
        lines = [
            f"{org['name']}: {counted(org['findings'], 'finding')}, {org['urgent_findings']:,} urgent"
            for org in fleet.orgs
        ]
        yield "summary.png", _image(f"Bulk API jobs of {len(fleet.orgs):,} orgs", [fleet.summary, *lines])
    for section in sections:
        place = "" if len(fleet.orgs) == 1 else f"{section.org['org_id']}/"
        days = f"{shown(section.selection.since)} to {shown(section.selection.until)}"
        about = f"{days}, as of {shown(section.org['as_of'])} UTC."
        more = len(section.findings) - MAX_FINDINGS
        yield (
            f"{place}summary.png",
            _image(
                f"Bulk API jobs of {section.org['display_name']}",
                [
                    about, section.headline, *map(_finding, section.findings[:MAX_FINDINGS]),
                    *([f"And {more:,} more."] if more > 0 else []),
                ],
            ),
        )  # fmt: skip
        for picture in section.pictures:
            yield f"{place}{picture.name}.png", _image(picture.title, [picture.summary], picture)


def _finding(finding: Finding) -> str:
    return f"• {'Urgent: ' if finding.urgent else ''}{finding.heading}: {sentence(finding.message)} {finding.remedy}"


def _image(title: str, paragraphs: Sequence[str], picture: Picture | None = None) -> str:
    """A heading, paragraphs, and a chart below them."""
    chart = drawing(picture, CHART, "chart-") if picture else ""
    if 'id="chart-hatch"' in chart:
        paragraphs = [*paragraphs, "Hatched: not known."]
    parts, y = [_text(title, EDGE + 20, 'font-size="22" font-weight="bold"')], EDGE + 30.0
    for paragraph in paragraphs:
        y += 8
        for line in textwrap.wrap(paragraph, LETTERS):
            y += LINE
            parts.append(_text(line, y, 'font-size="14"'))
    if chart:
        y += LINE
        size = re.search(r'<svg[^>]* height="([\d.]+)"', chart)
        parts.append(chart.replace("<svg ", f'<svg x="{EDGE}" y="{y}" ', 1))
        y += float(size[1]) if size else 0
    height = round(y + EDGE)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{WIDTH}" '
        f'height="{height}" color="#1c2126" fill="#1c2126" font-family="Verdana, DejaVu Sans, sans-serif">'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def _text(line: str, y: float, how: str) -> str:
    return f'<text x="{EDGE}" y="{y}" {how}>{escape(line)}</text>'
