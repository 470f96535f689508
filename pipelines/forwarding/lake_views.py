"""The views over a lake, as SQL scripts for DuckDB and for Spark.

A lake of plain Parquet files only grows: each forward adds files with the rows that are new or different. So a view for
each table shows the newest row of each key, and the project's views read these. `_dlt_load_id` is the order of what one
recorder has sent (delivery.py); what different recorders send differs in the org.

Scripts contain no credentials. In each, every statement ends in a line that ends in `;`.
"""

from typing import Final

from pipelines.columns import FLAG, NUMBER, TEXT, Column, Table
from pipelines.forwarding.dialects import views_in
from pipelines.forwarding.registry import RECORDERS
from pipelines.job_tables import ORG_ID
from pipelines.tables import TABLES

LOAD_ID: Final = Column("_dlt_load_id", TEXT, "Of two rows of one key, the one with the greater number is newer")
REMOVED: Final = Column("is_removed", FLAG, "True: the recorder has removed or moved the row with this key")
FULL_FORWARDS: Final = Table(
    "full_forwards",
    "One row per recorder and org: its last `forward --full`",
    ("recorder", "org_id"),
    (
        Column("recorder", TEXT, "Its name"),
        ORG_ID,
        Column("after_load_id", NUMBER, "Rows of this org with a _dlt_load_id up to this one are no longer valid"),
    ),
)  # fmt: skip
FOLDER: Final = "views"  # of the scripts, beside those of the tables
ENGINES: Final = ("duckdb", "spark")

# A window over the key alone: rows that do not count are left out before it, and removed ones after it.
NEWEST: Final = """\
select * {but} (_dlt_load_id, is_removed, nth_newest) from (
    select f.*, row_number() over (partition by {key} order by cast(f._dlt_load_id as double) desc) as nth_newest
    from {files} as f left join ({full}) as w on w.org_id = f.org_id
    where cast(f._dlt_load_id as double) > coalesce(w.after_load_id, 0)
) as newest
where nth_newest = 1 and not coalesce(is_removed, false)"""
FULL: Final = "select org_id, max(after_load_id) as after_load_id from {files} group by org_id"

HEADS: Final = {
    "duckdb": """\
-- The tables and views of the lake {root}, for DuckDB: in the shell, `.read duckdb.sql`.
-- Written by `forward`, which replaces it when a new version changes the views. For a lake on S3, sign in first:
--   create secret (type s3, provider credential_chain)
create schema if not exists {dataset};
set search_path = '{dataset}';
""",
    "spark": """\
-- The tables and views of the lake {root}, as temporary views of a Spark session (Spark 4): run each statement.
-- Written by `forward`, which replaces it when a new version changes the views. Days are in UTC: the views keep this
-- time zone, even if the session changes to another one afterwards. They show the files that existed when this was
-- run: run it again to see newer ones. Spark copies a view's text wherever another view reads it, and runs out of
-- memory on views of views: docs/company-warehouse.md has the loop that keeps rows instead.
set time zone 'UTC';
""",
}


def script(engine: str, root: str, dataset: str, table_format: str | None) -> str:
    """A script that creates everything for one engine. `root` is the URL of the dataset's folder, or a local path."""
    lines = [HEADS[engine].format(root=root.replace("\n", " "), dataset=dataset)]
    place = (_in_duckdb if engine == "duckdb" else _in_spark)(root, table_format)
    view = "create or replace view" if engine == "duckdb" else "create or replace temporary view"
    for table in (RECORDERS, FULL_FORWARDS):
        lines += place.before(table, plain=True)
        lines.append(f"{view} {table.name} as\nselect * from {place.files(table, plain=True)};\n")
    for table in TABLES:
        lines += place.before(table, plain=table_format is None)
        lines.append(f"{view} {table.name} as\n{_rows(table, place, table_format)};\n")
    lines += [f"{view} {name} as\n{select};\n" for name, select in views_in(engine, schema="").items()]
    return "\n".join(lines)


def statements(text: str) -> list[str]:
    """The statements of a script."""
    return [statement for statement in text.split(";\n") if statement.strip()]


def _rows(table: Table, place: "_Place", table_format: str | None) -> str:
    files = place.files(table, plain=table_format is None)
    if table_format is not None:
        return f"select * {place.but} (_dlt_load_id) from {files}"
    key = ", ".join(f"f.{column}" for column in table.key)
    return NEWEST.format(but=place.but, key=key, files=files, full=FULL.format(files=FULL_FORWARDS.name))


class _Place:
    """How an engine reads the files of a table."""

    but = ""  # how it says: all columns but these

    def __init__(self, root: str, table_format: str | None) -> None:
        self.root = root.rstrip("/")
        self.table_format = table_format

    def before(self, table: Table, *, plain: bool) -> list[str]:
        """Statements that are needed first."""
        return []

    def files(self, table: Table, *, plain: bool) -> str:
        """What a query reads from."""
        raise NotImplementedError


class _in_duckdb(_Place):  # noqa: N801
    but = "exclude"

    def files(self, table: Table, *, plain: bool) -> str:
        folder = f"{self.root}/{table.name}".replace("'", "''")
        if not plain:
            return f"{self.table_format}_scan('{folder}')"
        folder = "".join(f"[{c}]" if c in "*?[" else c for c in folder)  # no patterns
        return f"read_parquet('{folder}/*.parquet', union_by_name = true, hive_partitioning = false)"


class _in_spark(_Place):  # noqa: N801
    but = "except"

    def before(self, table: Table, *, plain: bool) -> list[str]:
        folder = f"{self.root}/{table.name}"
        for scheme in ("s3://", "s3n://"):  # the one that Spark's own S3 client has
            folder = folder.replace(scheme, "s3a://", 1) if folder.startswith(scheme) else folder
        folder = (folder if "://" in folder else f"file://{folder}").replace("\\", "\\\\").replace("'", "\\'")
        kind, more = self.table_format, ""
        if plain:
            # Times before 1582 are as they were written; columns that came later are in newer files only.
            kind, more = "parquet", ", mergeSchema 'true', pathGlobFilter '*.parquet', datetimeRebaseMode 'CORRECTED'"
        return [
            f"create or replace temporary view {self.files(table, plain=plain)}\n"
            f"using {kind} options (path '{folder}'{more});\n"
        ]

    def files(self, table: Table, *, plain: bool) -> str:
        return f"files_of_{table.name}"
