"""What is sent goes through dlt. Everything of forwarding that depends on dlt's inside is here.

Rows go to a staging dataset first and are merged from there. By default, dlt has one for all pipelines of a dataset,
and of two recorders that forward at once, one truncates what the other has staged: rows are lost, and both report
success (dlt-hub/dlt#4297). So each recorder has a staging dataset of its own, and a pipeline of its own name.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dlt
import pyarrow as pa
from dlt.common.configuration.utils import get_resolved_traces
from dlt.common.destination import Destination
from dlt.common.destination.client import JobClientBase, WithStagingDataset
from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema
from dlt.common.schema.utils import new_table
from dlt.common.time import increasing_precise_time
from dlt.destinations.impl.postgres.configuration import PostgresCredentials
from dlt.destinations.job_client_impl import SqlJobClientBase

from pipelines.columns import Table
from pipelines.forwarding.destination_errors import Credentials, check_url
from pipelines.forwarding.differences import Change
from pipelines.forwarding.lake_destination import hints_in_lake, lake_destination, with_load_id
from pipelines.forwarding.settings import ForwardSettings
from pipelines.job_tables import ORG_ID
from pipelines.warehouse.dlt_packages import interruptible

TYPES: Final[dict[str, Any]] = {"string": "text", "int64": "bigint", "double": "double", "bool": "bool"}
WORKERS: Final = 4  # connections of one forward; dlt's default is 20, and a hundred is all that Postgres usually has
LOCATIONS: Final = ("database", "catalog", "project_id", "bucket_url")
Rows = Callable[[Change], Iterable[pa.RecordBatch]]


def _escape_spaces(credentials: type[PostgresCredentials]) -> None:
    """In the URL that dlt makes of a password, SQLAlchemy leaves spaces as they are: Postgres' driver refuses that, and
    quotes the password."""
    made = credentials.to_native_representation
    credentials.to_native_representation = lambda self: made(self).replace(" ", "%20")  # type: ignore[method-assign]


_escape_spaces(PostgresCredentials)


class Delivery:
    """dlt's pipeline from one recorder to one dataset."""

    def __init__(self, settings: ForwardSettings, recorder: str, work: Path) -> None:
        self.settings = settings
        self.name = f"forward_{short_name(recorder)}"
        self.mark = short_name(recorder)
        self.staging = f"{settings.dataset}_staging_{self.mark}"
        self.destination = _destination(settings, self.mark)
        self.pipeline = dlt.pipeline(
            self.name, destination=self.destination, dataset_name=settings.dataset, pipelines_dir=str(work)
        )
        self.pipeline.config.restore_from_destination = False  # what was sent is known here: no state is kept there
        self.load_id = 0.0  # of the last package

    @property
    def dialect(self) -> str:
        """The destination's SQL, by sqlglot's name; empty if it has none."""
        return dialect_of(self.settings)

    @property
    def in_one_transaction(self) -> bool:
        """Whether views can be replaced in one transaction."""
        return bool(self.destination.capabilities().supports_ddl_transactions)

    @contextmanager
    def connected(self, tables: Sequence[tuple[Table, pa.Schema]]) -> Iterator[JobClientBase]:
        """A client of the destination that knows these tables; nothing is created yet."""
        self.pipeline._inject_schema(_schema(self.name, tables))
        with self.pipeline.destination_client() as client:
            forget_secrets()
            yield client

    def send(self, changes: Sequence[Change], rows: Rows, after: float, replaced: Sequence[str] = ()) -> None:
        """Loads the changed rows as one package, whose load id is greater than `after`, whatever the clock says.

        Of the orgs in `replaced`, these are all rows, and others are deleted."""
        # dlt takes a load id from the clock, and readers of a lake take the row with the greatest.
        increasing_precise_time._last = max(increasing_precise_time._last, after)
        self.pipeline.extract([_resource(change, rows, self.settings, replaced) for change in changes])
        interruptible(self.pipeline.normalize)
        interruptible(lambda: self.pipeline.load(workers=WORKERS))
        self.load_id = increasing_precise_time._last
        forget_secrets()


