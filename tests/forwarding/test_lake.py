"""A lake, in a folder and on S3, of plain Parquet files and of Delta tables: its rows are those of the published copy."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from forwarder import differing
from lake_forwarder import LakeForwarder

from pipelines.tables import TABLES

Lakes = Callable[..., LakeForwarder]
CHANGES = (
    "update query_jobs set object = 'Changed', observed_at = observed_at where rowid % 7 = 0",
    "update job_details set retries = null where rowid % 5 = 0",
    "delete from query_job_states where rowid < 3",  # as when an org's id becomes longer: by the recorder itself
    "delete from unlisted_jobs where rowid < 3",
)
ALL = pytest.mark.parametrize(
    ("on_s3", "table_format"),
    [(False, None), (True, None), (False, "delta"), (True, "delta")],
    ids=["folder", "s3", "delta-folder", "delta-s3"],
)
FORMATS = pytest.mark.parametrize("table_format", [None, "delta"], ids=["parquet", "delta"])


@ALL
def test_every_row_of_every_table_is_there_after_each_forward(
    lake_of: Lakes, odd: Path, on_s3: bool, table_format: str | None
) -> None:
    lake = lake_of(on_s3=on_s3, table_format=table_format)
    lake.publish(odd)
    lake.forward()
    assert differing(lake.here(), lake.there()) == {}

    lake.change(*CHANGES)
    said = lake.forward()

    assert differing(lake.here(), lake.there()) == {}
    assert len(lake.here()["query_jobs"]) > 2 * int(said.split()[0].replace(",", "")) > 0
    assert lake.forward().startswith("nothing new")


@FORMATS
def test_a_table_without_rows_can_be_read(lake_of: Lakes, small: Path, table_format: str | None) -> None:
    """Also before anything was sent."""
    lake = lake_of(table_format=table_format)
    lake.publish(small)

    lake.forward(init=True)

    assert lake.there() == {table.name: [] for table in TABLES}
    lake.here()
    for table in TABLES:
        assert set(lake.columns(table.name)) == set(table.schema.names)


@FORMATS
def test_a_field_that_salesforce_adds_becomes_a_column(lake_of: Lakes, small: Path, table_format: str | None) -> None:
    """For one recorder only; the other one goes on without it."""
    first, second = (lake_of(name, recorder=name, table_format=table_format) for name in ("first", "second"))
    for recorder in (first, second):
        recorder.publish(
            small, f"update query_jobs set org_id = '{recorder.recorder}'", identity=str(recorder.recorder)
        )
        recorder.forward()

    first.change("alter table query_jobs add column new_field varchar", "update query_jobs set new_field = 'x'")
    first.forward()
    second.change("update query_jobs set state = 'Closed'")
    second.forward()

    with first.lake() as lake:
        found = lake.execute("select org_id, state, new_field from salesforce.query_jobs order by 1").fetchall()
    assert found == [("first", "Open", "x"), ("second", "Closed", None)]


@FORMATS
def test_full_removes_what_is_no_longer_here(lake_of: Lakes, small: Path, table_format: str | None) -> None:
    """Rows of the recorder's own orgs only."""
    lake, other = lake_of("home", table_format=table_format), lake_of("other", table_format=table_format)
    other.publish(small, "update query_jobs set org_id = 'theirs'", "delete from listings", identity="other")
    other.forward()
    lake.publish(small, "insert into query_jobs by name select 'gone' as id, * exclude (id) from query_jobs")
    lake.forward()
    lake.publish(small, "delete from listings", "update query_jobs set observed_at = now()")
    lake.forward()
    jobs = {row[:2] for row in lake.there()["query_jobs"]}
    assert jobs == {("org", "job"), ("org", "gone"), ("theirs", "job")}  # an older file: rows may be there only

    lake.forward(full=True)

    assert {row[:2] for row in lake.there()["query_jobs"]} == {("org", "job"), ("theirs", "job")}
    assert lake.there()["listings"] == []


def test_full_deletes_the_files_that_the_one_before_has_replaced(lake_of: Lakes, small: Path) -> None:
    """Those who are reading keep theirs until then. Files of others stay."""
    lake, other = lake_of("home"), lake_of("other")
    for recorder, org in ((lake, "org"), (other, "theirs")):
        theirs = (f"update {table} set org_id = '{org}'" for table in ("query_jobs", "listings"))
        recorder.publish(small, *theirs, f"update listings set listing_id = '{org}'", identity=org)
        recorder.forward()
    for n in range(5):
        lake.change(f"update query_jobs set object = '{n}'")
        lake.forward()
    assert len(lake.paths()) == 8  # six, one of the other recorder, and one without rows

    lake.forward(full=True)
    assert len(lake.paths()) == 9
    lake.forward(full=True)
    assert len(lake.paths()) == 4  # of the two last ones
    lake.forward(full=True)

    assert len(lake.paths()) == 4
    assert {row[:2] for row in lake.there()["query_jobs"]} == {("org", "job"), ("theirs", "job")}


def test_files_tell_who_sent_them_and_in_which_order(lake_of: Lakes, small: Path) -> None:
    lake = lake_of(recorder="emea")
    lake.publish(small)
    lake.forward()
    lake.change("update query_jobs set state = 'Closed'")
    lake.forward()

    names = [path.name for path in lake.paths() if not path.name.startswith("columns.")]

    assert len(names) == 2
    for name, path in zip(names, lake.paths()[1:], strict=True):
        recorder, whole, fraction, _, _ = name.split(".")
        assert recorder.startswith("emea_")
        assert set(pq.read_table(path).column("_dlt_load_id").to_pylist()) == {f"{whole}.{fraction}"}


def test_listings_come_after_what_they_prove(lake_of: Lakes, small: Path) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.forward()

    (job,) = (path for path in lake.paths("query_jobs") if "columns" not in path.name)
    (listing,) = (path for path in lake.paths("listings") if "columns" not in path.name)

    assert job.name.split(".")[1:3] < listing.name.split(".")[1:3]
    assert job.stat().st_mtime_ns < listing.stat().st_mtime_ns


def test_another_format_gets_every_row_and_its_own_views(lake_of: Lakes, small: Path) -> None:
    """What was sent in the earlier one is not in its tables; also where the format changes back."""
    lake = lake_of(table_format=None)
    lake.publish(small)
    lake.forward()
    for table_format in ("delta", None):
        lake.table_format = table_format
        lake.environment.pop("FORWARD__TABLE_FORMAT", None)
        lake.environment |= lake.destination()
        lake.change("update query_jobs set object = 'Changed', observed_at = observed_at where rowid % 7 = 0")

        planned = lake.forward(dry_run=True)
        lake.forward()

        assert f"{len(lake.here()['query_jobs']):,} row" in planned
        assert differing(lake.here(), lake.there()) == {}
        assert ("delta_scan" in lake.script("duckdb")) is (table_format == "delta")
        assert lake.forward().startswith("nothing new")


@FORMATS
def test_a_dry_run_writes_nothing(lake_of: Lakes, small: Path, table_format: str | None) -> None:
    lake = lake_of(table_format=table_format)
    lake.publish(small)

    assert "query_jobs" in lake.forward(dry_run=True)

    assert not Path(lake.url).exists()


def test_views_can_be_left_out(lake_of: Lakes, small: Path) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.environment["FORWARD__VIEWS"] = "false"

    lake.forward()

    assert not Path(lake.root, "views").exists()
