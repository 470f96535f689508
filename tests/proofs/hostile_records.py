"""Pages as no org has ever given them, as bytes; and what has to be found of them afterwards."""

import json
from typing import Any

from hypothesis import strategies as st

from pipelines.job_tables import QUERY_JOBS
from pipelines.salesforce.ids import full_id

STAMP = "2026-11-02T12:00:00.000+0000"
NASTY = [
    "", " ", "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\u202eEVIL", "\ud83d", "\ufeff", "\n\r\t\v\f\x85\u2028", "\x7f",
    "'; drop table salesforce.query_jobs; --", '"', "<script>alert(1)</script>", "</style>", "{{7*7}}", "{%x%}", "$1",
    "%s", "[bold red]", "*_`#", "null", "NaN", "nan", "inf", "1e999", "true", "6_8", "٦٨", "0x10", "a" * 5_000,
]  # fmt: skip
NAMES = [
    "", " ", "_", "$", "é", "\x00", "\ud800", "\ud801", "id", "Id", "ID", "orgId", "org_id", "observedAt", "_dlt_id",
    "_dlt_load_id", "_dlt_position", "createdDate_text", "created_date_text", "extra_fields", "extra_fields", "rowid", "ROWID", "select",
    "order", "group", "table", "from", "user", "l", "s", "c", "stored", "listed", "filename", "file_row_number",
    "oid", "ctid", "excluded", "value", "key", "a;drop table x", 'a"b', "a'b", "a.b", "a__b", "newField", "new_field",
    "NewField", "new-field", "x" * 100, "x" * 101, "Aa" * 50, "1", "1a", "__", "_1", "columns", "index", "constructor",
]  # fmt: skip
TIMES = [
    STAMP, "2026-11-02T12:00:00Z", "1969-07-20T20:17:40.000+0000", "1900-01-01T00:00:00Z", "1899-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+1400", "2262-04-11T23:47:17Z", "2999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-1200", "10000-01-01T00:00:00Z", "-0044-03-15T00:00:00Z", "2016-12-31T23:59:60Z",
    "2026-11-02T24:00:00Z", "2026-02-30T00:00:00Z", "2026-11-02T12:00:00+2500", "2026-11-02T12:00:00+05:45",
    "2026-11-02T12:00:00.123456789Z", "2026-11-02T12:00:00", "2026-11-02", "now", "infinity", "epoch", "1772452800000",
]  # fmt: skip
NUMBERS = [0, -1, 2**31, 2**53 + 1, 2**63, -(2**63), 2**64, 10**30, 1.5, -0.0, 5e-324, 1.7976931348623157e308]
RAW = ["1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 400, "9" * 5_000, "-" + "9" * 5_000, "0." + "0" * 5_000]

texts = st.sampled_from(NASTY) | st.text(st.characters(codec=None), max_size=20)  # surrogates, too
names = st.sampled_from([*NAMES, *QUERY_JOBS.fields]) | st.text(st.characters(codec=None), max_size=12)
scalars = (
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.integers() | st.floats() | texts | st.sampled_from(TIMES)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
ids = (
    st.sampled_from(["750R0000000zhfdIAA", "750R0000000zhfdiaa", "750R0000000zhfd", "750$R", "\x00", "..", "'"]) | texts
)


@st.composite
def records(draw: st.DrawFn) -> Any:
    """Mostly objects with a key, of which one or the other field is odd."""
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return draw(values)
    record: dict[str, Any] = {"id": draw(ids), "state": "Open", "systemModstamp": STAMP, "createdDate": STAMP}
    if kind < 4:
        record["systemModstamp"] = draw(st.sampled_from(TIMES) | values)
        record["createdDate"] = draw(st.sampled_from(TIMES) | values)
    record |= draw(st.dictionaries(names, values, max_size=4))
    for name in draw(st.sets(st.sampled_from([*QUERY_JOBS.fields]), max_size=1)):
        record.pop(name, None)
    return record


@st.composite
def pages(draw: st.DrawFn, most: int = 6) -> bytes:
    """A complete listing of one page, in one of the encodings that JSON decoders know."""
    body = {"done": True, "nextRecordsUrl": None, "records": draw(st.lists(records(), max_size=most))}
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    for mark in draw(st.lists(st.sampled_from(RAW), max_size=2)):
        text = text.replace('"Open"', f'"Open", "raw": {mark}', 1)
    if draw(st.integers(0, 9)) == 0:
        text = text.replace('"Open"', '"Open", "deep": ' + "[" * 500 + "]" * 500, 1)
    encoding = draw(st.sampled_from(["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-32"]))
    return text.encode(encoding, "surrogatepass")


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """What is no listing: a page that is cut, has a byte changed or comes in Latin-1, another envelope, or any bytes."""
    page = draw(pages(most=3))
    kind, place = draw(st.integers(0, 4)), draw(st.integers(0, len(page) - 1))
    if kind == 0:
        return page[:place]
    if kind == 1:
        return page[:place] + bytes([draw(st.integers(0, 255))]) + page[place + 1 :]
    if kind == 2:
        return '{"done": true, "records": ["é"]}'.encode("latin-1")
    if kind == 3:
        body = {"done": draw(values), "records": draw(values), "nextRecordsUrl": draw(values)}
        return json.dumps(draw(st.sampled_from([body, draw(values), [body], {**body, "done": False}]))).encode()
    return draw(st.binary(max_size=50))


def lost(record: Any, row: dict[str, Any]) -> list[str]:
    """The fields of a record that cannot be found again in its row."""
    found = json.loads(row["extra_fields"] or "{}")
    others = {name: value for name, value in row.items() if name not in {c.name for c in QUERY_JOBS.columns}}
    return [name for name, value in record.items() if not _is_found(name, value, row, found, others)]


def _is_found(name: str, value: Any, row: dict[str, Any], more: dict[str, Any], others: dict[str, Any]) -> bool:
    if value is None:
        return True
    column = QUERY_JOBS.fields.get(name)
    if column is None:
        return more.get(name, row) == value or any(same(value, text) for text in others.values())
    held, beside = row[column.name], row.get(f"{column.name}_text")
    if beside is not None:
        return held is None and same(value, beside)
    if hasattr(held, "utcoffset"):
        return held is not None and isinstance(value, str)
    if isinstance(held, float):
        return held == float(value)
    return same(full_id(value) if name in ("id", "createdById") else value, held)


def same(value: Any, text: Any) -> bool:
    """Whether a text is this value: as it is, or as JSON."""
    if isinstance(value, str) or not isinstance(text, str):
        return bool(value == text)
    try:
        return bool(json.loads(text) == value)
    except ValueError:
        return False
