"""Damage is found wherever it is, and an intact file is never reported as damaged."""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from processes import holding
from small_disks import fill, mounted

from pipelines.config.project import PROJECT
from pipelines.errors import RecorderError
from pipelines.warehouse import damage
from pipelines.warehouse.damage import (
    FIRST_BLOCK,
    HEADER_SIZE,
    HEADERS,
    damaged_part,
    damaged_table,
    is_damage,
    suspect_blocks,
)
from pipelines.warehouse.empty_database import STORAGE_VERSION
from pipelines.warehouse.primary import CONFIG

BLOCK = 262_144
PLACES = (0, 7, 8, BLOCK // 2, BLOCK - 1)  # bytes of a block: its checksum, and what that covers


@pytest.fixture(scope="module", params=[STORAGE_VERSION, "latest"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of some thirty blocks of every kind: columns, long texts, lists, deleted rows, an index, free blocks, the
    catalog; in the format of the recorder's files, and in the newest one."""
    file = tmp_path_factory.mktemp("whole") / "whole.duckdb"
    with duckdb.connect(file, config={"storage_compatibility_version": request.param}) as made:
        made.execute("create table odd as select n, null as x, 'b'::enum('a', 'b') as y from range(10) as t(n)")
        made.execute(
            "create table jobs as select n, md5(n::varchar) as id, [md5(n::varchar)] as l from range(20_000) as t(n)"
        )
        made.execute(
            "create table texts as select repeat(md5(n::varchar), 20_000) as long from range(1) as t(n); checkpoint"
        )
        made.execute("create table gone as from jobs; checkpoint; drop table gone; delete from jobs where n < 10_000")
        made.execute(
            'create schema more; create table more."a ""b" as from odd; create view seen as from jobs; checkpoint'
        )
        made.execute("create table keyed (id bigint primary key); insert into keyed from range(40_000)")
    return file


@pytest.fixture
def file(whole: Path, tmp_path: Path) -> Path:
    return shutil.copyfile(whole, tmp_path / "file.duckdb")


def blocks(file: Path) -> range:
    return range((file.stat().st_size - FIRST_BLOCK) // BLOCK)


def place(block: int) -> int:
    return FIRST_BLOCK + block * BLOCK


def write(file: Path, at: int, data: bytes) -> bytes:
    """Writes into a file; returns the previous content."""
    with file.open("r+b") as opened:
        opened.seek(at)
        was = opened.read(len(data))
        opened.seek(at)
        opened.write(data)
    return was


def flip(file: Path, at: int) -> None:
    write(file, at, bytes([write(file, at, b"?")[0] ^ 4]))


def free_blocks(file: Path) -> set[int]:
    """The blocks that DuckDB does not use."""
    with file.open("rb") as opened:
        head = opened.read(FIRST_BLOCK)
        header = max(head[2 * HEADER_SIZE :], head[HEADER_SIZE : 2 * HEADER_SIZE], key=lambda part: part[8:16][::-1])
        pointer = int.from_bytes(header[24:32], "little")
        found = damage._free_blocks(opened, pointer, BLOCK, set(blocks(file)))
    with duckdb.connect(file, read_only=True) as connection:
        reported = connection.execute("select total_blocks, free_blocks from pragma_database_size()").fetchall()
    assert reported == [(len(blocks(file)), len(found))]
    return found


@pytest.mark.slow
def test_a_flipped_bit_is_found_in_every_block_in_use_and_ignored_in_free_ones(file: Path) -> None:
    assert damaged_part(file) is None
    free = free_blocks(file)
    parts = set()
    for block in blocks(file):
        for byte in PLACES:
            flip(file, place(block) + byte)
            assert suspect_blocks(file) == ([] if block in free else [block])
            if block not in free and byte == PLACES[-1]:
                part = damaged_part(file)
                assert part
                assert (damaged_table(file) == part) != part.startswith("block ")
                parts.add(re.sub(r"\d+", "N", part))
            flip(file, place(block) + byte)
    assert free
    assert parts >= {"the table main.jobs", "the table main.texts", "the header or the catalog"}
    assert "block N, which contains no table rows" in parts  # the index
    assert damaged_part(file) is None


def test_a_flipped_bit_is_found_in_each_header(file: Path) -> None:
    for at in range(0, FIRST_BLOCK, 97):
        flip(file, at)
        assert suspect_blocks(file) == [HEADERS]
        flip(file, at)
    flip(file, HEADER_SIZE + 3000)
    assert damaged_part(file) == "the header or the catalog"


def test_a_file_cut_off_anywhere_is_damaged(file: Path, tmp_path: Path) -> None:
    """Unless only free blocks are missing."""
    free, size = free_blocks(file), file.stat().st_size
    dice = random.Random(13)
    lengths = [0, 1, 11, 12, 4095, 4096, 12287, 12288, 12289, size - 1, *(dice.randrange(size) for _ in range(20))]
    cut = tmp_path / "cut.duckdb"
    for length in lengths:
        shutil.copyfile(file, cut)
        os.truncate(cut, length)
        lost = {block for block in blocks(file) if place(block + 1) > length} - free
        assert set(suspect_blocks(cut)) - free == (lost if length >= FIRST_BLOCK else {HEADERS})
        assert (damaged_part(cut) is None) == (not lost), length


def test_a_block_of_zeros_and_one_of_foreign_bytes_are_damage(file: Path) -> None:
    used = set(blocks(file)) - free_blocks(file)
    for data in (bytes(BLOCK), random.Random(13).randbytes(BLOCK)):
        for block in used:
            was = write(file, place(block), data)
            assert block in suspect_blocks(file)
            write(file, place(block), was)
    file.write_bytes(random.Random(13).randbytes(100_000))
    assert damaged_part(file) == "the header or the catalog"


def test_free_blocks_may_hold_anything(file: Path) -> None:
    """Even after the last block that the header counts: a killed process leaves them like that."""
    for block in free_blocks(file):
        write(file, place(block), random.Random(block).randbytes(BLOCK))
    with file.open("ab") as end:
        end.write(bytes(2 * BLOCK + 5))
    assert suspect_blocks(file) == []


def test_a_file_of_an_unknown_format_is_read_completely_by_duckdb(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "FORMATS", [])
    assert suspect_blocks(file) == [HEADERS]
    assert damaged_part(file) is None
    found = []
    for block in set(blocks(file)) - free_blocks(file):
        flip(file, place(block) + 100)
        found.append(damaged_part(file))
        flip(file, place(block) + 100)
    assert {"the table main.jobs", "the table main.texts", "the header or the catalog"} <= set(found)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """In a process of its own: a pool remembers the most that anything has ever allocated."""
    file = tmp_path / "large.duckdb"
    with duckdb.connect(file) as made:
        made.execute("create table large as select uuid() as a, uuid() as b from range(1_000_000)")
    assert file.stat().st_size > 30e6
    code = (
        "import sys; from pathlib import Path; import pyarrow as pa; "
        "from pipelines.warehouse.damage import suspect_blocks; "
        "print(len(suspect_blocks(Path(sys.argv[1]))), pa.total_allocated_bytes(), pa.default_memory_pool().max_memory())"
    )
    output = subprocess.check_output([sys.executable, "-c", code, str(file)], cwd=PROJECT, text=True)
    suspects, still_allocated, most = map(int, output.split())
    assert (suspects, still_allocated) == (0, 0)
    assert most < 4e6


def errors(file: Path, *statements: str) -> Iterator[duckdb.Error]:
    """The error in which a connection like the loader's ends, at each of these statements."""
    try:
        with duckdb.connect(file, config=CONFIG) as connection:
            for statement in statements:
                try:
                    connection.execute(statement).fetchall()
                except duckdb.Error as error:
                    yield error
    except duckdb.Error as error:
        yield error


MERGE = "merge into jobs using (from range(12_000, 20_000, 2) as r(n)) as r on jobs.n = r.n when matched then update set id = 'new'"
RUNS = (
    [f"select sum(hash(one)) from {table} as one" for table in ("jobs", "texts", "odd")],
    [MERGE, "delete from jobs where n % 2 = 1", "checkpoint", "from jobs"],
    ["insert into jobs from jobs limit 1", "insert into odd (n) values (1)", "checkpoint", "from odd"],
)


def damaged_files(file: Path) -> Iterator[Path]:
    was = file.read_bytes()
    damages: list[Any] = [lambda at=at: flip(file, at) for at in range(0, FIRST_BLOCK, 3000)]
    damages += [lambda block=block: flip(file, place(block) + 100) for block in set(blocks(file)) - free_blocks(file)]
    damages += [lambda length=length: os.truncate(file, length) for length in (11, 5000, 12_288, 400_000)]
    for harm in damages:
        file.write_bytes(was)
        harm()
        yield file


def test_every_error_of_a_damaged_file_is_recognized_as_damage(file: Path) -> None:
    seen = set()
    for damaged in damaged_files(file):
        for statements in RUNS:
            for error in errors(damaged, *statements):
                assert is_damage(error), error
                seen.add(str(error).removeprefix("IO Error: ").removeprefix("FATAL Error: ")[:22])
            file.with_name(file.name + ".wal").unlink(missing_ok=True)
    assert {
        "Corrupt database file:",
        "Could not read enough ",
        "Failed to create check",
        "Failed: database has b",
    } <= seen


@pytest.mark.slow
def test_errors_of_misplaced_blocks_are_recognized_as_damage(file: Path) -> None:
    """The catalog's block in another's place and vice versa: all checksums are right, but the contents make no
    sense."""
    free = free_blocks(file)
    used = sorted(set(blocks(file)) - free)
    with file.open("rb") as opened:
        content = {block: opened.seek(place(block)) and opened.read(BLOCK) for block in used}
    for other in used[1::4]:
        write(file, place(used[0]), content[other])
        write(file, place(other), content[used[0]])
        script = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True)"  # DuckDB may crash
        run = subprocess.run([sys.executable, "-c", script, file], capture_output=True, text=True, check=False)
        if run.returncode == 1:
            assert all(map(is_damage, errors(file))), run.stderr
        write(file, place(used[0]), content[used[0]])
        write(file, place(other), content[other])


def test_an_error_wrapped_in_others_is_found() -> None:
    """dlt wraps errors within a step, and what DuckDB raises there is chained to a StopIteration of dlt's."""
    error, outer = (
        duckdb.Error("Corrupt database file: computed checksum 1 does not match"),
        RuntimeError("step failed"),
    )
    error.__context__, outer.__cause__ = StopIteration(), error
    assert is_damage(outer)
    assert not is_damage(RuntimeError("corrupt"))


def test_other_errors_are_not_reported_as_damage(file: Path, tmp_path: Path) -> None:
    found = list(errors(file, "selec", "from nowhere", "insert into keyed values (3)", "select 'a'::int"))
    with holding(file):
        found += errors(file)
        with pytest.raises(duckdb.IOException, match="lock"):
            damaged_table(file)
    found += errors(tmp_path)
    found += errors(tmp_path / "none" / "file.duckdb")
    assert len(found) == 7
    assert not any(map(is_damage, found))
    assert not is_damage(RecorderError("corrupt"))


def test_a_full_disk_is_not_reported_as_damage(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        file = disk / "file.duckdb"
        with duckdb.connect(file) as made:
            made.execute("create table jobs as select uuid() as id from range(100_000)")
        fill(disk, 300_000)
        found = list(
            errors(file, "insert into jobs select uuid() from range(500_000)", "checkpoint", "from jobs limit 1")
        )
        assert found
        assert not any(map(is_damage, found)), found
        assert damaged_part(file) is None
