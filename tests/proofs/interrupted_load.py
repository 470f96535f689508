"""One load that sends itself a signal: `python interrupted_load.py SIGNAL MOMENT`, both numbers.

A moment is a line about to run: of the recorder's own stages, or of what dlt does with files and statements. So the
n-th moment is the same place in every run, or nearly: two listings are read by a thread each, which take turns. What
runs inside of DuckDB has none: random times hit that.
Signal 0 is none; then the last line of stdout says how many moments there are.
"""

import os
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import dlt

import pipelines

OURS = (
    "recording/load", "recording/primary_identity", "recording/merging", "warehouse/primary", "recording/snapshot", "recording/history", "recording/source", "recording/listings",
    "recording/feed_join", "recording/job_results", "recording/load_results", "recording/merges", "recording/changes",
    "recording/changed_jobs", "recording/missing_jobs", "recording/listing_row", "recording/org_metadata", "recording/job_details", "recording/job_answer",
    "recording/job_results", "recording/load_results", "recording/results_backlog",
    "warehouse/state_spans", "warehouse/schema",
)  # fmt: skip
DLTS = (
    "pipeline/pipeline", "pipeline/state_sync", "extract/extract", "extract/storage", "normalize/normalize", "load/load",
    "common/storages/load_package", "common/storages/load_storage", "common/storages/normalize_storage",
    "destinations/job_client_impl", "destinations/impl/duckdb/sql_client", "destinations/impl/duckdb/duck",
)  # fmt: skip
FILES = {str(Path(pipelines.__file__).parent / f"{name}.py") for name in OURS} | {
    str(Path(dlt.__file__).parent / f"{name}.py") for name in DLTS
}
assert all(map(os.path.exists, FILES)), "a file that was to be traced is not there"


def trace(signal_number: int, moment: int) -> Callable[[], int]:
    """Sends the signal at that moment. Returns a function that gives the number of moments so far."""
    moments = count(1)
    passed = 0

    def at_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal passed
        if event == "line":
            passed = next(moments)
            if passed == moment and signal_number:
                print(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}", flush=True)
                os.kill(os.getpid(), signal_number)
        return at_line

    def at_call(frame: FrameType, event: str, _: Any) -> Any:
        return at_line if frame.f_code.co_filename in FILES else None

    threading.settrace(at_call)
    sys.settrace(at_call)
    return lambda: passed


if __name__ == "__main__":
    from pipelines.query_jobs import main

    passed = trace(int(sys.argv[1]), int(sys.argv[2]))
    code = main(["load", "--quiet"])
    sys.settrace(None)
    if not int(sys.argv[1]):
        print(passed())
    sys.exit(code)
