"""Reads a response part by part, with bounded memory, up to a size and a deadline: for results of any length."""

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Final

from requests import Response
from urllib3.exceptions import HTTPError

from pipelines.errors import InvalidResponse, NoResponse, sanitize
from pipelines.salesforce.http_clients import single_try_client
from pipelines.salesforce.transport import PROXY_HINT, Limits

PACKED_PART: Final = 2**16  # bytes read at once, and
PART: Final = 2**18  # at most unpacked at once
ERROR_BYTES: Final = 2**16  # read of an error response
CSV: Final = {"Accept": "text/csv", "Accept-Encoding": "gzip"}  # the Classic API answers in the form of the job
CONNECT_SECONDS: Final = 10.0
GZIP: Final = 31  # zlib's wbits for gzip's header and checksum
BROKEN_OFF: Final = "A response broke off before its end"


class LimitReached(Exception):
    """A response was not read to its end, because it is too large or takes too long."""


@dataclass
class Allowance:
    """How much may still be read, unpacked, and until when (by `time.monotonic`): of one response, or of several."""

    size: int
    until: float

    def take(self, count: int) -> None:
        """Raises LimitReached."""
        self.size -= count
        if self.size < 0 or time.monotonic() >= self.until:
            raise LimitReached


class StreamedAnswer:
    """A response whose headers have arrived. `parts` can be read once."""

    def __init__(self, response: Response, allowance: Allowance) -> None:
        self.headers = response.headers
        self._response, self._allowance = response, allowance

    def parts(self) -> Iterator[bytes]:
        """The body, unpacked, in parts of at most PART bytes. Raises LimitReached, NoResponse if it broke off, and
        InvalidResponse."""
        encoding = self.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("gzip", "x-gzip", "identity", ""):
            raise InvalidResponse(f"A response is encoded as {sanitize(encoding, 40)}, not as gzip.", PROXY_HINT)
        packed = self._packed()
        for part in _unpacked(packed) if "gzip" in encoding else packed:
            self._allowance.take(len(part))
            yield part

    def _packed(self) -> Iterator[bytes]:
        try:
            # What has arrived, without waiting for more; `stream` would also read lines of any length between chunks.
            while part := self._response.raw.read1(PACKED_PART, decode_content=False):
                self._allowance.take(0)
                yield part
        except (HTTPError, OSError, ValueError, NoResponse) as error:
            if time.monotonic() >= self._allowance.until:
                raise LimitReached from None
            raise NoResponse(f"{BROKEN_OFF} ({type(error).__name__}).", "The next load tries again.") from None


def _unpacked(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Unpacks gzip, of several members if need be, a little at a time: a small part can hold a thousand times more."""
    member = None
    for part in packed:
        rest = part
        while rest:
            member = member or zlib.decompressobj(GZIP)
            try:
                yield member.decompress(rest, PART)
            except zlib.error:
                raise InvalidResponse("A response is not gzip, although it says so.", PROXY_HINT) from None
            rest = member.unused_data if member.eof else member.unconsumed_tail
            member = None if member.eof else member
    if member:
        raise NoResponse(f"{BROKEN_OFF} (gzip).", "The next load tries again.")


class StreamingClient:
    """Sends requests whose responses are read by the caller, up to `allowance`. For one thread."""

    def __init__(self, on_answer: Callable[..., None]) -> None:
        self._limits = Limits()
        self._http = single_try_client(on_answer, self._limits)
        self.allowance = Allowance(0, 0.0)

    def get(self, url: str, **options: Any) -> Response:
        """The response; of an error, the beginning, which is all that the rest of this package looks at. Raises
        LimitReached if nothing may be read any more."""
        self.allowance.take(0)
        self._limits.size = self.allowance.size + ERROR_BYTES
        left = max(self.allowance.until - time.monotonic(), 0.001)
        self._limits.seconds, self._limits.until = left, self.allowance.until
        patience = min(CONNECT_SECONDS, left), left
        response: Response = self._http.get(url, stream=True, headers=CSV, timeout=patience, **options)
        if response.status_code not in (200, 204):
            content = b""
            with closing(response), suppress(LimitReached, NoResponse, InvalidResponse):  # its status says enough
                for part in StreamedAnswer(response, Allowance(ERROR_BYTES, self.allowance.until)).parts():
                    content += part
            response._content = content
        return response
