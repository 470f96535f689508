"""The views of other engines are equal to DuckDB's, row by row, on all that views can meet: the demo org's problems, the
recorded story, and odd rows with a null in every column that can have one."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import sqlglot
from postgres_server import Server, missing_engine
from spark_session import spark_session
from sqlglot import exp
from varied_warehouse import odd_warehouse, stored_tables, story_warehouse, together
from view_equality import difference_of, differing_views

from pipelines.config.project import PROJECT
from pipelines.config.settings import Settings
from pipelines.forwarding.dialects import TYPES, views_in
from pipelines.job_tables import STATE_SPANS
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.schema import views

SEEDS = (1, 2)
# By view, in order of dependency: the views that it reads.
READS = {
    name: {table.name for table in sqlglot.parse_one(sql, read="duckdb").find_all(exp.Table) if table.db}
    & views().keys()
    for name, sql in views().items()
}


@pytest.fixture(scope="module")
def varied(filled: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of all of these."""
    folder = tmp_path_factory.mktemp("varied")
    odd = [odd_warehouse(folder / f"odd{seed}.duckdb", seed) for seed in SEEDS]
    story = story_warehouse(tmp_path_factory.mktemp("story"))
    return together(folder / "varied.duckdb", [filled.warehouse, story, *odd])


def test_the_warehouse_has_what_views_can_meet(varied: Path) -> None:
    """Every view has rows, and every column of a table that can be null is null somewhere, and is not elsewhere."""
    with duckdb.connect(varied, read_only=True) as connection:
        connection.execute(f"set search_path = '{DATASET}'")
        empty = {name for name in views() if not connection.execute(f"select count(*) from {name}").fetchone()[0]}
        assert empty <= {"usual_runs"}  # needs two whole weeks: tests/views/test_usual_runs.py
        for table in TABLES:
            kinds = [f"count(*) - count({c.name})" for c in table.columns], [f"count({c.name})" for c in table.columns]
            nulls, values = (connection.execute(f"select {', '.join(k)} from {table.name}").fetchone() for k in kinds)
            for column, null, value in zip(table.columns, nulls, values, strict=True):
                assert value, (table.name, column.name)
                cannot_be = not column.nullable or column.name in table.key or table == STATE_SPANS  # derived
                assert null or cannot_be, (table.name, column.name)


def test_duckdb_itself_gives_the_same_by_its_translated_text(varied: Path) -> None:
    """As DuckLake and MotherDuck take it, and DuckDB over a lake."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, rows in stored_tables(varied).items():
            connection.register(name, rows)
        for name, sql in views_in("duckdb", "").items():
            connection.execute(f"create view {name} as {sql}")

        assert differing_views(varied, lambda sql: connection.sql(sql).to_arrow_table(), schema="") == {}


def test_views_in_postgres_are_equal(varied: Path, postgres: Server) -> None:
    """Also for a session in a zone whose clocks change."""
    adbc = pytest.importorskip("adbc_driver_postgresql.dbapi")
    kinds = {"varchar": "text", "double": "double precision"}
    with adbc.connect(postgres.url(postgres.new_database())) as connection, connection.cursor() as cursor:
        cursor.execute(f"create schema {DATASET}")
        for table in TABLES:
            columns = [f"{c.name} {kinds.get(TYPES[c.type], TYPES[c.type])}" for c in table.columns]
            key = f"unique ({', '.join(table.key)})"
            cursor.execute(f"create table {DATASET}.{table.name} ({', '.join([*columns, key])})")
        for name, rows in stored_tables(varied).items():
            cursor.adbc_ingest(name, rows, mode="append", db_schema_name=DATASET)
        for name, sql in views_in("postgres").items():
            kind = "table" if name == "numbers" else "view"
            cursor.execute(f"create {kind} {DATASET}.{name} as {sql}")
        connection.commit()
        cursor.execute("analyze")
        cursor.execute("set timezone = 'America/New_York'")

        def ask(sql: str) -> Any:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

        assert differing_views(varied, ask) == {}


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with spark_session(tmp_path_factory.mktemp("spark")) as session:
        yield session


@pytest.fixture(scope="module")
def tables_in_spark(varied: Path, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Parquet files that DuckDB wrote."""
    folder = tmp_path_factory.mktemp("tables")
    with duckdb.connect(varied, read_only=True) as connection:
        for table in TABLES:
            file = folder / f"{table.name}.parquet"
            connection.execute(f"copy {DATASET}.{table.name} to '{file}' (format parquet)")
            spark.read.parquet(str(file)).createOrReplaceTempView(table.name)


