"""Loads on demand, one for each line of stdin, and what each cost as JSON: `python soak_loads.py same|own`

`same`: all in this process, which shows whether one leaks. `own`: each in a process of its own, as cron runs it. This
process stays small meanwhile: a child's peak memory counts from that of its parent.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def in_this_process() -> dict[str, float]:
    from pipelines.config.settings import read_credentials, read_settings
    from pipelines.recording.load import record

    wall, cpu = time.perf_counter(), time.process_time()
    record(read_settings(), read_credentials())
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "memory": memory / 2**20}


def in_its_own() -> dict[str, float]:
    began = time.perf_counter()
    load = subprocess.Popen([sys.executable, "-m", "pipelines.query_jobs", "load", "--quiet"])
    _, status, usage = os.wait4(load.pid, 0)
    if status:
        sys.exit(f"The load ended with {os.waitstatus_to_exitcode(status)}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall": time.perf_counter() - began, "cpu": cpu, "memory": usage.ru_maxrss / 1024}


if __name__ == "__main__":
    load_once = {"same": in_this_process, "own": in_its_own}[sys.argv[1]]
    for _ in sys.stdin:
        print(json.dumps(load_once()), flush=True)
