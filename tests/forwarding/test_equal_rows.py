"""After each forward, every row of every table in Postgres is that of the published copy."""

from collections.abc import Callable
from pathlib import Path

from forwarder import Forwarder, differing
from recorded_story import FILES, Story, credentials, working_in

from pipelines.demo_org.server import serving
from pipelines.recording.load import record
from pipelines.tables import TABLES

CHANGES = (
    "update query_jobs set object = 'Changed', observed_at = observed_at where rowid % 7 = 0",
    "update job_details set retries = null where rowid % 5 = 0",
    "update users set name = null where rowid = 0",
    "insert into rejected_records select * replace (record_hash || '2' as record_hash) from rejected_records",
)


def test_every_row_of_every_table_is_there(forwarder: Forwarder) -> None:
    said = forwarder.forward()

    assert differing(forwarder.here(), forwarder.there()) == {}
    assert f"{sum(map(len, forwarder.here().values())):,} rows of" in said


def test_what_changed_is_sent_and_nothing_else(forwarder: Forwarder) -> None:
    forwarder.forward()
    packages = forwarder.ask("select count(*) from salesforce._dlt_loads")
    forwarder.change(*CHANGES)

    said = forwarder.forward()

    assert differing(forwarder.here(), forwarder.there()) == {}
    changed = forwarder.ask("select count(*) from salesforce.query_jobs where object = 'Changed'")[0][0]
    assert changed > 100
    assert int(said.split()[0].replace(",", "")) < 2 * changed
    assert forwarder.ask("select count(*) from salesforce._dlt_loads") == [(packages[0][0] + 1,)]


def test_nothing_is_sent_twice(forwarder: Forwarder) -> None:
    """Not even a connection is made."""
    forwarder.forward()
    forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS__CONNECT_TIMEOUT"] = "1"
    forwarder.server.execute(f"alter database {forwarder.database} allow_connections false")

    assert forwarder.forward().startswith("nothing new")
    forwarder.change("create or replace macro main.nothing_of_ours() as 1")
    assert forwarder.forward().startswith("nothing new")


def test_a_table_without_rows_has_its_columns_and_its_key(forwarder: Forwarder) -> None:
    forwarder.publish(forwarder.published, *(f"delete from {table.name}" for table in TABLES))

    forwarder.forward(init=True)

    for table in TABLES:
        assert forwarder.columns(table.name) == table.schema.names
        (index,) = forwarder.ask(f"select indexdef from pg_indexes where indexname = '{table.name}_key'")
        assert f"UNIQUE INDEX {table.name}_key ON salesforce.{table.name}" in index[0]
    types = forwarder.ask(
        "select distinct column_name, data_type from information_schema.columns where table_schema = 'salesforce' "
        "and column_name in ('id', 'created_date', 'jobs_listed', 'hidden', 'number_records_processed')"
    )
    assert dict(types) | {"number_records_processed": ""} == {
        "id": "character varying", "created_date": "timestamp with time zone", "jobs_listed": "bigint",
        "hidden": "boolean", "number_records_processed": "",
    }  # fmt: skip


def test_each_chapter_of_the_story_arrives(forwarder_of: Callable[..., Forwarder], tmp_path: Path) -> None:
    forwarder, story = forwarder_of(), Story()
    place = tmp_path / "recorded"
    place.mkdir()
    for chapter in (story.begin, story.move, story.expire, story.go_on, story.end):
        with working_in(place), serving(story.org), serving(story.sandbox):
            chapter()
            record(FILES, credentials(story.org))
            record(FILES, credentials(story.sandbox))
        forwarder.publish(place / FILES.warehouse)

        forwarder.forward()

        assert differing(forwarder.here(), forwarder.there()) == {}, chapter.__name__
    assert "of_tomorrow" in forwarder.columns("query_jobs")


def test_a_field_that_salesforce_adds_becomes_a_column(forwarder: Forwarder) -> None:
    forwarder.forward()
    forwarder.change(
        "alter table query_jobs add column of_tomorrow varchar",
        "update query_jobs set of_tomorrow = 'x' where rowid % 3 = 0",
    )

    forwarder.forward()

    assert forwarder.columns("query_jobs")[-1] == "of_tomorrow"
    assert differing(forwarder.here(), forwarder.there()) == {}
