"""The report as a reader uses it: contents, links to Setup, sorting and filtering, and its images."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from browser import browser
from picture_rows import MONTH, job
from planted import DAY, HOUR, NOW, plant
from recorders import Recorder
from test_report import Page

from pipelines.answers import pictures
from pipelines.answers.page_text import rich
from pipelines.answers.report import write_report
from pipelines.answers.selection import orgs, select
from pipelines.answers.svg import drawing
from pipelines.errors import ConfigError

JOB = "750000000000001AAA"
ORG_URL = "https://acme.my.salesforce.com"
MINUTE = timedelta(minutes=1)
PNG = b"\x89PNG\r\n\x1a\n"


def failing(file: Path, url: str | None = ORG_URL) -> Path:
    """A warehouse with one finding, about a series that failed seven times."""
    jobs = [job(NOW - n * DAY, object="Lead", state="Failed") for n in range(7)]
    jobs += [job(NOW - n * DAY - HOUR, object=f"Object{n}__c", state="Failed") for n in range(7)]
    return plant(file, query_jobs=jobs, listings=MONTH, orgs=[{"name": "Acme", "asked_at": NOW, "instance_url": url}])


@pytest.mark.parametrize(
    "url",
    [
        None,
        "http://127.0.0.1:8080",
        "javascript:alert(1)//",
        "https://acme.my.salesforce.com@evil.example",
        'https://acme.my.salesforce.com" onclick="alert(1)',
        "https://acme.my.salesforce.com/path",
        "https://",
    ],
)
def test_no_link_leads_anywhere_but_to_a_recorded_host(url: str | None) -> None:
    """Nothing but a plain https address of a host makes links."""
    assert rich(f"job {JOB}", url) == f"job {JOB}"


def test_a_job_id_leads_to_its_page_in_setup() -> None:
    """Of 15 or 18 characters; other ids, and parts of longer words, do not. All else is escaped."""
    page = f"{ORG_URL}/lightning/setup/AsyncApiJobStatus/page?address=%2F"

    assert rich(f"{JOB}, <b>", f"{ORG_URL}/") == f'<a href="{page}{JOB}">{JOB}</a>, &lt;b&gt;'
    assert rich(JOB[:15], ORG_URL) == f'<a href="{page}{JOB[:15]}">{JOB[:15]}</a>'
    assert rich("00DDm0000001000MAA", ORG_URL) == "00DDm0000001000MAA"
    assert rich(f"x{JOB}", ORG_URL) == f"x{JOB}"


@pytest.mark.parametrize("text", ["2026-11-16 06:00 UTC", "2026-11-16", "16 November 2026", "3 May", "3.7 %"])
def test_dates_and_percentages_do_not_break(text: str) -> None:
    """Not even between their parts."""
    assert rich(f"since {text}.", None) == f'since <span class="whole">{text}</span>.'


@pytest.mark.slow
def test_uncovered_times_are_hatched_in_the_drawing(tmp_path: Path) -> None:
    """By a pattern of the drawing itself: it refers to nothing outside."""
    listings = [{"started_at": NOW - n * DAY} for n in (0, 1, 2, 20)]
    file = plant(tmp_path / "w.duckdb", query_jobs=[job(NOW - 25 * DAY), job(NOW - DAY)], listings=listings)
    svg = drawing(pictures.volume(select(file, orgs(file)[0], 30)), 800, "own-")

    assert svg.count('<pattern id="own-hatch"') == 1
    assert svg.count('fill="url(#own-hatch)"') >= 1


@pytest.mark.slow
def test_a_reader_finds_sorts_and_filters(tmp_path: Path) -> None:
    """In a real browser: what is in the contents is on the page, and a table obeys its headings."""
    page = tmp_path / "report.html"
    write_report(failing(tmp_path / "w.duckdb"), page, 30)
    with browser(tmp_path / "profile") as window:
        window.open(page.as_uri())
        missing = window.run(
            "return [...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.hash)).length"
        )
        headline = window.texts(".headline")
        linked = window.run("return [...document.querySelectorAll('.needs li a')].map(a => a.href)")
        rows = """
            document.querySelectorAll('details').forEach(part => part.open = true);
            const part = document.querySelector('section[aria-labelledby^=failures]');
            const shown = () => [...part.querySelectorAll('tbody tr')].filter(row => !row.hidden)
                .map(row => row.cells[2].textContent);
        """
        by_object = """
            const head = [...part.querySelectorAll('th button')].find(one => one.textContent === 'object');
            head.click(); const up = shown(); head.click(); return [up, shown()];
        """
        up, down = window.run(rows + by_object)
        filtered = window.run(
            f"{rows} const field = part.querySelector('input'); field.value = 'lead'; "
            "field.dispatchEvent(new Event('input')); return shown();"
        )
        severe = [entry for entry in window.log() if entry.startswith("SEVERE")]

    assert (missing, severe) == (0, [])
    assert re.search(r"\d+ problems?.*, newest .* ago\.", headline[0])
    assert linked
    assert all(url.startswith(f"{ORG_URL}/lightning/setup/AsyncApiJobStatus/page?address=%2F750") for url in linked)
    assert up == sorted(up)
    assert down == up[::-1]
    assert filtered == ["Lead"]


@pytest.mark.slow
def test_the_page_is_complete_without_its_script_and_runs_no_other(tmp_path: Path) -> None:
    """In a real browser: what sorts and filters is missing then, and nothing else; what others add does not run."""
    page, changed = tmp_path / "report.html", tmp_path / "changed.html"
    write_report(failing(tmp_path / "w.duckdb"), page, 30)
    changed.write_text(page.read_text().replace("</body>", "<script>document.title = 'foreign'</script></body>"))
    with browser(tmp_path / "profile") as window:
        window.devtools("Emulation.setScriptExecutionDisabled", value=True)
        window.open(page.as_uri())
        without = window.run("return [count('svg'), count('.needs li a'), count('table'), count('th button')]")
        window.devtools("Emulation.setScriptExecutionDisabled", value=False)
        window.open(page.as_uri())
        with_script = window.run("return [count('svg'), count('.needs li a'), count('table'), count('th button')]")
        window.open(changed.as_uri())
        title = window.run("return document.title")
        refused = [entry for entry in window.log() if "Content Security Policy" in entry]

    assert without[:3] == with_script[:3]
    assert min(without[:3]) > 0
    assert (without[3], with_script[3] > 0) == (0, True)
    assert title == "Bulk API jobs of Acme"
    assert refused


@pytest.mark.slow
@pytest.mark.parametrize("url", [ORG_URL, "javascript:alert(1)", f"{ORG_URL}/' onmouseover='x", None])
def test_all_links_lead_to_the_page_or_the_recorded_org(tmp_path: Path, url: str | None) -> None:
    """Whatever ids, names and errors look like."""
    evil = '750000000000002AAA"><a href="https://evil.example">x</a> https://evil.example javascript:alert(1)'
    jobs = [job(NOW - n * DAY, id=f'750"><a href=javascript:{n}>', object=evil, state="Failed") for n in range(5)]
    details = [{"id": jobs[0]["id"], "error_message": evil, "listed_state": "Failed"}]
    orgs = [{"org_id": "00D'\"><a href=x>", "name": evil, "asked_at": NOW, "instance_url": url}]
    tables = {"query_jobs": jobs, "job_details": details, "listings": MONTH}
    own = {name: [{**row, "org_id": orgs[0]["org_id"]} for row in rows] for name, rows in tables.items()}
    output = tmp_path / "report.html"
    write_report(plant(tmp_path / "w.duckdb", orgs=orgs, **own), output, 30)
    page = Page(output)
    links = [link["href"] or "" for link in page.all("a")]
    ids = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
    outside = [link for link in links if link not in ids]

    assert all(link.startswith(f"{ORG_URL}/lightning/setup/") for link in outside)
    assert bool(outside) == (url == ORG_URL)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


@pytest.mark.slow
def test_the_pictures_are_written_as_images(recorder: Recorder, tmp_path: Path) -> None:
    """One for each question, and the summary, which a real browser shows; newer ones replace them, and nothing else."""
    file = failing(tmp_path / "w.duckdb")
    for _ in range(2):
        run = recorder.run("report", "--warehouse", str(file), "--pngs", "images")
        assert (run.returncode, run.stderr) == (0, "")
    names = {path.name for path in (recorder.home / "images").iterdir()}
    assert names == {"summary.png", *(f"{make.__name__}.png" for make in pictures.PICTURES)}
    assert f"Wrote {len(names)} images to images" in run.stdout
    assert all(path.read_bytes().startswith(PNG) for path in (recorder.home / "images").iterdir())

    sizes = {path.name: path.stat().st_size for path in (recorder.home / "images").iterdir()}
    assert sum(sizes.values()) < 2_000_000, sizes  # a mail has to hold them
    with browser(tmp_path / "profile") as window:
        for name in names:
            window.open((recorder.home / "images" / name).as_uri())
            width = window.run("return document.images[0].naturalWidth")
            assert width == 1920, name

    for no_folder in ("-", "report.html"):
        run = recorder.run("report", "--warehouse", str(file), "--pngs", no_folder)
        assert run.returncode == 78
        assert f"{no_folder} is not a folder" in run.stderr
    (recorder.home / "images" / "volume.png").write_text("mine")
    with pytest.raises(ConfigError, match="not a picture") as raised:
        write_report(file, tmp_path / "report.html", 30, pngs=recorder.home / "images")
    assert "--pngs" in raised.value.remedy
    assert (recorder.home / "images" / "volume.png").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "media"), [(1060, "screen"), (720, "print")])
def test_no_word_of_the_fleet_is_broken(tmp_path: Path, width: int, media: str) -> None:
    """Where its table has the least room: headings, numbers, dates and the usual limit; none lies over another."""
    limits = [{"limit_name": "DailyBulkV2QueryJobs", "max": 1_000, "remaining": 10}]
    plain = {"query_jobs": [job(NOW - n * MINUTE, state="Failed") for n in range(1_200)], "org_limits": limits}
    names = {"00DDm0000001000MAA": "Production", "00DDm0000002000MAA": "EMEA"}
    tables: dict[str, list[dict[str, Any]]] = {
        "orgs": [{"org_id": org_id, "name": name, "asked_at": NOW} for org_id, name in names.items()],
        "listings": [
            {**row, "org_id": org_id, "listing_id": f"{org_id}{n}"} for org_id in names for n, row in enumerate(MONTH)
        ],
        **{
            table: [
                {**row, "org_id": org_id, **({"id": f"{row['id'][:-4]}{org_id[6]}AAA"} if "id" in row else {})}
                for org_id in names
                for row in rows
            ]
            for table, rows in plain.items()
        },
    }
    page = tmp_path / "report.html"
    write_report(plant(tmp_path / "w.duckdb", **tables), page, 30)
    with browser(tmp_path / "profile") as window:
        window.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        window.devtools("Emulation.setEmulatedMedia", media=media)
        window.open(page.as_uri())
        broken, over, shown = window.run("""
            const cells = [...document.querySelectorAll('.fleet th, .fleet td')];
            const broken = [];
            for (const cell of cells.filter(cell => cell.matches('thead th, .number, [data-title^=Last], [data-title^=Worst]'))) {
                const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
                while (texts.nextNode()) {
                    for (const word of texts.currentNode.data.matchAll(/[^\\s]+/g)) {
                        const range = document.createRange();
                        range.setStart(texts.currentNode, word.index);
                        range.setEnd(texts.currentNode, word.index + word[0].length);
                        if (new Set([...range.getClientRects()].map(rect => rect.top)).size > 1) broken.push(word[0]);
                    }
                }
            }
            const over = cells.filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText);
            return [broken, over, cells[0].getBoundingClientRect().width > 1];
        """)

    assert (broken, over, shown) == ([], [], True)
