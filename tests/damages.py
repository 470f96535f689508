"""Damages files in every way that a disk does: flipped bits, and lengths that are too short. DAMAGES sets how many of
each are tried."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

DAMAGES = int(os.environ.get("DAMAGES", "3"))


def damages(content: bytes, seed: str) -> Iterator[tuple[str, bytes]]:
    """What becomes of a file, and how."""
    dice = random.Random(seed)
    if not content:
        return
    for _ in range(DAMAGES):
        at, bit = dice.randrange(len(content)), dice.randrange(8)
        yield f"bit {bit} of byte {at} flipped", flipped(content, at, bit)
    for length in {0, len(content) - 1, *(dice.randrange(len(content)) for _ in range(DAMAGES // 3))}:
        yield f"cut to {length} of {len(content)} bytes", content[:length]


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def files_in(folder: Path) -> list[str]:
    """All files below a folder, as paths relative to it."""
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
