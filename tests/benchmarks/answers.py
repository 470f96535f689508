"""How long `check` and `report` take: `.venv/bin/python tests/benchmarks/answers.py [--jobs N] [--runs 5] [--beside DIR]`

Makes a warehouse of N jobs and 3N states (a million, if no number is given), and runs each command on it in a process of
its own, in turn: the whole process, its imports included. `--beside DIR` does the same with another checkout of this
project and its .venv, in the same turns, on a copy of the warehouse with that one's views. `--file FILE` copies a kept warehouse
(views.py --keep). Printed are medians: seconds, seconds of CPU, and peak memory.
"""

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from synthetic_history import generate

PROJECT = Path(__file__).parents[2]
PYTHON = Path(".venv/bin/python")
COMMANDS = {"check": ["check"], "report": ["report", "--output", os.devnull]}
PUBLISH = """
import sys
import duckdb
from pipelines.warehouse.file_identity import write_identity
from pipelines.warehouse.schema import apply_views, complete_tables
with duckdb.connect(sys.argv[1]) as file:
    file.execute("set TimeZone = 'UTC'")
    complete_tables(file)
    apply_views(file)
    write_identity(file, "benchmark")
"""


def home_of(project: Path, history: Path, folder: Path) -> Path:
    """A folder with settings, and the history published with this checkout's views."""
    (folder / ".dlt").mkdir(parents=True)
    (folder / ".dlt" / "config.toml").write_text("[query_jobs]\n")
    published = folder / "warehouse.duckdb"
    shutil.copyfile(history, published)
    compileall.compile_dir(project / "pipelines", quiet=1)
    subprocess.run([project / PYTHON, "-c", PUBLISH, published], cwd=project, check=True)
    return folder


def measured(project: Path, home: Path, command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and MB."""
    began = time.perf_counter()
    run = subprocess.Popen(
        [project / PYTHON, "-m", "pipelines.query_jobs", *command],
        cwd=project,
        env=os.environ | {"DLT_PROJECT_DIR": str(home), "DLT_DATA_DIR": str(home / "dlt")},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(run.pid, 0)
    seconds = time.perf_counter() - began
    run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode in (0, 1), run.returncode  # 1: check found something
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--beside", type=Path, help="another checkout of this project")
    parser.add_argument("--file", type=Path, help="a kept warehouse, of which a copy is used")
    parser.add_argument("--only", choices=COMMANDS, help="one of the commands")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        history = given.file or Path(folder, "history.duckdb")
        if given.file is None:
            generate(history, given.jobs)
        projects = {"this": PROJECT} | ({"beside": given.beside.resolve()} if given.beside else {})
        homes = {name: home_of(project, history, Path(folder, name)) for name, project in projects.items()}
        for command in [given.only] if given.only else COMMANDS:
            runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in homes}
            for _ in range(given.runs):
                for name, home in homes.items():
                    runs[name].append(measured(projects[name], home, COMMANDS[command]))
            for name, figures in runs.items():
                seconds, cpu, memory = map(statistics.median, zip(*figures, strict=True))
                print(f"{command:>7} {name:>7}: {seconds:6.2f} s, CPU {cpu:6.2f} s, {memory:5,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
