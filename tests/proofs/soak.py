"""Loads over months of simulated time: `.venv/bin/python tests/proofs/soak.py year|month`, and --help for the rest.

`year`: every six hours, up to 2,000 jobs a day. `month`: every hour, 10,000 a day. Each takes some forty minutes, also
both at once on two cores; --minutes ends one early. The org forgets finished jobs after seven days, and moves while it
is listed. Exit code 1: the warehouse does not equal a model of what listings showed. The figures also show whether
a load's time, its memory and dlt's home stayed what they were, and whether the file grew with its rows alone: by CPU
time, where others work on the machine. tests/proofs/test_soak.py does the same for some days, and holds memory and sizes
to bounds.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

sys.path.append(str(Path(__file__).parents[1]))  # what all tests share, where this runs as a script

from busy_org import BusyOrg
from soak_truth import Truth

from pipelines.config.project import PROJECT
from pipelines.demo_org.server import serving
from pipelines.warehouse.empty_database import STORAGE_VERSION

BEGIN = datetime(2025, 11, 3, 5, 30, tzinfo=UTC)  # a Monday
FULL_AFTER = timedelta(days=8)  # then the listing is as long as it will ever be
LOADS = Path(__file__).with_name("soak_loads.py")
Cost = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How long, how often and how much."""

    days: float
    every: timedelta
    jobs_a_day: int
    details: int = 0  # jobs whose details a load asks for
    own_process: int = 10  # each so many-th load is a process of its own
    compared: int = 5  # times that the warehouse is compared with the model
    page_size: int = 1_000
    seed: int = 1
    minutes: float = float("inf")  # of ours, after which it ends early


PLANS = {
    "year": Plan(365, timedelta(hours=6), 2_000, details=50),
    "month": Plan(30, timedelta(hours=1), 10_000, own_process=6),
}


@dataclass
class Soaked:
    """What a soak found: what each load cost and left, and the differences from the model."""

    loads: list[Cost]
    differences: list[str]

    def of(self, what: str, *, own: bool = True) -> list[float]:
        """One figure of each load since the listing was full, of those in a process of their own or of the others."""
        return [load[what] for load in self.loads if load["own"] == own and load["day"] >= FULL_AFTER.days]

    def first_and_last(self, what: str, *, own: bool = True, share: float = 0.1) -> tuple[float, float]:
        """Medians of the first tenth and of the last."""
        figures = self.of(what, own=own)
        some = max(1, int(len(figures) * share))
        return statistics.median(figures[:some]), statistics.median(figures[-some:])


def soak(plan: Plan, home: Path, say: Any = lambda line: None) -> Soaked:
    """Runs a plan in an empty directory."""
    org = BusyOrg(now=BEGIN, jobs_a_day=plan.jobs_a_day, seed=plan.seed, page_size=plan.page_size)
    truth = Truth(org, home / "truth.sqlite")
    number, of = 0, int(timedelta(days=plan.days) / plan.every)
    deadline = time.monotonic() + plan.minutes * 60
    loads: list[Cost] = []
    differences: list[str] = []
    with ExitStack() as closing:
        closing.enter_context(serving(org))
        environment = _environment(org, home, plan)
        kinds = {own: closing.enter_context(_loads(name, home, environment)) for own, name in ((0, "same"), (1, "own"))}
        for number in range(1, of + 1):
            org.advance(BEGIN + number * plan.every - org.now)
            own = int(number % plan.own_process == 0)
            cost = kinds[own]()
            truth.note()
            loads.append({"day": (org.now - BEGIN) / timedelta(days=1), "own": own, **cost, **_sizes(home, truth)})
            in_time = time.monotonic() < deadline
            if not in_time or number * plan.compared // of > (number - 1) * plan.compared // of:
                began = time.perf_counter()
                differences += truth.differences(home / "warehouse.duckdb")
                loads[-1]["compact"] = compacted(home / "loader.duckdb")
                say(
                    f"load {number:,} of {of:,}: compared in {time.perf_counter() - began:.0f} s, {json.dumps(loads[-1])}"
                )
            elif own:
                say(json.dumps(loads[-1]))
            if differences or not in_time:
                break
    return Soaked(loads, differences)


