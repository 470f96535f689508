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
PLACE: Final = re.compile(r'(?<= )(?:d|transform|x|y|x1|x2|y1|y2|width|height)="[^"]*"')
DECIMALS: Final = re.compile(r"\d+\.\d\d+")
UNSEEN: Final = re.compile(
    r'<path(?= )[^<>]* display="none"[^<>]*/>'
    r'| (?:class|role|aria-roledescription|aria-hidden|pointer-events)="[^"]*"|(?<= opacity="0\.\d\d\d)\d+'
)


def drawing(picture: Picture, width: int, prefix: str) -> str:
    """The chart as SVG; its ids begin with the prefix, because they apply to the whole page. Times without coverage are
    hatched, which Vega cannot do."""
    if picture.draw is None:
        return ""
    with debug_mode(False):  # validating each part of a chart takes twice as long as all else
        chart = styled(picture.draw(width), MEASURED_IN)
    svg = _svg(chart).replace(f'font-family="{MEASURED_IN}"', "")
    own = rf"\g<1>{prefix}\2"
    svg = re.sub(r'(\bid=")((?:clip|gradient_)\d+")', own, svg)
    svg = re.sub(r"(url\(#)((?:clip|gradient_)\d+\))", own, svg)
    svg = PLACE.sub(lambda place: DECIMALS.sub(lambda number: f"{float(number[0]):.1f}", place[0]), UNSEEN.sub("", svg))
    hatched = re.sub(rf'fill="{UNCOVERED}" opacity="[\d.]+"', f'fill="url(#{prefix}hatch)"', svg)
    return re.sub("(?<=>)", HATCH.format(prefix=prefix), hatched, count=1) if hatched != svg else svg


def _svg(chart: Chart) -> str:
    """The drawing. The specification is taken as it is: the tests validate it."""
    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), vl_version=version)
    return svg
