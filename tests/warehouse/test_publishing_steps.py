"""How the published copy is replaced, step by step: its mode, links, daily copies, and other disks."""

import os
import shutil
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from permissions import bound_by_permissions
from processes import holding
from recorders import Recorder
from small_disks import mounted

from pipelines.demo_org.org import DemoOrg
from pipelines.warehouse.copies import copies
from pipelines.warehouse.damage import damaged_part

HOUR = timedelta(hours=1)
KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.warehouse import publish
from pipelines.query_jobs import main

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

place, name, when = sys.argv[1:]
owner = {"publish": publish, "state": publish.StateFolder, "path": Path}[place]
real = getattr(owner, name)
def dying(self, *arguments, **named):
    ours = place != "path" or str(arguments[0] if name == "replace" else self).endswith("warehouse.duckdb")
    if ours and when == "before": die()
    found = real(self, *arguments, **named)
    if ours and when == "after": die()
    return found
setattr(owner, name, dying)
main(["load"])
"""


@pytest.mark.slow
def test_after_a_kill_between_any_two_steps_the_next_load_continues(org: DemoOrg, recorder: Recorder) -> None:
    """The copy is the old one or the new one; either way, a file that has become damaged or older is not published."""
    org.add_job()
    recorder.load()
    killed = 0
    for place, name in (("publish", "copy_bytes"), ("publish", "keep_copy"), ("state", "write"), ("path", "replace")):
        for when in ("before", "after"):
            org.advance(HOUR)
            org.add_job()
            older = recorder.primary_file.read_bytes()
            command = [sys.executable, "-c", KILLED, place, name, when]
            run = subprocess.run(command, cwd=recorder.home, capture_output=True, timeout=100, check=False)
            assert run.returncode == -9, run
            killed += 1
            assert damaged_part(recorder.warehouse) is None
            if (place, name, when) == ("path", "replace", "after"):
                newer = recorder.primary_file.read_bytes()
                recorder.primary_file.write_bytes(older)
                with holding(recorder.warehouse):
                    assert recorder.run().returncode == 78
                recorder.primary_file.write_bytes(newer)
            recorder.load()
            assert len(recorder.states()) == killed + 1
            assert not list(recorder.home.rglob("*.new"))


@pytest.mark.slow
@pytest.mark.parametrize("who", ["root", "bound by permissions"])
def test_mode_and_links_survive(org: DemoOrg, recorder: Recorder, who: str) -> None:
    """Of the copy, and of the daily one made from it."""
    before = bound_by_permissions if who != "root" else None
    place = recorder.home / "elsewhere"
    place.mkdir()
    real = place / "real.duckdb"

    def load() -> None:
        run = subprocess.run(
            recorder.command("load"), cwd=recorder.home, capture_output=True, text=True, check=False, preexec_fn=before
        )
        assert run.returncode == 0, run

    for mode in (0o600, 0o640, 0o444):
        recorder.warehouse.unlink(missing_ok=True)
        recorder.warehouse.symlink_to(real)  # to nothing at first
        load()
        real.chmod(mode)
        shutil.rmtree(copies(recorder.warehouse)[0].parent)
        load()
        assert recorder.warehouse.is_symlink()
        assert real.stat().st_mode & 0o777 == mode
        (daily,) = copies(recorder.warehouse)
        assert daily.parent == place / "real.duckdb.copies"
        assert (daily.stat().st_mode & 0o777, daily.stat().st_nlink) == (mode, 1)
        assert daily.read_bytes() == real.read_bytes()
        assert not real.samefile(daily)


@pytest.mark.slow
@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("which", ["the warehouse to the file", "the file to the warehouse"])
def test_links_between_the_two_files_are_refused(org: DemoOrg, recorder: Recorder, link, which: str) -> None:
    recorder.load()
    recorder.warehouse.unlink()
    if which == "the file to the warehouse":
        recorder.primary_file.rename(recorder.warehouse)
        link(recorder.warehouse, recorder.primary_file)
    else:
        link(recorder.primary_file, recorder.warehouse)
    org.requests.clear()
    run = recorder.run()
    assert run.returncode == 78
    assert "same file" in run.stderr
    assert not org.requests


@pytest.mark.slow
def test_loads_keep_daily_copies(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """One a day, the newest of them complete and fit to restore from; the oldest are removed; 0 keeps none."""
    today = datetime(2026, 1, 1, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return today

    monkeypatch.setattr("pipelines.warehouse.copies.datetime", Clock)
    monkeypatch.setenv("QUERY_JOBS__KEEP_COPIES", "3")
    for _ in range(5):
        org.add_job()
        recorder.load()
        once = copies(recorder.warehouse)[-1].read_bytes()
        recorder.load()
        assert copies(recorder.warehouse)[-1].read_bytes() == once
        today += timedelta(days=1)
    assert [copy.name for copy in copies(recorder.warehouse)] == [f"2026-01-0{day}.duckdb" for day in (3, 4, 5)]
    assert "daily copies in" in recorder.run("doctor").stdout

    shutil.copyfile(copies(recorder.warehouse)[-1], recorder.primary_file)
    recorder.warehouse.unlink()
    monkeypatch.setenv("QUERY_JOBS__KEEP_COPIES", "0")
    recorder.load()
    assert len(recorder.states()) == 5
    assert len(copies(recorder.warehouse)) == 3


def test_a_daily_copy_that_cannot_be_made_is_a_warning(org: DemoOrg, recorder: Recorder) -> None:
    folder = recorder.home / "warehouse.duckdb.copies"
    folder.write_text("in the way")
    run = recorder.run()
    assert run.returncode == 0
    assert f"Could not create the daily copy {folder}" in run.stderr


@pytest.mark.slow
def test_the_warehouse_on_another_disk(org: DemoOrg, recorder: Recorder, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        there = disk / "warehouse.duckdb"
        for _ in range(2):
            org.add_job()
            assert recorder.run(QUERY_JOBS__WAREHOUSE=str(there)).returncode == 0
        assert len(recorder.rows("select 1 from query_jobs", there)) == 2
        assert len(copies(there)) == 1


@pytest.mark.slow
def test_the_primary_database_is_locked_until_the_run_ends(org: DemoOrg, recorder: Recorder) -> None:
    """Whatever is read for the copy: while it is being published, and after, no other process can open it, even to
    read."""
    org.add_job()
    recorder.load()
    code = """
        import subprocess, sys
        from pipelines.warehouse import publish
        from pipelines.recording import load as run
        from pipelines.query_jobs import main

        def intrude(when):
            for how in ("False", "True"):
                code = f"import duckdb, sys; duckdb.connect(sys.argv[1], read_only={how})"
                tried = subprocess.run([sys.executable, "-c", code, sys.argv[1]], capture_output=True, text=True)
                print(when, "refused" if "Could not set lock" in tried.stderr else "opened")

        def between(module, name):
            real = getattr(module, name)
            def intruded(*arguments):
                found = real(*arguments)
                intrude(name)
                return found
            setattr(module, name, intruded)

        between(publish, "copy_bytes")
        between(publish, "damaged_part")
        between(publish, "check_published")
        between(publish, "keep_copy")
        between(run, "publish")
        print(main(["load", "--quiet"]))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), recorder.primary_file],
        cwd=recorder.home, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    lines = run.stdout.split("\n")[:-1]
    assert lines[-1] == "0", run
    steps = ("copy_bytes", "damaged_part", "check_published", "keep_copy", "publish")
    assert lines[:-1] == [f"{step} refused" for step in steps for _ in range(2)]
