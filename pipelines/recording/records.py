"""Converts job records to Arrow: a pure function of a page. Salesforce's field names in, snake_case out."""

import hashlib
import json
import math
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.normalizers.naming.snake_case import NamingConvention

from pipelines.columns import NUMBER, TEXT, TIME, Table
from pipelines.job_tables import QUERY_JOBS
from pipelines.salesforce.ids import full_id
from pipelines.warehouse.renamed_columns import old_names

IDS: Final = ("id", "createdById")
DEPTH: Final = 4_096  # extra recursion depth: orjson reads values nested up to 1,024 levels
MAX_NEW_FIELDS: Final = 50  # in one run; the rest goes into extra_fields
MAX_COLUMNS: Final = 300  # of the table, over all runs: each column costs every load
MAX_NAMES: Final = 10_000  # field names that a run remembers; any beyond these go into extra_fields, too
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(3000, 1, 1, tzinfo=UTC)  # outside these, time zones or sums in views can overflow the calendar
DECIMAL: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


@dataclass(frozen=True)
class Rejected:
    """A record without a usable key: its JSON and hash, the reason, and the ids of its job and creator, if any."""

    record_hash: str
    record: str
    reason: str
    job_id: str | None
    created_by_id: str | None


@dataclass
class NewFields:
    """Which column each undocumented field gets.

    `known` are the columns that the warehouse has; `owners` says which field got each column in an earlier run,
    `new_owners` in this one. A field keeps its column: fooBar, FooBar and foo_bar all map to foo_bar, in any order.
    A field gets no column, and goes into `extra_fields`, if its column is one of ours or belongs to another field.
    So do all fields of a batch that would add more than MAX_NEW_FIELDS columns in one run, or exceed MAX_COLUMNS.
    """

    known: frozenset[str] = frozenset()
    owners: Mapping[str, str] = field(default_factory=dict)  # column -> field
    new_owners: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str | None] = field(default_factory=dict)
    too_many: int = 0  # fields that got no column only because of the limits
    table: Table = QUERY_JOBS

    def __post_init__(self) -> None:
        self.known |= frozenset(self.owners)
        self._ours = {*(c.name for c in self.table.columns), *old_names(self.table)}
        self.columns |= {name: column for column, name in self.owners.items() if column not in self._ours}

    def place(self, names: set[str]) -> None:
        """Assigns columns to the fields that were not seen before."""
        unmet = sorted(names - self.columns.keys())[: MAX_NAMES - len(self.columns)]
        if not unmet:
            return
        taken = self._ours | self.owners.keys() | self.new_owners.keys()
        wanted: dict[str, str] = {}
        for name in unmet:
            column = column_name(name)
            if column and column not in taken:
                wanted[name] = column
                taken.add(column)
            else:
                self.columns[name] = None
        new = sum(1 for c in {*wanted.values(), *self.new_owners} if c not in self.known)
        at_most = min(MAX_NEW_FIELDS, MAX_COLUMNS - len(self.known))
        for name, column in wanted.items():
            fits = new <= at_most or column in self.known
            self.columns[name] = column if fits else None
            if fits:
                self.new_owners[column] = name
            self.too_many += not fits


_NAMING: Final = NamingConvention()


def column_name(name: str) -> str:
    """The snake_case column name of a field, as dlt would name it; "" if there is no usable one."""
    if not name.strip() or len(name) > 100:
        return ""
    column: str = _NAMING.normalize_identifier(name)
    return "" if column.startswith("_dlt") or not column.strip("_x") else column


def jobs_to_arrow(records: Sequence[Any], org_id: str, new_fields: NewFields) -> tuple[pa.Table, list[Rejected]]:
    """The records as a table with the columns of `new_fields.table` except `observed_at`, and the records without a
    key.

    Undocumented fields become text columns, nested values JSON text. Nothing is dropped: a value that does not fit
    its column goes into the matching `_text` column; a record without a usable key is returned as Rejected.
    """
    rejected = [_reject(r, "not an object") for r in records if type(r) is not dict]
    jobs = [r for r in records if type(r) is dict] if rejected else records
    columns: dict[str, pa.Array] = {"org_id": pa.array([org_id] * len(jobs), TEXT)}
    for name, column in new_fields.table.fields.items():
        values = _values(jobs, name)
        if column.type == TIME:
            columns[column.name] = times(values)
        elif column.type == NUMBER:
            columns[column.name] = _numbers(values)
        else:
            columns[column.name] = _full_ids(_texts(values)) if name in IDS else _texts(values)
        if beside := f"{column.name}_text" if column.type in (TIME, NUMBER) and column.nullable else "":
            columns[beside] = _unread(values, columns[column.name])
    columns |= _more(jobs, new_fields)
    table = pa.table(columns)
    keyless = _keyless(jobs, table)
    if keyless:
        rejected += [_reject(jobs[i], reason) for i, reason in keyless.items()]
        table = table.take(pa.array([i for i in range(len(jobs)) if i not in keyless], pa.int64()))
    return table, rejected


