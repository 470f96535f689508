"""Hosts that have answered once: if such a name cannot be found any more, that is a passing trouble; otherwise it is
most likely misspelt."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from pipelines.salesforce.proxies import proxy_of

_reached: Final[set[str]] = set()  # in lower case; of this process, and of earlier ones that it remembers


def remember(hosts: Iterable[str]) -> None:
    """Takes these as reached by earlier runs."""
    _reached.update(hosts)


def reached_hosts() -> frozenset[str]:
    """All of them."""
    return frozenset(_reached)


def has_answered(host: str) -> bool:
    """Whether this host, with its port if it was given one, is among them."""
    return host.lower() in _reached


def note_answer(url: str) -> None:
    """Notes that the host of this URL, and the proxy on the way, have answered."""
    host = urlsplit(url).netloc.lower()
    if host not in _reached:
        proxy = proxy_of(url)
        _reached.update(filter(None, (host, proxy.address.lower() if proxy else "")))
