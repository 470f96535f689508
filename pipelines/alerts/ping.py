"""A dead man's switch: whoever waits for the pings of `load` raises an alarm when they stay away.

The convention of healthchecks.io: URL/start when a load begins, the URL itself when it succeeded, URL/fail with the
exit code as its body when it did not. https://healthchecks.io/docs/http_api/

A ping never fails a load, and all of a load's pings together delay it by less than ten seconds: each has a thread of
its own, which is abandoned after that, whatever its host does.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pipelines.alerts.settings import read_ping_url
from pipelines.errors import RecorderError
from pipelines.interrupts import causing_signal
from pipelines.warehouse.primary import AnotherLoadRuns

PATIENCE: Final = 4.0  # seconds for each of the two pings
TIMEOUT: Final = 3.0  # to connect, and between two packets
THREAD: Final = "ping"

logger = logging.getLogger(__name__)


@contextmanager
def pinging(exit_code_of: Callable[[BaseException], int]) -> Iterator["LoadPing"]:
    """Pings at the end of the block how the load ended: as its exit code if it was `set`, or by what it raised. A load
    that found another one running does not ping: the other one does."""
    ping = LoadPing(_usable_url())
    try:
        yield ping
    except AnotherLoadRuns:
        raise
    except BaseException as error:
        ping.finish(exit_code_of(error))
        raise
    ping.finish(ping.exit_code)


class LoadPing:
    """The pings of one load."""

    def __init__(self, url: SplitResult | None) -> None:
        self.url = url
        self.exit_code = 0
        self.first: threading.Thread | None = None
        self.problems: list[str] = []
        if url:
            for handler in logging.getLogger().handlers:  # what libraries log of a request may quote the URL
                handler.addFilter(_is_of_no_ping)

    def start(self) -> None:
        """Pings that the load has begun, while it goes on."""
        if self.url:
            self.first = self._send("/start", b"")

    def finish(self, exit_code: int) -> None:
        """Pings how the load ended, after the ping of its beginning."""
        if not self.url:
            return
        exit_code = exit_code or (128 + number if (number := causing_signal(())) else 0)
        if self.first:
            self._wait_for(self.first)
        self._wait_for(self._send("/fail", str(exit_code).encode()) if exit_code else self._send("", b""))
        if self.problems:
            logger.warning("The ping of `ping_url` under [alerts] was not delivered: %s.", self.problems[-1])

    def _send(self, end: str, body: bytes) -> threading.Thread:
        thread = threading.Thread(target=self._request, args=(end, body), daemon=True, name=THREAD)
        thread.start()
        return thread

    def _wait_for(self, thread: threading.Thread) -> None:
        thread.join(PATIENCE)
        if thread.is_alive():
            self.problems.append(f"no answer within {PATIENCE:g} seconds")

    def _request(self, end: str, body: bytes) -> None:
        import requests  # noqa: PLC0415 - a load that pings nothing may do without

        assert self.url  # noqa: S101
        url = self.url._replace(path=self.url.path.rstrip("/") + end) if end else self.url
        method = "POST" if body else "GET"
        try:
            with requests.request(method, url.geturl(), data=body, timeout=TIMEOUT, stream=True) as answer:
                if not answer.ok:
                    self.problems.append(f"its host answered {answer.status_code}")
        except requests.Timeout:
            self.problems.append(f"no answer within {TIMEOUT:g} seconds")
        except requests.ConnectionError:
            self.problems.append("its host could not be reached")
        except Exception as error:  # its text may quote the URL
            self.problems.append(type(error).__name__)


def _is_of_no_ping(entry: logging.LogRecord) -> bool:
    return entry.threadName != THREAD


def _usable_url() -> SplitResult | None:
    """The URL to ping, if there is one. A wrong one must not keep a load from recording."""
    try:
        given = read_ping_url()
    except RecorderError as problem:
        logger.warning("Nothing is pinged. %s", problem)
        return None
    if given is None:
        return None
    try:
        url = urlsplit(given)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        usable = False
    if usable:
        return url._replace(fragment="")
    logger.warning("Nothing is pinged: `ping_url` under [alerts] is not an http:// or https:// address.")
    return None
