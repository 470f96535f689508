"""Serve a demo org over HTTP on 127.0.0.1."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import zlib
from collections.abc import Iterable, Iterator
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pipelines.demo_org.answers import Answer, Asked
from pipelines.demo_org.api import handle
from pipelines.demo_org.control import control
from pipelines.demo_org.org import DemoOrg

HOST = "127.0.0.1"
COMPRESS_FROM = 1_000  # bytes
LONGEST_LINE = 1_000
HEX = re.compile(rb"[0-9A-Fa-f]{1,8}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    disable_nagle_algorithm = True  # a small answer would wait 40 ms for the client's acknowledgement
    wbufsize = 65_536  # headers and body leave together
    server: _Server

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # http.server looks for one method for each verb: all go the same way
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        org = self.server.org
        url = urlsplit(self.path)
        try:
            body = self._body()
        except ValueError:
            self.close_connection = True  # where the next request begins is not known
            return self._send(Answer(400))
        asked = Asked(
            self.command,
            url.path,
            dict(parse_qsl(url.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            body,
        )
        given = control(org, asked) if url.path.startswith("/_control") else handle(org, asked)
        if given.stall and self.server.stopping.wait(given.stall):
            self.close_connection = True  # the server goes before the answer comes
            return None
        return self._send(given)

    def _body(self) -> bytes:
        """The request's body, with a Content-Length or in chunks, as jsforce sends every form.

        Raises ValueError: neither.
        """
        if "Transfer-Encoding" not in self.headers:
            length = self.headers.get("Content-Length") or "0"
            if not length.isdecimal():
                raise ValueError
            return self.rfile.read(int(length))
        chunks: list[bytes] = []
        while True:
            size = self.rfile.readline(LONGEST_LINE).partition(b";")[0].strip()
            if not HEX.fullmatch(size):
                raise ValueError
            if not int(size, 16):
                break
            chunks.append(self.rfile.read(int(size, 16)))
            if self.rfile.read(2) != b"\r\n":
                raise ValueError
        while self.rfile.readline(LONGEST_LINE) not in (b"\r\n", b"\n", b""):  # trailers
            pass
        return b"".join(chunks)

    def _send(self, given: Answer) -> None:
        body, org = given.body, self.server.org
        with org.lock:  # the clock stands elsewhere while an event is played
            now = given.at or org.now
        self.send_response_only(given.status)
        self.send_header("Date", format_datetime(now, usegmt=True))
        for name, value in given.headers.items():
            self.send_header(name, value)
        gzip = given.compress and "gzip" in self.headers.get("Accept-Encoding", "")
        if given.stream is not None:
            return self._send_chunks(given, chain((body,), given.stream), gzip=gzip)
        if len(body) > COMPRESS_FROM and gzip:
            packer = zlib.compressobj(1, wbits=31)  # 31: with gzip's header and checksum
            body = packer.compress(body) + packer.flush()
            self.send_header("Content-Encoding", "gzip")
        if given.status != 204:
            self.send_header("Content-Length", str(len(body)))
        if given.cut:
            body, self.close_connection = body[: len(body) // 2], True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        return None

    def _send_chunks(self, given: Answer, pieces: Iterable[bytes], *, gzip: bool) -> None:
        """Send pieces as they are made, compressed as a whole. One that is to be cut ends within the first piece."""
        packer = zlib.compressobj(1, wbits=31) if gzip else None
        self.send_header("Transfer-Encoding", "chunked")
        if packer:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        for piece in filter(None, pieces):
            if given.cut:
                piece, self.close_connection = piece[: len(piece) // 2], True  # noqa: PLW2901
            packed = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else piece
            self._chunk(packed)
            if given.cut or (given.pause and self._paused(given.pause)):
                return
        if packer:
            self._chunk(packer.flush())
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _chunk(self, data: bytes) -> None:
        if data:  # an empty one would be the end
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _paused(self, seconds: float) -> bool:
        """Send what is written by now, and wait; True: the server has stopped meanwhile."""
        self.wfile.flush()
        if self.server.stopping.wait(seconds):
            self.close_connection = True
        return self.close_connection

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: `DemoOrg.requests` is the log."""


class _Server(HTTPServer):
    """A thread for each connection, and none of them left when the server is closed."""

    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, org: DemoOrg, port: int, tls: ssl.SSLContext | None) -> None:
        self.org, self.stopping = org, threading.Event()
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__((HOST, port), _Handler)
        if tls is not None:  # the handshake is for the connection's own thread
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        self._connections[thread] = request
        thread.start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        # A client that hangs up, or shakes hands badly, is its own business
        with contextlib.suppress(OSError):
            self.finish_request(connection, address)
        with contextlib.suppress(OSError):
            self.shutdown_request(connection)
        self._connections.pop(threading.current_thread(), None)

    def server_close(self) -> None:
        self.stopping.set()
        super().server_close()
        for thread, connection in list(self._connections.items()):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            thread.join(timeout=5)


@contextlib.contextmanager
def serving(org: DemoOrg, port: int = 0, *, certfile: str | None = None, keyfile: str | None = None) -> Iterator[str]:
    """Serve an org while the `with` block runs, and give its base URL, which becomes `org.instance_url`.

    Port 0 takes a free one; with a certificate and its key (PEM files) it is HTTPS. On leaving, every connection
    is closed and every thread has ended. Raises OSError: the port is taken.
    """
    tls = None
    if certfile is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certfile, keyfile)
    server = _Server(org, port, tls)
    org.instance_url = f"{'https' if tls else 'http'}://{HOST}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield org.instance_url
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