def _values(jobs: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """The field of every job, null where it is missing. That is rare, so the fast path assumes it is there."""
    try:
        return list(map(itemgetter(name), jobs))
    except KeyError:
        return [job.get(name) for job in jobs]


def _more(jobs: Sequence[dict[str, Any]], new_fields: NewFields) -> dict[str, pa.Array]:
    """The columns of undocumented fields, and `extra_fields`."""
    names = set().union(*jobs) - new_fields.table.fields.keys()
    new_fields.place(names)
    columns = {c: _texts([r.get(n) for r in jobs]) for n in sorted(names) if (c := new_fields.columns.get(n))}
    overflow = {n for n in names if new_fields.columns.get(n) is None}
    if overflow:
        rests = [{n: value for n, value in r.items() if n in overflow} for r in jobs]
        columns["extra_fields"] = pa.array([as_json(rest) if rest else None for rest in rests], TEXT)
    else:
        columns["extra_fields"] = pa.nulls(len(jobs), TEXT)
    return columns


def _keyless(jobs: Sequence[dict[str, Any]], table: pa.Table) -> dict[int, str]:
    """Positions of the records without a usable key, and the reason for each."""
    if not any(table[c].null_count for c in ("id", "system_modstamp", "state")) and all(
        type(r["id"]) is str and r["id"].strip() for r in jobs
    ):
        return {}
    keyless: dict[int, str] = {}
    missing = [table[c].is_null().to_pylist() for c in ("system_modstamp", "state")]
    for i, (job, no_modstamp, no_state) in enumerate(zip(jobs, *missing, strict=True)):
        if not isinstance(job.get("id"), str) or not job["id"].strip():
            keyless[i] = "no id"
        elif no_modstamp:
            keyless[i] = "no readable systemModstamp"
        elif no_state:
            keyless[i] = "no state"
    return keyless


def _reject(record: Any, reason: str) -> Rejected:
    raw = as_json(record)
    given = [record.get(name) if isinstance(record, dict) else None for name in ("id", "createdById")]
    ids = [full_id(one) if isinstance(one, str) and one.strip() else None for one in given]
    return Rejected(hashlib.sha256(raw.encode()).hexdigest(), raw, reason, *ids)


# Each column is converted as a whole; value by value only if one does not fit.


def _texts(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, TEXT)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([text(v) for v in values], TEXT)


def _full_ids(ids: pa.Array) -> pa.Array:
    """15-character ids extended to 18: ids are parts of keys, and both forms mean the same record."""
    if pc.any(pc.equal(pc.utf8_length(ids), 15)).as_py():
        return pa.array([full_id(given) for given in ids.to_pylist()], TEXT)
    return ids


def text(value: Any) -> str | None:
    """A value as text: text as it is, anything else as JSON."""
    return value if value is None or isinstance(value, str) else as_json(value)


_DEEP: Final = threading.Lock()  # the recursion limit applies to the whole process


def as_json(value: Any) -> str:
    """Compact JSON with sorted keys: answers that differ only in the order of keys compare equal."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:  # nested too deeply for orjson, or an integer of more than 64 bits
        pass
    with _DEEP:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + DEPTH)
        try:
            return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        finally:
            sys.setrecursionlimit(limit)


def times(values: list[Any]) -> pa.Array:
    """Parses `…000+0000` and `…000Z`, the two ways the API writes times; null for anything that is not a time with a
    zone, or is outside EARLIEST to LATEST."""
    texts = _texts(values)
    try:
        read = texts.cast(TIME)
    except pa.ArrowInvalid:
        read = pa.concat_arrays([_time(texts[i : i + 1]) for i in range(len(texts))])
    ends = pc.min_max(read)
    if pc.and_(pc.greater_equal(ends["min"], _EARLIEST), pc.less(ends["max"], _LATEST)).as_py() is False:
        within = pc.and_(pc.greater_equal(read, _EARLIEST), pc.less(read, _LATEST))
        read = pc.if_else(within, read, pa.scalar(None, TIME))
    return read


_EARLIEST: Final = pa.scalar(EARLIEST, TIME)
_LATEST: Final = pa.scalar(LATEST, TIME)


def _time(text: pa.Array) -> pa.Array:
    try:
        return text.cast(TIME)
    except pa.ArrowInvalid:
        return pa.nulls(1, TIME)


def _numbers(values: list[Any]) -> pa.Array:
    """Parses 66.0, 58 and "52.0": the API writes versions in all three ways."""
    if all(type(v) is float for v in values):
        return pa.array(values, NUMBER)
    return pa.array([_number(v) for v in values], NUMBER)


def _number(value: Any) -> float | None:
    if isinstance(value, str) and not DECIMAL.fullmatch(value):  # Python also accepts 6_8 and other scripts' digits
        return None
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def whole_number(value: Any) -> int | None:
    """Parses 7, 7.0 and "7"; None for anything that is not a whole number of 64 bits."""
    number = _number(value)
    if number is None or not number.is_integer() or abs(number) >= 2**63:
        return None
    return value if isinstance(value, int) else int(number)


def _unread(values: list[Any], read: pa.Array) -> pa.Array:
    """The values that are not null but could not be read, as text."""
    if read.null_count == sum(v is None for v in values):
        return pa.nulls(len(values), TEXT)
    return pc.if_else(read.is_null(), _texts(values), pa.scalar(None, TEXT))
