"""A damaged published copy is named as such by whatever reads it."""

from pathlib import Path

from harm import flip, used_blocks
from planted import NOW, plant
from recorders import Recorder

from pipelines.answers.check import Thresholds, check
from pipelines.errors import ConfigError
from pipelines.warehouse.reader import rows


def said_of(file: Path) -> set[str]:
    """What is said of the file by those that look into all of it."""
    said = set()
    for read in (lambda: check(file, Thresholds()), lambda: rows("from jobs", file)):
        try:
            read()
        except ConfigError as error:
            said.add(error.message)
    return said


def test_each_block_that_is_read(tmp_path: Path) -> None:
    jobs = [{"id": f"750{n:012}AAA", "state": "Failed", "created_date": NOW} for n in range(3_000)]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=[{"started_at": NOW}])
    said: set[str] = set()
    for block in used_blocks(file):
        flip(file, block + 100)
        said |= said_of(file)
        flip(file, block + 100)
    assert f"{file} is damaged: the table salesforce.query_jobs." in said
    assert all(str(file) in one for one in said)


def test_what_on_call_reads(recorder: Recorder) -> None:
    """Not to restore the primary database, which is intact."""
    recorder.load()
    file = recorder.warehouse
    for block in used_blocks(file):
        flip(file, block + 100)
        if any("is damaged: the table" in one for one in said_of(file)):
            break
        flip(file, block + 100)
    answer = recorder.run("check")
    assert answer.returncode == 78
    assert f"{file} is damaged: the table salesforce." in answer.stderr
    assert "the next load publishes it again" in answer.stderr
