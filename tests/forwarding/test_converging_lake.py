"""Whatever is lost or goes back, here or there: the next forward makes the lake equal to the published copy again."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt.common import time as dlts_time
from forwarder import differing
from lake_forwarder import LakeForwarder

from pipelines.errors import ConfigError, TemporaryError
from pipelines.forwarding import registry

Lakes = Callable[..., LakeForwarder]
FORMATS = pytest.mark.parametrize("table_format", [None, "delta"], ids=["parquet", "delta"])
JOB = "insert into query_jobs by name select 'later' as id, * exclude (id) from query_jobs limit 1"
LISTING = "insert into listings by name select 'later' as listing_id, * exclude (listing_id) from listings limit 1"


@pytest.fixture
def one(lake_of: Lakes, small: Path, request: pytest.FixtureRequest) -> LakeForwarder:
    """A recorder that has forwarded one job and one listing."""
    made = lake_of(table_format=getattr(request, "param", None))
    made.publish(small)
    made.forward()
    return made


BOTH = pytest.mark.parametrize("one", [None, "delta"], ids=["parquet", "delta"], indirect=True)


def is_equal(lake: LakeForwarder) -> bool:
    return differing(lake.here(), lake.there()) == {}


def states(lake: LakeForwarder) -> list[tuple[str, str]]:
    with lake.lake() as connection:
        return connection.execute("select id, state from salesforce.query_jobs order by 1").fetchall()


@BOTH
@pytest.mark.parametrize("how", ["lost", "overwritten"])
def test_without_the_sent_copy_all_is_sent_again(one: LakeForwarder, how: str) -> None:
    """And what the recorder has moved to another table meanwhile is not there twice."""
    if how == "lost":
        shutil.rmtree(one.sent)
    else:
        sent = one.sent / "warehouse.duckdb"
        sent.write_bytes(sent.read_bytes()[:16_384] + b"x" * 100_000)
    one.change("insert into ingest_jobs by name from query_jobs", "delete from query_jobs", LISTING)

    one.forward()

    assert is_equal(one)
    assert one.there()["query_jobs"] == []
    assert one.forward().startswith("nothing new")


def test_the_newer_row_counts_though_the_clock_was_set_back(
    one: LakeForwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By three months; also if the sent copy, which knows the last number, is lost then."""
    real = dlts_time.precise_time
    for n, state in enumerate(("Closed", "Failed")):
        monkeypatch.setattr(dlts_time.increasing_precise_time, "_last", 0.0)
        monkeypatch.setattr(dlts_time, "precise_time", lambda: real() - 90 * 86_400)
        monkeypatch.setattr("time.time", lambda: real() - 90 * 86_400)
        if n:
            shutil.rmtree(one.sent)
        one.change(f"update query_jobs set state = '{state}'")

        one.forward()

        assert states(one) == [("job", state)]
        assert is_equal(one)


