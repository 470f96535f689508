"""`from failures` works in any tool: views in `main` show the same as those of the schema."""

import shutil
from pathlib import Path

import duckdb
import pytest
from recorders import Recorder

from pipelines.config.settings import Settings
from pipelines.demo_org.org import DemoOrg
from pipelines.tables import TABLES
from pipelines.warehouse.database_file import open_database
from pipelines.warehouse.schema import apply_views, views


def test_every_name_works_without_the_schema_and_a_load_leaves_no_staged_rows(org: DemoOrg, recorder: Recorder) -> None:
    org.add_job()
    recorder.load()
    org.add_job(aNewField="x")  # which becomes a column of query_jobs
    recorder.load()
    with duckdb.connect(recorder.warehouse, read_only=True) as file:
        for name in (*views(), *(table.name for table in TABLES)):
            assert file.sql(f"from {name}").columns == file.sql(f"from salesforce.{name}").columns
        assert len(file.sql("from jobs").fetchall()) == 2
        assert "a_new_field" in file.sql("from query_jobs").columns
        staged = file.sql("select table_name from duckdb_tables() where schema_name = 'salesforce_staging'").fetchall()
        assert staged
        for (table,) in staged:
            if not table.startswith("_dlt"):
                assert file.sql(f"from salesforce_staging.{table}").fetchall() == []
    assert recorder.primary_file.read_bytes() == recorder.warehouse.read_bytes()


def test_what_others_have_in_main_stays(filled: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    shutil.copyfile(filled.warehouse, copy)
    with open_database(copy, read_only=False) as file:
        file.execute("drop view main.failures; create table main.failures as select 1 as mine")
        file.execute("drop view main.jobs; create view main.jobs as select 2 as mine")
        file.execute("create view main.gone as select 3; comment on view main.gone is 'salesforce.gone: no longer'")
        apply_views(file)
        apply_views(file)
        assert file.execute("select f.mine, j.mine from main.failures as f, main.jobs as j").fetchall() == [(1, 2)]
        with pytest.raises(duckdb.CatalogException):
            file.execute("from main.gone")
        assert file.execute("select count(*) > 0 from main.listings").fetchall() == [(True,)]
