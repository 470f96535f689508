"""Views in an emulator of Snowflake: `.venv-snowflake/bin/python fakesnow_views.py FOLDER`, in an environment of its own.

The folder has `tables.json` (name -> columns with types), `<table>.parquet`, `views.json` (name -> SELECT). Writes
`<view>.parquet` for each view. The emulator is DuckDB underneath: it proves that the words are Snowflake's, as far as it
knows them, and little about how Snowflake counts.
"""

import json
import sys
from pathlib import Path

import fakesnow
import snowflake.connector

folder = Path(sys.argv[1])
with fakesnow.patch(), snowflake.connector.connect(database="company", schema="salesforce") as connection:
    cursor = connection.cursor()
    for table, columns in json.loads((folder / "tables.json").read_text()).items():
        listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        cursor.execute(f"create table {table} ({listed})")
        connection._duck_conn.execute(f"insert into {table} by name from read_parquet('{folder / table}.parquet')")
    for view, sql in json.loads((folder / "views.json").read_text()).items():
        cursor.execute(f"create view {view} as {sql}")
    for view in json.loads((folder / "views.json").read_text()):
        cursor.execute(f"create table rows_of_{view} as select * from {view}")
        connection._duck_conn.execute(f"copy rows_of_{view} to '{folder / view}.parquet' (format parquet)")
