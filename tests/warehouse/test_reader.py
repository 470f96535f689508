"""What a query on an open warehouse costs: it runs once."""

from pathlib import Path

from planted import plant

from pipelines.warehouse.reader import opened


def test_a_query_runs_once(tmp_path: Path) -> None:
    """Whether a relation of DuckDB is true or false depends on its number of rows: asking counts them first."""
    with opened(plant(tmp_path / "w.duckdb", listings=[{}])) as file:
        file.connection.execute("call enable_logging('QueryLog')")
        assert file.read("select listing_id as marked from listings").num_rows == 1
        logged = file.connection.execute("select message from duckdb_logs where message like '%marked%'").fetchall()
    assert len(logged) == 1


def test_sql_without_a_statement_has_no_rows(tmp_path: Path) -> None:
    with opened(plant(tmp_path / "w.duckdb", listings=[{}])) as file:
        assert file.read("-- nothing").num_rows == 0
