"""How a load compares, side by side in one run: `make bench`, or `.venv/bin/python tests/benchmarks/bench.py [PART ...]`

Parts: cold, quiet, sizes, latency, tiny, details (all of these without a name; some ten minutes) and guard (one minute; exit
code 1 if a load has become much slower). Each contender is a process of its own, in turn; shown are medians of wall and CPU
seconds and of peak memory. What is written to .benchmarks/: each part's table, and cold.png. Growing warehouses, many orgs,
two feeds, forwarding, the views and what is answered from them have benchmarks of their own, beside this one.
"""

import argparse
import gzip
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / ".benchmarks"
ROUNDS = 5
GUARD = {"cold load": 2.0, "quiet load": 1.7}  # times (floor + import dlt), at 20,000 jobs
PYTHON = sys.executable
LOAD = [PYTHON, "-m", "pipelines.query_jobs", "load", "--quiet"]
IMPORT = [PYTHON, "-c", "import dlt"]


class Cost(NamedTuple):
    wall: float
    cpu: float
    memory: float  # MB


class Bench:
    """A prepared org, and a home in which a recorder loads from it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.home = url, folder, folder / "home"
        self.environment = os.environ | {
            "SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL": url,
            "SOURCES__SALESFORCE__CREDENTIALS__ACCESS_TOKEN": "prepared",
            "DLT_DATA_DIR": str(self.home / "dlt"),
            "DESTINATION__DUCKDB__CREDENTIALS": str(self.home / "loader.duckdb"),
            "QUERY_JOBS__WAREHOUSE": str(self.home / "warehouse.duckdb"),
            # The listing and nothing else: the prepared org answers nothing else either.
            "QUERY_JOBS__DETAILS_PER_RUN": "0",
            "QUERY_JOBS__FETCH_ORG_METADATA": "false",
            "SOURCES__SALESFORCE__FEEDS": '["query"]',  # the floor reads one, too; two_feeds.py compares
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        self.floor = [PYTHON, str(HERE / "floor.py"), url, str(folder / "floor.duckdb")]
        self.stock = [PYTHON, str(HERE / "stock_rest_api.py"), url]
        self.new_home()

    def new_home(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()

    def prepare(self, **listing: float) -> None:
        query = "&".join(f"{name}={value}" for name, value in listing.items())
        urllib.request.urlopen(f"{self.url}/prepare?{query}").close()

    def run(self, command: list[str], **environment: str) -> Cost:
        """Runs one process to its end; peak memory is its own, or that of its greatest child."""
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=self.environment | environment, cwd=self.folder, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{command} ended with {process.returncode}")
        return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def timed_load(self) -> dict[str, float]:
        """One load, timed from within."""
        command = [PYTHON, str(HERE / "timed_load.py")]
        return json.loads(subprocess.check_output(command, env=self.environment, cwd=self.folder))

    def first_request(self) -> float:
        """Seconds from the start of a load to its first request."""
        self.prepare(jobs=10)
        began = time.time()
        self.run(LOAD)
        with urllib.request.urlopen(f"{self.url}/first-asked") as answer:
            asked: float = json.loads(gzip.decompress(answer.read()))
        return asked - began

    def in_turn(self, rounds: int, contenders: dict[str, Callable[[], Cost]]) -> dict[str, Cost]:
        """The medians of so many rounds."""
        costs: dict[str, list[Cost]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, contend in contenders.items():
                costs[name].append(contend())
        return {name: Cost(*map(statistics.median, zip(*runs, strict=True))) for name, runs in costs.items()}

    def beside_floor(self, rounds: int, contenders: dict[str, Callable[[], Cost]]) -> dict[str, Cost]:
        """The same with what all are held to: the floor, and dlt's import."""
        base = {"floor": lambda: self.run(self.floor), "import dlt": lambda: self.run(IMPORT)}
        return self.in_turn(rounds, base | contenders)

    def cold(self) -> Cost:
        self.new_home()
        return self.run(LOAD)

    def stock_source(self, *options: str) -> Cost:
        self.new_home()
        return self.run([*self.stock, *options])


