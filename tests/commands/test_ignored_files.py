"""`git status` is clean after following README and docs: what the commands make is ignored, and nothing else is."""

import subprocess
from pathlib import Path

import pytest

from pipelines.config.project import PROJECT

MADE = (
    ".dlt/secrets.toml", ".dlt/secrets.toml.20261116-060000", ".load.lock", ".venv/pyvenv.cfg", "demo/warehouse.duckdb",
    "demo-fleet/warehouse.duckdb", "failures.csv", "jobs.parquet", "query_jobs.duckdb", "query_jobs.duckdb.lock",
    "query_jobs.duckdb.state/identity", "query_jobs.duckdb.wal", "report.html", "server.key", "warehouse.duckdb", "year.html", "history.ipynb",
    "warehouse.duckdb.copies/2026-11-16.duckdb", ".warehouse.duckdb.lock", "notebooks/__marimo__/session/history.json",
    ".pytest_cache/README.md", ".hypothesis/unicode_data/codec-utf-8.json.gz", "pipelines/__pycache__/tables.pyc",
)  # fmt: skip


@pytest.mark.skipif(not (PROJECT / ".gitignore").exists(), reason="not a checkout")
def test_what_the_commands_make_is_ignored_and_nothing_else_is(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_bytes((PROJECT / ".gitignore").read_bytes())
    kept = (".gitignore", ".dlt/secrets.example.toml", ".dlt/config.toml", "pipelines/views/a.sql", "docs/a.md")
    for name in (*MADE, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    said = subprocess.run(
        ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"], check=True, capture_output=True, text=True
    ).stdout
    assert sorted(line[3:] for line in said.splitlines()) == sorted(kept)
