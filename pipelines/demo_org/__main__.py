"""`python -m pipelines.demo_org`: serves a demo org for the pipeline, or for your own client."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.demo_org.control import METHODS
from pipelines.demo_org.life import live
from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.demo_org.ways_in import offer_all_ways

PAST = timedelta(days=28)  # of history when the org starts


def main() -> int:
    """Serve until Ctrl-C or SIGTERM. Return 0 when stopped, 1 if the port is taken."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.demo_org", description="Serve a demo Salesforce org on 127.0.0.1."
    )
    parser.add_argument(
        "--port", type=int, default=8765, help="port on 127.0.0.1; 0 chooses a free one (default: 8765)"
    )
    parser.add_argument("--seed", type=int, default=0, help="a different seed makes a different org (default: 0)")
    asked = parser.parse_args()

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    org = DemoOrg(seed=asked.seed)
    # Start at midnight, so that the same jobs exist at any time of day
    now = datetime.now(UTC)
    start = (now - PAST).replace(hour=0, minute=0, second=0, microsecond=0)
    live(org, start=start, until=now, seed=asked.seed)
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(serving(org, asked.port))
        except OSError as error:
            print(f"Port {asked.port} cannot be used: {error.strerror}. Try --port 0.", file=sys.stderr)
            return 1
        print(
            _welcome(org, url, offer_all_ways(org, Path(stack.enter_context(tempfile.TemporaryDirectory())))),
            flush=True,
        )
        while not stop.wait(1):  # an endless wait would block signals on some systems
            pass
    print("Stopped.")
    return 0


def _welcome(org: DemoOrg, url: str, ways: str) -> str:
    return f"""\
{org.name} with {len(org.jobs):,} query and Classic jobs, and {len(org.ingest_jobs):,} loads: {url}

To record it, set these environment variables:

  export SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL={url}
  export SOURCES__SALESFORCE__CREDENTIALS__CLIENT_ID={org.client_id}
  export SOURCES__SALESFORCE__CREDENTIALS__CLIENT_SECRET={org.client_secret}

{ways}

The first page of jobs:

  curl -s -H 'Authorization: Bearer {org.access_token}' {url}/services/data/v68.0/jobs/query

To change things, POST {url}/_control/<method> with the arguments as a JSON object:

  {", ".join(METHODS)}

  curl -s {url}/_control/add_job -d '{{"object": "Account", "state": "InProgress"}}'
  curl -s {url}/_control/advance -d '{{"hours": 6}}'

Ctrl-C stops it; nothing is saved."""


if __name__ == "__main__":
    raise SystemExit(main())
