"""How loads in a row get on as the warehouse grows: `.venv/bin/python tests/benchmarks/growth.py [--runs RUNS] [JOBS ...]`

Without numbers, in warehouses of none, a million and ten million jobs, which it makes: half an hour. The table is also
written to .benchmarks/.
"""

import argparse
import os
import shutil
import statistics
import time

from bench import RESULTS, check_bytecode, machine, prepared
from synthetic_history import generate


def growth(warehouses: tuple[int, ...], runs: int) -> str:
    """Jobs that a listing shows of which 30 % are known and have changed; runs in a row, the first apart."""
    lines = ["### Loads in a row by size of the warehouse; medians, publishing apart", ""]
    lines.append("| warehouse | changes | first s | load s | publishing s | copying s | file before MB | after MB |")
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with prepared(10) as bench:
        for jobs in warehouses:
            made = bench.folder / f"{jobs}.duckdb"
            if jobs:
                generate(made, jobs)
            for changes in (1_000, 10_000):
                bench.new_home()
                primary = bench.home / "loader.duckdb"
                if jobs:
                    shutil.copyfile(made, primary)
                found, copies = [], []
                for run in range(runs):
                    new = changes * 7 // 10
                    bench.prepare(first=run * new, jobs=changes, changed=changes - new if run else 0)
                    found.append(bench.timed_load())
                    if not run:
                        before = primary.stat().st_size
                    began = time.perf_counter()
                    shutil.copyfile(primary, bench.folder / "copy.duckdb")
                    with (bench.folder / "copy.duckdb").open("rb") as copy:
                        os.fsync(copy.fileno())
                    copies.append(time.perf_counter() - began)
                load = statistics.median(each["all"] - each["publish"] for each in found[1:])
                publish = statistics.median(each["publish"] for each in found[1:])
                lines.append(
                    f"| {jobs:,} | {changes:,} | {found[0]['all']:.2f} | {load:.2f} | {publish:.2f} "
                    f"| {statistics.median(copies):.2f} | {before / 1e6:.0f} | {primary.stat().st_size / 1e6:.0f} |"
                )
                print(lines[-1], flush=True)
            made.unlink(missing_ok=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="How loads in a row get on as the warehouse grows")
    parser.add_argument("jobs", nargs="*", type=int, default=[0, 1_000_000, 10_000_000])
    parser.add_argument("--runs", type=int, default=50)
    given = parser.parse_args()
    check_bytecode()
    RESULTS.mkdir(exist_ok=True)
    text = f"{growth(tuple(given.jobs), given.runs)}\n\n{machine()}; medians of {given.runs} loads in a row.\n"
    (RESULTS / "growth.md").write_text(text)
    print(text, flush=True)


if __name__ == "__main__":
    main()
