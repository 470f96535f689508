"""The proxy that the environment sets for a host: which variable sets it, and what is wrong with it."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from pipelines.errors import ConfigError

EXAMPLE: Final = "http://proxy.example.com:3128"


@dataclass(frozen=True)
class Proxy:
    """A proxy. Its `url` may have a password in it: show `str()` of this instead."""

    variable: str
    url: str

    @property
    def address(self) -> str:
        """`host:port`; "" if the URL has none."""
        try:
            found = parse_url(self.url if "://" in self.url else f"http://{self.url}")
        except LocationParseError:
            return ""
        return f"{found.host}{f':{found.port}' if found.port else ''}" if found.host else ""

    def __str__(self) -> str:
        return f"The proxy of {self.variable}{f' ({self.address})' if self.address else ''}"

    @property
    def problem(self) -> ConfigError | None:
        """What makes it unusable, whatever the network does."""
        scheme = self.url.partition("://")[0].lower() if "://" in self.url else "http"
        where = f"Set {self.variable} to {EXAMPLE}, unset it, or name the org's host in NO_PROXY."
        if scheme.startswith("socks") and find_spec("socks") is None:
            return ConfigError(
                f"{self.variable} names a SOCKS proxy, but the library for that, PySocks, is not installed.",
                f"Install it: .venv/bin/python -m pip install PySocks. Or: {where}",
            )
        if not scheme.startswith("socks") and scheme not in ("http", "https"):
            return ConfigError(f"{self.variable} does not name a proxy by http:// or https://.", where)
        if not self.address:
            return ConfigError(
                f"{self.variable} is malformed: it must be the http:// address of a proxy, with a port up to 65535.",
                f"{where} In a password, write each of # / ? @ : and % as a percent code, such as %23 for #.",
            )
        return None


def proxy_of(url: str) -> Proxy | None:
    """The proxy for requests to this URL; None if they go there directly."""
    proxies = get_environ_proxies(url)  # none for a host in NO_PROXY
    if not (given := select_proxy(url, proxies)):
        return None
    kind = next((kind for kind in (url.partition(":")[0], "all") if proxies.get(kind) == given), "all")
    names = sorted((name for name in os.environ if name.lower() == f"{kind}_proxy"), key=str.isupper)
    return Proxy(next(iter(names), "the system's settings"), given)


def refused_by_proxy(url: str, status: int) -> ConfigError | None:
    """The error for a status that only a proxy sends, or that it sends in place of a connection."""
    who = str(proxy_of(url) or "A proxy")
    if status == 407:
        return ConfigError(
            f"{who} requires a sign-in (HTTP 407).",
            "Put its user and password into that variable: http://user:password@host:port.",
        )
    return None


def tunnel_refused(proxy: Proxy, host: str, status: int) -> ConfigError | None:
    """The error for a proxy that refuses to connect to a host for good; None for a passing trouble."""
    if status in (401, 403, 405):
        return ConfigError(
            f"{proxy} refuses connections to {host} (HTTP {status}).",
            "Have that host allowed there, or name it in NO_PROXY if it can be reached without the proxy.",
        )
    return refused_by_proxy(host, status)
