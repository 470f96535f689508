"""The report: one page that requests nothing from a network, works with a screen reader, and executes no recorded
text."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from picture_rows import MONTH, job
from planted import DAY, HOUR, NOW, plant
from recorders import Recorder

from pipelines.answers.report import MAX_ROWS, SCRIPT, write_report
from pipelines.errors import ConfigError

pytestmark = pytest.mark.slow_cases

EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e\n</svg>{{ 7 * 7 }}"
SHOWN = "<script>alert(1)</script>\"'&\ufffd[31m\ufffd\ufffd</svg>{{ 7 * 7 }}"
SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """A page as a browser parses it: its elements, their attributes, and its text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.source = file.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = 0
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def drawings(self) -> list[ElementTree.Element]:
        """Each SVG, which has to be well-formed."""
        return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg .*?</svg>(?=</div>)", self.source, re.DOTALL)]


def report(file: Path, days: int = 30) -> Page:
    output = file.with_suffix(".html")
    write_report(file, output, days)
    return Page(output)


def some(days: int, a_day: int = 6, **fields: Any) -> list[dict[str, Any]]:
    """This many days of jobs, of every kind that a picture distinguishes."""
    kinds = (
        {},
        {"state": "Failed"},
        {"operation": "insert", "job_type": "Classic", "state": "Closed"},
        {"state": "Aborted", "object": "Lead"},
        {"state": "InProgress", "object": "Lead"},
        {"object": "Order", "created_by_id": "005B"},
    )
    return [
        job(NOW - day * DAY - n * HOUR, **{**kinds[n % len(kinds)], **fields})
        for day in range(days)
        for n in range(a_day)
    ]


def limits(days: int) -> list[dict[str, Any]]:
    names = ("DailyBulkV2QueryJobs", "DailyApiRequests")
    return [
        {"listing_id": f"{day}", "limit_name": name, "max": 20, "remaining": 3, "asked_at": NOW - day * DAY}
        for day in range(days)
        for name in names
    ]


WAREHOUSES: dict[str, dict[str, Any]] = {
    "a month": {"query_jobs": some(30), "listings": MONTH, "org_limits": limits(30)},
    "one day": {"query_jobs": some(1)},
    "no jobs": {},
    "no listing": {"listings": []},
    "two years": {
        "query_jobs": some(730),
        "listings": [{"started_at": NOW - n * DAY} for n in range(730)],
        "org_limits": limits(730),
    },
    "two orgs": {
        "query_jobs": [*some(7), *(row | {"org_id": "00DX", "id": f"x{n}"} for n, row in enumerate(some(3)))],
        "listings": [{}, {"org_id": "00DX"}],
    },
    "undocumented": {"query_jobs": some(2, state="Paused")},
}


@pytest.fixture(scope="module", params=WAREHOUSES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Page:
    file = plant(tmp_path_factory.mktemp("report") / "w.duckdb", **WAREHOUSES[request.param])
    return report(file, days=730 if request.param == "two years" else 30)


def test_the_page_needs_no_network(page: Page) -> None:
    """No link, image or font; no script but the one that the policy names."""
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]

    source = SCRIPT.read_text(encoding="utf-8")
    own = base64.b64encode(hashlib.sha256(source.encode()).digest())
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{own.decode()}'"
    assert (page.all("script"), page.source.count(f"<script>{source}</script>")) == ([{}], 1)
    assert not {"link", "img", "iframe", "object", "form", "image"} & {tag for tag, _ in page.elements}
    ids = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
    assert {link["href"] for link in page.all("a")} <= ids  # no address of an org is recorded here
    assert all(link.keys() <= {"href", "class", "aria-label"} for link in page.all("a"))  # no `ping`, no `target`
    for tag, attributes in page.elements:
        addresses = [
            value for name, value in attributes.items() if not name.startswith("xmlns") and "//" in (value or "")
        ]
        assert not addresses, (tag, addresses)
        assert not [
            name
            for name in attributes
            if name.startswith("on") or name == "src" or (name.endswith("href") and tag != "a")
        ]
    assert "@import" not in page.source
    assert not re.search(r"url\((?!#)", page.source)


@pytest.mark.slow
def test_every_chart_has_a_description(page: Page) -> None:
    """As text beside it, and for screen readers; its parts are not read out in addition."""
    figures = page.all("figure")
    for figure in figures:
        words = (figure["aria-label"] or "").removeprefix("Chart: ")
        assert figure["role"] == "img"
        assert len(words) > 20
        assert re.sub(r"\s+", " ", words) in re.sub(r"\s+", " ", page.text)
    assert len(page.drawings) == 2 * len(figures)
    for heading in page.all("section"):
        labelled = heading.get("aria-labelledby")
        assert (
            labelled is None or len([1 for tag, at in page.elements if tag == "h2" and at.get("id") == labelled]) == 1
        )
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_chart_is_self_contained_and_uses_the_pages_colours(page: Page) -> None:
    """It refers only to itself; text and lines use the colour of the page, which may be dark."""
    for drawing in page.drawings:
        ids = {element.get("id") for element in drawing.iter()} - {None}
        used = set(re.findall(r"url\(#([^)]+)\)", ElementTree.tostring(drawing, encoding="unicode")))
        assert used <= ids
        texts = list(drawing.iter(f"{SVG}text"))
        assert {text.get("fill") for text in texts} <= {"currentColor"}
        assert not {text.get("font-family") for text in texts} - {None}
        assert not {element.get("role") for element in drawing.iter(f"{SVG}text")} - {None}


def test_the_narrow_charts_fit_a_phone(page: Page) -> None:
    """360 pixels minus the margins, at the size of their text; the wide ones fit a page of 920, so that none is scaled
    and all begin at the same place."""
    widths = [float(drawing.get("width") or 0) for drawing in page.drawings]
    assert max(widths[1::2], default=0) <= 360
    assert max(widths[0::2], default=0) <= 888


