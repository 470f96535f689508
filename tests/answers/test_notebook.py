"""The notebook on a published copy: every picture, the filters, the user's own SQL, and no file kept open."""

import html
import re
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from picture_rows import MONTH, job
from planted import NOW, plant
from recorders import Recorder

from pipelines.answers import pictures
from pipelines.config.project import PROJECT
from pipelines.config.settings import Settings
from pipelines.demo_org.org import DemoOrg

NOTEBOOK = PROJECT / "notebooks" / "history.py"
Shown = tuple[str, dict[str, Any]]


@pytest.fixture
def open_notebook(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Shown]:
    """Runs all cells on a warehouse; returns their output as text, and what they define."""

    def run(warehouse: Path, **instead: Any) -> Shown:
        monkeypatch.setattr(sys, "argv", [str(NOTEBOOK), "--warehouse", str(warehouse)])
        outputs, defined = runpy.run_path(str(NOTEBOOK))["app"].run(defs=instead or None)
        return " ".join(getattr(output, "text", "") for output in outputs), dict(defined)

    return run


def words(source: str) -> str:
    """As it is read, without what keeps dates in one piece."""
    text = html.unescape(source).replace(r"\u003c", "<").replace(r"\u003e", ">")
    return re.sub(r'<span class=\\?"whole\\?">(.*?)</span>', r"\1", text)


def test_the_notebook_shows_the_demo_from_top_to_bottom(filled: Settings, open_notebook: Callable[..., Shown]) -> None:
    """What needs attention, each picture with its answer and chart, and the result of the sample SQL."""
    source, defined = open_notebook(filled.warehouse)
    text = words(source)

    assert "query of Lead (V2Query) by Data Warehouse has failed" in text
    for finding in defined["findings"]:
        assert finding.shown_ids in text
        assert finding.remedy in text
    assert "the filters above do not apply here" in text
    places = [text.index("What needs attention?")]
    for make in pictures.PICTURES:
        picture = make(defined["selection"])
        assert picture.summary in text, picture.name
        assert picture.draw, picture.name
        places.append(text.index(f">{picture.title}<"))
    assert places == sorted(places)
    assert text.count("vega") >= len(pictures.PICTURES)
    assert "InvalidBatch" in text[text.index("What else do you want to know?") :]


@pytest.mark.slow
def test_a_filter_changes_what_is_shown(filled: Settings, open_notebook: Callable[..., Shown]) -> None:
    """And a picture that does not support it says so: allowance, batches, limits, at_once and coverage."""
    _, defined = open_notebook(filled.warehouse)
    chosen = replace(defined["selection"], objects=("Lead",))
    source, _ = open_notebook(filled.warehouse, selection=chosen)
    text = words(source)

    assert pictures.volume(chosen).summary in text
    assert pictures.volume(defined["selection"]).summary not in text
    assert text.count("Shows all objects:") == 5


@pytest.mark.slow
def test_the_filters_offer_the_recorded_values(tmp_path: Path, open_notebook: Callable[..., Shown]) -> None:
    """Two users with the same name are distinguished."""
    file = plant(
        tmp_path / "w.duckdb",
        query_jobs=[job(NOW, created_by_id=user, object=name) for user, name in (("005A", "Lead"), ("005B", "Case"))],
        users=[{"id": "005A", "name": "Sync"}, {"id": "005B", "name": "Sync"}],
        listings=MONTH,
    )
    _, defined = open_notebook(file)

    assert set(defined["objects"].options) == {"Case", "Lead"}
    assert defined["creators"].options == {"Sync (005A)": "005A", "Sync (005B)": "005B"}
    assert set(defined["job_types"].options) == {"V2Query"}


