"""Requests and responses, and errors in Salesforce's two formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any

import orjson

from pipelines.demo_org.faults import Fault

JSON = "application/json;charset=UTF-8"


@dataclass(frozen=True)
class Asked:
    """A request: the path without its query, header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def bearer(self) -> str | None:
        """The bearer token, if there is one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None


@dataclass
class Answer:
    """A response; the server carries out `cut` and `stall`.

    With a `stream`, its pieces are sent in chunks after the body, with a `pause` in between.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    stall: float = 0.0
    stream: Iterator[bytes] | None = None
    pause: float = 0.0
    compress: bool = True  # if gzip is accepted and the headers name no encoding
    at: datetime | None = None  # its Date; None: when it is sent


def answer(status: int, value: object, **headers: str) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, orjson.dumps(value), {"Content-Type": JSON, **headers})


def refusal(status: int, code: str, message: str) -> Answer:
    """Return an error of the REST API: an array of objects.

    SOURCE: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
    """
    return answer(status, [{"message": message, "errorCode": code}])


def not_found() -> Answer:
    """Return the response for what does not exist (tests/fixtures/e_33_not_found.json)."""
    return refusal(404, "NOT_FOUND", "The requested resource does not exist")


def sign_in_refusal(error: str, description: str) -> Answer:
    """Return an error of the sign-in: one object (tests/fixtures/e_40_oauth_wrong_domain.json)."""
    return answer(400, {"error": error, "error_description": description}, **{"Cache-Control": "no-store"})


def plain(status: int, body: Any, headers: Mapping[str, str]) -> Answer:
    """Return an injected response: bytes and text unchanged, anything else as JSON."""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else orjson.dumps(body)
    kind = "text/html;charset=UTF-8" if isinstance(body, str | bytes) else JSON
    return Answer(status, content, {"Content-Type": kind, **headers})


def going_on(fault: Fault) -> Answer:
    """Return an injected response that goes on: its body, then its part again and again."""
    given = plain(fault.status or 200, fault.body or b"", fault.headers)
    given.stream = repeat(fault.part) if fault.parts is None else repeat(fault.part, fault.parts)
    given.pause, given.compress = fault.pause, False
    return given
