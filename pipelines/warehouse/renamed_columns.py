"""Columns that had other names in earlier versions: their migration in databases and in kept listings."""

from typing import Final

import duckdb
import pyarrow as pa

from pipelines.columns import Table
from pipelines.tables import DATASET

RENAMED: Final = {"more_fields": "extra_fields"}  # old -> new
# Both columns exist if an earlier version has loaded into a migrated file, or if a field of Salesforce had a column
# with the new name before. Their values are JSON objects; the value of such a field is made one, by the field's name as
# listings show it: under another, each of these jobs would count as changed with the next listing.
_BOTH: Final = """
case when {new} is null then {old} when {old} is null then {object} else json_merge_patch({old}, {object}) end
"""
_OBJECT: Final = """
case when json_valid({new}) and json_type({new}) = 'OBJECT' then {new} else json_object('{field}', {new}) end
"""


def old_names(table: Table) -> dict[str, str]:
    """The table's renamed columns, old -> new."""
    return {old: new for old, new in RENAMED.items() if new in table.schema.names}


def rename_columns(connection: duckdb.DuckDBPyConnection, table: Table, stored: tuple[str, ...]) -> list[str]:
    """Statements that rename a stored table's columns. If both columns exist, this first merges the old values into the
    new column: DuckDB 1.5 cannot update and alter a table in one transaction. Repeating it changes nothing, in case the
    statements never ran."""
    name = f"{DATASET}.{table.name}"
    statements: list[str] = []
    for old, new in old_names(table).items():
        if old in stored and new in stored:
            connection.execute(f"update {name} set {new} = {_both(old, new)}")
            statements.append(f"alter table {name} drop column {old}")
        elif old in stored:
            statements.append(f"alter table {name} rename column {old} to {new}")
    return statements


def with_new_names(rows: pa.Table, table: Table) -> pa.Table:
    """Rows that an earlier version extracted, with the current column names."""
    for old, new in old_names(table).items():
        if new in rows.column_names and old in rows.column_names:
            with duckdb.connect() as connection:
                both = connection.sql(f"select {_both(old, new)} as both from rows").to_arrow_table()["both"]
            rows = rows.set_column(rows.column_names.index(new), new, both).drop_columns(old)
        elif old in rows.column_names:
            rows = rows.rename_columns({old: new})
    return rows


def _both(old: str, new: str) -> str:
    first, *others = new.split("_")
    field = first + "".join(map(str.capitalize, others))
    return _BOTH.format(old=old, new=new, object=_OBJECT.format(new=new, field=field))
