"""Servers that receive what is sent: a web server for JSON and pings, and a mail server that others wrote."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Web:
    """What a web server got, in order; it answers with `status`, after calling `on_request`."""

    port: int = 0
    status: int = 200
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)  # method, path with query, body
    on_request: Callable[[], None] = lambda: None
    drips: bool = False  # answers with a byte a second, for ever
    echoes: bool = False  # quotes the request in its answer

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.requests]

    @property
    def titles(self) -> list[str]:
        return [note["title"] for note in self.notes]

    @property
    def pings(self) -> list[tuple[str, str]]:
        return [(path, body.decode()) for _, path, body in self.requests]


@contextmanager
def web() -> Iterator[Web]:
    """A web server on 127.0.0.1."""
    seen = Web()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.requests.append((self.command, self.path, body))
            seen.on_request()
            if seen.drips:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(60):
                    self.wfile.write(b".")
                    self.wfile.flush()
                    time.sleep(1)
                return
            answer = f"{self.path} {self.headers}".encode() + body if seen.echoes else b"ok"
            self.send_response(seen.status, self.path if seen.echoes else None)
            if seen.echoes:
                self.send_header("Location", f"/moved{self.path}")
                self.send_header("X-Seen", str(self.headers["Authorization"]))
                seen.status = 403 if seen.status == 302 else seen.status
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _answer  # noqa: N815 - the server's names

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the client went away
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Mail:
    """What a mail server got."""

    port: int = 0
    mails: list[Message] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 Message accepted"


@contextmanager
def mail() -> Iterator[Mail]:
    """A mail server on 127.0.0.1, without encryption."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        seen = Mail(unused.getsockname()[1])
    controller = Controller(seen, hostname="127.0.0.1", port=seen.port)
    controller.start()
    try:
        yield seen
    finally:
        controller.stop()
