"""Are all views of an engine equal to DuckDB's, row by row? For any engine that gives its rows as Arrow."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.tables import DATASET
from pipelines.warehouse.schema import read_header, views

Reader = Callable[[str], pa.Table]  # the rows of a query


def differing_views(file: Path, ask: Reader, schema: str = DATASET, only: str = "") -> dict[str, str]:
    """View -> what differs between the views in that warehouse, or one of them, and those that `ask` reads; empty if all
    are equal.

    EXCEPT ALL both ways: numbers are compared to ten significant digits, times to the microsecond.
    """
    found = {}
    with duckdb.connect(file, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, sql in views().items():
            if only not in ("", name):
                continue
            kinds = {column: kind for column, kind, _ in read_header(sql)[1]}
            try:
                theirs = ask(f"select {', '.join(kinds)} from {f'{schema}.' if schema else ''}{name}")
            except Exception as error:  # an engine's own, of any kind: the other views are compared all the same
                found[name] = f"{type(error).__name__}: {error}"
                continue
            connection.register("theirs", theirs.rename_columns(list(kinds)))
            as_ours = ", ".join(compared(column, kind) for column, kind in kinds.items())
            ours = f"select {as_ours} from {DATASET}.{name}"
            if difference := difference_of(connection, ours, f"select {as_ours} from theirs"):
                found[name] = difference
            connection.unregister("theirs")
    return found


def compared(column: str, kind: str) -> str:
    """The column, as it is compared."""
    value = f'cast("{column}" as {kind})'
    if kind != "DOUBLE":
        return f'{value} as "{column}"'
    return f'''case when {value} = 0 then 0 else
        round({value}, 9 - cast(floor(log10(abs({value}))) as integer)) end as "{column}"'''


def difference_of(connection: duckdb.DuckDBPyConnection, ours: str, theirs: str) -> str:
    """Examples of rows that only one of the two queries gives; empty if there are none."""
    connection.execute(f"create or replace temp table ours as {ours}; create or replace temp table those as {theirs}")
    lines = []
    for first, second, what in (("ours", "those", "missing"), ("those", "ours", "too many")):
        rows = connection.execute(f"from (from {first} except all from {second}) order by all limit 3").fetchall()
        lines += [f"{what}: {row}" for row in rows]
    return "\n".join(lines)