@BOTH
def test_a_restored_older_file_takes_nothing_away(
    one: LakeForwarder, small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Until `--full` asks for that. What it says otherwise counts at once."""
    one.change(JOB, LISTING, "update query_jobs set state = 'Closed'")
    one.forward()
    one.publish(small)

    with caplog.at_level(logging.WARNING):
        one.forward()

    assert "lacks 2 rows" in caplog.text
    assert states(one) == [("job", "Open"), ("later", "Closed")]
    one.forward(full=True)
    assert is_equal(one)


@BOTH
@pytest.mark.parametrize("how", ["lost", "killed"])
def test_an_older_file_without_a_copy_to_compare_with_is_noticed(
    one: LakeForwarder, small: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """The sent copy is lost, or a forward of the newer file was killed: what stays there, and what to do, is said."""
    one.change(JOB, LISTING)
    if how == "lost":
        one.forward()
        shutil.rmtree(one.sent)
    else:
        one.killed("*/warehouse.duckdb")
    one.publish(small, "update query_jobs set state = 'Closed'")
    one.forward()

    assert states(one) == [("job", "Closed"), ("later", "Open")]
    assert "has 1 listing that the published copy lacks" in caplog.text
    one.forward(full=True)
    assert is_equal(one)
    assert caplog.text.count("forward --full") == 1


def test_a_lake_that_was_deleted_gets_everything(one: LakeForwarder) -> None:
    shutil.rmtree(one.url)
    one.change(JOB)

    one.forward()

    assert is_equal(one)
    assert Path(one.root, "views", "duckdb.sql").exists()


@BOTH
@pytest.mark.parametrize("first", [(), ("--init",)], ids=["forward", "init"])
def test_a_table_that_was_removed_comes_back_with_all_rows(
    one: LakeForwarder, first: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Also if something else creates it, before anything is sent."""
    shutil.rmtree(Path(one.root) / "query_jobs")
    one.change(LISTING)

    one.forward(init="--init" in first)
    one.forward()

    assert "The destination has lost rows of query_jobs: everything is sent again." in caplog.text
    assert is_equal(one)
    assert one.forward().startswith("nothing new")


@BOTH
def test_a_removed_table_comes_back_although_the_forward_that_noticed_is_killed(one: LakeForwarder) -> None:
    """By then the table is there again, without rows."""
    shutil.rmtree(Path(one.root) / "query_jobs")
    one.change(LISTING)

    one.killed("*/recorders/*")
    one.forward()

    assert is_equal(one)


@BOTH
def test_a_new_name_of_the_recorder_is_no_loss(one: LakeForwarder, caplog: pytest.LogCaptureFixture) -> None:
    """Everything is sent under it; what was sent under the old one is still there, so nothing is said to be lost."""
    one.environment["FORWARD__RECORDER"] = "renamed"
    one.change(LISTING)

    one.forward()

    assert "lost" not in caplog.text
    assert any("renamed" in path.name for path in one.paths("recorders"))


@BOTH
@pytest.mark.parametrize("how", ["removed", "edited"])
def test_what_was_moved_while_the_registry_was_lost_is_not_there_twice(one: LakeForwarder, how: str) -> None:
    (file,) = [path for path in one.paths("recorders") if not path.name.startswith("columns")]
    if how == "removed":
        file.unlink()
    else:
        rows = pq.read_table(file)
        pq.write_table(rows.set_column(rows.column_names.index("load_id"), "load_id", pa.array(["x"])), file)
    one.change("insert into ingest_jobs by name from query_jobs", "delete from query_jobs", LISTING)

    one.forward()

    assert is_equal(one)
    assert one.there()["query_jobs"] == []


def test_without_anything_new_no_file_is_written(one: LakeForwarder) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(one.url).rglob("*")}

    assert one.run("--quiet") == (0, "")
    one.change("checkpoint")
    assert one.forward().startswith("nothing new")

    assert {path: path.stat().st_mtime_ns for path in Path(one.url).rglob("*")} == before


@FORMATS
def test_a_name_belongs_to_one_file_until_it_is_taken_over(
    lake_of: Lakes, small: Path, table_format: str | None
) -> None:
    first, second = (lake_of(name, recorder="emea", table_format=table_format) for name in ("first", "second"))
    for one in (first, second):
        one.publish(small)
    first.forward()
    with pytest.raises(ConfigError, match=r"The recorder emea .*/first/loader\.duckdb on .* not .*/second/"):
        second.forward()
    code, said = second.run()
    assert (code, "--take-over" in said) == (78, True)

    second.change("update query_jobs set state = 'Closed'")
    second.forward(take_over=True)

    assert is_equal(second)
    first.change(JOB)
    with pytest.raises(ConfigError):
        first.forward()


def test_a_name_belongs_to_one_machine(one: LakeForwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.socket, "gethostname", lambda: "another-machine")
    one.change(JOB)

    with pytest.raises(ConfigError, match=r"not .* on another-machine"):
        one.forward()

    one.forward(take_over=True)
    assert is_equal(one)


def test_a_second_forward_at_the_same_time_does_nothing(one: LakeForwarder) -> None:
    import fcntl

    one.change(JOB)
    with (one.sent / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TemporaryError, match="Another forward"):
            one.forward()

    one.forward()
    assert is_equal(one)
