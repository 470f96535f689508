"""Damages DuckDB files, down to single bits."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipelines.warehouse.damage import FIRST_BLOCK, HEADER_SIZE, damaged_part, suspect_blocks

BLOCK = 262_144


def flip(file: Path, at: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        (was,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([was ^ 4]))


def used_blocks(file: Path) -> Iterator[int]:
    """The start of each block in which a flipped bit matters."""
    for start in range(FIRST_BLOCK, file.stat().st_size - BLOCK + 1, BLOCK):
        flip(file, start + 100)
        suspect = suspect_blocks(file)
        flip(file, start + 100)
        if suspect:
            yield start


def damaged_parts(file: Path) -> Iterator[str]:
    """Damages a file in each of its regions and at many lengths; returns what is damaged then."""
    was = file.read_bytes()
    harms: list[Callable[[], None]] = [
        lambda at=at: flip(file, at)  # type: ignore[misc]
        for at in (0, HEADER_SIZE + 9, 2 * HEADER_SIZE + 9, *(start + 100 for start in used_blocks(file)))
    ]
    lengths = (1, 4095, FIRST_BLOCK - 1, FIRST_BLOCK, FIRST_BLOCK + BLOCK, len(was) // 2, len(was) - BLOCK - 1)
    harms += [lambda length=length: os.truncate(file, length) for length in lengths]  # type: ignore[misc]
    for harm in harms:
        file.write_bytes(was)
        harm()
        if part := damaged_part(file):
            yield part
