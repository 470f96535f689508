"""What changed since the last forward: the new copy of the warehouse compared, row by row, with the one last sent.

No cursor on a time could tell: a row keeps its `observed_at` while other columns of it change, kept listings come late,
and a restored file goes back.

Rows that vanished are reported only where the file has gone on from the copy that was sent, which is so if it still has
each listing that was: then the recorder itself has moved or merged them (`feed_join.py`, `org_join.py`). An older file,
restored, and a new one also lack rows. These stay in the destination, for it may be the only place that still has them;
`forward --full` removes them.
"""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from pipelines.columns import Table
from pipelines.interrupts import raise_if_interrupted
from pipelines.job_tables import ORG_ID
from pipelines.tables import DATASET, LISTINGS, TABLES
from pipelines.warehouse.damage import suspect_blocks
from pipelines.warehouse.database_file import read_macro
from pipelines.warehouse.file_identity import MACRO
from pipelines.warehouse.renamed_columns import old_names

HERE, SENT, COMPARED = "here", "sent", "compared"  # the catalogs: two files, and what was found
CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "512MB",  # a million jobs need a fifth of it; beyond it, DuckDB spills to disk
    "preserve_insertion_order": False,
}
BATCH: Final = 100_000  # rows
PART: Final = 10_240  # rows
# Every destination has these years, and Python's dates, which read it, no others. Infinity becomes the last moment.
FIRST, LAST = "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"
NUL: Final = "chr(0)"  # Postgres cannot store it in a text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """What is to be sent of one table."""

    table: Table
    schema: pa.Schema  # the columns of the file: ours, and those of fields that Salesforce has added
    changed: int  # rows that are new or different
    gone: int = 0  # rows that were sent, and are no longer here
    is_continued: bool = True  # whether the recorder itself has moved or merged these
    sent: int = 0  # rows of the copy that was sent

    @property
    def removed(self) -> int:
        """Rows to remove in the destination, too."""
        return self.gone if self.is_continued else 0

    @property
    def of_listings(self) -> bool:
        """Whether these are listings, which prove what is in the other tables."""
        return self.table.name == LISTINGS.name

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


