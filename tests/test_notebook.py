"""The notebook runs on what a recorder published, and draws what is there."""

import html
import runpy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Recorder

from pipelines.demo_org.org import DemoOrg

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "history.py"


@pytest.fixture
def shown(org: DemoOrg, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any]]:
    """What the cells show, as text, and what they define: of two listings with a failure in between."""
    jobs = [org.add_job(object=name) for name in ("Account", "Lead", "Lead")]
    recorder.load()
    org.advance(timedelta(hours=1))
    for job in jobs[1:]:
        org.move_job(job, "Failed")
    recorder.load()
    monkeypatch.setenv("WAREHOUSE", str(recorder.warehouse))
    outputs, defined = runpy.run_path(str(NOTEBOOK))["app"].run()
    return html.unescape(" ".join(output.text for output in outputs if hasattr(output, "text"))), dict(defined)


def test_the_notebook_shows_what_was_recorded(shown: tuple[str, dict[str, Any]]) -> None:
    """Counts, both charts with their data, and the answer to the question that stands there."""
    text, defined = shown

    assert "3 jobs" in text
    assert "2 complete listings" in text
    assert defined["days_chart"].to_dict()["data"]["values"] == [
        {"day": "2026-11-02", "kind": "V2Query queries", "state": "Failed", "jobs": 2},
        {"day": "2026-11-02", "kind": "V2Query queries", "state": "InProgress", "jobs": 1},
    ]
    assert defined["changes_chart"].to_dict()["data"]["values"] == [
        {"day": "2026-11-02", "change": "InProgress → Failed", "changes": 2}
    ]
    assert "Lead" in text


def test_the_notebook_holds_no_file(shown: tuple[str, dict[str, Any]], recorder: Recorder) -> None:
    """The loader publishes, and could write, while it is open."""
    import duckdb

    duckdb.connect(recorder.warehouse).close()
    assert recorder.run().returncode == 0
