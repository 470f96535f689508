"""Listings waiting beside the primary database: for that file and no other, as a whole or not at all, never in the
way."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.warehouse.sealed_json import unseal

HOUR = timedelta(hours=1)
NOBODY = 65_534


@pytest.fixture
def short_lived(org: DemoOrg, recorder: Recorder) -> str:
    """A job that only a kept listing has seen: the file was locked during its lifetime."""
    recorder.load()
    org.advance(HOUR)
    job = org.add_job()
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    org.delete_job(job)
    org.advance(HOUR)
    return job


def kept_in(recorder: Recorder) -> Path:
    (folder,) = (recorder.state_folder / "kept").iterdir()
    return folder


@pytest.mark.slow
def test_nothing_is_left_when_a_load_is_done(org: DemoOrg, recorder: Recorder) -> None:
    """Neither by loads nor by listings that broke off; and dlt's home is not used."""
    org.page_size = 2
    for _ in range(3):
        org.add_job(state="JobComplete")
        org.add_job()
        org.add_job()
        org.advance(HOUR)
        org.fail_next(400, [{"errorCode": "UNKNOWN", "message": "?"}], after=1, path="/jobs/query$")
        recorder.failure()
        recorder.load()
        assert {path.name for path in recorder.state_folder.rglob("*")} == {"identity", "published.json"}
    assert not (recorder.home / "dlt").exists()


def test_a_listing_whose_load_was_killed_is_loaded_by_the_next(org: DemoOrg, recorder: Recorder) -> None:
    """It was complete; that its job is gone by now is no reason to drop it."""
    recorder.load()
    org.advance(HOUR)
    job = org.add_job()
    code = """
        import os, signal, dlt
        from pipelines.query_jobs import main
        dlt.Pipeline.normalize = lambda self: os.kill(os.getpid(), signal.SIGKILL)
        main(["load"])
    """
    killed = subprocess.run([sys.executable, "-c", code.replace("\n        ", "\n")], cwd=recorder.home, check=False)
    assert killed.returncode == -signal.SIGKILL
    org.delete_job(job)
    org.advance(HOUR)
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert "1 kept listing loaded" in run.stdout
    assert recorder.rows("select id, observed_at from query_jobs") == [(job, NOON + HOUR)]
    assert "kept listing" not in recorder.run().stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "kept.json").write_text("{ no json"),
        lambda folder: (folder / "kept.json").unlink(),
        lambda folder: os.truncate(folder / "query_jobs.0.parquet", 500),
        lambda folder: (folder / "query_jobs.0.parquet").unlink(),
        lambda folder: flip(folder / "listings.0.parquet"),
        lambda folder: rewrite(folder / "kept.json", format=99),
        lambda folder: rewrite(folder / "kept.json", files={}),
        lambda folder: rewrite(folder / "kept.json", files={"table_of_tomorrow.0.parquet": "0"}),
    ],
    ids=[
        "garbled",
        "without its description",
        "truncated",
        "half",
        "one bit",
        "of a newer version",
        "without names of files",
        "of a newer table",
    ],
)
def test_an_unreadable_listing_is_set_aside_and_named(
    org: DemoOrg, recorder: Recorder, short_lived: str, damage: Callable[[Path], None]
) -> None:
    """The ones after it are loaded, and so is the new listing."""
    later = org.add_job()
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    org.delete_job(later)
    first, _ = sorted((recorder.state_folder / "kept").iterdir())
    damage(first)
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert str(recorder.state_folder / "set_aside" / first.name) in run.stderr
    assert set(recorder.states()) == {later}
    assert "was moved to" not in recorder.run().stderr
    doctor = recorder.run("doctor").stdout
    assert str(recorder.state_folder / "set_aside" / first.name) in doctor


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def rewrite(file: Path, **values: object) -> None:
    file.write_text(json.dumps(unseal(file.read_text()) | values))


