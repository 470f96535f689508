"""The views in the SQL of other databases: read as DuckDB's, named and typed in full, rewritten by the rules of the
dialect, and written by sqlglot."""

from functools import cache
from typing import Final

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from pipelines.columns import COUNT, FLAG, NUMBER, TEXT, TIME
from pipelines.forwarding.dialect_rules import rewrite
from pipelines.tables import DATASET, TABLES
from pipelines.warehouse.schema import read_header, views

SOURCE: Final = "duckdb"
# Postgres has no statistics on what a CTE returns, takes each for one row, and computes the joined ones again for every
# row: here each is marked to be computed once. Not in every view, as no filter reaches a materialized CTE.
COMPUTED_ONCE: Final = {"postgres": ("usual_runs",)}
TYPES: Final[dict[pa.DataType, str]] = {
    TEXT: "varchar", NUMBER: "double", COUNT: "bigint", FLAG: "boolean", TIME: "timestamptz",
}  # fmt: skip


def views_in(dialect: str, schema: str = DATASET) -> dict[str, str]:
    """Name and SELECT of every view in a dialect of sqlglot, in order of dependency, without comments. The SELECTs read
    tables and views of `schema`, or unqualified ones if that is empty."""
    once = COMPUTED_ONCE.get(dialect, ())
    return {name: translate(sql, dialect, schema, materialized=name in once) for name, sql in views().items()}


def translate(sql: str, dialect: str, schema: str = DATASET, *, materialized: bool = False) -> str:
    """One SELECT of ours in that dialect; `materialized`: each of its CTEs is computed once.

    Every column is named by its table: databases differ in whether `x` is the column x or the result named x.
    """
    tree = rewrite(typed(sql), dialect)
    if materialized:
        for cte in tree.find_all(exp.CTE):
            cte.set("materialized", True)
    for alias in list(tree.find_all(exp.Alias)):
        if isinstance(alias.this, exp.Column) and alias.this.name == alias.alias:
            alias.replace(alias.this)  # `t.x as x`: Spark's optimizer stumbles over them in a self-join (4.3)
    for table in tree.find_all(exp.Table):
        if table.db == DATASET:
            table.set("db", exp.to_identifier(schema) if schema else None)
    return tree.sql(dialect, comments=False, pretty=True, unsupported_level=sqlglot.ErrorLevel.RAISE)


def typed(sql: str) -> exp.Expression:
    """The syntax tree of a SELECT of ours, in which every name is qualified and every expression has its type."""
    tree = sqlglot.parse_one(sql, read=SOURCE, into=exp.Select)
    qualify(tree, dialect=SOURCE, schema=_schema(), quote_identifiers=False, identify=False)
    annotate_types(tree, dialect=SOURCE, schema=_schema())
    return tree


@cache
def _schema() -> MappingSchema:
    """The columns of all tables and views, with their types in DuckDB."""
    columns = {table.name: {column.name: TYPES[column.type] for column in table.columns} for table in TABLES}
    for name, sql in views().items():
        columns[name] = {column: kind for column, kind, _ in read_header(sql)[1]}
    return MappingSchema({DATASET: columns}, dialect=SOURCE)
