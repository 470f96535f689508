"""kill -9 at any moment of a forward into a lake: until the next one, nothing is there twice or before its proof; the
next one leaves every row right."""

from collections.abc import Callable
from pathlib import Path

import pytest
from forwarder import differing
from lake_forwarder import LakeForwarder

from pipelines.tables import TABLES

Lakes = Callable[..., LakeForwarder]
CHANGES = (
    "update query_jobs set object = 'Changed' where hash(id) % 3 = 0",
    "update job_details set retries = -1 where retries % 5 = 0",
    "delete from users where rowid < 3",
    "insert into listings select * replace ('extra' as listing_id) from listings limit 1",
)
PACKAGE = "*/loaded/*"  # dlt has sent all of one, and moves it
FORMATS = pytest.mark.parametrize("table_format", [None, "delta"], ids=["parquet", "delta"])


def keys_are_unique(lake: LakeForwarder) -> bool:
    with lake.lake() as connection:
        return all(
            connection.execute(f"select count(*) = count(distinct ({', '.join(table.key)})) from salesforce.{table.name}")
            .fetchone()[0]
            for table in TABLES
        )  # fmt: skip


def listings(lake: LakeForwarder) -> set[str]:
    with lake.lake() as connection:
        return {one for (one,) in connection.execute("select listing_id from salesforce.listings").fetchall()}


@pytest.mark.parametrize(
    ("before", "which"),
    [
        ("*/query_jobs/*.parquet", 1),
        ("*/users/*.removed.parquet", 1),
        (PACKAGE, 1),
        ("*/recorders/*.parquet", 2),
        *(
            pytest.param(*moment, marks=pytest.mark.slow)
            for moment in [
                ("*/recorders/*.parquet", 1), ("*/job_details/*.parquet", 1), ("*/listings/*.parquet", 1), (PACKAGE, 2),
                ("*/warehouse.duckdb", 1), ("*/sent.json", 1), ("*/sent.json", 2),
            ]
        ),
    ],
)  # fmt: skip
def test_killed_between_files(lake_of: Lakes, some: Path, before: str, which: int) -> None:
    lake = lake_of()
    lake.publish(some)
    lake.forward()
    known = listings(lake)
    lake.change(*CHANGES)

    lake.killed(before, which)

    assert keys_are_unique(lake)
    all_is_there = differing({**lake.here(), "listings": []}, {**lake.there(), "listings": []}) == {}
    assert all_is_there or listings(lake) == known
    lake.forward()
    assert differing(lake.here(), lake.there()) == {}
    assert lake.forward().startswith("nothing new")


@pytest.mark.slow
@pytest.mark.parametrize("which", [1, 2])
def test_killed_between_packages_of_delta_tables(lake_of: Lakes, some: Path, which: int) -> None:
    lake = lake_of(table_format="delta")
    lake.publish(some)
    lake.forward()
    lake.change(*CHANGES)

    lake.killed(PACKAGE, which)

    assert keys_are_unique(lake)
    lake.forward()
    assert differing(lake.here(), lake.there()) == {}


@pytest.mark.parametrize(
    ("before", "which"),
    [
        ("*/query_jobs/*.parquet", 2),  # the first one has the columns, and no rows
        ("*/_dlt_version/*", 1),
        pytest.param("*/query_jobs/*.parquet", 1, marks=pytest.mark.slow),
        pytest.param(PACKAGE, 2, marks=pytest.mark.slow),
        pytest.param("*/views/*", 1, marks=pytest.mark.slow),
    ],
)
def test_the_first_forward_killed(lake_of: Lakes, some: Path, before: str, which: int) -> None:
    lake = lake_of()
    lake.publish(some)

    lake.killed(before, which)

    lake.forward()
    assert differing(lake.here(), lake.there()) == {}


@pytest.mark.parametrize("before", ["*/full_forwards/*.parquet", pytest.param(PACKAGE, marks=pytest.mark.slow)])
def test_full_killed(lake_of: Lakes, some: Path, before: str) -> None:
    """What it was to remove stays until it has sent everything."""
    lake = lake_of()
    lake.publish(some)
    lake.forward()
    lake.publish(some, "delete from listings", "delete from query_jobs where rowid < 100")

    lake.killed(before, 1, "--full")

    assert keys_are_unique(lake)
    with lake.lake() as connection:
        assert connection.execute("select count(*) from salesforce.query_jobs").fetchone() == (2001,)
    lake.forward(full=True)
    assert differing(lake.here(), lake.there()) == {}


@FORMATS
def test_killed_and_then_an_older_file_restored(lake_of: Lakes, some: Path, table_format: str | None) -> None:
    """It is the one that was sent before: what it does not say differs there all the same."""
    lake = lake_of(table_format=table_format)
    lake.publish(some)
    lake.forward()
    lake.change(*CHANGES, "insert into query_jobs by name select 'new' as id, * exclude (id) from query_jobs limit 1")
    lake.killed(PACKAGE, 1)
    lake.here()
    assert len(lake.there()["query_jobs"]) == 2002

    lake.publish(some)
    lake.forward()

    assert differing(lake.here(), lake.there()) == {}
    assert lake.forward().startswith("nothing new")


def test_killed_twice_and_then_the_first_file_restored(lake_of: Lakes, small: Path) -> None:
    """What came second is there in part, too."""
    lake = lake_of()
    lake.publish(small)
    lake.forward()
    first = "insert into users by name select 'org' as org_id, 'first' as id, now() as asked_at"
    lake.change(first)
    before = lake.home / "first.duckdb"
    before.write_bytes(lake.published.read_bytes())
    lake.killed(PACKAGE, 1)
    lake.change("update query_jobs set object = 'second'")
    lake.killed(PACKAGE, 1)

    lake.publish(before)
    lake.forward()

    assert differing(lake.here(), lake.there()) == {}


def test_an_org_that_gets_its_full_id_after_a_first_forward_was_killed(lake_of: Lakes, small: Path) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.killed(PACKAGE, 1)
    lake.change("update query_jobs set org_id = 'organization'", "update listings set org_id = 'organization'")

    lake.forward()

    assert differing(lake.here(), lake.there()) == {}
