"""Limits for HTTP responses: each ends in time and fits into memory, whatever the server sends.

requests and urllib3 only have a timeout between two packets, and no size limit: a response that trickles, or unpacks to
a thousand times its size, could go on for ever.
"""

import io
import socket
import time
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

from requests import Response
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from pipelines.errors import InvalidResponse, NoResponse

# A page of 1,000 jobs has about 0.6 MB; with 16 KB in every record it would have this. While it is decoded, its values
# take up to fifty times as much memory as its text, so a higher limit would be useless.
ANSWER_BYTES: Final = 16 * 2**20
ANSWER_SECONDS: Final = 300.0  # until the last byte; the 60 s in [runtime] apply between two packets
CHUNK: Final = 2**18
CONNECTIONS: Final = 50  # dlt's own number
PROXY_HINT: Final = "Perhaps a proxy answered instead of Salesforce. Nothing was changed; try again later."


@dataclass
class Limits:
    """Of one response, as sent, headers included. Changing them affects the responses that begin afterwards."""

    size: int = ANSWER_BYTES
    seconds: float = field(default_factory=lambda: ANSWER_SECONDS)
    until: float | None = None  # by `time.monotonic`, in place of `seconds`, which then are those that were left


class _DeadlineReader(io.RawIOBase):
    """Reads the bytes of one response, headers included, up to a size and a deadline."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, limits: Limits) -> None:
        self._raw, self._connection = raw, connection
        self._seconds, self._size = limits.seconds, limits.size
        self._patience = connection.gettimeout() or self._seconds
        self._until = limits.until or time.monotonic() + self._seconds
        self._left = self._size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        seconds = self._until - time.monotonic()
        if seconds < self._patience:
            self._connection.settimeout(max(seconds, 0.001))
        try:
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError:
            if time.monotonic() < self._until:
                raise
            seconds = 0
        if seconds <= 0:
            raise NoResponse(f"A response was not complete within {self._seconds:.3g} s.", PROXY_HINT)
        self._left -= count or 0
        if self._left < 0:
            raise too_large(self._size)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    limits: Limits

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock, self.limits))


class _Adapter(HTTPAdapter):
    """requests' adapter, with limits from the first byte of a response."""

    def __init__(self, limits: Limits, **options: Any) -> None:
        super().__init__(**options)
        answer = type("_LimitedAnswer", (_Answer,), {"limits": limits})
        self._plain = type("_Connection", (HTTPConnection,), {"response_class": answer})
        self._tls = type("_TLSConnection", (HTTPSConnection,), {"response_class": answer})

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = self._tls if isinstance(pool, HTTPSConnectionPool) else self._plain
        return pool


def read_whole(response: Response, **_: object) -> None:
    """Reads a response's body, unpacked, up to ANSWER_BYTES. Runs as a hook, before requests would read all of it."""
    parts, size = [], 0
    for part in response.iter_content(CHUNK):
        size += len(part)
        if size > ANSWER_BYTES:
            response.close()
            raise too_large()
        parts.append(part)
    response._content = b"".join(parts)


def too_large(at_most: int = ANSWER_BYTES) -> InvalidResponse:
    size = f"{at_most / 2**20:g} MB" if at_most >= 2**20 else f"{at_most / 2**10:g} KB"
    return InvalidResponse(f"A response exceeded the {size} limit for this request.", PROXY_HINT)


def session_attributes(*hooks: Any, limits: Limits | None = None) -> dict[str, Any]:
    """Attributes for an HTTP session of dlt's client that enforce the limits; the hooks get every response before its
    body is read. With `limits` of its own, a session leaves reading the body to the caller.

    Cookies are neither stored nor sent: the API does not need them.
    """
    adapter = _Adapter(limits or Limits(), pool_maxsize=CONNECTIONS)
    cookies = RequestsCookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return {
        "get_adapter": lambda url: adapter,
        "cookies": cookies,
        "hooks": {"response": [*hooks, *([] if limits else [read_whole])]},
    }
