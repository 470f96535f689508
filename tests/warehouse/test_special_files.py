"""Special files in place of ours: never replaced, and never waited for."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from planted import plant
from processes import holding
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg

SECONDS = 60  # a command that waits for a FIFO would wait for ever


def test_a_report_keeps_the_mode_and_the_link(recorder: Recorder, tmp_path: Path) -> None:
    """As for the page before; the new one is complete."""
    page, link = tmp_path / "pages" / "page.html", tmp_path / "link.html"
    page.parent.mkdir()
    page.write_text("<!doctype html>")
    page.chmod(0o604)
    link.symlink_to(page)
    warehouse = plant(tmp_path / "w.duckdb", listings=[])
    run = recorder.run("report", "--warehouse", str(warehouse), "--output", str(link))

    assert run.returncode == 0, run.stderr
    assert link.is_symlink()
    assert page.read_text().rstrip().endswith("</html>")
    assert page.stat().st_mode & 0o777 == 0o604
    assert [file.name for file in page.parent.iterdir()] == [page.name]


@pytest.mark.slow
def test_a_report_can_go_to_stdout_and_devices(recorder: Recorder, tmp_path: Path) -> None:
    """A device stays a device."""
    warehouse = plant(tmp_path / "w.duckdb", listings=[])
    for output, shown in (("-", True), ("/dev/stdout", True), ("/dev/null", False), ("/dev/fd/1", True)):
        run = recorder.run("report", "--warehouse", str(warehouse), "--output", output)
        assert (run.returncode, run.stderr) == (0, ""), output
        assert ("</html>" in run.stdout) == shown
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.slow
def test_a_report_can_go_to_a_fifo(recorder: Recorder, tmp_path: Path) -> None:
    """Written if there is a reader, refused if there is none."""
    warehouse, fifo = plant(tmp_path / "w.duckdb", listings=[]), tmp_path / "fifo"
    os.mkfifo(fifo)
    command = "report", "--warehouse", str(warehouse), "--output", str(fifo)
    run = recorder.run(*command)
    assert (run.returncode, "fifo" in run.stderr) == (78, True), run.stderr
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE, text=True) as reader:
        # Opened here, too, so that there is a reader before the report is written.
        with fifo.open("w"):
            run = recorder.run(*command)
        read, _ = reader.communicate(timeout=SECONDS)
    assert run.returncode == 0, run.stderr
    assert "</html>" in read
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.slow
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
@pytest.mark.parametrize(
    "name",
    ["loader.duckdb", "warehouse.duckdb", "loader.duckdb.lock", ".dlt/secrets.toml", ".dlt/config.toml", "key.pem"],
)
def test_special_files_in_place_of_regular_ones(
    org: DemoOrg, recorder: Recorder, give, name: str, make: Callable[[Path], None]
) -> None:
    """Each command ends; if it needs the file, it exits with 78 and names it, and replaces nothing."""
    file = recorder.home / name
    file.unlink(missing_ok=True)
    make(file)
    if name == "key.pem":
        give(instance_url=org.instance_url, client_id=org.client_id, username="a@b.example", private_key=str(file))
    kind = stat.S_IFMT(file.stat().st_mode)
    for command in ("load", "doctor", "check", "report"):
        run = recorder.run(command)
        assert run.returncode in (0, 1, 78), (command, run.stderr)  # `check` may have findings
        if command == "load" and not name.startswith(".dlt"):
            assert run.returncode == 78
            assert ("private_key" if name == "key.pem" else file.name) in run.stderr  # its path might itself be a key
    assert stat.S_IFMT(file.stat().st_mode) == kind


@pytest.mark.parametrize("name", ["loader.duckdb", "warehouse.duckdb", "loader.duckdb.lock", "loader.duckdb.state"])
def test_a_link_to_itself(recorder: Recorder, name: str) -> None:
    place = recorder.home / name
    place.symlink_to(place)
    for command in ("load", "doctor"):
        run = recorder.run(command)
        if command == "load" or not name.endswith(".lock"):
            assert f"{place} is a symbolic link that leads back to itself" in run.stdout + run.stderr
            assert run.returncode == 78, run.stderr
    assert place.is_symlink()


@pytest.mark.parametrize("name", ["identity", "published.json", "failing.json", "kept", "temporary"])
def test_something_else_in_the_state_folder(recorder: Recorder, name: str) -> None:
    """A load stops at once, and the doctor names it; the load after it is moved away creates what belongs there."""
    recorder.load()
    place = recorder.state_folder / name
    place.unlink(missing_ok=True)
    place.mkdir() if "." in name or name == "identity" else place.write_text("")
    kind = "a directory, where a file belongs" if place.is_dir() else "a file, where a folder belongs"
    for command in ("load", "doctor"):
        run = recorder.run(command, "--quiet") if command == "load" else recorder.run(command)
        assert f"{name} is {kind}" in run.stdout + run.stderr
        assert run.returncode == 78
    place.rmdir() if place.is_dir() else place.unlink()
    recorder.load()


def test_directories_beside_the_published_copy(recorder: Recorder) -> None:
    """The jobs are recorded; only publishing waits."""
    recorder.load()
    for name in (".warehouse.duckdb.lock", "warehouse.duckdb.wal"):
        place = recorder.home / name
        place.unlink(missing_ok=True)
        place.mkdir()
        run = recorder.run("load")
        place.rmdir()
        assert run.returncode == 78
        assert f"{place} is a directory, where" in run.stderr or f"{place} is not a regular file. Move it" in run.stderr
    copies = recorder.home / "warehouse.duckdb.copies"
    shutil.rmtree(copies)
    copies.write_text("")
    run = recorder.run("load")
    assert (run.returncode, f"Move away {copies}" in run.stderr) == (0, True)


@pytest.mark.parametrize("name", ["kept.json", "listings.0.parquet"])
def test_a_directory_in_a_kept_listing(org: DemoOrg, recorder: Recorder, name: str) -> None:
    """It cannot be loaded, now or later: it is set aside like a damaged one, and the load goes on."""
    org.add_job()
    with holding(recorder.primary_file):
        assert recorder.run("load").returncode == 75
    (kept,) = (recorder.state_folder / "kept").iterdir()
    (kept / name).unlink()
    (kept / name).mkdir()
    run = recorder.run("load")
    assert (run.returncode, "was moved to" in run.stderr) == (0, True)
    assert recorder.rows("select count(*) from query_jobs") == [(1,)]


@pytest.mark.parametrize("name", ["alerts.json", "alerts.lock"])
def test_a_directory_in_place_of_what_was_sent(recorder: Recorder, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERTS__URLS", '["json://127.0.0.1:9"]')
    recorder.load()
    (recorder.state_folder / name).mkdir()
    run = recorder.run("check", "--notify")
    assert (run.returncode, name in run.stderr, "ove it away, then run this again" in run.stderr) == (78, True, True)