@contextmanager
def prepared(jobs: int) -> Iterator[Bench]:
    server = subprocess.Popen([PYTHON, str(HERE / "prepared_org.py"), str(jobs)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        with tempfile.TemporaryDirectory() as folder:
            yield Bench(server.stdout.readline().strip(), Path(folder))
    finally:
        server.kill()
        server.wait()


def as_table(title: str, costs: dict[str, Cost], base: Cost | None = None) -> str:
    """A table; with `base`, also the ratio of each to it."""
    base = base or Cost(costs["floor"].wall + costs["import dlt"].wall, costs["floor"].cpu + costs["import dlt"].cpu, 0)
    lines = [f"### {title}", "", "| | wall s | CPU s | peak MB | wall to floor + import | CPU to floor + import |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for name, cost in costs.items():
        ratios = f"{cost.wall / base.wall:.2f} | {cost.cpu / base.cpu:.2f}"
        lines.append(f"| {name} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.memory:.0f} | {ratios} |")
    return "\n".join(lines)


def cold(rounds: int) -> str:
    with prepared(100_000) as bench:
        costs = bench.beside_floor(
            rounds,
            {
                "cold load": bench.cold,
                "rest_api, careful": lambda: bench.stock_source("careful"),
                "rest_api as documented": bench.stock_source,
            },
        )
    ours = costs["cold load"]
    lines = [as_table("100,000 jobs into an empty warehouse", costs), ""]
    for name in ("rest_api, careful", "rest_api as documented"):
        theirs = costs[name]
        lines.append(
            f"- {name}: {theirs.wall / ours.wall:.1f} times our time, {theirs.memory / ours.memory:.1f} times our memory"
        )
    lines.append(f"- the load itself: {ours.wall / costs['floor'].wall:.2f} times the floor")
    plot(costs)
    return "\n".join(lines)


def plot(costs: dict[str, Cost]) -> None:
    import altair as alt

    rows = [{"contender": name, "seconds": cost.wall, "MB": cost.memory} for name, cost in costs.items()]
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=alt.Y("contender:N", sort=None, title=None))
    bars = [base.mark_bar().encode(x=f"{unit}:Q").properties(width=300, title=title)
            for unit, title in (("seconds", "wall"), ("MB", "peak memory"))]  # fmt: skip
    alt.hconcat(*bars, title=["100,000 jobs into an empty warehouse", machine()]).save(
        str(RESULTS / "cold.png"), scale_factor=2
    )


def quiet(rounds: int) -> str:
    with prepared(100_000) as bench:
        loads = []

        def changed() -> Cost:
            """The first thousand are as they were, and then in another state."""
            loads.append(None)
            bench.prepare(jobs=100_000, changed=1_000 * (len(loads) % 2))
            return bench.run(LOAD)

        bench.cold()
        costs = bench.beside_floor(
            rounds,
            {
                "load with 1,000 changes": changed,
                "quiet load": lambda: bench.run(LOAD),
            },
        )
    return as_table("A listing of 100,000 jobs that are known", costs)


def sizes(rounds: int) -> str:
    costs = {}
    for jobs in (10_000, 100_000, 1_000_000):
        with prepared(jobs) as bench:
            costs |= bench.in_turn(min(rounds, 3), {f"{jobs:,}": bench.cold})
    return as_table("Cold loads by size; ratios to 100,000 jobs", costs, costs["100,000"])


def latency(rounds: int) -> str:
    lines = ["### 70 pages, each answered 300 ms late", "", "| | listing s | above waiting | calls | all s |"]
    lines.append("| --- | --- | --- | --- | --- |")
    with prepared(70_000) as bench:
        bench.prepare(jobs=70_000, latency=0.3)
        for name in ("cold", "quiet"):
            found = bench.timed_load()
            waiting = (found["pages"] - 1) * 0.3
            above = found["first to last page"] / waiting - 1
            lines.append(
                f"| {name} | {found['first to last page']:.2f} | {above:.1%} | {found['calls']:.0f} | {found['all']:.2f} |"
            )
    return "\n".join(lines)


def tiny(rounds: int) -> str:
    with prepared(10) as bench:
        bench.cold()
        costs = bench.beside_floor(2 * rounds + 1, {"quiet load": lambda: bench.run(LOAD)})
        asked = statistics.median(bench.first_request() for _ in range(2 * rounds + 1))
    above = costs["quiet load"].wall - costs["import dlt"].wall
    table = as_table("Ten jobs: what every run costs", costs)
    return f"{table}\n\n- {above:.2f} s above `import dlt`\n- first request after {asked:.2f} s"


def details(rounds: int) -> str:
    """The cost of also fetching users, limits and the details of 500 jobs, each answered immediately."""
    with_all = {"QUERY_JOBS__DETAILS_PER_RUN": "500", "QUERY_JOBS__FETCH_ORG_METADATA": "true"}
    with prepared(10_000) as bench:

        def cold_with_all() -> Cost:
            bench.new_home()
            return bench.run(LOAD, **with_all)

        contenders = {
            "cold load, the listing alone": bench.cold,
            "cold load with all": cold_with_all,
            "quiet load with all": lambda: bench.run(LOAD, **with_all),
        }
        costs = bench.beside_floor(rounds, contenders)
    return as_table("10,000 jobs, with the details of 500, users and limits", costs)


def guard(rounds: int) -> str:
    """Exits with code 1 if a load has become much slower than the floor and dlt's import together."""
    with prepared(20_000) as bench:
        costs = bench.beside_floor(
            3,
            {
                "cold load": bench.cold,
                "quiet load": lambda: bench.run(LOAD),
            },
        )
    table = as_table("20,000 jobs", costs)
    base = costs["floor"].cpu + costs["import dlt"].cpu
    slow = [name for name, most in GUARD.items() if costs[name].cpu > most * base]
    if slow:
        sys.exit(f"{table}\n\nMuch slower than it was: {', '.join(slow)}; at most {GUARD} times is expected.")
    return table


PARTS: dict[str, Callable[[int], str]] = {
    part.__name__: part for part in (cold, quiet, sizes, latency, tiny, details, guard)
}


def check_bytecode() -> None:
    """Without it, importing dlt takes three times as long, and what is compared are compilers. `make setup` writes it."""
    for module in ("dlt", "duckdb", "pyarrow", "pipelines.query_jobs"):
        spec = importlib.util.find_spec(module)
        if not spec or not spec.cached or not Path(spec.cached).exists():
            sys.exit(f"{module} is not compiled: {PYTHON} -m compileall -q pipelines, or make setup.")


def machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("dlt", "duckdb", "pyarrow"))
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description="How a load compares")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    check_bytecode()
    RESULTS.mkdir(exist_ok=True)
    for part in given.parts or ("cold", "quiet", "sizes", "latency", "tiny", "details"):
        table = PARTS[part](given.rounds)
        text = f"{table}\n\n{machine()}; medians, each contender a process of its own, in turn.\n"
        (RESULTS / f"{part}.md").write_text(text)
        print(text, flush=True)


if __name__ == "__main__":
    main()
