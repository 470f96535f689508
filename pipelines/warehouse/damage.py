"""Detects damage in DuckDB files, also in old blocks that no load ever reads.

It finds wrong checksums and truncated files. It cannot find blocks that are intact but in the wrong place: swapped
ones, or an older state of a block that the disk brought back. A block does not tell where and when it belongs."""

import functools
import hashlib
import operator
import os
import re
from io import BufferedReader
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import disk_full_error, exception_chain, is_permission_error
from pipelines.interrupts import raise_if_interrupted
from pipelines.warehouse.database_file import LOCK_MESSAGE, open_database

# From DuckDB's source: storage_info.hpp, checksum.cpp, single_file_block_manager.cpp, metadata_manager.cpp.
# Three headers, then blocks of one size. Each begins with its checksum.
HEADER_SIZE: Final = 4096
FIRST_BLOCK: Final = 3 * HEADER_SIZE
BLOCK_SIZES: Final = [1 << bits for bits in range(14, 19)]
FORMATS: Final = [*range(64, 70), 999]  # DuckDB 0.9 to 2.0, which differ in the contents of blocks
WORD: Final = 8
NO_BLOCK: Final = 2**64 - 1
FACTOR: Final = pa.scalar(0xBF58476D1CE4E5B9, pa.uint64())
SEED: Final = 5381
MAX_FREE: Final = 1 << 24  # blocks, or 4 TB: a longer list is invalid
UNREADABLE: Final = "the header or the catalog"
HEADERS: Final = -1  # in place of a block's number

DAMAGE: Final = re.compile(
    "corrupt|could not read enough bytes|could not read from file.*invalid argument|not a valid DuckDB database file"
    "|metadata block index|no more data remaining",
    re.IGNORECASE,
)


class DamagedFile(Exception):
    """The primary database is damaged; which part, can be determined after it is closed."""


def damaged_part(path: Path) -> str | None:
    """The damaged part of a DuckDB file, as text for a message; None if the file is intact.

    Reads the file once, block by block, and again with DuckDB if something is wrong. It must not be open in this
    process: closing it here would drop all POSIX locks of the process on it, including DuckDB's. Raises OSError, and
    duckdb.Error if a damaged file cannot be examined now, for example because it is locked.
    """
    suspects = suspect_blocks(path)
    if not suspects:
        return None
    damaged = damaged_table(path)
    if damaged or suspects == [HEADERS]:
        return damaged
    return f"block {suspects[0]}, which contains no table rows"


def suspect_blocks(path: Path) -> list[int]:
    """The numbers of used blocks with a wrong checksum, or beyond the end of the file.

    [HEADERS] if a header is damaged or the file's format is unknown.
    """
    with path.open("rb") as file:
        return suspects_in(file)


def suspects_in(file: BufferedReader) -> list[int]:
    """The same for an open file, such as one that must not be opened a second time."""
    file.seek(0)
    headers = [file.read(HEADER_SIZE) for _ in range(3)]
    if any(len(header) < HEADER_SIZE or not _intact(header) for header in headers):
        return [HEADERS]
    main, *databases = headers
    # The newer one counts. Its words: iteration, catalog, free list, number of blocks, block size.
    holding = max(reversed(databases), key=lambda header: _word(header, 1))
    free_list, blocks, size = (_word(holding, n) for n in (3, 4, 5))
    version, flags = (int.from_bytes(main[at : at + WORD], "little") for at in (12, 20))
    if main[8:12] != b"DUCK" or version not in FORMATS or flags or size not in BLOCK_SIZES:
        return [HEADERS]
    block = bytearray(size)
    wrong = {number for number in range(blocks) if file.readinto(block) < size or not _intact(block)}
    return sorted(wrong - _free_blocks(file, free_list, size, set(range(blocks)) - wrong)) if wrong else []


def fingerprint(path: Path) -> str:
    """Identifies the contents of a DuckDB file, wherever it is: a checksum of the headers and of all block checksums.
    (Two copies of one file may have equal headers and still differ.) Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        found.update(file.read(FIRST_BLOCK))
        for block in range(FIRST_BLOCK, os.fstat(file.fileno()).st_size, BLOCK_SIZES[-1]):
            found.update(os.pread(file.fileno(), WORD, block))
    return found.hexdigest()


def _intact(block: bytes | bytearray) -> bool:
    """Whether a block's first word is its checksum: the xor of SEED and all other words, each multiplied by FACTOR."""
    words = pa.Array.from_buffers(pa.uint64(), len(block) // WORD, [None, pa.py_buffer(block)])
    mixed = pc.multiply(words, FACTOR)
    first = mixed[0].as_py()
    while len(mixed) > 64:
        half = len(mixed) // 2
        mixed = pc.bit_wise_xor(mixed.slice(0, half), mixed.slice(half))
    found: int = functools.reduce(operator.xor, mixed.to_pylist(), SEED ^ first)
    return found == _word(block, 0)


def _free_blocks(file: BufferedReader, pointer: int, size: int, intact: set[int]) -> set[int]:
    """The blocks on the free list. They are unused: a killed process may leave them half written or not written at all.
    The list starts with its length; each 64th of a block that it fills starts with a pointer to the next."""
    part, words = (size - WORD) // 64 // WORD, list[int]()
    while pointer != NO_BLOCK and (not words or len(words) <= words[0]):
        number, nth = pointer & (2**56 - 1), pointer >> 56
        if number not in intact or len(words) > MAX_FREE:
            return set()  # DuckDB cannot read the list either
        file.seek(FIRST_BLOCK + number * size + WORD + nth * part * WORD)
        found = file.read(part * WORD)
        pointer, *more = (_word(found, n) for n in range(part))
        words += more
    return set(words[1 : 1 + words[0]]) if words else set()


def _word(data: bytes | bytearray, nth: int) -> int:
    return int.from_bytes(data[nth * WORD : (nth + 1) * WORD], "little")


def damaged_table(path: Path) -> str | None:
    """Reads all rows of all tables. Returns "the table …" for the first that cannot be read, "the header or the
    catalog" if the file cannot be opened at all, or None. Raises duckdb.Error for errors other than damage."""
    part = UNREADABLE
    try:
        with open_database(path, read_only=True, config={"memory_limit": "256MB"}) as connection:
            tables = connection.execute("select schema_name, table_name from duckdb_tables() order by all").fetchall()
            for schema, table in tables:
                part = f"the table {schema}.{table}"
                name = ".".join('"' + each.replace('"', '""') + '"' for each in (schema, table))
                connection.execute(f"select bit_xor(hash(one)) from {name} as one").fetchall()
    except (duckdb.Error, RuntimeError) as error:
        raise_if_interrupted(error)
        if is_damage(error):
            return part
        raise
    return None


def is_damage(error: BaseException) -> bool:
    """Whether DuckDB's error, or one of its causes, looks like a damaged file. An internal error may also be a bug of
    DuckDB: call `damaged_part` after closing the file to find out."""
    chain = list(exception_chain(error))
    if any(disk_full_error(cause) or is_permission_error(cause) or LOCK_MESSAGE in str(cause) for cause in chain):
        return False
    inner = duckdb.InternalException | duckdb.FatalException | duckdb.SerializationException
    return any(
        isinstance(cause, inner | DamagedFile)
        or (isinstance(cause, duckdb.Error) and DAMAGE.search(str(cause)) is not None)
        for cause in chain
    )