@pytest.mark.slow
def test_several_orgs_have_a_table_and_are_chosen_by_the_name_shown(
    tmp_path: Path, open_notebook: Callable[..., Shown]
) -> None:
    """The configured name with the org's own; a single org has no table of all."""
    orgs = [{"name": "Acme", "configured_name": "prod"}, {"org_id": "00DX", "name": "Acme", "configured_name": "uat"}]
    one, _ = open_notebook(plant(tmp_path / "one.duckdb", orgs=orgs[:1], listings=MONTH))
    file = plant(tmp_path / "two.duckdb", orgs=orgs, listings=[*MONTH, {"org_id": "00DX", "listing_id": "x"}])
    text, defined = open_notebook(file)

    assert "All orgs at a glance" not in one
    assert "All orgs at a glance" in text
    assert "own_name" not in text  # what an admin looks for is in sight, without scrolling to the right
    assert list(defined["org"].options) == ["Acme (prod)", "Acme (uat)"]


@pytest.mark.slow
def test_names_are_text_and_not_markup(tmp_path: Path, open_notebook: Callable[..., Shown]) -> None:
    """Names from Salesforce are never interpreted as HTML or Markdown."""
    evil = "<img src=x onerror=alert(1)> [a](javascript:alert(1))"
    jobs = [job(NOW, object=evil, created_by_id="005E", state="Failed") for _ in range(3)]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, users=[{"id": "005E", "name": evil}], listings=MONTH)
    source, _ = open_notebook(file)

    assert "onerror=alert(1)" in source
    assert "<img src=x" not in source
    assert 'href="javascript' not in source


@pytest.mark.slow
def test_a_warehouse_without_a_listing_is_reported_as_empty(
    tmp_path: Path, open_notebook: Callable[..., Shown]
) -> None:
    """No cell fails."""
    text, _ = open_notebook(plant(tmp_path / "w.duckdb", listings=[]))

    assert "there is no complete listing" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2026", "not there.duckdb", "no=database"])
def test_problems_with_a_file_are_shown(tmp_path: Path, monkeypatch, open_notebook: Callable[..., Shown], name) -> None:
    """No cell fails, because an app would show only that. A name is a name, even if it looks like a number."""
    monkeypatch.chdir(tmp_path)
    if name != "not there.duckdb":
        Path(name).write_text("no database")
    text, _ = open_notebook(Path(name))

    assert name in text


def test_a_file_without_a_table_of_ours_is_named(tmp_path: Path, open_notebook: Callable[..., Shown]) -> None:
    """As of an earlier version. No cell fails."""
    file = plant(tmp_path / "w.duckdb", query_jobs=[job(NOW)])
    with duckdb.connect(file) as connection:
        connection.execute("drop table salesforce.record_errors")
    text, _ = open_notebook(file)

    assert "does not have what this version reads" in text


def test_sql_that_cannot_be_answered(filled: Settings, tmp_path: Path) -> None:
    """Nothing but a comment, and a file that is gone when it is asked."""
    cell = runpy.run_path(str(NOTEBOOK))["answer"]
    for sql, file in (("-- nothing", filled.warehouse), ("", filled.warehouse), ("select 1", tmp_path / "gone.duckdb")):
        output, _ = cell.run(sql=SimpleNamespace(value=sql), warehouse=file)
        assert output is not None
    assert "There is no warehouse at" in output.text


@pytest.mark.slow
def test_a_wrong_threshold_is_shown(filled: Settings, monkeypatch, open_notebook: Callable[..., Shown]) -> None:
    """In place of the findings; the pictures are still shown."""
    monkeypatch.setenv("CHECK__FAILURES_IN_A_ROW", "-1")
    text, _ = open_notebook(filled.warehouse)

    assert "failures_in_a_row" in text
    assert "vega" in text


@pytest.mark.slow
def test_the_notebook_keeps_no_file_open(org: DemoOrg, recorder: Recorder, open_notebook: Callable[..., Shown]) -> None:
    """The loader could publish, and even write, while it is open."""
    org.add_job()
    recorder.load()
    open_notebook(recorder.warehouse)

    duckdb.connect(recorder.warehouse).close()
    assert recorder.run().returncode == 0
