"""Hosts that have answered once: if such a name cannot be found any more, that is a passing trouble; otherwise it is
most likely misspelt."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from pipelines.salesforce.proxies import proxy_of

_reached: Final[set[str]] = set()  # of this process, and what it was told of earlier ones


def remember(hosts: Iterable[str]) -> None:
    """Takes these as reached by earlier runs."""
    _reached.update(hosts)


def reached_hosts() -> frozenset[str]:
    """All of them."""
    return frozenset(_reached)


def note_answer(url: str) -> None:
    """Notes that the host of this URL, and the proxy on the way, have answered."""
    host = urlsplit(url).netloc
    if host not in _reached:
        _reached.update(filter(None, (host, proxy.address if (proxy := proxy_of(url)) else "")))