@pytest.mark.usefixtures("tables_in_spark")
def test_every_view_in_spark_is_equal(varied: Path, spark: Any) -> None:
    """Each over the rows that Spark gave for the views that it reads, since Spark takes its time to plan views of views."""
    texts = views_in("spark", "")

    def ask(sql: str) -> Any:
        name = sql.rsplit(maxsplit=1)[-1]
        spark.sql(texts[name]).coalesce(1).localCheckpoint().createOrReplaceTempView(name)
        return spark.sql(sql).toArrow()

    assert differing_views(varied, ask, schema="") == {}


@pytest.mark.slow
@pytest.mark.usefixtures("tables_in_spark")
@pytest.mark.parametrize("view", sorted(READS.keys() - set().union(*READS.values())))
def test_a_view_of_views_in_spark_is_equal(view: str, varied: Path, spark: Any) -> None:
    """As people create them, for each view that no other one reads."""
    below = {view}
    for name in reversed(READS):
        below |= READS[name] if name in below else set()
    for name, sql in views_in("spark", "").items():
        if name in below:
            spark.sql(f"create or replace temporary view {name} as {sql}")

    assert differing_views(varied, lambda sql: spark.sql(sql).toArrow(), schema="", only=view) == {}


def test_views_in_an_emulator_of_snowflake_are_equal(varied: Path, tmp_path: Path) -> None:
    """A weak proof, for it is DuckDB underneath. It has an environment of its own (fakesnow_views.py)."""
    python = PROJECT / ".venv-snowflake" / "bin" / "python"
    if not python.exists():
        missing_engine("The emulator of Snowflake is not installed: make setup-snowflake")
    kinds = {"timestamptz": "timestamp_tz", "bigint": "number(38, 0)"}
    tables = {t.name: {c.name: kinds.get(TYPES[c.type], TYPES[c.type]) for c in t.columns} for t in TABLES}
    for name, rows in stored_tables(varied).items():
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    (tmp_path / "tables.json").write_text(json.dumps(tables))
    (tmp_path / "views.json").write_text(json.dumps(views_in("snowflake", "")))
    script = Path(__file__).with_name("fakesnow_views.py")
    run = subprocess.run([python, script, tmp_path], capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr

    def ask(sql: str) -> Any:
        return pq.read_table(tmp_path / f"{sql.rsplit(maxsplit=1)[-1]}.parquet")

    assert differing_views(varied, ask, schema="") == {}


def test_a_difference_would_be_found(varied: Path) -> None:
    """One row less, one row twice, and a number that differs in its tenth digit."""
    with duckdb.connect(varied, read_only=True) as connection:
        rows = f"select * from {DATASET}.listings"
        assert difference_of(connection, rows, rows) == ""
        assert "missing" in difference_of(connection, rows, f"{rows} limit 5")
        assert "too many" in difference_of(connection, rows, f"{rows} union all ({rows} limit 1)")
    wrong = {"coverage": "average_gap_hours + 1e-7 * average_gap_hours as average_gap_hours"}
    with duckdb.connect(varied, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")

        def ask(sql: str) -> Any:
            for view, column in wrong.items():
                if sql.endswith(f".{view}"):
                    sql = sql.replace("average_gap_hours", column, 1)
            return connection.sql(sql).to_arrow_table()

        assert differing_views(varied, ask).keys() == wrong.keys()
