"""The views' SQL, translated from DuckDB's dialect into those of other databases.

The files in `views/` are written in words that mean the same everywhere (tests/views/test_portable_sql.py). What cannot
be said in such words is rewritten here, on the syntax tree.
"""

from typing import Final

import sqlglot
from sqlglot import exp

from pipelines.tables import DATASET
from pipelines.warehouse.schema import views

SOURCE: Final = "duckdb"


def views_in(dialect: str, schema: str = DATASET) -> dict[str, str]:
    """Name and SELECT of every view in a dialect of sqlglot, in order of dependency, without comments. The SELECTs read
    tables and views of `schema`, or unqualified ones if that is empty."""
    return {name: translate(sql, dialect, schema) for name, sql in views().items()}


def translate(sql: str, dialect: str, schema: str = DATASET) -> str:
    """One SELECT of ours in that dialect."""
    tree = sqlglot.parse_one(sql, read=SOURCE)
    for table in tree.find_all(exp.Table):
        if table.db == DATASET:
            table.set("db", exp.to_identifier(schema) if schema else None)
    return tree.sql(dialect, comments=False, pretty=True)
