"""The command `bulk-jobs`, and `python -m pipelines`: the same as `python -m pipelines.query_jobs`."""

import runpy


def run() -> None:
    """Runs query_jobs.py as a program, including what it does before its imports."""
    runpy.run_module("pipelines.query_jobs", run_name="__main__")


if __name__ == "__main__":
    run()
