"""How long `forward` takes: the first time, with 1,000 changed jobs, and with nothing new.

    .venv/bin/python tests/benchmarks/forward.py postgres|parquet|delta [jobs]     # a million, if no number is given

Makes a synthetic history, starts a Postgres of its own in a temporary folder or makes a folder for the lake, and runs
each forward in a process of its own. Prints the rows sent, seconds, and seconds of CPU of the forward and of the
server's sessions. At its end, every table must have as many rows there as here.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import duckdb
import isolated  # noqa: F401 - before anything of ours
from deltalake import DeltaTable
from postgres_server import Server, postgres_server
from synthetic_history import generate

from pipelines.forwarding.lake_views import statements
from pipelines.tables import TABLES
from pipelines.warehouse.file_identity import write_identity

PROJECT = Path(__file__).parents[2]
CHANGES = (
    "update query_jobs set state = 'Changed' where rowid in (select rowid from query_jobs order by rowid desc limit 1000)",
    "insert into query_job_states select * replace ('Changed ' || state as state) from query_job_states order by rowid desc limit 1000",
    "update state_spans set state = 'Changed' where rowid in (select rowid from state_spans order by rowid desc limit 1300)",
    "insert into listings select * replace ('of the changes' as listing_id) from listings limit 1",
)


def main(destination: str, jobs: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="forwarded_"))
    try:
        (home / ".dlt").mkdir()
        (home / ".dlt" / "config.toml").write_text("[query_jobs]\n")
        published = home / "warehouse.duckdb"
        generate(published, jobs)
        with duckdb.connect(published) as connection:
            write_identity(connection, "benchmark")
        print(f"{jobs:,} jobs, {published.stat().st_size / 1e6:,.0f} MB, to {destination}")
        os.environ["DLT_PROJECT_DIR"] = str(home)
        if destination == "postgres":
            with postgres_server() as server:
                database = server.new_database()
                os.environ |= {
                    "FORWARD__DESTINATION": "postgres",
                    "DESTINATION__POSTGRES__CREDENTIALS": server.url(database),
                }
                timed_forwards(published, server)
                compare(published, lambda table: server.execute(f"select count(*) from salesforce.{table}", database))
                ((size,),) = server.execute(f"select pg_database_size('{database}')")
        else:
            os.environ |= {
                "FORWARD__DESTINATION": "filesystem",
                "DESTINATION__FILESYSTEM__BUCKET_URL": str(home / "lake"),
            }
            if destination == "delta":
                os.environ["FORWARD__TABLE_FORMAT"] = "delta"
            timed_forwards(published, None)
            compare(published, partial(count_in_lake, home / "lake" / "salesforce", destination))
            size = sum(file.stat().st_size for file in (home / "lake").rglob("*") if file.is_file())
        print(f"{size / 1e6:,.0f} MB there; every table has as many rows as the file")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def timed_forwards(published: Path, server: Server | None) -> None:
    timed("first", server)
    timed("quiet", server)
    with duckdb.connect(published) as connection:
        connection.execute("set TimeZone = 'UTC'; set search_path = 'salesforce'")
        for statement in CHANGES:
            connection.execute(statement)
    timed("1,000 changes", server)
    timed("quiet", server)


def timed(label: str, server: Server | None) -> None:
    before, servers = resource.getrusage(resource.RUSAGE_CHILDREN), server_cpu(server)
    began = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-m", "pipelines.query_jobs", "forward"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{label:>14}: {seconds:6.1f} s, CPU {cpu:5.1f} s, server {server_cpu(server) - servers:5.1f} s   {run.stdout.strip()}"
    )


def server_cpu(server: Server | None) -> float:
    """Seconds of CPU of the server's processes that have ended, and of its own."""
    if server is None:
        return 0.0
    assert server.process
    stat = Path(f"/proc/{server.process.pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def count_in_lake(root: Path, kind: str, table: str) -> list[tuple[int]]:
    if kind == "delta":
        return [(DeltaTable(str(root / table)).to_pyarrow_dataset().count_rows(),)]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for statement in statements((root / "views" / "duckdb.sql").read_text()):
            if "read_parquet" in statement or "create or replace view" not in statement:
                connection.execute(statement)
        return connection.execute(f"select count(*) from salesforce.{table}").fetchall()


def compare(published: Path, count: Callable[[str], list[tuple[int]]]) -> None:
    with duckdb.connect(published, read_only=True) as connection:
        for table in TABLES:
            here = connection.execute(f"select count(*) from salesforce.{table.name}").fetchall()
            there = count(table.name)
            assert here == there, table.name


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