def _environment(org: BusyOrg, home: Path, plan: Plan) -> dict[str, str]:
    (home / ".dlt").mkdir()
    shutil.copy(PROJECT / ".dlt" / "config.toml", home / ".dlt")
    names = ("SOURCES", "DESTINATION", "QUERY_JOBS", "LOAD", "CREDENTIALS", "RUNTIME")
    ours = {name: value for name, value in os.environ.items() if name.split("__")[0] not in names}
    return ours | {
        "DLT_PROJECT_DIR": str(home),
        "DLT_DATA_DIR": str(home / "dlt"),
        "DESTINATION__DUCKDB__CREDENTIALS": str(home / "loader.duckdb"),
        "QUERY_JOBS__DETAILS_PER_RUN": str(plan.details),
        "QUERY_JOBS__CLOCK_TOLERANCE_HOURS": "0",
        "SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL": org.instance_url,
        "SOURCES__SALESFORCE__CREDENTIALS__CLIENT_ID": org.client_id,
        "SOURCES__SALESFORCE__CREDENTIALS__CLIENT_SECRET": org.client_secret,
    }


@contextmanager
def _loads(kind: str, home: Path, environment: dict[str, str]) -> Iterator[Any]:
    """Gives what does one load of a kind of soak_loads.py, and says what it cost."""
    loads = subprocess.Popen(
        [sys.executable, str(LOADS), kind],
        env=environment,
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert loads.stdin
    assert loads.stdout
    asked, answers = loads.stdin, loads.stdout

    def once() -> Cost:
        print(file=asked, flush=True)
        answer = answers.readline()
        if not answer:
            sys.exit("A load failed; stderr says why.")
        cost: Cost = json.loads(answer)
        return cost

    try:
        yield once
    finally:
        loads.kill()
        loads.communicate()


def _sizes(home: Path, truth: Truth) -> Cost:
    beside = [path for path in (home / "loader.duckdb.state").rglob("*") if path.is_file()]
    return {
        "file": (home / "loader.duckdb").stat().st_size,
        "files_beside": len(beside),
        "bytes_beside": sum(path.stat().st_size for path in beside),
        "jobs": truth.jobs,
        "states": truth.states,
        "listed": len(truth.listed),
    }


def compacted(file: Path) -> int:
    """Bytes of a copy of a file, made at one go: what its rows need."""
    copy = file.with_name("compact.duckdb")
    copy.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{file}' as loader (read_only)")
        connection.execute(f"attach '{copy}' as compact (storage_version '{STORAGE_VERSION}')")
        connection.execute("copy from database loader to compact; checkpoint compact")
    return copy.stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--days", type=float, help="simulated days")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, help="an empty directory for its files, kept in the end (a temporary one)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end early after so long")
    options = parser.parse_args()
    plan = replace(PLANS[options.plan], seed=options.seed, minutes=options.minutes)
    plan = replace(plan, days=options.days or plan.days)
    with tempfile.TemporaryDirectory() as temporary:
        home = (options.home or Path(temporary)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        found = soak(plan, home, lambda line: print(line, flush=True))
        _tell(found, time.perf_counter() - began)
    return 1 if found.differences else 0


def _tell(found: Soaked, seconds: float) -> None:
    last = found.loads[-1]
    print(f"{len(found.loads):,} loads, {last['jobs']:,} jobs, {last['states']:,} states in {seconds / 60:.0f} minutes")
    for what, own in (
        ("wall", 1),
        ("cpu", 1),
        ("memory", 1),
        ("cpu", 0),
        ("memory", 0),
        ("files_beside", 1),
        ("bytes_beside", 1),
    ):
        if not found.of(what, own=bool(own)):
            continue
        first, then = found.first_and_last(what, own=bool(own))
        print(f"{what:10} {'own process' if own else 'one process'}: {first:12,.2f} -> {then:12,.2f}")
    print(f"file {last['file']:,} bytes, {last['file'] / last['states']:.0f} a state; at one go {last['compact']:,}")
    print(*(found.differences or ["no differences"]), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
