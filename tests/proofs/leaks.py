"""Where a secret leaks: in any file, compressed, pickled, in a table or encoded, and in the output of any process."""

import base64
import contextlib
import gzip
import io
import json
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

SHORTEST = 12  # characters of the secret: shorter strings would be found by chance
ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")


def forms(secret: str) -> set[bytes]:
    """The secret itself, and as written by URLs, JSON, Python, hex digits and base64, anywhere in a text."""
    plain = secret.encode()
    texts = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1], plain.hex()}
    texts |= {json.dumps(secret)[1:-1], secret.replace("\n", "\\n"), quote(secret, safe="").lower()}
    found = {text.encode() for text in texts}
    for before in range(3):  # base64 encodes three bytes together: which ones depends on what precedes them
        packed = base64.b64encode(b"-" * before + plain).rstrip(b"=")[(0, 2, 3)[before] :]
        packed = packed[: -1 if (before + len(plain)) % 3 else None]
        found |= {packed, packed.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def key_forms(pem: str) -> set[bytes]:
    """Each line of a private key, and the bytes that it encodes."""
    lines = [line for line in pem.splitlines() if len(line) > SHORTEST and not line.startswith("-----")]
    return {form for line in lines for form in forms(line)} | {
        base64.b64decode(line) for line in lines if len(line) == 64
    }


def leaks(secrets: dict[str, set[bytes]], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """Which secret was found in which place."""
    assert all(len(form) >= SHORTEST for forms_of_one in secrets.values() for form in forms_of_one)
    found = []
    for place, content in places:
        for text in unpacked(content):
            dense = text.replace(b"\0" * 64, b"")  # a DuckDB file is mostly empty
            found += [f"{name} in {place}" for name, wanted in secrets.items() if any(form in dense for form in wanted)]
    return sorted(set(found))


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file's name and content, and every row of every DuckDB file, except where a secret belongs."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        if name == ".dlt/secrets.toml":
            continue
        yield name, name.encode() + b"\n" + file.read_bytes()
        if file.suffix == ".parquet" or file.read_bytes()[:4] == b"PAR1":
            with contextlib.suppress(pa.ArrowException):  # of a killed run, half a file is left
                yield name, str(pq.read_table(file).to_pylist()).encode()
        if file.suffix == ".duckdb":
            yield f"tables of {name}", _tables(file)


def unpacked(content: bytes) -> Iterator[bytes]:
    """The content, and whatever is compressed in it by gzip or, in base64, by zlib, as in dlt's state."""
    yield content
    if content.count(b"\x1f\x8b\x08"):
        start = content.index(b"\x1f\x8b\x08")
        with contextlib.suppress(OSError, EOFError, zlib.error):
            yield from unpacked(gzip.GzipFile(fileobj=io.BytesIO(content[start:])).read())
    for text in ENCODED.findall(content):
        with contextlib.suppress(ValueError, zlib.error):
            yield zlib.decompress(base64.b64decode(text))


def _tables(file: Path) -> bytes:
    """All rows of all tables, as text; from a copy, because opening a file replays its log into it."""
    copy = file.with_name(f"{file.name}.looked_at")
    wal = file.with_name(f"{file.name}.wal")
    shutil.copy(file, copy)
    if wal.exists():
        shutil.copy(wal, copy.with_name(f"{copy.name}.wal"))
    try:
        with duckdb.connect(copy) as connection:
            names = connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
            rows = [row for name in names for row in connection.sql('from "{}"."{}"'.format(*name)).fetchall()]
            return "\n".join(str(value) for row in rows for value in row).encode()
    finally:
        copy.unlink()
        copy.with_name(f"{copy.name}.wal").unlink(missing_ok=True)
