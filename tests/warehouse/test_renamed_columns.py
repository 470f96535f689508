"""A renamed column keeps its values, in files and listings of earlier versions, even if the renaming was
interrupted."""

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from processes import holding
from recorded_story import FILES, HERE, Story, credentials, unpack, working_in
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.recording.load import record
from pipelines.recording.records import MAX_NEW_FIELDS
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.renamed_columns import RENAMED, old_names, rename_columns, with_new_names
from pipelines.warehouse.schema import complete_tables, stored_columns
from pipelines.warehouse.sealed_json import unseal

pytestmark = pytest.mark.slow_cases

ARCHIVES = [archive for archive in sorted(HERE.glob("*.tar.xz")) if "0.1.0" in archive.name]
OLD, NEW = "more_fields", "extra_fields"
TABLES_WITH_IT = ["query_jobs", "job_details"]
OTHERS = '{"ofAnother":"version"}'


def columns(file: Path, schema: str = DATASET) -> set[tuple[str, str]]:
    """Which tables have the column, and under which of its names."""
    with duckdb.connect(file, read_only=True) as connection:
        found = connection.execute(
            "select table_name, column_name from duckdb_columns() "
            "where schema_name = $1 and column_name in ($2, $3) and table_name in ($4, $5)",
            [schema, OLD, NEW, *TABLES_WITH_IT],
        ).fetchall()
    return set(found)


def values(file: Path, table: str, column: str) -> dict[tuple[str, str], str]:
    """(org, id) -> value, if there is one."""
    with duckdb.connect(file, read_only=True) as connection:
        sql = f"select org_id, id, {column} from {DATASET}.{table} where {column} is not null"
        return {(org, job): value for org, job, value in connection.execute(sql).fetchall()}


def columns_of_dlt(file: Path) -> set[str]:
    """All column names in dlt's newest schema for the two tables."""
    with duckdb.connect(file, read_only=True) as connection:
        ((schema,),) = connection.execute(
            f"select schema from {DATASET}._dlt_version order by inserted_at desc limit 1"
        ).fetchall()
    return {name for table in TABLES_WITH_IT for name in json.loads(schema)["tables"][table]["columns"]}


def change(file: Path, *statements: str) -> None:
    with duckdb.connect(file) as connection:
        connection.execute(";\n".join(statements))


def nothing(file: Path) -> None:
    """The file as 0.1.0 left it."""


def killed_before_dlt_had_loaded(file: Path) -> None:
    with open_database(file, read_only=False) as connection:
        complete_tables(connection)


def killed_between_the_two(file: Path) -> None:
    """Both columns exist, and the new one already has the old one's values."""
    add_new_column(file)
    with open_database(file, read_only=False) as connection:
        for table in TABLES:
            there = stored_columns(connection, table)  # nothing, if 0.1.0 did not have the table
            assert not (there and old_names(table)) or rename_columns(connection, table, there)


def add_new_column(file: Path) -> None:
    """As if an earlier version had loaded into a migrated file: each row has a value in one of the two."""
    for table in TABLES_WITH_IT:
        change(
            file,
            f"alter table {DATASET}.{table} add column {NEW} varchar",
            f"update {DATASET}.{table} set {NEW} = '{OTHERS}' where {OLD} is null",
        )


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.name)
@pytest.mark.parametrize(
    "before", [nothing, killed_before_dlt_had_loaded, add_new_column, killed_between_the_two], ids=lambda f: f.__name__
)
def test_recorded_files_have_the_column_only_under_its_new_name(archive: Path, tmp_path: Path, before: Any) -> None:
    """After one load and after a second, in the primary database, in the published copy, and in dlt's schema of
    both."""
    story = Story()
    unpack(archive, tmp_path)
    primary_file, warehouse = tmp_path / FILES.primary_file, tmp_path / FILES.warehouse
    for chapter in (story.begin, story.move, story.expire, story.be_locked_out, story.go_on):
        chapter()
    old_job = story.jobs[2]  # which is no longer listed
    only = f"id = '{old_job}' and org_id = '{story.org.org_id}'"  # the sandbox has jobs with the same ids
    change(primary_file, f'update {DATASET}.query_jobs set {OLD} = \'{{"of":"0.1.0"}}\' where {only}')
    expected = {table: values(primary_file, table, OLD) for table in TABLES_WITH_IT}
    assert expected["query_jobs"] == {(story.org.org_id, old_job): '{"of":"0.1.0"}'}
    assert list(expected["job_details"].values()) == ['{"ofTomorrow":"known since the first load"}']

    before(primary_file)
    with working_in(tmp_path), serving(story.org):
        for _ in range(2):
            record(FILES, credentials(story.org))
            for file in (primary_file, warehouse):
                assert columns(file) == {(table, NEW) for table in TABLES_WITH_IT}
                for table, rows in expected.items():
                    found = values(file, table, NEW)
                    assert found.items() >= rows.items()
                    assert set(found.values()) <= {*rows.values(), OTHERS}
            assert columns_of_dlt(primary_file) >= {NEW}
            assert OLD not in columns_of_dlt(primary_file)


