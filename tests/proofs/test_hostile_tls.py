"""TLS failures: no secret is sent, the message says at which end to look, and no handshake lasts for ever."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from recorders import Recorder

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving
from pipelines.errors import RecorderError

KEY = "SOURCES__SALESFORCE__CREDENTIALS__INSTANCE_URL"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"


@pytest.fixture(autouse=True)
def quick(recorder: Recorder, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tries of a second each, and an extra file of trusted certificates."""
    monkeypatch.setenv("RUNTIME__REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])


def ends(recorder: Recorder, url: str) -> RecorderError:
    """The error of a load from this host, without the secret."""
    os.environ[KEY] = url  # the fixture takes it back
    found = recorder.failure()
    assert recorder.org.client_secret not in str(found)
    return found


@pytest.mark.slow
def test_certificates(org: DemoOrg, recorder: Recorder, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch):
    """Trusted, for another name, not trusted; a file of trusted certificates that is broken or missing."""
    broken = Path(recorder.home / "broken.pem")
    broken.write_text("-----BEGIN CERTIFICATE-----\nxxxx\n-----END CERTIFICATE-----\n")
    with serving(org, certfile=certificate[0], keyfile=certificate[1]) as url:
        os.environ[KEY] = url
        recorder.load()
        asked = len(org.requests)
        found = ends(recorder, url.replace("127.0.0.1", "localhost"))
        assert (found.exit_code, "Hostname mismatch" in found.message) == (78, True), found
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        found = ends(recorder, url)
        assert (found.exit_code, "self-signed" in found.message) == (78, True), found
        assert "REQUESTS_CA_BUNDLE" in found.remedy
        for bundle, said in ((broken, "no readable certificate"), (recorder.home / "none.pem", "none.pem")):
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
            found = ends(recorder, url)
            assert (found.exit_code, said in found.message) == (78, True), found
            assert "REQUESTS_CA_BUNDLE" in found.remedy
        assert len(org.requests) == asked


def test_a_server_without_tls_gets_no_secret(org: DemoOrg, recorder: Recorder) -> None:
    """It only receives the beginning of a handshake."""
    found = ends(recorder, org.instance_url.replace("http:", "https:"))

    assert (found.exit_code, "WRONG_VERSION_NUMBER" in found.message) == (75, True), found
    assert not org.requests


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does this with every connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=handle, args=[connection], daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            answer(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(timeout=5)


def cut(connection: socket.socket) -> None:
    connection.recv(5)


def junk(connection: socket.socket) -> None:
    connection.recv(5)
    connection.sendall(b"\x16\x03\x01\x00\x20" + b"\xff" * 40)


def stall(connection: socket.socket) -> None:
    time.sleep(5)


def trickle(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x03\x40\x00")
    for _ in range(100):
        connection.sendall(b"\x02")
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("handshake", "said"),
    [(cut, "closed the connection or sent"), (junk, "TLS with"), (stall, "in time"), (trickle, "in time")],
)
def test_a_failed_handshake_is_a_temporary_error(
    org: DemoOrg, recorder: Recorder, handshake: Callable[[socket.socket], None], said: str
) -> None:
    """Cut off, with wrong bytes, never begun, or byte by byte."""
    with answering(handshake) as url:
        found = ends(recorder, url)

    assert (found.exit_code, said in found.message) == (75, True), found


@pytest.mark.slow
@pytest.mark.parametrize("rest", [b"", b"\x17\x03\x03\x00\x30" + b"x" * 48], ids=["cut", "not of this connection"])
def test_an_answer_cut_off_within_tls_is_not_accepted(
    org: DemoOrg, recorder: Recorder, certificate: tuple[str, str], rest: bytes
) -> None:
    """Without TLS's closing message, or with a record injected by a third party."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def break_off(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as within:
            within.recv(100)
            within.sendall(HEAD)
            plain = socket.socket(fileno=within.detach())
        with plain:
            plain.sendall(rest)

    with answering(break_off) as url:
        found = ends(recorder, url)

    assert found.exit_code == 75, found
    assert "closed the connection or sent" in found.message or "TLS with" in found.message, found