def test_the_page_names_its_org_and_time(tmp_path: Path) -> None:
    """And what needs attention, or that nothing does."""
    orgs = [{"name": "Acme", "asked_at": NOW}]
    page = report(plant(tmp_path / "w.duckdb", query_jobs=some(20), listings=MONTH, orgs=orgs))

    assert "Bulk API jobs of Acme" in page.text
    assert "2026-10-28 to 2026-11-16, as of" in page.text
    assert "Urgent: Coverage:" in re.sub(r"\s+", " ", page.text)
    assert "Unfinished:" in page.text


@pytest.mark.slow
def test_two_orgs_have_a_part_each(tmp_path: Path) -> None:
    """With their own findings."""
    page = report(plant(tmp_path / "w.duckdb", **WAREHOUSES["two orgs"]))

    assert page.source.count("<h1>Bulk API jobs of") == 3  # and the page of both
    assert page.text.count("Coverage:") == 2


def test_recorded_text_is_shown_and_never_interpreted(tmp_path: Path) -> None:
    """Names of objects, users, orgs, limits and states, and errors, on the page and in charts."""
    jobs = [
        *(job(NOW - n * HOUR, object=EVIL, created_by_id="005E", state="Failed") for n in range(1, 9)),
        *(job(NOW - n * HOUR, object=EVIL, created_by_id="005E") for n in range(200, 260)),
        job(NOW - HOUR, state=EVIL),
        job(NOW - 30 * HOUR, state="InProgress", object=EVIL),
    ]
    page = report(
        plant(
            tmp_path / "w.duckdb",
            query_jobs=jobs,
            users=[{"id": "005E", "name": EVIL}],
            orgs=[{"name": EVIL, "asked_at": NOW}],
            org_limits=[{"listing_id": "listing 0", "limit_name": EVIL, "app": EVIL, "max": 100, "remaining": -7}],
            job_details=[{"id": f"750{n:012}AAA", "error_message": EVIL} for n in range(1, 9)],
            rejected_records=[
                {"record_hash": "1", "reason": EVIL, "first_observed_at": NOW, "last_observed_at": NOW, "record": "{}"}
            ],
            listings=MONTH,
        )
    )

    assert page.all("script") == [{}]
    assert "\x1b" not in page.source
    assert "\u202e" not in page.source
    assert "49" not in re.findall(r"</svg>(\d+)", page.text)
    assert page.text.count(SHOWN) > 10
    drawn = " ".join("".join(drawing.itertext()) for drawing in page.drawings)
    assert "<script>alert(1)</script>" in drawn


@pytest.mark.slow
def test_a_long_table_says_how_much_is_left_out(tmp_path: Path) -> None:
    """It is a page, not a dump."""
    jobs = [job(NOW - timedelta(minutes=n), object=f"Object{n}__c", state="Failed") for n in range(MAX_ROWS + 20)]
    page = report(plant(tmp_path / "w.duckdb", query_jobs=jobs))

    assert "And 20 more rows." in page.text
    assert max(len(re.findall("<tr>", table)) for table in page.source.split("<table>")) == MAX_ROWS + 1


@pytest.mark.slow
def test_the_report_is_the_same_in_any_time_zone(recorder: Recorder, tmp_path: Path) -> None:
    """Times are in UTC, whatever the machine's zone: byte for byte."""
    file = plant(tmp_path / "w.duckdb", query_jobs=some(20), listings=MONTH, org_limits=limits(20))
    pages = []
    for zone in ("UTC", "America/Los_Angeles", "Asia/Kathmandu"):
        run = recorder.run("report", "--warehouse", str(file), "--output", f"{zone[:3]}.html", TZ=zone)
        assert (run.returncode, run.stderr) == (0, "")
        assert f"Wrote {zone[:3]}.html" in run.stdout
        # The age of the last listing depends on the clock
        pages.append(
            re.sub(r"is [\d.,]+ days old|newest [\d.,]+ \w+ ago", "", (recorder.home / f"{zone[:3]}.html").read_text())
        )

    assert pages[1:] == pages[:2]
    assert not list(recorder.home.glob(".*.new"))


@pytest.mark.slow
def test_a_page_replaces_a_page_and_nothing_else(tmp_path: Path) -> None:
    """Not a warehouse whose name was given by mistake."""
    warehouse = plant(tmp_path / "w.duckdb")
    before = warehouse.read_bytes()
    with pytest.raises(ConfigError, match="is not a page"):
        write_report(warehouse, warehouse, 30)
    assert warehouse.read_bytes() == before
    for _ in range(2):
        write_report(warehouse, tmp_path / "report.html", 30)


@pytest.mark.parametrize("output", ["no/such/directory/report.html", "."])
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, output: str) -> None:
    """With what to do; nothing is left behind."""
    with pytest.raises(ConfigError, match=r"Cannot write .*") as raised:
        write_report(plant(tmp_path / "w.duckdb"), tmp_path / output, 30)

    assert "--output" in raised.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["w.duckdb"]


def test_days_have_to_be_a_number_of_days(recorder: Recorder) -> None:
    """The usage is shown, as for any wrong option."""
    run = recorder.run("report", "--days", "0")

    assert run.returncode == 2
    assert "--days" in run.stderr


def test_no_load_imports_a_chart() -> None:
    """The recorder stays lightweight, and so does the check."""
    modules = "import pipelines.query_jobs, pipelines.answers.check, sys; print([m for m in sys.modules if m in " + (
        "('altair', 'vl_convert', 'jinja2')])"
    )
    run = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True, env=os.environ)

    assert run.stdout == "[]\n"