def test_a_kept_listing_of_an_earlier_version_is_loaded_completely(org: DemoOrg, recorder: Recorder) -> None:
    """Its values under the old name go into the new column, even though the file is already migrated."""
    recorder.load()
    many = {f"field{n}": str(n) for n in range(MAX_NEW_FIELDS + 1)}
    job = org.add_job()
    org.edit_job(job, **many)
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    (kept,) = (recorder.state_folder / "kept").iterdir()
    meta = unseal((kept / "kept.json").read_text())
    (file,) = kept.glob("query_jobs.*.parquet")
    rows = pq.read_table(file)
    pq.write_table(rows.rename_columns({NEW: OLD}), file)
    meta["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (kept / "kept.json").write_text(json.dumps(meta))
    org.delete_job(job)

    assert recorder.run().returncode == 0
    assert not list((recorder.state_folder / "kept").iterdir())
    ((extra,),) = recorder.rows(f"select {NEW} from query_jobs where id = '{job}'")
    assert json.loads(extra) == many
    assert columns(recorder.primary_file) == {(table, NEW) for table in TABLES_WITH_IT}


def test_a_copy_of_an_earlier_version_stands_in_for_a_locked_file(org: DemoOrg, recorder: Recorder) -> None:
    """A job whose fields it has under the old name is no changed one."""
    org.edit_job(org.add_job(), fooBar="a", foo_bar="b")
    recorder.load()
    for file in (recorder.primary_file, recorder.warehouse):
        change(file, *(f"alter table {DATASET}.{table} rename column {NEW} to {OLD}" for table in TABLES_WITH_IT))
    with holding(recorder.primary_file):
        assert recorder.run().returncode == 75
    recorder.load()

    assert recorder.rows("select jobs_changed from listings order by started_at, finished_at") == [(1,), (0,), (0,)]


def test_kept_rows_with_both_columns_lose_neither_value() -> None:
    """An undocumented field may have had a column with the new name."""
    (table,) = [table for table in TABLES if table.name == "query_jobs"]
    with duckdb.connect() as connection:
        rows = connection.sql(
            f"""
            select * from (values
                ('1', '{{"a":1}}', null), ('2', null, '{{"b":2}}'), ('3', '{{"a":1}}', '{{"b":2}}'),
                ('4', '{{"a":1}}', 'text'), ('5', null, '7'), ('6', null, null)
            ) as rows (id, {OLD}, {NEW})
            """
        ).to_arrow_table()
    found = with_new_names(rows, table)

    assert found.column_names == ["id", NEW]
    assert [row and json.loads(row) for row in found[NEW].to_pylist()] == [
        {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, {"a": 1, "extraFields": "text"}, {"extraFields": "7"}, None,
    ]  # fmt: skip
    assert with_new_names(found, table) == found


def test_a_field_with_an_old_column_name_gets_no_column(org: DemoOrg, recorder: Recorder) -> None:
    """It would be mistaken for the renamed one. Fields of both names are kept as JSON, and a second load changes
    nothing."""
    fields = {"moreFields": "a", "extraFields": "b"}
    org.edit_job(org.add_job(), **fields)
    recorder.load()

    ((extra,),) = recorder.rows(f"select {NEW} from query_jobs")
    assert json.loads(extra) == fields
    assert columns(recorder.warehouse) == {(table, NEW) for table in TABLES_WITH_IT}
    assert recorder.load().snapshot.jobs_changed == 0


def test_a_field_that_had_a_column_by_a_new_name_is_as_listings_show_it(org: DemoOrg, recorder: Recorder) -> None:
    """Once its value is among the others, the job is the same as before: the next listing changes nothing."""
    org.edit_job(org.add_job(), extraFields="b")
    recorder.load()
    change(
        recorder.primary_file,
        f"update {DATASET}.query_jobs set {NEW} = 'b'",
        f"alter table {DATASET}.query_jobs add column {OLD} varchar",
    )

    assert recorder.load().snapshot.jobs_changed == 0
    assert recorder.rows(f"select {NEW} from query_jobs") == [('{"extraFields":"b"}',)]


def test_old_names_are_not_names_of_columns() -> None:
    """And new names are."""
    names = {column.name for table in TABLES for column in table.columns}

    assert not RENAMED.keys() & names
    assert set(RENAMED.values()) <= names