def dialect_of(settings: ForwardSettings) -> str:
    """The destination's SQL, by sqlglot's name; empty if it has none."""
    return str(_destination(settings).capabilities().sqlglot_dialect or "")


def place_of_data(settings: ForwardSettings, hidden: Credentials) -> str:
    """Where the rows are, as text; without a secret, and without connecting. `hidden` gets what must not be shown.
    Raises what dlt raises for missing settings."""
    destination = _destination(settings)
    initial = destination.spec()
    if hasattr(initial, "_bind_dataset_name"):
        initial._bind_dataset_name(settings.dataset)
    try:
        configuration = destination.configuration(initial)
    finally:
        forget_secrets()
    hidden.read(configuration)
    found = configuration.credentials
    check_url(found, settings)
    parts = [settings.destination, str(configuration.data_location() or "")]
    parts += [str(getattr(place, key, None) or "") for place in (found, configuration) for key in LOCATIONS]
    return " ".join([*filter(None, parts), settings.dataset])


def _destination(settings: ForwardSettings, mark: str = "") -> Any:
    if settings.is_lake:
        return lake_destination(mark)
    more = {"staging_dataset_name_layout": f"%s_staging_{mark}"} if mark else {}
    return Destination.from_reference(f"dlt.destinations.{settings.destination}", **more)


def lost_tables(client: JobClientBase, tables: Sequence[Table]) -> list[str]:
    """Those of these tables of a database, of which rows were sent, that are no longer there."""
    if not isinstance(client, SqlJobClientBase):
        return []
    names = [table.name for table in tables]
    if not client.is_storage_initialized():
        return names
    return [name for name, columns in client.get_storage_tables(names) if not columns]


def create_tables(client: JobClientBase) -> None:
    """Creates missing tables and columns, as dlt would with the first row. dlt would skip what it did before, even if
    a table has been dropped since."""
    client.initialize_storage()
    client.update_stored_schema(force=True)
    if isinstance(client, WithStagingDataset):
        with client.with_staging_dataset():
            client.initialize_storage()


def sql_client_of(client: JobClientBase) -> Any:
    """Runs SQL in the destination; None if that is no database."""
    return client.sql_client if isinstance(client, SqlJobClientBase) else None


def forget_secrets() -> None:
    """dlt pickles every value that it resolved into a trace. It leaves out secrets, but not those inside a URL."""
    get_resolved_traces().clear()


def short_name(recorder: str) -> str:
    """A recorder's name as part of names in any database: different for different recorders."""
    readable = re.sub(r"[^a-z0-9]+", "_", recorder.lower()).strip("_")[:16].strip("_")
    return f"{readable}_{hashlib.sha256(recorder.encode()).hexdigest()[:8]}"


def _schema(name: str, tables: Sequence[tuple[Table, pa.Schema]]) -> Schema:
    schema = Schema(name)
    for table, columns in tables:
        schema.update_table(
            new_table(table.name, columns=[_column(field, table) for field in columns], write_disposition="append")
        )
    return schema


def _column(field: pa.Field, table: Table) -> TColumnSchema:
    column: TColumnSchema = {"name": field.name, "nullable": field.nullable}
    if pa.types.is_timestamp(field.type):
        column |= {"data_type": "timestamp", "precision": 6, "timezone": True}
    else:
        column["data_type"] = TYPES[str(field.type)]
    meaning = next((ours.meaning for ours in table.columns if ours.name == field.name), None)
    return column if meaning is None else {**column, "description": meaning}


def _resource(change: Change, rows: Rows, settings: ForwardSettings, replaced: Sequence[str]) -> Any:
    if settings.is_lake:
        how: dict[str, Any] = hints_in_lake(change.table, settings.table_format, replaced)
    else:  # the one strategy that all databases have
        merge = {"disposition": "merge", "strategy": "delete-insert"}
        key = {"merge_key": ORG_ID.name} if replaced else {"primary_key": change.table.key}
        how = {"write_disposition": merge, **key}

    def batches() -> Iterator[pa.RecordBatch]:
        yield from with_load_id(rows(change)) if settings.is_lake else rows(change)

    return dlt.resource(
        batches,
        name=change.table.name,
        file_format="parquet",
        columns={field.name: _column(field, change.table) for field in change.schema},
        **how,
    )
