"""Listings that version 0.1.0 left in dlt's home: loaded once, into the file that they belong to."""

import hashlib
import shutil
from collections.abc import Iterator
from datetime import timedelta

import duckdb
import pytest
from processes import holding
from recorded_story import HERE, unpack
from recorders import Recorder

from pipelines.recording.kept_listings import waiting
from pipelines.warehouse.dlt_packages import packages_in
from pipelines.warehouse.file_identity import read_identity
from pipelines.warehouse.state_folder import StateFolder

HOUR = timedelta(hours=1)


@pytest.fixture(params=sorted(HERE.glob("0.1.0-*.tar.xz")), ids=lambda archive: archive.stem)
def of_0_1_0(request: pytest.FixtureRequest, recorder: Recorder, monkeypatch) -> Iterator[Recorder]:
    """A recording of version 0.1.0, with two listings in dlt's home for the file at this path; the org's clock is where
    the recording ended."""
    recorder.org.advance(153 * HOUR)
    unpack(request.param, recorder.home)
    monkeypatch.chdir(recorder.home)
    (recorder.home / "query_jobs.duckdb").rename(recorder.primary_file)
    (home,) = (recorder.home / "dlt" / "pipelines").glob("query_jobs_*")
    digest = hashlib.sha256(str(recorder.primary_file).encode()).hexdigest()[:8]
    home.rename(home.with_name(f"query_jobs_{digest}"))
    return recorder


@pytest.mark.slow
def test_what_0_1_0_left_in_dlts_home_is_loaded_once(of_0_1_0: Recorder) -> None:
    """After that, dlt's home is no longer used; from then on the file has an identity."""
    recorder = of_0_1_0
    first, second = recorder.run(), recorder.run()

    assert "2 kept listings loaded" in first.stdout, first.stderr
    assert "kept listing" not in second.stdout, second.stderr
    assert not list((recorder.home / "dlt" / "pipelines").glob("query_jobs_*"))
    with duckdb.connect(recorder.primary_file, read_only=True) as primary:
        assert read_identity(primary) == StateFolder(recorder.primary_file).identity


def test_what_0_1_0_left_for_a_missing_file_is_not_loaded_into_another(of_0_1_0: Recorder) -> None:
    """Both files were moved away to start over."""
    recorder = of_0_1_0
    recorder.primary_file.unlink()
    recorder.warehouse.unlink()
    run = recorder.run()

    assert run.returncode == 0, run.stderr
    assert recorder.states() == {}
    assert list((recorder.home / "dlt" / "pipelines").glob("query_jobs_*"))


def test_a_package_that_was_half_removed_counts_as_normalized(of_0_1_0: Recorder) -> None:
    """dlt removes an extracted listing once it is normalized: killed between two files, it leaves a part of it."""
    (working,) = (of_0_1_0.home / "dlt" / "pipelines").glob("query_jobs_*")
    whole = packages_in(working)
    load_id, tables = next(iter(whole.items()))
    half = working / "normalize" / "extracted" / load_id / "new_jobs"
    half.mkdir(parents=True)
    shutil.copy(tables["listings"][0], half)

    assert packages_in(working) == whole
    assert len(whole) == 2


@pytest.mark.slow
def test_a_file_of_0_1_0_may_be_locked_at_its_first_load(of_0_1_0: Recorder) -> None:
    """What was left, and what is listed meanwhile, waits for it; it gets the identity that these are kept for."""
    recorder = of_0_1_0
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    assert len(waiting(StateFolder(recorder.primary_file))) == 3
    run = recorder.run()

    assert "3 kept listings loaded" in run.stdout, run.stderr
    assert run.stderr == ""
