"""Each use of dlt's internals in `dlt_packages.py`: it still has its effect, and dlt still needs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dlt
import duckdb
import pytest
from dlt.common.runtime import signals
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.config.dlt_context import use_given_settings
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.dlt_packages import interruptible, new_pipeline, temporary_files_in

pytestmark = pytest.mark.slow_cases

ODD_NAMES = ("100%", "org=prod", "what?", "all*", "a[b]", "it's")
ALONE = """
import os, sys, dlt
folder, file = sys.argv[1:]
pipeline = dlt.pipeline("alone", destination=dlt.destinations.duckdb(file), dataset_name="d", pipelines_dir=folder)
import pyarrow as pa
pipeline.run(pa.table({"id": [1]}), table_name="t", loader_file_format="parquet")
"""


def a_merge(pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"id": 1}], table_name="t", write_disposition="merge", primary_key="id", loader_file_format="parquet")


@pytest.fixture
def pipeline_in(tmp_path: Path) -> Callable[[Path], dlt.Pipeline]:
    def make(folder: Path) -> dlt.Pipeline:
        use_given_settings(tmp_path, tmp_path / "data")
        return new_pipeline(open_database(tmp_path / f"{len(folder.name)}.duckdb", read_only=False), folder)

    return make


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_package_is_loaded_from_a_folder_of_any_name(
    tmp_path: Path, pipeline_in: Callable[[Path], dlt.Pipeline], name: str
) -> None:
    """Even if it looks like a template, or contains characters that DuckDB would interpret."""
    pipeline = pipeline_in(tmp_path / name)
    a_merge(pipeline)
    with pipeline.sql_client() as client:
        assert client.execute_sql("select id from t") == [(1,)]


@pytest.mark.parametrize("name", ["100%", "org=prod", "it's"])
def test_dlt_alone_fails_in_all_of_these(tmp_path: Path, name: str) -> None:
    """The patterns match the files themselves, but other files as well."""
    environment = os.environ | {"HOME": str(tmp_path), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    command = [sys.executable, "-c", ALONE, str(tmp_path / name), str(tmp_path / "alone.duckdb")]
    run = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    found = []
    if run.returncode == 0:
        with duckdb.connect(tmp_path / "alone.duckdb") as file:
            found = file.execute("describe d.t").fetchall()
    assert run.returncode != 0 or "org" in [column for column, *_ in found]


def test_capabilities_are_looked_up_once_for_each_naming(
    tmp_path: Path, pipeline_in: Callable[[Path], dlt.Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    """dlt requests them in every step and for every table."""
    asked: list[object] = []
    answered: list[object] = []
    pipeline = pipeline_in(tmp_path / "work")
    ours, dlts = type(pipeline.destination).capabilities, dlt.destinations.duckdb.capabilities

    def asks(self: object, config: object = None, naming: object = None) -> object:
        asked.append(type(naming))
        return ours(self, config, naming)

    def answers(self: object, config: object = None, naming: object = None) -> object:
        answered.append(type(naming))
        return dlts(self, config, naming)

    monkeypatch.setattr(type(pipeline.destination), "capabilities", asks)
    monkeypatch.setattr(dlt.destinations.duckdb, "capabilities", answers)
    a_merge(pipeline)
    assert len(answered) == len(set(answered)) <= 2
    assert len(asked) > 5


def test_temporary_files_go_to_the_given_folder(tmp_path: Path, pipeline_in: Callable[[Path], dlt.Pipeline]) -> None:
    """They cannot go to a missing folder: this shows that dlt still writes each merge as a file."""
    (tmp_path / "temporary").mkdir()
    with temporary_files_in(tmp_path / "temporary"):
        a_merge(pipeline_in(tmp_path / "work"))
    with temporary_files_in(tmp_path / "not there"), pytest.raises(PipelineStepFailed, match="not there"):
        a_merge(pipeline_in(tmp_path / "work2"))


def test_a_signal_late_in_a_step_ends_the_run() -> None:
    def step() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        interruptible(step)
    with signals.intercepted_signals():
        step()  # dlt alone loses it
