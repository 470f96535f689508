"""Reads the listings of an org ahead of their comparison, in threads: the pages wait in files without a name."""

import marshal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

from pipelines.errors import RecorderError
from pipelines.org_log import for_same_org
from pipelines.recording.feeds import Feed
from pipelines.salesforce.job_pages import Page, job_pages
from pipelines.salesforce.org import Org


class Stopped(Exception):
    """The run has ended."""


class PageFile:
    """The pages of one listing, and the error that ended it, if one did."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `pages`; where the run has its temporary files
        self._pages: list[tuple[Page, int]] = []  # without records, and their size in the file
        self.failure: RecorderError | None = None

    def read(self, pages: Iterator[Page], on_page: Callable[[Page], None]) -> None:
        """Reads a listing to its end."""
        try:
            for page in pages:
                on_page(page)
                records = marshal.dumps(page.records)  # unlike JSON, any integer and any text that Python can hold
                self._file.write(records)
                self._pages.append((replace(page, records=[]), len(records)))
        except RecorderError as failure:
            failure.__cause__ = failure.__traceback__ = None
            self.failure = failure

    def pages(self) -> Iterator[Page]:
        """The pages, as they were read. Raises the error that ended the listing."""
        with self._file:
            self._file.seek(0)
            for page, size in self._pages:
                yield replace(page, records=marshal.loads(self._file.read(size)))  # noqa: S302 - our own file
        if self.failure:
            raise self.failure


def read_ahead(
    org: Org, filters: Mapping[Feed, dict[str, str]], on_page: Callable[[Feed, Page], None], stop: Event
) -> dict[Feed, PageFile]:
    """The pages of all these listings, read at the same time. Raises whatever is no RecorderError."""

    def read(feed: Feed) -> PageFile:
        def page_read(page: Page) -> None:
            if stop.is_set():
                raise Stopped
            on_page(feed, page)

        file = PageFile()
        file.read(job_pages(org, feed.path, filters[feed]), page_read)
        return file

    first, *others = filters
    # The first is read by this thread: a pool would give both to one thread if the first ended before the second began,
    # and each page has the calls of its thread.
    with ThreadPoolExecutor(max(1, len(others)), "listing") as pool:
        files = {feed: pool.submit(for_same_org(read), feed) for feed in others}
        return {first: read(first)} | {feed: file.result() for feed, file in files.items()}
