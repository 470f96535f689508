"""How a load compares with the floor, side by side in one run: `.venv/bin/python tests/benchmarks/cold_load.py [JOBS]`

Each contender is a process of its own, in turn, five times; medians of wall and CPU time and of peak memory.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
ROUNDS = 5


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of one process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(jobs: int) -> None:
    server = subprocess.Popen(
        [sys.executable, str(HERE / "prepared_org.py"), str(jobs)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            run_all(url, Path(folder), jobs)
    finally:
        server.kill()
        server.wait()


def run_all(url: str, folder: Path, jobs: int) -> None:
    home = folder / "home"
    environment = os.environ | {
        "SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL": url,
        "SOURCES__SALESFORCE__CREDENTIALS__ACCESS_TOKEN": "prepared",
        "DLT_DATA_DIR": str(home / "dlt"),
        "DESTINATION__DUCKDB__CREDENTIALS": str(home / "loader.duckdb"),
        "QUERY_JOBS__WAREHOUSE": str(home / "warehouse.duckdb"),
        # The listing and nothing else: the prepared server answers nothing else either.
        "QUERY_JOBS__DETAILS_PER_RUN": "0",
        "QUERY_JOBS__EXTRAS": "false",
    }
    load = [sys.executable, "-m", "pipelines.query_jobs", "load", "--quiet"]
    results: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(ROUNDS):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        for name, command in {
            "floor": [sys.executable, str(HERE / "floor.py"), url, str(folder / "floor.duckdb")],
            "import dlt": [sys.executable, "-c", "import dlt"],
            "cold load": load,
            "quiet load": load,
        }.items():
            results.setdefault(name, []).append(measured(command, environment))
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in results.items()
    }
    floor = medians["floor"]
    versions = ", ".join(f"{name} {version(name)}" for name in ("dlt", "duckdb", "pyarrow"))
    print(
        f"{jobs:,} jobs, medians of {ROUNDS}; {os.cpu_count()} cores, Python {platform.python_version()}, {versions}\n"
    )
    print("| | wall s | CPU s | peak MB | wall to floor | CPU to floor | memory to floor |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (wall, cpu, memory) in medians.items():
        ratios = " | ".join(f"{ours / theirs:.2f}" for ours, theirs in zip((wall, cpu, memory), floor, strict=True))
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {memory:.0f} | {ratios} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