@pytest.mark.slow
@pytest.mark.parametrize("held", ["before the first load", "later"])
def test_a_listing_is_never_loaded_into_another_file(org: DemoOrg, recorder: Recorder, monkeypatch, held: str) -> None:
    """Both files are moved away to start over with another org; the listing stays, and is loaded when they are back."""
    if held == "later":
        recorder.load()
    short_lived = org.add_job()
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    org.delete_job(short_lived)
    org.advance(HOUR)
    away = recorder.home / "away"
    away.mkdir()
    files = [file for file in (recorder.primary_file, recorder.warehouse) if file.exists()]
    for file in files:
        file.rename(away / file.name)
    with serving(sandbox := DemoOrg(now=NOON, seed=7)), monkeypatch.context() as theirs:
        theirs.setenv("SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL", sandbox.instance_url)
        other = sandbox.add_job()
        for _ in range(2):
            run = recorder.run()
            assert run.returncode == 0, run.stderr
            assert f"{kept_in(recorder)} is a listing kept for another primary database" in run.stderr
            assert str(kept_in(recorder)) in recorder.run("doctor").stdout
            assert recorder.rows("select id from query_jobs") == [(other,)]
    for file in (recorder.primary_file, recorder.warehouse):
        file.unlink()
    if held == "later":
        for file in files:
            (away / file.name).rename(file)
        assert recorder.run().returncode == 0
        assert set(recorder.states()) == {short_lived}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["moved", "by a link"])
def test_a_kept_listing_moves_with_its_file(
    org: DemoOrg, recorder: Recorder, short_lived: str, monkeypatch, way: str
) -> None:
    """It is beside the file, and moves with it."""
    there = recorder.home.with_name("there")
    if way == "moved":
        recorder.home.rename(there)
    else:
        there.symlink_to(recorder.home)
    for variable in ("DLT_PROJECT_DIR", "DLT_LOCAL_DIR"):
        monkeypatch.setenv(variable, str(there))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(there / "loader.duckdb"))
    recorder.home = there
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert "1 kept listing loaded" in run.stdout
    assert set(recorder.states()) == {short_lived}


@pytest.mark.slow
def test_a_listing_kept_by_one_user_is_loaded_by_another_of_the_group(
    org: DemoOrg, recorder: Recorder, tmp_path
) -> None:
    """Whoever may use the file may use the folder; no home is needed, and none is created in /tmp."""
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("skipped: only root, with setpriv of util-linux, can become other users")
    recorder.load()
    for path in (recorder.home, recorder.primary_file, recorder.state_folder, *recorder.state_folder.iterdir()):
        path.chmod(0o770 if path.is_dir() else 0o660)
        os.chown(path, NOBODY, NOBODY)
    for name in ("loader.duckdb.lock", "warehouse.duckdb"):
        os.chown(recorder.home / name, NOBODY, NOBODY)
        (recorder.home / name).chmod(0o660)
    for folder in recorder.home.parents:
        if folder.is_relative_to(tmp_path.parents[2]) and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    short_lived = org.add_job()
    with holding(recorder.primary_file):
        first = as_user(recorder, 4_711)
        assert first.returncode == 75, first.stderr
    org.delete_job(short_lived)
    org.advance(HOUR)
    second = as_user(recorder, 4_712)

    assert second.returncode == 0, second.stderr
    assert "1 kept listing loaded" in second.stdout
    assert set(recorder.states()) == {short_lived}


def as_user(recorder: Recorder, user: int) -> subprocess.CompletedProcess[str]:
    """A load by a user of the group nobody, without a writable home. It may read everything: Python may be installed
    where only root has access."""
    command = [
        "setpriv", f"--reuid={user}", f"--regid={NOBODY}", "--clear-groups",
        "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", *recorder.command("load"),
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "DLT_DATA_DIR"} | {
        "HOME": "/nonexistent"
    }
    return subprocess.run(
        command, cwd="/", env=environment, umask=0o022, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("let_go", ["later", "at once"])
def test_the_folder_beside_a_file_may_be_lost_while_the_file_is_locked(
    org: DemoOrg, recorder: Recorder, let_go: str
) -> None:
    """The file's identity is unknown then; the listing waits for the file that knows its org."""
    org.add_job()
    recorder.load()
    shutil.rmtree(recorder.state_folder)
    org.advance(HOUR)
    short_lived = org.add_job()
    with holding(recorder.primary_file) as holder:
        if let_go == "at once":
            org.before_answer = lambda demo_org, listing, page: (holder.kill(), holder.wait())
        assert recorder.run().returncode == (75 if let_go == "later" else 0)
    org.before_answer = None
    org.delete_job(short_lived)
    org.advance(HOUR)
    run = recorder.run()

    assert (run.returncode, run.stderr) == (0, "")
    assert short_lived in recorder.states()
