"""Whether a DuckDB file can be read whole. A damaged block may be an old one, which no load ever reads.

Found is what breaks a checksum or a file's length. Not found are blocks that are intact but in the wrong place: swapped
ones, or an earlier state of a block that the disk brought back. Nothing in a block says where and when it belongs.
"""

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
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.primary import LOCK_MESSAGE

# Of DuckDB's source: storage_info.hpp, checksum.cpp, single_file_block_manager.cpp, metadata_manager.cpp.
# Three headers, then blocks of one size. Each begins with its checksum.
HEADER_SIZE: Final = 4096
FIRST_BLOCK: Final = 3 * HEADER_SIZE
BLOCK_SIZES: Final = [1 << bits for bits in range(14, 19)]
FORMATS: Final = [*range(64, 70), 999]  # of DuckDB 0.9 to 2.0, which differ in what is inside the blocks
WORD: Final = 8
NO_BLOCK: Final = 2**64 - 1
FACTOR: Final = pa.scalar(0xBF58476D1CE4E5B9, pa.uint64())
SEED: Final = 5381
MAX_FREE: Final = 1 << 24  # blocks, which are 4 TB: a list that names more is none
UNREADABLE: Final = "the header or the catalog"
HEADERS: Final = -1  # in place of a block's number

DAMAGE: Final = re.compile(
    "corrupt|could not read enough bytes|could not read from file.*invalid argument|not a valid DuckDB database file"
    "|metadata block index|no more data remaining",
    re.IGNORECASE,
)


class DamagedFile(Exception):
    """The loader's file has been found damaged; which part of it is, can be found when it is closed."""


def damaged_part(path: Path) -> str | None:
    """What of a DuckDB file is damaged, as words for a message; None where all of it is whole.

    The file is read once, a block at a time, and once more by DuckDB where something is wrong. It must not be open in
    this process: closing it drops the process's POSIX locks on it, DuckDB's with them. Raises OSError, and duckdb.Error
    where a damaged file cannot be looked into now, because it is locked for example.
    """
    suspects = suspect_blocks(path)
    if not suspects:
        return None
    damaged = damaged_table(path)
    if damaged or suspects == [HEADERS]:
        return damaged
    return f"block {suspects[0]}, which holds no table's rows"


def suspect_blocks(path: Path) -> list[int]:
    """The numbers of the blocks in use that have a wrong checksum, or that the file is too short for.

    [HEADERS] where a header is damaged, or the file's format is not one that is known here.
    """
    with path.open("rb") as file:
        return suspects_in(file)


def suspects_in(file: BufferedReader) -> list[int]:
    """The same of a file that is open, such as one that may not be opened once more."""
    file.seek(0)
    headers = [file.read(HEADER_SIZE) for _ in range(3)]
    if any(len(header) < HEADER_SIZE or not _intact(header) for header in headers):
        return [HEADERS]
    main, *databases = headers
    # The one that was written last holds. Its words: iteration, catalog, free list, number of blocks, their size.
    holding = max(reversed(databases), key=lambda header: _word(header, 1))
    free_list, blocks, size = (_word(holding, n) for n in (3, 4, 5))
    version, flags = (int.from_bytes(main[at : at + WORD], "little") for at in (12, 20))
    if main[8:12] != b"DUCK" or version not in FORMATS or flags or size not in BLOCK_SIZES:
        return [HEADERS]
    block = bytearray(size)
    wrong = {number for number in range(blocks) if file.readinto(block) < size or not _intact(block)}
    return sorted(wrong - _free_blocks(file, free_list, size, set(range(blocks)) - wrong)) if wrong else []


def fingerprint(path: Path) -> str:
    """What tells the contents of DuckDB files apart, wherever they lie: a checksum of the headers and of all blocks'
    checksums. Two files of one origin may have equal headers and differ. Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        found.update(file.read(FIRST_BLOCK))
        for block in range(FIRST_BLOCK, os.fstat(file.fileno()).st_size, BLOCK_SIZES[-1]):
            found.update(os.pread(file.fileno(), WORD, block))
    return found.hexdigest()


def _intact(block: bytes | bytearray) -> bool:
    """Whether a block's first word is its checksum: the xor of all others, each multiplied by FACTOR, and SEED."""
    words = pa.Array.from_buffers(pa.uint64(), len(block) // WORD, [None, pa.py_buffer(block)])
    mixed = pc.multiply(words, FACTOR)
    first = mixed[0].as_py()
    while len(mixed) > 64:
        half = len(mixed) // 2
        mixed = pc.bit_wise_xor(mixed.slice(0, half), mixed.slice(half))
    found: int = functools.reduce(operator.xor, mixed.to_pylist(), SEED ^ first)
    return found == _word(block, 0)


def _free_blocks(file: BufferedReader, pointer: int, size: int, intact: set[int]) -> set[int]:
    """The blocks that the free list names. They hold nothing: a killed process leaves them half written, or never
    written at all. The list begins with its length; each 64th of a block that it fills, with where it goes on."""
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
    """Reads all rows of all tables. "the table …" for the first that cannot be read, "the header or the catalog"
    where the file cannot be opened at all, None where all can be read. Raises duckdb.Error for what is no damage."""
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
    """Whether DuckDB's error, or one behind it, is what a damaged file gives. An internal error may also be a fault of
    DuckDB's own: `damaged_part` tells, once the file is closed."""
    behind = list(exception_chain(error))
    if any(disk_full_error(cause) or is_permission_error(cause) or LOCK_MESSAGE in str(cause) for cause in behind):
        return False
    inner = duckdb.InternalException | duckdb.FatalException | duckdb.SerializationException
    return any(
        isinstance(cause, inner | DamagedFile)
        or (isinstance(cause, duckdb.Error) and DAMAGE.search(str(cause)) is not None)
        for cause in behind
    )
