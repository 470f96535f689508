"""HTTP within bounds: whatever answers, and whatever it sends, one answer ends in time and fits into memory.

requests and urllib3 know a timeout between two packets, and no size: an answer that trickles, or that unpacks to a
thousand times its size, would go on for as long as its sender likes.
"""

import io
import socket
import time
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

from requests import Response
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from pipelines.errors import NoAnswer, Unreadable

# A page of 1,000 jobs is some 0.6 MB; with 16 KB in every record it would be this. Its values take up to fifty times
# as much as its text while they are read, so more would be no bound at all.
ANSWER_BYTES: Final = 16 * 2**20
ANSWER_SECONDS: Final = 300.0  # to its last byte; the 60 s of [runtime] are those between two packets
CHUNK: Final = 2**18
CONNECTIONS: Final = 50  # dlt's own number
PROXY_HINT: Final = "A proxy may answer instead of Salesforce. Nothing was changed; try again later."


class _DeadlineReader(io.RawIOBase):
    """The bytes that come over a connection for one answer, heads and all: so many of them, and for so long."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw, self._connection = raw, connection
        self._patience = connection.gettimeout() or ANSWER_SECONDS
        self._until = time.monotonic() + ANSWER_SECONDS
        self._left = ANSWER_BYTES

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
            raise NoAnswer(f"An answer did not come to its end within {ANSWER_SECONDS:g} s.", PROXY_HINT)
        self._left -= count or 0
        if self._left < 0:
            raise too_large()
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Answer


class _TLSConnection(HTTPSConnection):
    response_class = _Answer


class _Adapter(HTTPAdapter):
    """requests' own, over connections whose answers are bounded from their first byte on."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _TLSConnection if isinstance(pool, HTTPSConnectionPool) else _Connection
        return pool


def read_whole(response: Response, **_: object) -> None:
    """Reads an answer's body, unpacked, up to ANSWER_BYTES. Runs as a hook, before requests would read all of it."""
    parts, size = [], 0
    for part in response.iter_content(CHUNK):
        size += len(part)
        if size > ANSWER_BYTES:
            response.close()
            raise too_large()
        parts.append(part)
    response._content = b"".join(parts)


def too_large(at_most: int = ANSWER_BYTES) -> Unreadable:
    size = f"{at_most / 2**20:g} MB" if at_most >= 2**20 else f"{at_most / 2**10:g} KB"
    return Unreadable(f"An answer was larger than {size}, which none of Salesforce's to this question is.", PROXY_HINT)


def session_attributes(*hooks: Any) -> dict[str, Any]:
    """What makes a session of dlt's client a bounded one; the hooks hear of every answer, before its body is read.

    Cookies are neither kept nor sent: the API needs none, and one that somebody else set would come along for ever.
    """
    adapter = _Adapter(pool_maxsize=CONNECTIONS)
    cookies = RequestsCookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return {
        "get_adapter": lambda url: adapter,
        "cookies": cookies,
        "hooks": {"response": [*hooks, read_whole]},
    }