class Differences:
    """Two files, compared; `sent` is None if there is nothing to compare with: then every row is new."""

    def __init__(self, new: Path, sent: Path | None, temporary: Path) -> None:
        self.connection = duckdb.connect(config={**CONFIG, "temp_directory": str(temporary)})
        self.sent = sent
        try:
            self.connection.execute(f"set TimeZone = 'UTC'; attach ':memory:' as {COMPARED}")
            for name, file in ((HERE, new), (SENT, sent)):
                if file:
                    path = str(file).replace("'", "''")
                    self.connection.execute(f"attach '{path}' as {name} (type duckdb, read_only)")
            self.is_continued = self._is_continued()
            self.changes = [self._compare(table) for table in TABLES if self._columns(HERE, table.name)]
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        self.connection.close()

    @property
    def identity(self) -> str | None:
        """The identity of the file; None if an earlier version published it."""
        return read_macro(self.connection, f"{HERE}.{MACRO}")

    @property
    def orgs(self) -> tuple[str, ...]:
        """The orgs that the file knows."""
        return tuple(sorted({org for change in self.changes for org in self.orgs_in(change)}))

    def orgs_in(self, change: Change) -> tuple[str, ...]:
        """The orgs that have rows in a table."""
        found = self._rows(f"select distinct {ORG_ID.name} from {_named(HERE, change.table)} order by 1")
        return tuple(str(org) for (org,) in found)

    @property
    def listings(self) -> set[str]:
        """The ids of all listings of the file."""
        return {str(one) for (one,) in self._rows(f"select listing_id from {_named(HERE, LISTINGS)}")}

    def rows(self, change: Change) -> Iterator[pa.RecordBatch]:
        """The rows to send. Every destination can store them: times and texts that some cannot are replaced."""
        source = self._sources(change)
        columns = ", ".join(
            f"{_storable(field, source[field.name])} as {_quoted(field.name)}" for field in change.schema
        )
        which = self._which(change)
        cursor = self.connection.cursor()  # one for each table: a reader keeps its connection busy
        cursor.execute("set TimeZone = 'UTC'")
        reader = cursor.sql(f"select {columns} from {_named(HERE, change.table)}{which}").to_arrow_reader(BATCH)
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=change.schema)

    def longest_key(self, change: Change) -> int:
        """Bytes of the longest key among the rows to send."""
        length = " + ".join(f"strlen(cast({_quoted(column)} as varchar))" for column in change.table.key)
        ((longest,),) = self._rows(f"select max({length}) from {_named(HERE, change.table)}{self._which(change)}")
        return int(str(longest or 0))

    def removed_keys(self, change: Change) -> Iterator[tuple[object, ...]]:
        """The keys of the rows that are no longer here."""
        if not change.removed:
            return
        keys = ", ".join(_storable(change.schema.field(column), f"s.{_quoted(column)}") for column in change.table.key)
        yield from self._rows(
            f"select {keys} from {_named(SENT, change.table)} as s anti join {_named(HERE, change.table)} as h "
            f"using ({', '.join(map(_quoted, change.table.key))})"
        )

    def _compare(self, table: Table) -> Change:
        types = self._columns(HERE, table.name)
        schema = self._schema(table, types)
        here = _named(HERE, table)
        if self.sent is None or not (before := self._columns(SENT, table.name)):
            if self.sent is not None:
                self.connection.execute(f"create table {_changed(table)} as select rowid as id from {here}")
            return Change(table, schema, self._count(here))
        columns = ", ".join(f"h.{_quoted(name)}" for name in types)
        # A column by its name then, which may have been an earlier one.
        same = {name: _name_in(before, table, _name_in(types, table, name, new=True)) for name in types}
        before_that = ", ".join(
            f"try_cast(s.{_quoted(same[name])} as {kind})" if same[name] in before else f"cast(null as {kind})"
            for name, kind in types.items()
        )
        keys = [", ".join(f"{alias}.{_quoted(column)}" for column in table.key) for alias in ("h", "s")]
        key = f"hash({keys[0]}) = hash({keys[1]})"
        sent = _named(SENT, table)
        # Of two copies of one file, nearly all parts have the same rows: two thirds of the time of joining these.
        # By hashes, of which a difference is overlooked once in 2^64: a third of the time of comparing columns.
        parts = _parts(here, "h", columns), _parts(sent, "s", before_that)
        self.connection.execute(
            "create or replace temp table parts as select distinct coalesce(h.part, s.part) as part "
            f"from {parts[0]} full join {parts[1]} on h.part = s.part and h.size = s.size and h.digest = s.digest "
            "where h.part is null or s.part is null"
        )
        # Keys are unique, so that no row of a part that differs can be in one that does not.
        differing = f"rowid // {PART} in (select part from parts)"
        self.connection.execute(
            f"create table {_changed(table)} as select h.rowid as id from {here} as h "
            f"anti join (select * from {sent} where {differing}) as s "
            f"on {key} and hash({columns}) = hash({before_that}) where h.{differing}"
        )
        changed = self._count(_changed(table))
        new = changed and self._count(
            f"{here} as h anti join (select * from {sent} where {differing}) as s on {key} "
            f"where h.rowid in (select id from {_changed(table)})"
        )
        was_sent = self._count(sent)
        # Keys are unique in both files: all that is here and not new was sent before.
        return Change(table, schema, changed, was_sent - (self._count(here) - new), self.is_continued, was_sent)

    def _is_continued(self) -> bool:
        if self.sent is None or not all(self._columns(catalog, LISTINGS.name) for catalog in (HERE, SENT)):
            return False
        here, sent = _named(HERE, LISTINGS), _named(SENT, LISTINGS)
        return self._count(f"{sent} as s anti join {here} as h using (listing_id)") == 0

    def _schema(self, table: Table, types: dict[str, str]) -> pa.Schema:
        """The columns of the file, each with its type, ours first. What our table lacks is not sent: dlt's own
        columns, and nothing else, for a field that Salesforce adds is a text."""
        ours = {field.name: field for field in table.schema}
        names = [_name_in(types, table, name, new=True) for name in types]
        others = [name for name in names if name not in ours]
        return pa.schema(
            [field for name, field in ours.items() if name in names] + [pa.field(name, pa.string()) for name in others]
        )

    def _sources(self, change: Change) -> dict[str, str]:
        """Name of each column to send -> its name in the file, which may be an earlier one, quoted."""
        types = self._columns(HERE, change.table.name)
        return {name: _quoted(_name_in(types, change.table, name)) for name in change.schema.names}

    def _which(self, change: Change) -> str:
        return "" if self.sent is None else f" where rowid in (select id from {_changed(change.table)})"

    def _columns(self, catalog: str, table: str) -> dict[str, str]:
        """Name and type of each column; empty if the file has no such table."""
        found = self._rows(
            "select column_name, data_type from duckdb_columns() "
            f"where database_name = '{catalog}' and schema_name = '{DATASET}' and table_name = '{table}' "
            "order by column_index"
        )
        return {str(name): str(kind) for name, kind in found if not str(name).startswith("_dlt")}

    def _count(self, table: str) -> int:
        return int(str(self._rows(f"select count(*) from {table}")[0][0]))

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        return self.connection.execute(sql).fetchall()


@contextmanager
def compared(new: Path, sent: Path | None, temporary: Path) -> Iterator[Differences]:
    """The two files, compared. A sent copy that is lost or cannot be read counts as none: all is sent again."""
    try:
        found = Differences(new, sent if sent and sent.is_file() else None, temporary)
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if sent is None or not sent.is_file() or suspect_blocks(new):
            raise
        logger.warning("The copy that was last sent, %s, cannot be read: everything is sent again.", sent)
        found = Differences(new, None, temporary)
    with closing(found):
        yield found


def _storable(field: pa.Field, column: str) -> str:
    if pa.types.is_timestamp(field.type):
        return (
            f"case when {column} is not null then "
            f"greatest(timestamptz '{FIRST}', least(timestamptz '{LAST}', {column})) end"
        )
    if pa.types.is_string(field.type):
        return f"replace(cast({column} as varchar), {NUL}, '\N{REPLACEMENT CHARACTER}')"
    return column


def _name_in(there: dict[str, str], table: Table, name: str, *, new: bool = False) -> str:
    """A column's name in a file that has these columns: an earlier one, if the file has only that; with `new`, the
    current name of such a column."""
    names = old_names(table) if new else {current: old for old, current in old_names(table).items()}
    other = names.get(name, name)
    return other if (other not in there if new else name not in there and other in there) else name


def _parts(file: str, alias: str, values: str) -> str:
    """Each part of a table, with its number of rows and a digest of them. The hash of several values is, up to the last
    one, that of the others XOR that of the last: without being hashed again, two rows whose last values change alike
    would leave the digest as it is."""
    return (
        f"(select {alias}.rowid // {PART} as part, count(*) as size, bit_xor(hash(hash({values}))) as digest "
        f"from {file} as {alias} group by 1) as {alias}"
    )


def _named(catalog: str, table: Table) -> str:
    return f"{catalog}.{DATASET}.{table.name}"


def _changed(table: Table) -> str:
    return f"{COMPARED}.main.{table.name}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
