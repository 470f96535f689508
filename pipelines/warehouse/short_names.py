"""Views in the schema `main` of the same names as all tables and views, so that `from failures` works in any tool.

They are `select *` of ours. DuckDB keeps a view's columns, so they are made again whenever those change (`schema.py`).
What someone else has put into `main` under one of the names stays as it is.
"""

from collections.abc import Mapping
from typing import Final

import duckdb

from pipelines.tables import DATASET

# What is in `main`. Ours say in their comment what they show.
THERE: Final = """
select table_name as name, false as ours from duckdb_tables()
where database_name = current_database() and schema_name = 'main' and not internal
union all
select view_name, coalesce(comment, '') like $like from duckdb_views()
where database_name = current_database() and schema_name = 'main' and not internal
order by name
"""


def short_names(connection: duckdb.DuckDBPyConnection) -> dict[str, bool]:
    """The names of the tables and views in `main`, and whether we made them."""
    return dict(connection.execute(THERE, {"like": f"{DATASET}.%: %"}).fetchall())


def name_shortly(connection: duckdb.DuckDBPyConnection, grains: Mapping[str, str]) -> list[str]:
    """The statements that give each table and view (name -> grain) its view in `main`, and remove those that are no
    longer needed."""
    there = short_names(connection)
    statements = [f"drop view main.{name}" for name, ours in there.items() if ours and name not in grains]
    for name, grain in grains.items():
        if there.get(name, True):
            literal = f"{DATASET}.{name}: {grain}".replace("'", "''")
            statements.append(f"create or replace view main.{name} as select * from {DATASET}.{name}")
            statements.append(f"comment on view main.{name} is '{literal}'")
    return statements
