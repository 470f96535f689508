"""Everything that depends on dlt's internals, and why. For each there is a test that fails if dlt changes it."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dlt
import duckdb
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import FollowupJobRequest, LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.normalizers.naming import NamingConvention
from dlt.common.runtime import signals
from dlt.common.storages import LoadStorage, NormalizeStorage
from dlt.common.storages.data_item_storage import DataItemStorage
from dlt.common.storages.load_package import LoadJobInfo
from dlt.common.storages.load_storage import LoadItemStorage
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration, DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.extract.storage import ExtractorItemStorage

from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.database_file import SESSION
from pipelines.warehouse.renamed_columns import old_names

PIPELINE: Final = "query_jobs"
TABLES_OF_DLT: Final = "_dlt"  # prefix of dlt's own tables and columns
Package = dict[str, list[Path]]  # table -> its Parquet files


def _template_of_any_path(storage: type[DataItemStorage]) -> None:
    """dlt builds file names with `%` from a template that contains the whole path, which fails in a directory named
    `100%`. This escapes the path."""
    made = storage._get_data_item_path_template

    def escaped(self: DataItemStorage, load_id: str, schema_name: str, table_name: str) -> str:
        path, _, name = made(self, load_id, schema_name, table_name).rpartition(os.sep)
        return f"{path.replace('%', '%%')}{os.sep}{name}"

    storage._get_data_item_path_template = escaped  # type: ignore[method-assign]


for _storage in (ExtractorItemStorage, LoadItemStorage):
    _template_of_any_path(_storage)


class _CopyJob(DuckDbCopyJob):
    """Loads a Parquet file of a package, changed in two ways.

    dlt does not escape its path. DuckDB would read `key=value` in a directory's name as a column, `*`, `?` and `[` as
    patterns, and end the string at a quote.

    If the table is empty and no key repeats, rows are inserted directly instead of staged and merged, which takes half
    the time and memory. It is one statement: a killed load leaves the table empty, or its rows are merged when they are
    loaded again.
    """

    _one_at_a_time: Final = threading.Lock()  # the second of two files of one table must see the rows of the first

    def run(self) -> None:
        client = self._job_client.sql_client
        path = "".join(f"[{c}]" if c in "*?[" else c for c in self._file_path).replace("'", "''")
        rows = f"read_parquet('{path}', union_by_name=true, hive_partitioning=false)"

        def insert() -> None:
            table = client.make_qualified_table_name(self.load_table_name)
            client.execute_sql(f"insert into {table} by name select * from {rows}")

        if client.is_staging_dataset_active:
            with self._one_at_a_time, client.with_alternative_dataset_name(DATASET):
                if self._are_first(client, rows):
                    insert()
                    return
        insert()

    def _are_first(self, client: DuckDbSqlClient, rows: str) -> bool:
        """Whether the table is empty, and no two of the rows have the same key. Equal hashes of two keys only mean that
        the rows are merged."""
        table = client.make_qualified_table_name(self.load_table_name)
        key = [name for name, column in self._load_table["columns"].items() if column.get("primary_key")]
        if client.execute_sql(f"select 1 from {table} limit 1"):
            return False
        differ = f"select count(*) = count(distinct hash({', '.join(key)})) from {rows}"
        return bool(key) and client.execute_sql(differ) == [(True,)]


class _Client(DuckDbClient):
    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        job = super().create_load_job(table, file_path, load_id, restore)
        return _CopyJob(file_path) if type(job) is DuckDbCopyJob else job

    def create_table_chain_completed_followup_jobs(
        self,
        table_chain: Sequence[PreparedTableSchema],
        completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None,
    ) -> list[FollowupJobRequest]:
        """Without a merge if there is nothing to merge, because all rows went into the table directly."""
        jobs = super().create_table_chain_completed_followup_jobs(table_chain, completed_table_chain_jobs)
        if not jobs:
            return jobs
        with self, self.sql_client.with_staging_dataset() as staging:
            tables = [staging.make_qualified_table_name(str(table["name"])) for table in table_chain]
            staged = any(staging.execute_sql(f"select 1 from {table} limit 1") for table in tables)
        return jobs if staged else []


class _LoaderFile(dlt.destinations.duckdb):
    """dlt's DuckDB destination, changed in two ways: `_CopyJob` and `capabilities`."""

    # Dlt stores this in the file's state: keep its own name, not this class's
    destination_type = "dlt.destinations.duckdb"

    def __init__(self, file: duckdb.DuckDBPyConnection | str) -> None:
        super().__init__(file if isinstance(file, str) else DuckDbCredentials(file, pragmas=[SESSION]))
        self._known: dict[type[Any] | None, DestinationCapabilitiesContext] = {}

    @property
    def client_class(self) -> type[DuckDbClient]:
        return _Client

    def capabilities(
        self, config: DuckDbClientConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        """Cached: dlt computes it from all settings, at every step and for every table, which takes 0.1 s per run, a
        tenth of a run that finds little."""
        kind = type(naming) if naming else None
        if kind not in self._known:
            self._known[kind] = super().capabilities(config, naming)
        return self._known[kind].copy()


def new_pipeline(file: duckdb.DuckDBPyConnection | str, folder: Path) -> dlt.Pipeline:
    """dlt's pipeline into a DuckDB file, given as an open connection, or as a path if it cannot be opened yet. `folder`
    is its working folder."""
    return dlt.pipeline(PIPELINE, destination=_LoaderFile(file), dataset_name=DATASET, pipelines_dir=str(folder))


def synced_pipeline(file: duckdb.DuckDBPyConnection, folder: Path) -> dlt.Pipeline:
    """A pipeline with the state and schema that are stored in the file. Renamed columns are removed from that schema:
    dlt would add them to the tables again."""
    pipeline = new_pipeline(file, folder)
    pipeline.sync_destination()
    for name in pipeline.schema_names:
        stored = pipeline.schemas[name].tables
        for table in TABLES:
            for old in old_names(table).keys() & stored.get(table.name, {}).get("columns", {}).keys():
                del stored[table.name]["columns"][old]
    return pipeline


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Makes dlt put its temporary files there. It writes the SQL of each merge to one, in /tmp, which may be small or
    read-only, and has no setting for that."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def interruptible(step: Callable[[], object]) -> None:
    """Runs a step of dlt, which finishes what it is doing when Ctrl-C or SIGTERM arrives. dlt would ignore one that
    arrives late in the step, and the run would continue."""
    with signals.intercepted_signals():
        step()
        signals.raise_if_signalled()


def packages_in(working: Path) -> dict[str, Package]:
    """The packages that dlt extracted but did not load, in a pipeline's working folder, by load id, oldest first.
    Unfinished packages are left out."""
    found: dict[str, Package] = {}
    # After normalizing, the extracted files are removed one by one: if both exist, the normalized package counts.
    for state in (f"normalize/{NormalizeStorage.EXTRACTED_FOLDER}", f"load/{LoadStorage.NORMALIZED_FOLDER}"):
        for folder in working.glob(f"{state}/*/"):
            tables: Package = {}
            for file in sorted(folder.glob("*_jobs/*.parquet")):
                table = file.name.split(".")[0]
                if not table.startswith(TABLES_OF_DLT):
                    tables.setdefault(table, []).append(file)
            if tables:
                found[folder.name] = tables
    return dict(sorted(found.items()))
