"""Progress of a load, shown only on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pipelines.org_log import org_in_turn
from pipelines.recording.feeds import Feed
from pipelines.salesforce.job_pages import Page


@dataclass(frozen=True)
class ProgressCallbacks:
    """Called during a run: for each page read, and for each job whose details were requested."""

    page: Callable[[Feed, Page], None] = lambda feed, page: None
    details: Callable[[int, int], None] = lambda done, wanted: None


NO_PROGRESS: Final = ProgressCallbacks()


@contextmanager
def progress(wanted: bool) -> Iterator[ProgressCallbacks]:
    """Callbacks that show pages, jobs, the rate and the details on a terminal's stderr, and clear it at the end."""
    if not wanted or not sys.stderr.isatty():
        yield NO_PROGRESS
        return
    from rich.console import Console  # noqa: PLC0415 - takes 50 ms; not needed in cron
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("Signing in", total=None)
        read: dict[str, tuple[int, int, bool]] = {}  # feed -> pages, jobs, whether it has ended

        def show(feed: Feed, page: Page) -> None:
            listing = f"{org_in_turn()}/{feed.name}"
            before = read[listing][1] if page.number > 1 else 0
            read[listing] = page.number, before + len(page.records), page.last
            pages, jobs, ended = zip(*list(read.values()), strict=True)
            elapsed = shown.tasks[0].elapsed or 0.0
            rate = f" · {sum(jobs) / elapsed:,.0f} jobs/s" if elapsed else ""
            text = "Loading" if all(ended) else "Listing"
            shown.update(task, description=f"{text}: {sum(pages):,} pages · {sum(jobs):,} jobs{rate}")

        def show_details(done: int, wanted: int) -> None:
            shown.update(task, description=f"{_whose()}Asking for details: {done:,} of {wanted:,} jobs")

        yield ProgressCallbacks(show, show_details)


def _whose() -> str:
    return f"{org_in_turn()}: " if org_in_turn() else ""
