"""Fault injection: errors, delays, and responses that break off half-way."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

# Sign-in has its own errors, so a fault without a path waits for a data request.
DATA_PATHS = r"^/services/data/v"


@dataclass
class Fault:
    """One thing to do wrong: `times` times, after letting `after` matching requests pass.

    `path` is a regular expression to find in the request's path: "/jobs/query$" is the listing alone,
    "/jobs/query/" a single job, "/services/async/" the Classic API, "/oauth2/token" the sign-in.
    """

    path: str = DATA_PATHS
    times: int = 1
    after: int = 0
    status: int | None = None  # answer this instead
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stall: float = 0.0  # seconds to keep the client waiting before the answer
    cut: bool = False  # declare the whole body, send half of it, close the connection
    part: bytes = b""  # sent after the body, so many times (None: without end), with a pause after each
    parts: int | None = 0
    pause: float = 0.0


class Faults:
    """The faults still to come, in the order they were ordered."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Order a fault. Raises ValueError: it would never happen, or its path is no regular expression."""
        if fault.times < 1 or fault.after < 0:
            raise ValueError("times must be 1 or more, after 0 or more")
        try:
            re.compile(fault.path)
        except re.error as error:
            raise ValueError(f"path is no regular expression: {error}") from None
        self._waiting.append(fault)

    def take(self, path: str) -> Fault | None:
        """Return the fault for this request, if one is due; every waiting fault counts the request."""
        due: Fault | None = None
        for fault in self._waiting:
            if not re.search(fault.path, path):
                continue
            if fault.after:
                fault.after -= 1
            elif due is None:
                due = fault
        if due is not None:
            due.times -= 1
            if not due.times:
                self._waiting.remove(due)
        return due

    def clear(self) -> None:
        """Forget every fault still to come."""
        self._waiting.clear()


class Faulty:
    """The fault injection methods of an org."""

    faults: Faults
    lock: threading.RLock

    def fail_next(
        self,
        status: int,
        body: object = None,
        *,
        times: int = 1,
        after: int = 0,
        headers: Mapping[str, str] | None = None,
        path: str | None = None,
    ) -> None:
        """Answer the next requests with this status and body: bytes or text as they are, all else as JSON.

        `after` requests pass first. `path` is a regular expression to find in the request's path; without one,
        requests for data are meant, and sign-in is not. Raises ValueError: it could never happen.
        """
        self._order(Fault(DATA_PATHS if path is None else path, times, after, status, body, headers or {}))

    def stall_next(self, seconds: float, *, times: int = 1, after: int = 0, path: str | None = None) -> None:
        """Keep the next requests waiting before their answer."""
        self._order(Fault(DATA_PATHS if path is None else path, times, after, stall=seconds))

    def cut_next(self, *, times: int = 1, after: int = 0, path: str | None = None) -> None:
        """Break off the next answers: the whole length declared, half the body sent, the connection closed."""
        self._order(Fault(DATA_PATHS if path is None else path, times, after, cut=True))

    def stream_next(
        self,
        part: bytes | str,
        parts: int | None = None,
        *,
        head: bytes | str = b"",
        pause: float = 0.0,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        after: int = 0,
        path: str | None = None,
    ) -> None:
        """Answer the next requests with `head`, then with `part` again and again, in chunks as they are.

        `parts`: how many, None without end; `pause`: seconds after each. With headers such as Content-Encoding the
        answer may claim to be what it is not. Raises ValueError: it could never happen.
        """
        content = part.encode() if isinstance(part, str) else part
        named = {"Content-Type": "text/csv; charset=UTF-8", **(headers or {})}
        where = DATA_PATHS if path is None else path
        self._order(Fault(where, times, after, status, head, named, part=content, parts=parts, pause=pause))

    def _order(self, fault: Fault) -> None:
        with self.lock:
            self.faults.add(fault)
