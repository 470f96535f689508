"""Whatever is lost or goes back, here or there: the next forward makes Postgres equal to the published copy again."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dlt.common import time as dlts_time
from forwarder import Forwarder, differing
from postgres_server import Server

from pipelines.errors import ConfigError, TemporaryError

JOB = (
    "insert into query_jobs by name select 'org' as org_id, 'job{n}' as id, 'Open' as state, "
    "timestamptz '2026-11-02' as system_modstamp, timestamptz '2026-11-02' as observed_at"
)
LISTING = (
    "insert into listings by name select 'listing{n}' as listing_id, 'org' as org_id, 'query' as feed, "
    "timestamptz '2026-11-02' as started_at, timestamptz '2026-11-02' as finished_at, '{{}}' as filters"
)


def later(n: int) -> tuple[str, str]:
    """What another load adds to a file."""
    return JOB.format(n=n), LISTING.format(n=n)


@pytest.fixture
def one(forwarder_of: Callable[..., Forwarder], small: Path) -> Forwarder:
    """A recorder that has forwarded one job and one listing."""
    made = forwarder_of()
    made.publish(small)
    made.forward()
    return made


def is_equal(forwarder: Forwarder) -> bool:
    return differing(forwarder.here(), forwarder.there()) == {}


@pytest.mark.parametrize("how", ["lost", "emptied", "cut", "overwritten"])
def test_without_the_sent_copy_all_is_sent_again(one: Forwarder, caplog: pytest.LogCaptureFixture, how: str) -> None:
    """And said, if there is one that cannot be read."""
    sent = one.sent / "warehouse.duckdb"
    if how == "lost":
        shutil.rmtree(one.sent)
    elif how == "overwritten":
        content = bytearray(sent.read_bytes())
        content[16_384:] = b"x" * (len(content) - 16_384)
        sent.write_bytes(content)
    else:
        sent.write_bytes(b"" if how == "emptied" else sent.read_bytes()[:9_000])
    one.change(*later(2))

    assert one.forward().startswith("4 rows")

    assert is_equal(one)
    assert ("everything is sent again" in caplog.text) == (how != "lost")
    assert one.forward().startswith("nothing new")


def test_what_the_recorder_has_moved_is_moved(one: Forwarder) -> None:
    """From one table to the other, as when /jobs/ingest is listed for the first time."""
    one.change("insert into ingest_jobs by name from query_jobs", "delete from query_jobs", *later(2)[1:])

    one.forward()

    assert is_equal(one)
    assert one.ask("select count(*) from salesforce.query_jobs") == [(0,)]


def test_what_was_moved_while_the_sent_copy_was_lost_is_not_there_twice(one: Forwarder) -> None:
    one.change("insert into ingest_jobs by name from query_jobs", "delete from query_jobs", *later(2)[1:])
    shutil.rmtree(one.sent)

    one.forward()

    assert is_equal(one)


def test_an_org_that_got_its_full_id_is_there_once(one: Forwarder) -> None:
    one.change("update query_jobs set org_id = 'organization'", "update listings set org_id = 'organization'")

    one.forward()

    assert is_equal(one)


def test_a_restored_older_file_takes_nothing_away(
    one: Forwarder, small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Until `--full` asks for that."""
    one.change(*later(2))
    one.forward()
    one.publish(small, *later(3)[:1])
    with caplog.at_level(logging.WARNING):
        one.forward()
    assert "lacks 2 rows" in caplog.text
    assert one.ask("select id from salesforce.query_jobs order by 1") == [("job",), ("job2",), ("job3",)]

    one.forward(full=True)

    assert is_equal(one)


