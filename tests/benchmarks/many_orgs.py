"""How long a load of many orgs takes, beside a process for each, with a delay for every response.

    .venv/bin/python tests/benchmarks/many_orgs.py [orgs] [pages] [milliseconds]

All orgs are served by a process of their own, prepared, so that their work is not measured with the recorder's.
"""

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SERVER = """
import sys, time
from contextlib import ExitStack
from datetime import UTC, datetime
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
orgs, pages, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
with ExitStack() as served:
    for number in range(orgs):
        org = DemoOrg(now=datetime.now(UTC), seed=number, page_size=100)
        for _ in range(pages * 100):
            org.add_job(state="JobComplete")
        served.enter_context(serving(org))
        org.stall_next(delay, times=10**9, path=".")
        print(org.instance_url, org.client_id, org.client_secret, flush=True)
    print("ready", flush=True)
    sys.stdin.read()
"""
PROJECT = Path(__file__).parents[2]


def load(home: Path, *arguments: str) -> tuple[float, float]:
    """Wall and CPU seconds of one load in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SOURCES__", "ORGS__"))}
    environment |= {
        "DLT_PROJECT_DIR": str(home),
        "DESTINATION__DUCKDB__CREDENTIALS": str(home / "loader.duckdb"),
        "QUERY_JOBS__WAREHOUSE": str(home / "warehouse.duckdb"),
        "QUERY_JOBS__KEEP_COPIES": "0",
        "QUERY_JOBS__DETAILS_PER_RUN": "0",
        "QUERY_JOBS__CLOCK_TOLERANCE_HOURS": "0",
    }
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "pipelines.query_jobs", "load", *arguments]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    orgs, pages, milliseconds = map(int, [*sys.argv[1:], *["20", "5", "300"][len(sys.argv) - 1 :]])
    arguments = [str(orgs), str(pages), str(milliseconds / 1000)]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, *arguments],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    lines = [line.split() for line in iter(lambda: server.stdout.readline().strip(), "ready")]
    reader = threading.Thread(target=server.stdout.read, daemon=True)
    reader.start()
    secrets = ""
    for number, (url, client_id, secret) in enumerate(lines):
        secrets += f"[orgs.org{number}.credentials]\n"
        secrets += f'instance_url = "{url}"\nclient_id = "{client_id}"\nclient_secret = "{secret}"\n'
    with tempfile.TemporaryDirectory() as folder:
        for name in ("alone", "together"):
            (Path(folder) / name / ".dlt").mkdir(parents=True)
            file = Path(folder) / name / ".dlt" / "secrets.toml"
            file.write_text(secrets)
            file.chmod(0o600)
        alone, together = Path(folder) / "alone", Path(folder) / "together"
        print(f"{orgs} orgs, {pages} pages, {milliseconds} ms a response          wall s   CPU s   CPU s an org")
        for what in ("first load", "nothing new"):
            single = [load(alone, "--org", f"org{number}") for number in range(orgs)]
            for how, (wall, cpu) in (
                ("a process for each", tuple(map(sum, zip(*single, strict=True)))),
                ("one load of all", load(together)),
            ):
                print(f"{what:<12} {how:<40} {wall:8.1f} {cpu:7.1f} {cpu / orgs:10.2f}", flush=True)
    server.stdin.close()
    server.wait()


if __name__ == "__main__":
    main()
