"""A proxy between the recorder and the demo org: it passes requests on, but answers some of them itself."""

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from pipelines.demo_org.org import DemoOrg

Answer = Callable[[Callable[[bytes], None]], None]  # sends bytes, one after another, until it returns or is cut off
PACE = 0.02  # seconds between two bytes of an answer that trickles
FOR_EVER = 120  # seconds that an endless answer lasts: a load that keeps reading is detected by then


class Hostile:
    """Answers requests whose path matches with `answer`; keeps the path and headers of each in `seen`."""

    def __init__(self, org: DemoOrg, path: str, answer: Answer) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.path, self.answer, self.host = path, answer, urlsplit(org.instance_url).netloc
        self.stopping = threading.Event()
        hostile = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hostile.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                with suppress(OSError):
                    if re.search(hostile.path, self.path):
                        self.close_connection = True
                        hostile.answer(self.say)
                    else:
                        self.pass_on()

            do_POST = do_GET  # noqa: N815 - http.server's name

            def say(self, what: bytes) -> None:
                if hostile.stopping.is_set():
                    raise OSError
                self.connection.sendall(what)

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                onward = http.client.HTTPConnection(hostile.host, timeout=30)
                headers = {name: value for name, value in self.headers.items() if name != "Accept-Encoding"}
                onward.request(self.command, self.path, body, headers)
                answer = onward.getresponse()
                said = answer.read()
                onward.close()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def answered_by(org: DemoOrg, path: str, answer: Answer) -> Iterator[Hostile]:
    """Points the org's sign-in at a host that answers `path` with `answer`, and passes on the rest."""
    hostile = Hostile(org, path, answer)
    thread = threading.Thread(target=hostile.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    own, org.instance_url = org.instance_url, hostile.url
    try:
        yield hostile
    finally:
        org.instance_url = own
        hostile.stopping.set()
        hostile.server.shutdown()
        hostile.server.server_close()
        thread.join(timeout=5)


def once(*parts: bytes) -> Answer:
    """Sends these bytes, then closes the connection."""

    def answer(say: Callable[[bytes], None]) -> None:
        for part in parts:
            say(part)

    return answer


def for_ever(head: bytes, part: bytes, pace: float = 0) -> Answer:
    """Sends the head, then the part again and again, for longer than any client should wait."""

    def answer(say: Callable[[bytes], None]) -> None:
        say(head)
        end = time.monotonic() + FOR_EVER
        while time.monotonic() < end:
            say(part)
            time.sleep(pace)

    return answer
