"""What the check for damage costs beside copying the file and beside a quiet load: medians of five, by size of the file.

.venv/bin/python tests/benchmarks/damage.py [FILE ...]   without files: of 100,000 and a million jobs, made for it
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import LOAD, PYTHON, ROUNDS, Bench, Cost, machine, prepared
from synthetic_history import generate

TIMED = """
import json, os, resource, shutil, sys, time
from pathlib import Path
from pipelines.warehouse.damage import damaged_table, suspect_blocks
file = Path(sys.argv[1])
def copy(file):
    shutil.copyfile(file, f"{file}.2")
    with open(f"{file}.2") as new: os.fsync(new.fileno())
began, cpu, memory = time.perf_counter(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert not WHAT(file)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
print(json.dumps([time.perf_counter() - began, time.process_time() - cpu, memory / 1024]))
"""
WHAT = {"copy": "copy", "check": "suspect_blocks", "read by DuckDB": "damaged_table"}


def measure(bench: Bench, file: Path) -> list[str]:
    """A line of a table for each. What is timed is timed within its process, without its start; the load is all of it."""
    bench.new_home()
    copy = Path(shutil.copyfile(file, bench.folder / "copy.duckdb"))
    shutil.copyfile(file, bench.home / "loader.duckdb")
    bench.prepare(jobs=1_000)
    bench.run(LOAD)

    def timed(what: str) -> Cost:
        command = [PYTHON, "-c", TIMED.replace("WHAT", what), str(copy)]
        return Cost(*json.loads(subprocess.check_output(command)))

    contenders = {name: lambda what=what: timed(what) for name, what in WHAT.items()}
    costs = bench.in_turn(ROUNDS, contenders | {"quiet load": lambda: bench.run(LOAD)})
    load = costs["quiet load"]
    return [
        f"| {file.name} | {file.stat().st_size / 1e6:.0f} | {name} | {cost.wall:.3f} | {cost.cpu:.3f} | {cost.memory:.0f} "
        f"| {cost.wall / load.wall:.1%} | {cost.cpu / load.cpu:.1%} |"
        for name, cost in costs.items()
    ]


def main() -> None:
    print("| file | MB | what | wall s | CPU s | peak MB more | wall of a load's | CPU of a load's |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with prepared(1_000) as bench, tempfile.TemporaryDirectory() as folder:
        files = [Path(name) for name in sys.argv[1:]]
        for jobs in () if files else (100_000, 1_000_000):
            files.append(Path(folder) / f"{jobs}.duckdb")
            generate(files[-1], jobs)
        for file in files:
            print(*measure(bench, file), sep="\n", flush=True)
    print(f"\n{machine()}; a quiet load lists 1,000 known jobs.")


if __name__ == "__main__":
    main()
