"""Loads over months of simulated time: `.venv/bin/python tests/proofs/soak.py year|month`, and --help for the rest.

`year`: every six hours, up to 2,000 jobs a day. `month`: every hour, 10,000 a day. They are those of three orgs of
different size, which each run records together, with both listings, details and reasons; now and then what is new is
forwarded to a lake, and `check` notifies. A year takes some two and a half hours, a month one and a half, also both at
once on two cores; --minutes ends one early. The orgs forget finished jobs after seven days, and move while they are listed. Exit code 1: the warehouse does
not equal a model of what each org's listings and jobs showed, or the lake not the warehouse. The figures also show
whether a load's time, its memory and all files beside the databases stayed what they were, and whether the file grew
with its rows alone: by CPU time, where others work on the machine. tests/proofs/test_soak.py does the same for some
days, and holds memory and sizes to bounds.
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

sys.path.append(str(Path(__file__).parents[1]))  # what all tests share, where this runs as a script

from busy_org import BusyOrg
from receivers import web
from soak_orgs import OrgTruth, differences, lake_differences

from pipelines.config.project import PROJECT
from pipelines.demo_org.server import serving
from pipelines.warehouse.empty_database import STORAGE_VERSION
from pipelines.warehouse.sealed_json import unseal

BEGIN = datetime(2025, 11, 3, 5, 30, tzinfo=UTC)  # a Monday
FULL_AFTER = timedelta(days=8)  # then the listing is as long as it will ever be
LOADS = Path(__file__).with_name("soak_loads.py")
SIZES = {"large": 0.6, "middle": 0.3, "small": 0.1}  # the orgs, and their shares of the jobs
BEHIND = 8  # hours that each org is behind the one before in showing the jobs that all have
MODEL, COMPACT, LAKE = "model.sqlite", "compact.duckdb", "lake"  # ours, beside the recorder's files
Cost = dict[str, float]
Run = Callable[[str], Cost]


@dataclass(frozen=True)
class Plan:
    """How long, how often and how much."""

    days: float
    every: timedelta
    jobs_a_day: int
    details: int = 0  # jobs whose details a load asks of each org
    own_process: int = 10  # each so many-th load is a process of its own
    forwarded: int = 40  # each so many-th load is forwarded, and checked
    compared: int = 5  # times that the warehouse is compared with the model
    page_size: int = 1_000
    seed: int = 1
    minutes: float = float("inf")  # of ours, after which it ends early


PLANS = {
    "year": Plan(365, timedelta(hours=6), 2_000, details=25),
    "month": Plan(30, timedelta(hours=1), 10_000, details=20, own_process=6, forwarded=24),
}


@dataclass
class Soaked:
    """What a soak found: what each load cost and left, and the differences from the model."""

    loads: list[Cost]
    differences: list[str]

    def of(self, what: str, *, own: bool = True) -> list[float]:
        """One figure of each load since the listing was full, of those in a process of their own or of the others."""
        full = [load for load in self.loads if load["own"] == own and load["day"] >= FULL_AFTER.days]
        return [load[what] for load in full if what in load]

    def first_and_last(self, what: str, *, own: bool = True, share: float = 0.1) -> tuple[float, float]:
        """Medians of the first tenth and of the last."""
        figures = self.of(what, own=own)
        some = max(1, int(len(figures) * share))
        return statistics.median(figures[:some]), statistics.median(figures[-some:])


def soak(plan: Plan, home: Path, say: Any = lambda line: None) -> Soaked:
    """Runs a plan in an empty directory."""
    shares = enumerate(SIZES.values())
    common = {"now": BEGIN, "page_size": plan.page_size}
    orgs = [
        BusyOrg(jobs_a_day=plan.jobs_a_day * share, seed=plan.seed * len(SIZES) + n, hours_behind=n * BEHIND, **common)
        for n, share in shares
    ]
    model = sqlite3.connect(home / MODEL)
    truths = [OrgTruth(org, model) for org in orgs]
    number, of = 0, int(timedelta(days=plan.days) / plan.every)
    deadline = time.monotonic() + plan.minutes * 60
    found = Soaked([], [])
    with ExitStack() as closing:
        for org in orgs:
            closing.enter_context(serving(org))
        notified = closing.enter_context(web())
        environment = _environment(orgs, home, plan, f"json://{notified.host}/")
        same, own_process = (closing.enter_context(_runs(kind, home, environment)) for kind in ("same", "own"))
        for number in range(1, of + 1):
            for org in orgs:
                org.advance(BEGIN + number * plan.every - org.now)
            own = int(number % plan.own_process == 0)
            cost = (own_process if own else same)("load --quiet")
            for truth in truths:
                truth.note()
            in_time = time.monotonic() < deadline
            compared = not in_time or number * plan.compared // of > (number - 1) * plan.compared // of
            if compared or number % plan.forwarded == 0:
                for command in ("forward", "check"):
                    run = own_process(f"{command} --{'quiet' if command == 'forward' else 'notify'}")
                    cost |= {f"{command} {what}": figure for what, figure in run.items()}
            day = (orgs[0].now - BEGIN) / timedelta(days=1)
            found.loads.append(
                {"day": day, "own": own, **cost, **_sizes(home, truths), "notified": len(notified.requests)}
            )
            if compared:
                began = time.perf_counter()
                found.differences += differences(truths, home / "warehouse.duckdb")
                found.differences += lake_differences(home / LAKE, home / "warehouse.duckdb")
                found.loads[-1]["compact"] = compacted(home / "loader.duckdb")
                took = time.perf_counter() - began
                say(f"load {number:,} of {of:,}: compared in {took:.0f} s, {json.dumps(found.loads[-1])}")
            elif own:
                say(json.dumps(found.loads[-1]))
            if found.differences or not in_time:
                break
    return found


def _environment(orgs: Sequence[BusyOrg], home: Path, plan: Plan, channel: str) -> dict[str, str]:
    (home / ".dlt").mkdir()
    shutil.copy(PROJECT / ".dlt" / "config.toml", home / ".dlt")
    secrets = home / ".dlt" / "secrets.toml"
    for name, org in zip(SIZES, orgs, strict=True):
        keys = {"instance_url": org.instance_url, "client_id": org.client_id, "client_secret": org.client_secret}
        lines = [f"[orgs.{name}.credentials]", *(f'{key} = "{value}"' for key, value in keys.items())]
        with secrets.open("a") as file:
            print(*lines, sep="\n", file=file)
    secrets.chmod(0o600)
    names = ("SOURCES", "DESTINATION", "QUERY_JOBS", "LOAD", "CREDENTIALS", "RUNTIME", "FORWARD", "ALERTS", "ORGS")
    ours = {name: value for name, value in os.environ.items() if name.split("__")[0] not in names}
    return ours | {
        "DLT_PROJECT_DIR": str(home),
        "DLT_DATA_DIR": str(home / "dlt"),
        "DESTINATION__DUCKDB__CREDENTIALS": str(home / "loader.duckdb"),
        "QUERY_JOBS__DETAILS_PER_RUN": str(plan.details),
        "QUERY_JOBS__CLOCK_TOLERANCE_HOURS": "0",
        "FORWARD__DESTINATION": "filesystem",
        "DESTINATION__FILESYSTEM__BUCKET_URL": str(home / LAKE),
        "ALERTS__URLS": json.dumps([channel]),
    }


@contextmanager
def _runs(kind: str, home: Path, environment: dict[str, str]) -> Iterator[Run]:
    """Gives what runs a command as a kind of soak_loads.py does, and says what it cost."""
    runs = subprocess.Popen(
        [sys.executable, str(LOADS), kind],
        env=environment,
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runs.stdin
    assert runs.stdout
    asked, answers = runs.stdin, runs.stdout

    def once(command: str) -> Cost:
        print(command, file=asked, flush=True)
        answer = answers.readline()
        if not answer:
            sys.exit(f"{command} failed; stderr says why.")
        cost: Cost = json.loads(answer)
        return cost

    try:
        yield once
    finally:
        runs.kill()
        runs.communicate()


def _sizes(home: Path, truths: Sequence[OrgTruth]) -> Cost:
    """Sizes of all that the recorder keeps beside its databases, and what there is to record."""
    files = [path for path in home.rglob("*") if path.is_file() and not path.name.startswith((MODEL, COMPACT))]
    lake = [path for path in files if path.is_relative_to(home / LAKE)]
    beside = [path for path in files if path not in lake]
    alerts = home / "loader.duckdb.state" / "alerts.json"  # has what is open: one problem may come after another
    problems = len(unseal(alerts.read_text())["open"]) if alerts.exists() else 0
    feeds = [feed for truth in truths for feed in truth.feeds.values()]
    return {
        "file": (home / "loader.duckdb").stat().st_size,
        "files_beside": len(beside),
        "bytes_beside": sum(path.stat().st_size for path in beside if path.suffix != ".duckdb" and path != alerts),
        "problems": problems,
        "bytes_each": alerts.stat().st_size / problems if problems else 0,
        "lake_files": len(lake),
        "jobs": sum(feed.jobs for feed in feeds),
        "states": sum(feed.states for feed in feeds),
        "listed": sum(len(feed.listed) for feed in feeds),
        "reasons": sum(len(rows) for truth in truths for rows in truth.reasons.values()),
    }


def compacted(file: Path) -> int:
    """Bytes of a copy of a file, made at one go: what its rows need."""
    copy = file.with_name(COMPACT)
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
    counts = ", ".join(f"{last[what]:,} {what}" for what in ("jobs", "states", "reasons"))
    print(f"{len(found.loads):,} loads, {counts} in {seconds / 60:.0f} minutes; notified {last['notified']:,} times")
    costs = ("wall", "cpu", "memory")
    sizes = ("files_beside", "bytes_beside", "problems", "bytes_each", "lake_files")
    beside = [f"{command} {what}" for command in ("forward", "check") for what in costs]
    for what, own in [*((what, True) for what in (*costs, *sizes, *beside)), ("cpu", False), ("memory", False)]:
        if found.of(what, own=own):
            first, then = found.first_and_last(what, own=own)
            print(f"{what:14} {'own process' if own else 'one process'}: {first:12,.2f} -> {then:12,.2f}")
    print(f"file {last['file']:,} bytes, {last['file'] / last['states']:.0f} a state; at one go {last['compact']:,}")
    print(*(found.differences or ["no differences"]), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