def test_an_older_file_without_the_sent_copy_is_noticed(
    one: Forwarder, small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What stays there, and what to do, is said."""
    one.change(*later(2))
    one.forward()
    shutil.rmtree(one.sent)
    one.publish(small)
    one.forward()

    assert "has 1 listing that the published copy lacks" in caplog.text
    one.forward(full=True)
    assert is_equal(one)
    assert caplog.text.count("forward --full") == 1


def test_full_removes_only_what_is_the_recorders_own(
    one: Forwarder, forwarder_of: Callable[..., Forwarder], small: Path
) -> None:
    other = forwarder_of("other", recorder="other")
    other.publish(
        small, *later(5), "update query_jobs set org_id = 'its'", "update listings set org_id = 'its', listing_id = 'its' || listing_id",
        identity="another-file",
    )  # fmt: skip
    other.forward()
    one.publish(small, "delete from query_jobs")

    one.forward(full=True)

    assert one.ask("select org_id, id from salesforce.query_jobs order by 2") == [("its", "job"), ("its", "job5")]


def test_full_leaves_an_org_that_another_recorder_has_taken(
    one: Forwarder, forwarder_of: Callable[..., Forwarder], small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = forwarder_of("other", recorder="other")
    other.publish(small, *later(5), identity="another-file")
    other.forward()

    with caplog.at_level(logging.WARNING):
        one.forward(full=True)

    assert "Other recorders forward org" in caplog.text
    assert one.ask("select count(*) from salesforce.query_jobs") == [(2,)]


def test_a_destination_that_was_made_anew_gets_everything(one: Forwarder) -> None:
    one.ask("drop schema salesforce cascade")
    one.change(*later(2))

    one.forward()

    assert is_equal(one)
    assert one.ask("select count(*) from salesforce.jobs") == [(2,)]  # with its views


def test_a_table_that_was_dropped_is_made_again(one: Forwarder) -> None:
    """dlt alone would take its own note for the table."""
    one.ask("drop table salesforce.query_jobs cascade")
    one.change(*later(2))
    one.forward()

    assert is_equal(one)


def test_another_dataset_gets_everything(one: Forwarder) -> None:
    one.environment["FORWARD__DATASET"] = "elsewhere"

    assert one.forward().startswith("2 rows")

    assert one.ask("select count(*) from elsewhere.query_jobs") == [(1,)]
    assert len(list((one.home / "loader.duckdb.sent").iterdir())) == 2


def test_load_ids_go_on_when_the_clock_is_set_back(one: Forwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dlts_time.precise_time
    monkeypatch.setattr(dlts_time.increasing_precise_time, "_last", 0.0)
    monkeypatch.setattr(dlts_time, "precise_time", lambda: real() - 90 * 86_400)
    one.change(*later(2))

    one.forward()

    ids = [float(number) for (number,) in one.ask("select load_id from salesforce._dlt_loads order by inserted_at, 1")]
    assert len(ids) == 4
    assert ids == sorted(set(ids))
    assert is_equal(one)
    (known,) = one.ask("select load_id from salesforce.recorders")[0]
    assert float(known) >= ids[-1]
    assert json.loads((one.sent / "sent.json").read_text())["load_id"] == float(known)


def test_a_second_forward_at_the_same_time_does_nothing(one: Forwarder, postgres: Server) -> None:
    blocking = postgres.connect(one.database)
    with blocking.cursor() as cursor:
        cursor.execute("begin; lock table salesforce.query_jobs")
        one.change(*later(2))
        first = one.start("--quiet")
        while not postgres.execute(
            f"select 1 from pg_stat_activity where datname = '{one.database}' and wait_event = 'relation'"
        ):
            assert first.poll() is None, first.communicate()
        with pytest.raises(TemporaryError, match=rf"PID {first.pid}"):
            one.forward()
        cursor.execute("rollback")
    blocking.close()

    assert "".join(first.communicate(timeout=60)) == ""
    assert first.returncode == 0
    assert is_equal(one)


def test_a_name_belongs_to_one_file_until_it_is_taken_over(forwarder_of: Callable[..., Forwarder], small: Path) -> None:
    first, second = forwarder_of("first", recorder="emea"), forwarder_of("second", recorder="emea")
    for one in (first, second):
        one.publish(small)
    first.forward()
    with pytest.raises(ConfigError, match=r"The recorder emea .*/first/loader\.duckdb on .* not .*/second/"):
        second.forward()
    assert "--take-over" in second.run()[1]

    second.forward(take_over=True)

    assert is_equal(second)
    first.change(*later(2))
    with pytest.raises(ConfigError):
        first.forward()
    assert second.ask("select recorder, identity from salesforce.recorders") == [("emea", "small-file")]


def test_a_dry_run_touches_nothing(forwarder_of: Callable[..., Forwarder], small: Path) -> None:
    forwarder = forwarder_of()
    forwarder.publish(small)
    before = sorted(forwarder.home.rglob("*"))

    said = forwarder.forward(dry_run=True)

    *counts, last = said.splitlines()
    assert [line.split() for line in counts] == [
        ["query_jobs", "1", "row"], ["listings", "1", "row"],
    ]  # fmt: skip
    assert last == (
        "These rows would be sent to postgres, dataset salesforce. "
        "Nothing was sent, and the destination was not contacted."
    )
    assert sorted(forwarder.home.rglob("*")) == before
    assert forwarder.ask("select count(*) from pg_namespace where nspname like 'salesforce%'") == [(0,)]
