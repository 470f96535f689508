"""docs/tables.md has every table, view and column, as defined in the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import MAKEFILE, PAGES, README

from pipelines.columns import Table
from pipelines.config.project import PROJECT
from pipelines.tables import TABLES
from pipelines.warehouse import tables_page
from pipelines.warehouse.schema import VIEWS, read_header

DERIVED = {"state_spans", "rejected_records"}  # the README leaves these to docs/tables.md
TYPES = {
    "string": "VARCHAR",
    "double": "DOUBLE",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
}


def columns_of(table: Table) -> str:
    """The table of columns as on the page."""
    rows = [f"| `{c.name}` | {TYPES[str(c.type)]} | {c.meaning} |" for c in table.columns]
    return "\n".join(["| column | type | meaning |", "| --- | --- | --- |", *rows])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_page_has_every_column(table: Table) -> None:
    """With the meaning from DuckDB's comments."""
    page = PAGES[tables_page.PAGE]
    assert f"### `{table.name}`" in page
    assert columns_of(table) in page
    assert f"`{table.name}`" in README or table.name in DERIVED


@pytest.mark.parametrize("file", sorted(VIEWS.rglob("*.sql")), ids=lambda file: file.stem)
def test_the_page_has_every_view(file: Path) -> None:
    """With its grain, its columns, and the question that it answers."""
    grain, columns = read_header(file.read_text(encoding="utf-8"))
    page = PAGES[tables_page.PAGE]

    described = page.split(f"### `{file.stem}`\n\n{grain}\n")[1].split("\n## ")[0].split("\n### ")[0]
    assert re.findall(r"(?m)^\| `(\w+)` \| ([A-Z ]+) \| (.*) \|$", described) == columns
    assert re.search(rf"(?m)^\| .+[?.] \| \[`{file.stem}`\]\(#{file.stem}\) \|$", page)


def test_the_page_is_what_make_docs_writes(tmp_path: Path) -> None:
    """After changing a table or view, run `make docs`."""
    copy = tmp_path / "tables.md"
    write = f"from pathlib import Path; from pipelines.warehouse.tables_page import write; write(Path({str(copy)!r}))"
    subprocess.run([sys.executable, "-c", write], cwd=PROJECT, check=True)

    assert copy.read_text(encoding="utf-8") == PAGES[tables_page.PAGE], "Run make docs, and commit docs/tables.md."
    assert "-m pipelines.warehouse.tables_page" in MAKEFILE.split("\ndocs:")[1].split("\n\n")[0]


def test_a_view_without_a_question_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new view needs one, or its page is not written."""
    monkeypatch.delitem(tables_page.QUESTIONS["One job"], "job_timeline")

    with pytest.raises(KeyError, match="job_timeline"):
        tables_page.page()
