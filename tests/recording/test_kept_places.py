"""Where listings wait: beside files of any name, and with several recorders in one home."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import pytest
from processes import holding
from recorders import NOON, Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving

HOUR = timedelta(hours=1)
NAMES = [
    "org_id=prod",
    "state=x'y",
    "100%",
    "a*b",
    "a[b]",
    'quo"te',
    "a{b}",
    "größe äé",
    "a b",
    "#a;b$c",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_path_may_have_any_name(org: DemoOrg, recorder: Recorder, monkeypatch, name: str) -> None:
    """No part of the name is interpreted, and nothing fails: in the file's folder, dlt's home, or a kept listing."""
    folder = recorder.home / name
    folder.mkdir()
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(folder / "loader.duckdb"))
    monkeypatch.setenv("QUERY_JOBS__WAREHOUSE", str(folder / "warehouse.duckdb"))
    monkeypatch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
    first = org.add_job()
    assert recorder.run().returncode == 0
    second = org.add_job()
    org.advance(HOUR)
    with holding(folder / "loader.duckdb"):
        assert recorder.run().returncode == 75
    org.delete_job(second)
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    jobs = recorder.rows("select org_id, id, state from query_jobs", folder / "warehouse.duckdb")
    assert set(jobs) == {(org.org_id, first, "InProgress"), (org.org_id, second, "InProgress")}


@pytest.mark.parametrize("name", ["a?b", "back\\slash"])
@pytest.mark.parametrize("key", ["DESTINATION__DUCKDB__CREDENTIALS", "QUERY_JOBS__WAREHOUSE"])
def test_a_path_that_duckdb_cannot_write_to_is_refused(org: DemoOrg, recorder: Recorder, key: str, name: str) -> None:
    """Immediately, with the reason, before any request is sent."""
    (recorder.home / name).mkdir()
    run = recorder.run(**{key: str(recorder.home / name / "file.duckdb")})

    assert run.returncode == 78
    assert key in run.stderr
    assert "DuckDB misreads that" in run.stderr
    assert not org.requests


@pytest.mark.slow
def test_dlts_home_may_have_any_name(org: DemoOrg, recorder: Recorder, monkeypatch) -> None:
    """It is not used."""
    monkeypatch.setenv("DLT_DATA_DIR", str(recorder.home / "org_id=prod?" / "100%"))
    job = org.add_job()

    assert recorder.run().returncode == 0
    assert recorder.rows("select org_id, id from query_jobs") == [(org.org_id, job)]
    assert not (recorder.home / "org_id=prod?").exists()


@pytest.mark.slow
def test_two_recorders_may_share_a_home(org: DemoOrg, recorder_of: Callable[..., Recorder], monkeypatch) -> None:
    """Like two containers, each with its own volume at the same path."""
    jobs, volumes, homes = [], [], []
    with ExitStack() as closing:
        for number in range(2):
            demo_org = DemoOrg(now=NOON, seed=number + 2)
            closing.enter_context(serving(demo_org))
            recorder = recorder_of(demo_org, f"volume{number}")
            monkeypatch.setenv("HOME", str(recorder.home.parent / "home"))
            monkeypatch.delenv("DLT_DATA_DIR")
            mounted = recorder.home.parent / "data"
            volumes.append(recorder.home)
            homes.append(mounted)
            recorder.home.rename(mounted)
            monkeypatch.setenv("DLT_PROJECT_DIR", str(mounted))
            monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(mounted / "loader.duckdb"))
            monkeypatch.setenv("QUERY_JOBS__WAREHOUSE", str(mounted / "warehouse.duckdb"))
            recorder.home = mounted
            recorder.load()
            jobs.append(demo_org.add_job())
            if not number:
                with holding(mounted / "loader.duckdb"):
                    assert recorder.run().returncode == 75
            else:
                assert recorder.run().returncode == 0
                assert set(recorder.states()) == {jobs[1]}
            mounted.rename(volumes[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["identity", "published.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\0garbled", b"[1]", b"00000000-0000-0000-0000-000000000000\n"]
)
def test_notes_beside_the_file_may_be_garbled(org: DemoOrg, recorder: Recorder, name, content) -> None:
    """Whatever they say, the file itself is authoritative, and they are rewritten."""
    recorder.load()
    before = (recorder.state_folder / "identity").read_bytes()
    (recorder.state_folder / name).write_bytes(content)
    job = org.add_job()
    org.advance(HOUR)
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert set(recorder.states()) == {job}
    assert (recorder.state_folder / "identity").read_bytes() == before
