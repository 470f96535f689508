"""How the views scale: `.venv/bin/python tests/benchmarks/views.py [--jobs N ...] [--runs 5] [--only VIEW,VIEW]`

Makes a warehouse of N jobs and 3N states (10,000 jobs a day, so a million are 100 days), applies the views to it, and
reads each in a fresh process of its own: read-only, memory_limit 2GB, every column of every row.

cold: connect and first run in that process; the file stays in the page cache. warm: median of --runs further runs.
MB: peak memory of that process by then, of which Python, DuckDB and Arrow are 100. last 30 days: warm, bounded by the
view's own column day, hour or week; a small part of the warm time if the bound prunes. Several sizes also show the
growth: 10 for ten times the jobs is linear. `--keep FILE` leaves the warehouse there, `--file FILE ...` reads kept ones
with the views of now.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
from synthetic_history import END, count, generate

from pipelines.tables import DATASET
from pipelines.warehouse.schema import apply_views, read_header, views

BOUND = f"{END - timedelta(days=30):%Y-%m-%d}"
BOUNDS = ("day", "hour", "week")
Size = tuple[int, dict[str, dict[str, float]]]  # jobs, and by view what was measured


def prepare(file: Path) -> int:
    """Applies the views as they are now; the number of jobs."""
    with duckdb.connect(file) as db:
        apply_views(db)
        return count(db, "query_jobs")


def measured(file: Path, view: str, bound: list[str], runs: int) -> dict[str, float] | str:
    """Rows, seconds and MB of one view; the error where it fails, such as for want of memory."""
    everything = f"select count(*), sum(hash(v)) from {DATASET}.{view} as v"

    def seconds(sql: str) -> float:
        began = time.perf_counter()
        db.execute(sql).fetchall()
        return time.perf_counter() - began

    began = time.perf_counter()
    try:
        db = duckdb.connect(file, read_only=True, config={"memory_limit": "2GB"})
        db.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
        rows = db.execute(everything).fetchall()[0][0]
        found = {"rows": rows, "cold": time.perf_counter() - began}
        found["warm"] = statistics.median(seconds(everything) for _ in range(runs))
        found["MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if bound:
            last = f"{everything} where v.{bound[0]} >= '{BOUND}'"
            seconds(last)
            found["last"] = statistics.median(seconds(last) for _ in range(runs))
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    return found


def apart(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns in a fresh process of its own; nothing else adds to that one's peak memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(file: Path, bounds: dict[str, list[str]], runs: int) -> Size:
    """Prints the table of one file; its number of jobs, and what was measured of each view."""
    jobs, results = apart(prepare, file), {}
    print(f"\n{jobs:,} jobs, {3 * jobs:,} states, {file.stat().st_size / 1e6:,.0f} MB\n")
    print("| view | rows | cold s | warm s | MB | last 30 days s |\n| --- | --- | --- | --- | --- | --- |")
    for view, bound in bounds.items():
        found = apart(measured, file, view, bound, runs)
        if isinstance(found, str):
            print(f"| {view} | {found} | | | | |", flush=True)
            continue
        last = f"{found['last']:.3f}" if bound else ""
        times = f"{found['cold']:.3f} | {found['warm']:.3f}"
        print(f"| {view} | {found['rows']:,} | {times} | {found['MB']:.0f} | {last} |", flush=True)
        results[view] = found
    return jobs, results


def print_growth(sizes: list[Size]) -> None:
    for (jobs, before), (more, after) in pairwise(sizes):
        print(f"\n{jobs:,} to {more:,} jobs: {more / jobs:.1f} times the jobs, and times as much of\n")
        print("| view | rows | warm s | MB | last 30 days s |\n| --- | --- | --- | --- | --- |")
        for view in [view for view in before if view in after]:
            pairs = ((before[view].get(name), after[view].get(name)) for name in ("rows", "warm", "MB", "last"))
            print(f"| {view} | {' | '.join(f'{b / a:.1f}' if a and b else '' for a, b in pairs)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="How the views scale")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--runs", type=int, default=5, help="warm runs, whose median is shown")
    parser.add_argument("--only", help="names of views, with commas", default="")
    parser.add_argument("--keep", type=Path, help="leave the warehouse in this new file; with one size")
    parser.add_argument("--file", type=Path, nargs="+", help="read kept warehouses, make none")
    given = parser.parse_args()
    if given.keep and (given.file or len(given.jobs) > 1 or given.keep.exists()):
        parser.error("--keep takes one size and a file that is not there yet")
    headers = {name: read_header(sql)[1] for name, sql in sorted(views().items())}
    only = given.only.split(",") if given.only else list(headers)
    if unknown := set(only) - headers.keys():
        parser.error(f"no such view: {', '.join(unknown)}")
    # An `hour` can be a number from 0 to 23: only DATE and TIMESTAMP are bounded.
    bounds = {view: [name for name, kind, _ in headers[view] if name in BOUNDS and kind[0] in "DT"] for view in only}

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    print(f"{machine}, DuckDB {duckdb.__version__}, median of {given.runs} warm runs")
    sizes = [measure(file, bounds, given.runs) for file in given.file or ()]
    for jobs in () if given.file else given.jobs:
        with tempfile.TemporaryDirectory() as folder:
            file = given.keep or Path(folder) / "warehouse.duckdb"
            apart(generate, file, jobs)
            sizes.append(measure(file, bounds, given.runs))
    print_growth(sizes)


if __name__ == "__main__":
    main()
