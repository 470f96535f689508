"""Special files in place of ours: never replaced, and never waited for."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from planted import plant
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
