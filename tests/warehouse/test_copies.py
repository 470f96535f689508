"""Daily copies of the published warehouse: complete, independent files that block nothing. KILLS sets how many kills
are tried."""

import os
import random
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from processes import holding
from small_disks import fill, make_room, mounted, remount

from pipelines.warehouse.copies import copies, copy_bytes, free_room, keep_copy, newest_good, space_taken
from pipelines.warehouse.damage import damaged_part

KILLS = int(os.environ.get("KILLS", "10"))
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 25, 23, 59, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("made") / "made.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute("create table jobs as select uuid() as id from range(150_000)")
    return file


@pytest.fixture
def warehouse(made: Path, tmp_path: Path) -> Path:
    return shutil.copyfile(made, tmp_path / "warehouse.duckdb")


def names(warehouse: Path) -> list[str]:
    return [path.name for path in copies(warehouse)]


def keep_days(warehouse: Path, days: int, keep: int = 7, start: datetime = NOW) -> None:
    for day in range(days):
        assert keep_copy(warehouse, warehouse, keep, start + day * DAY) is None


def spoil(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(500_000)
        opened.write(bytes(100))
    assert damaged_part(file)


def test_a_day_has_one_copy_with_the_bytes_and_the_mode_of_the_published_one(warehouse: Path, made: Path) -> None:
    warehouse.chmod(0o640)
    was = warehouse.read_bytes()
    assert keep_copy(made, warehouse, 7, NOW) is None
    (copy,) = copies(warehouse)
    assert copy == warehouse.parent / "warehouse.duckdb.copies" / "2026-11-25.duckdb"
    assert copy.read_bytes() == was
    assert copy.stat().st_mode & 0o777 == 0o640
    assert space_taken(warehouse) == len(was)

    with duckdb.connect(made.with_name("other.duckdb")) as other:  # later that day
        other.execute("create table other (x int)")
    assert keep_copy(made.with_name("other.duckdb"), warehouse, 7, NOW) is None
    assert copy.read_bytes() == was


def test_the_day_is_in_utc_and_by_default_today(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        before = datetime.now(UTC)
        assert keep_copy(warehouse, warehouse, 7) is None
        assert names(warehouse) in ([f"{day:%Y-%m-%d}.duckdb"] for day in (before, datetime.now(UTC)))
    finally:
        monkeypatch.undo()
        time.tzset()


def test_writing_into_the_published_copy_changes_no_other(warehouse: Path) -> None:
    keep_days(warehouse, 1)
    (copy,) = copies(warehouse)
    assert (copy.stat().st_nlink, copy.stat().st_ino != warehouse.stat().st_ino) == (1, True)
    was = copy.read_bytes()
    spoil(warehouse)
    assert copy.read_bytes() == was


def test_the_oldest_are_removed_first_and_nothing_else_is(warehouse: Path) -> None:
    keep_days(warehouse, 5, keep=3)
    assert names(warehouse) == ["2026-11-27.duckdb", "2026-11-28.duckdb", "2026-11-29.duckdb"]
    folder = copies(warehouse)[0].parent
    for name in ("notes.txt", "2026.duckdb", "2026-11-01.duckdb.bak", "before-the-move.duckdb"):
        (folder / name).write_text("of another program")
    (folder / "2026-11-27.duckdb.wal").write_text("written into it")
    keep_days(warehouse, 1, keep=2, start=NOW + 9 * DAY)
    assert names(warehouse) == ["2026-11-29.duckdb", "2026-12-04.duckdb"]
    assert len(list(folder.iterdir())) == 2 + 4
    keep_days(warehouse, 1, keep=1, start=NOW - 9 * DAY)  # a clock that was set back: today's is kept
    assert names(warehouse) == ["2026-11-16.duckdb"]


def test_with_0_no_copies_are_made_and_existing_ones_stay(warehouse: Path) -> None:
    assert keep_copy(warehouse, warehouse, 0, NOW) is None
    assert list(warehouse.parent.iterdir()) == [warehouse]
    keep_days(warehouse, 2)
    assert keep_copy(warehouse, warehouse, 0, NOW + 9 * DAY) is None
    assert names(warehouse) == ["2026-11-25.duckdb", "2026-11-26.duckdb"]


def test_copies_of_a_linked_warehouse_are_made_at_its_real_place(warehouse: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.duckdb"
    link.parent.mkdir()
    link.symlink_to(warehouse)
    keep_days(link, 1)
    assert names(warehouse) == names(link) == ["2026-11-25.duckdb"]
    assert list(link.parent.iterdir()) == [link]


def test_a_first_load_makes_a_copy_before_there_is_a_warehouse(made: Path, tmp_path: Path) -> None:
    assert keep_copy(made, tmp_path / "warehouse.duckdb", 7, NOW) is None
    assert names(tmp_path / "warehouse.duckdb") == ["2026-11-25.duckdb"]


@pytest.mark.parametrize("harm", ["a file in the folder's place", "a link to nowhere", "no verified file"])
def test_a_failure_is_returned_as_a_warning(warehouse: Path, harm: str) -> None:
    folder, verified = warehouse.with_name("warehouse.duckdb.copies"), warehouse
    if harm == "a file in the folder's place":
        folder.write_text("")
    elif harm == "a link to nowhere":
        folder.symlink_to("nowhere")
    else:
        verified = warehouse.with_name("gone.duckdb")
    said = keep_copy(verified, warehouse, 7, NOW)
    assert said
    assert str(folder / "2026-11-25.duckdb") in said
    assert "keep_copies" in said
    assert free_room(warehouse, 1)
    assert newest_good(warehouse) == warehouse


def test_a_read_only_disk_is_returned_as_a_warning(made: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        warehouse = shutil.copyfile(made, disk / "warehouse.duckdb")
        keep_days(warehouse, 2)
        remount(disk, "ro")
        said = keep_copy(warehouse, warehouse, 1, NOW + 5 * DAY)
        assert said
        assert "Read-only file system" in said
        assert not free_room(warehouse, 1 << 40)
        assert len(names(warehouse)) == 2


def test_on_a_full_disk_the_newest_copy_stays_until_there_is_a_newer_one(made: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        warehouse = shutil.copyfile(made, disk / "warehouse.duckdb")
        size = warehouse.stat().st_size
        keep_days(warehouse, 4)
        fill(disk, leaving=size // 2)
        assert keep_copy(warehouse, warehouse, 7, NOW + 4 * DAY) is None
        assert names(warehouse) == ["2026-11-27.duckdb", "2026-11-28.duckdb", "2026-11-29.duckdb"]
        assert all(damaged_part(copy) is None for copy in copies(warehouse))

        make_room(disk)
        copies(warehouse)[0].unlink()
        fill(disk, leaving=0)
        before = names(warehouse)
        said = keep_copy(warehouse, warehouse, 7, NOW + 5 * DAY)
        assert said
        assert "No space left on device" in said
        assert names(warehouse) == before[-1:]
        assert not list(copies(warehouse)[0].parent.glob(".*"))


def test_no_more_of_the_oldest_copies_are_removed_than_necessary(made: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        warehouse = shutil.copyfile(made, disk / "warehouse.duckdb")
        size = warehouse.stat().st_size
        keep_days(warehouse, 5)
        fill(disk, leaving=size // 2)
        assert free_room(warehouse, size // 4)
        assert len(names(warehouse)) == 5
        assert free_room(warehouse, 2 * size)
        assert names(warehouse) == ["2026-11-27.duckdb", "2026-11-28.duckdb", "2026-11-29.duckdb"]
        assert not free_room(warehouse, 100 * size)
        assert names(warehouse) == []
        assert warehouse.exists()


def test_copies_on_another_disk_are_not_removed_to_make_room_here(warehouse: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        warehouse.with_name("warehouse.duckdb.copies").symlink_to(disk)
        keep_days(warehouse, 2)
        assert not free_room(warehouse, 1 << 50)
        assert len(names(warehouse)) == 2


@pytest.mark.parametrize("system", ["xfs", "btrfs"])
def test_a_file_system_that_can_share_blocks_does(system: str, made: Path, tmp_path: Path) -> None:
    """On a disk image of its own: seven daily copies and a published one, of twenty megabytes each, take almost no
    space, and change with none of the others."""
    disk, image = tmp_path / "disk", tmp_path / "image"
    disk.mkdir()
    image.touch()
    os.truncate(image, 400 << 20)
    try:
        subprocess.run([f"mkfs.{system}", "-q", str(image)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip(f"No {system} can be made and mounted here.")
    try:
        warehouse = disk / "warehouse.duckdb"
        with duckdb.connect(warehouse) as connection:
            connection.execute("create table jobs as select uuid() as a, uuid() as b from range(600_000)")
        was, free = warehouse.read_bytes(), free_bytes(disk)
        keep_days(warehouse, 7)
        with warehouse.open("rb") as primary, (disk / "published.duckdb").open("wb") as published:
            copy_bytes(primary, published)
        assert free - free_bytes(disk) < len(was) / 4
        spoil(warehouse)
        assert (disk / "published.duckdb").read_bytes() == was
        assert [copy.read_bytes() == was for copy in copies(warehouse)] == 7 * [True]
        assert newest_good(warehouse) == copies(warehouse)[-1]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def free_bytes(disk: Path) -> int:
    os.sync()
    room = os.statvfs(disk)
    return room.f_bavail * room.f_frsize


KEEPER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pipelines.warehouse.copies import keep_copy
verified, warehouse, day = Path(sys.argv[1]), Path(sys.argv[2]), datetime(2026, 1, 1, tzinfo=UTC)
day += int(sys.argv[3]) * timedelta(days=300)
print("begun", flush=True)
while True:
    keep_copy(verified, warehouse, 3, day)
    day += timedelta(days=1)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_complete_copies_and_no_other_files_for_long(
    warehouse: Path, made: Path
) -> None:
    dice, was, halves = random.Random(13), made.read_bytes(), 0
    for number in range(KILLS):
        command = [sys.executable, "-c", KEEPER, made, warehouse, str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as keeper:
            assert keeper.stdout
            assert keeper.stdout.readline() == "begun\n"
            time.sleep(dice.random() / 3)
            keeper.kill()
        folder = warehouse.with_name("warehouse.duckdb.copies")
        halves += len(list(folder.glob(".*")))
        assert all(copy.read_bytes() == was for copy in copies(warehouse))
        keep_days(warehouse, 1, keep=3, start=NOW.replace(year=2126 + number))
        assert not list(folder.glob(".*"))
        assert 1 <= len(copies(warehouse)) <= 3
    assert halves


def test_the_newest_good_copy_is_found_behind_damaged_ones(warehouse: Path) -> None:
    keep_days(warehouse, 4)
    first, second, third, fourth = copies(warehouse)
    assert newest_good(warehouse) == warehouse
    with holding(warehouse):  # another program writes into it
        log = warehouse.with_name(warehouse.name + ".wal")
        log.touch()
        assert newest_good(warehouse) == fourth
    log.unlink(missing_ok=True)
    spoil(warehouse)
    assert newest_good(warehouse) == fourth
    os.truncate(fourth, 300_000)
    assert newest_good(warehouse) == third
    assert newest_good(warehouse, lambda path: path != third) == second
    third.write_text("no database")
    spoil(second)
    assert newest_good(warehouse) == first
    first.unlink()
    assert newest_good(warehouse) is None
    warehouse.unlink()
    assert newest_good(warehouse) is None
