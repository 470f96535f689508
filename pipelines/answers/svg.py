"""A picture's chart as SVG or PNG, drawn without a browser."""

import re
from typing import Final

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode

from pipelines.answers.chart_style import UNCOVERED, Chart, styled
from pipelines.answers.pictures import Picture

MEASURED_IN: Final = "Verdana"  # a wide font, so that text fits whatever font the page is shown in
HATCH: Final = (
    '<defs><pattern id="{prefix}hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)">'
    '<path d="M0 0V6" stroke="currentColor" stroke-width="2.5" stroke-opacity="0.3"/></pattern></defs>'
)
# What makes a page a third smaller, and looks the same: places to a tenth of a pixel, and neither what is not displayed
# nor what is for screen readers and pointers, because each chart is one image that its summary describes.
TAG: Final = re.compile("<[^<>]+>")
HIDDEN: Final = re.compile('<path [^<>]* display="none"[^<>]*/>')
SCOPED: Final = re.compile(r'( id="|url\(#)((?:clip|gradient_)\d+["\)])')
SHADE: Final = re.compile(rf'fill="{UNCOVERED}" opacity="[\d.]+"')
PLACE: Final = re.compile(r'(?<= )(?:d|transform|x|y|x1|x2|y1|y2|width|height)="[^"]*"')
DECIMALS: Final = re.compile(r"\d+\.\d\d+")
UNSEEN: Final = re.compile(
    rf' (?:class|role|aria-roledescription|aria-hidden|pointer-events)="[^"]*"| font-family="{MEASURED_IN}"'
    r'|(?<= opacity="0\.\d\d\d)\d+'
)


def drawing(picture: Picture, width: int, prefix: str) -> str:
    """The chart as SVG; its ids begin with the prefix, because they apply to the whole page. Times without coverage are
    hatched, which Vega cannot do."""
    if picture.draw is None:
        return ""
    with debug_mode(False):  # validating each part of a chart takes twice as long as all else
        chart = styled(picture.draw(width), MEASURED_IN)
    svg = TAG.sub(lambda tag: _tag(tag[0], prefix), _svg(chart))  # text is left as it is, whatever it looks like
    hatch = HATCH.format(prefix=prefix)
    return re.sub("(?<=>)", hatch, svg, count=1) if f"url(#{prefix}hatch)" in svg else svg


def _tag(tag: str, prefix: str) -> str:
    if HIDDEN.match(tag):
        return ""
    tag = SCOPED.sub(rf"\g<1>{prefix}\2", UNSEEN.sub("", tag))
    tag = SHADE.sub(f'fill="url(#{prefix}hatch)"', tag)
    return PLACE.sub(lambda place: DECIMALS.sub(lambda number: f"{float(number[0]):.1f}", place[0]), tag)


def _svg(chart: Chart) -> str:
    """The drawing. The specification is taken as it is: the tests validate it."""
    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), vl_version=version)
    return svg
