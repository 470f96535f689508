"""What `make notebook` and `make notebook-edit` open, in a real browser: headings, charts, and no error."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import Browser, browser

from pipelines.answers import pictures
from pipelines.answers.selection import orgs, select
from pipelines.config.project import PROJECT
from pipelines.config.settings import Settings


@contextmanager
def opened(target: str, warehouse: Path, home: Path) -> Iterator[Browser]:
    """The page that a make target opens. The "browser" that it starts only notes the address."""
    asked_for = home / "address"
    programs = home / "bin"
    programs.mkdir()
    for name in ("xdg-open", "browser"):
        (programs / name).write_text(f'#!/bin/sh\necho "$1" > {asked_for}.part\nmv {asked_for}.part {asked_for}\n')
        (programs / name).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))} | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "BROWSER": str(programs / "browser"),
    }
    command = ["make", target, f"WAREHOUSE={warehouse}"]
    with (
        browser(home / "profile") as window,
        (home / "output").open("w+") as output,
        subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=output, stderr=output, start_new_session=True
        ) as make,
    ):
        try:
            end = time.monotonic() + 180
            while not asked_for.exists():
                assert make.poll() is None, (home / "output").read_text()
                assert time.monotonic() < end, (home / "output").read_text()
                time.sleep(0.2)
            window.open(asked_for.read_text().strip())
            yield window
        finally:
            os.killpg(make.pid, signal.SIGKILL)  # make, marimo and its kernel: a session of their own


@pytest.mark.parametrize("target", ["notebook", "notebook-edit"])
def test_make_opens_the_notebook_with_all_its_pictures(filled: Settings, tmp_path: Path, target: str) -> None:
    """Without a click, with no host but this machine, and without changing the notebook's file."""
    notebook = PROJECT / "notebooks" / "history.py"
    before = notebook.read_bytes()
    shown = select(filled.warehouse, orgs(filled.warehouse)[0], days=30)
    with opened(target, filled.warehouse, tmp_path) as page:
        page.until(f"count('canvas, svg.marks') >= {len(pictures.PICTURES)}")
        page.until("has_text('td', 'InvalidBatch')")  # what the SQL at the end needs
        headings = page.texts("h1, h2")
        errors = page.texts("[role=alert]")  # the editor's; the app has none, but its server logs a traceback
        severe = [entry for entry in page.log() if entry.startswith("SEVERE")]

    assert headings == [
        "What is going on with Bulk API jobs?",
        "What needs attention?",
        *(make(shown).title for make in pictures.PICTURES),
        "What else do you want to know?",
    ]
    assert (errors, severe) == ([], [])
    assert "Traceback" not in (tmp_path / "output").read_text()
    assert notebook.read_bytes() == before


def test_the_app_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    """Instead of staying empty. File names are used verbatim."""
    file = tmp_path / "`touch here` $(touch there) $HOME '2026'; é.duckdb"
    file.write_text("no database")
    with opened("notebook", file, tmp_path) as page:
        page.until("has_text('.admonition', 'DuckDB')")
        (message,) = page.texts(".admonition")

    assert str(file) in message
    assert "Traceback" not in (tmp_path / "output").read_text()
    assert not {"here", "there"} & {path.name for path in (*PROJECT.iterdir(), *tmp_path.iterdir())}
