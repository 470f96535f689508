"""What a person at a terminal sees while a listing is read. Without a terminal: nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipelines.listing import Page


@contextmanager
def progress(wanted: bool) -> Iterator[Callable[[Page], None]]:
    """A callback for each page read; on a terminal it shows pages, jobs and the rate on stderr, and cleans up after."""
    if not wanted or not sys.stderr.isatty():
        yield lambda page: None
        return
    from rich.console import Console  # noqa: PLC0415 - 50 ms that cron need not pay
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("Signing in", total=None)
        jobs = 0

        def show(page: Page) -> None:
            nonlocal jobs
            jobs = len(page.records) if page.number == 1 else jobs + len(page.records)
            elapsed = shown.tasks[0].elapsed or 0.0
            rate = f" · {jobs / elapsed:,.0f} jobs/s" if elapsed else ""
            text = "Loading" if page.last else "Listing"
            shown.update(task, description=f"{text}: {page.number:,} pages · {jobs:,} jobs{rate}")

        yield show
