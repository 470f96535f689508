"""Commands on demand, one for each line of stdin, and what each cost as JSON: `python soak_loads.py same|own`

`same`: loads in this process, which shows whether one leaks. `own`: any command in a process of its own, as cron runs
it. This process stays small meanwhile: a child's peak memory counts from that of its parent.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

WELL = {"check": (0, 1)}  # exit codes, where not only 0 is good


def in_this_process(_: list[str]) -> dict[str, float]:
    from pipelines.config.orgs import org_names, read_orgs
    from pipelines.config.settings import read_settings
    from pipelines.recording.fleet import record_fleet

    wall, cpu = time.perf_counter(), time.process_time()
    run = record_fleet(read_settings(), read_orgs(), org_names())
    if run.errors:
        sys.exit(f"Not recorded: {run.errors}")
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "memory": memory / 2**20}


def in_its_own(arguments: list[str]) -> dict[str, float]:
    began = time.perf_counter()
    run = subprocess.Popen([sys.executable, "-m", "pipelines.query_jobs", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(run.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in WELL.get(arguments[0], (0,)):
        sys.exit(f"{arguments[0]} ended with {code}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall": time.perf_counter() - began, "cpu": cpu, "memory": usage.ru_maxrss / 1024}


if __name__ == "__main__":
    run_once = {"same": in_this_process, "own": in_its_own}[sys.argv[1]]
    for line in sys.stdin:
        print(json.dumps(run_once(line.split())), flush=True)
