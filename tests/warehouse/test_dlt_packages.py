"""Each use of dlt's internals in `dlt_packages.py`: it still has its effect, and dlt still needs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.common.runtime import signals
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.config.dlt_context import use_given_settings
from pipelines.tables import DATASET
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


def is_merged(pipeline: dlt.Pipeline, *rows: tuple[int, int]) -> bool:
    """Loads the rows, of an id and a version; returns whether dlt merged them from its staging table."""
    table = pa.Table.from_pylist([{"id": key, "version": version} for key, version in rows])
    by = {"primary_key": "id", "columns": {"version": {"dedup_sort": "desc"}}}
    info = pipeline.run(table, table_name="t", write_disposition="merge", loader_file_format="parquet", **by)  # type: ignore[arg-type]
    jobs = [job.job_file_info for job in info.load_packages[0].jobs["completed_jobs"]]
    return any((job.table_name, job.file_format) == ("t", "sql") for job in jobs)


@pytest.mark.parametrize("first", [0, 1])
def test_the_first_rows_go_straight_into_the_table(
    tmp_path: Path, pipeline_in: Callable[[Path], dlt.Pipeline], first: int
) -> None:
    """And so do those after the table was emptied. Later ones are merged."""
    pipeline = pipeline_in(tmp_path / "a")
    if first:
        is_merged(pipeline, (9, 1))
        with pipeline.sql_client() as client:
            client.execute_sql(f"delete from {DATASET}.t")

    assert not is_merged(pipeline, (1, 1), (2, 1))
    assert is_merged(pipeline, (2, 2), (3, 1))
    assert versions(pipeline) == [(1, 1), (2, 2), (3, 1)]


def test_first_rows_with_equal_keys_are_merged(tmp_path: Path, pipeline_in: Callable[[Path], dlt.Pipeline]) -> None:
    pipeline = pipeline_in(tmp_path / "a")

    assert is_merged(pipeline, (1, 1), (1, 2))
    assert versions(pipeline) == [(1, 2)]


def test_rows_without_a_key_are_appended(tmp_path: Path, pipeline_in: Callable[[Path], dlt.Pipeline]) -> None:
    pipeline = pipeline_in(tmp_path / "a")
    for _ in range(2):
        pipeline.run(pa.table({"id": [1]}), table_name="t", loader_file_format="parquet", write_disposition="append")
    with pipeline.sql_client() as client:
        assert client.execute_sql("select id from t") == [(1,), (1,)]


def versions(pipeline: dlt.Pipeline) -> list[tuple[int, int]]:
    with pipeline.sql_client() as client:
        return list(client.execute_sql("select id, version from t order by id") or ())  # type: ignore[arg-type]
