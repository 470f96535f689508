"""How long `forward` takes to Postgres: the first time, with 1,000 changed jobs, and with nothing new.

    .venv/bin/python tests/benchmarks/forward.py [jobs]     # a million, if no number is given

Makes a synthetic history, starts a Postgres of its own in a temporary folder, and runs each forward in a process of its
own. Prints the rows sent, seconds, and seconds of CPU of the forward and of the server's sessions. Each forward ends
with a comparison of row counts, and the last with what every table holds.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import duckdb
import isolated  # noqa: F401 - before anything of ours
from postgres_server import Server, postgres_server
from synthetic_history import generate

from pipelines.tables import TABLES
from pipelines.warehouse.file_identity import write_identity

PROJECT = Path(__file__).parents[2]
CHANGES = (
    "update query_jobs set state = 'Changed' where rowid in (select rowid from query_jobs order by rowid desc limit 1000)",
    "insert into query_job_states select * replace ('Changed ' || state as state) from query_job_states order by rowid desc limit 1000",
    "update state_spans set state = 'Changed' where rowid in (select rowid from state_spans order by rowid desc limit 1300)",
    "insert into listings select * replace ('of the changes' as listing_id) from listings limit 1",
)


def main(jobs: int) -> None:
    home = Path(tempfile.mkdtemp(prefix="forwarded_"))
    try:
        (home / ".dlt").mkdir()
        (home / ".dlt" / "config.toml").write_text('[query_jobs]\n[forward]\ndestination = "postgres"\n')
        published = home / "warehouse.duckdb"
        generate(published, jobs)
        with duckdb.connect(published) as connection:
            write_identity(connection, "benchmark")
        print(f"{jobs:,} jobs, {published.stat().st_size / 1e6:,.0f} MB")
        with postgres_server() as server:
            database = server.new_database()
            os.environ |= {"DLT_PROJECT_DIR": str(home), "DESTINATION__POSTGRES__CREDENTIALS": server.url(database)}
            timed("first", server)
            timed("quiet", server)
            with duckdb.connect(published) as connection:
                connection.execute("set TimeZone = 'UTC'; set search_path = 'salesforce'")
                for statement in CHANGES:
                    connection.execute(statement)
            timed("1,000 changes", server)
            timed("quiet", server)
            compare(published, server, database)
            ((size,),) = server.execute(f"select pg_size_pretty(pg_database_size('{database}'))")
            print(f"the database has {size}; every table has as many rows as the file")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def timed(label: str, server: Server) -> None:
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


def server_cpu(server: Server) -> float:
    """Seconds of CPU of the server's processes that have ended, and of its own."""
    assert server.process
    stat = Path(f"/proc/{server.process.pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def compare(published: Path, server: Server, database: str) -> None:
    with duckdb.connect(published, read_only=True) as connection:
        for table in TABLES:
            here = connection.execute(f"select count(*) from salesforce.{table.name}").fetchall()
            assert here == server.execute(f"select count(*) from salesforce.{table.name}", database), table.name


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
