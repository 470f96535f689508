"""Requests without an answer: the cause is said, with the variable or setting behind it, and whether it may pass."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from recorders import KEYS

from pipelines.config.dlt_context import use_project
from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError, RecorderError
from pipelines.salesforce import reached_hosts
from pipelines.salesforce.org import Org

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
HOST = "https://acme.my.salesforce.com"
NOBODY = "http://127.0.0.1:9"
REFUSED_BY = "(127.0.0.1:9) could not be reached: connection refused"


@pytest.fixture(autouse=True)
def one_try(recorder: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a second; and no proxy of this machine."""
    monkeypatch.setenv("RUNTIME__REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def failure_of(url: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> RecorderError:
    for name, value in {f"{KEYS}INSTANCE_URL": url, **environment}.items():
        monkeypatch.setenv(name, value)
    use_project()
    with pytest.raises(RecorderError) as raised:
        Org(read_credentials()).get("jobs/query")
    assert "s3cret" not in str(raised.value)
    return raised.value


@contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """`host:port` of a server that answers this and hangs up, or that never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                if answer is None:
                    held.append(connection)
                    continue
                with connection:
                    connection.recv(4_096)
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


# --- names ---


@pytest.fixture
def unknown_name() -> str:
    """A name that the resolver of this machine knows not to exist."""
    name = "no-such-org.invalid"
    try:
        socket.getaddrinfo(name, 443)
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            return name
    pytest.skip("There is no name server here that could know.")


def test_a_name_that_does_not_exist(unknown_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most likely misspelt, unless the host has answered before."""
    found = failure_of(f"https://{unknown_name}", monkeypatch)
    assert (found.exit_code, "its name does not exist" in found.message) == (78, True), found
    reached_hosts.remember([unknown_name])
    try:
        found = failure_of(f"https://{unknown_name}", monkeypatch)
    finally:
        reached_hosts._reached.discard(unknown_name)
    assert (found.exit_code, "has answered before" in found.message) == (75, True), found


def test_a_proxy_whose_name_does_not_exist(unknown_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = failure_of(HOST, monkeypatch, HTTPS_PROXY=f"http://bob:s3cret@{unknown_name}:3128")
    assert found.exit_code == 78
    assert f"The proxy of HTTPS_PROXY ({unknown_name}:3128) could not be found" in found.message


ASK = """
import sys
from pipelines.salesforce.connection_errors import unreachable
import requests
try:
    requests.get(sys.argv[1], timeout=5)
except requests.RequestException as error:
    found = unreachable(sys.argv[1], error)
    print(found.exit_code, found.message)
"""


def test_a_name_server_that_does_not_answer(tmp_path: Path) -> None:
    """The name may be right, so this is temporary, and cron mails nothing yet."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    mount = f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf"
    inside = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c"]
    with suppress(FileNotFoundError):
        if subprocess.run([*inside, mount], capture_output=True, check=False).returncode == 0:
            ask = [*inside, f'{mount} && exec "$@"', "sh", sys.executable, "-c", ASK, HOST]
            said = subprocess.run(ask, capture_output=True, text=True, check=False)
            assert said.stdout == f"75 {HOST} could not be found: the name server gave no answer.\n", said.stderr
            return
    pytest.skip("This process may not have a resolv.conf of its own.")


# --- connections ---


def test_no_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    found = failure_of(NOBODY, monkeypatch)
    assert (found.exit_code, found.message) == (75, f"{NOBODY} could not be reached: connection refused.")


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(None) as host:
        found = failure_of(f"http://{host}", monkeypatch)
    assert (found.exit_code, "timed out: it accepted the connection" in found.message) == (75, True), found


@pytest.mark.parametrize("address", ["https://acme..my.salesforce.com", f"https://{'x' * 64}.my.salesforce.com"])
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    found = failure_of(address, monkeypatch)
    assert (found.exit_code, "not a valid address" in found.message) == (78, True), found


@pytest.mark.parametrize(
    ("given", "host"),
    [("acme.my.salesforce.com.", HOST), (f"{HOST}/lightning/x?y", HOST), (f"{HOST}.:443", f"{HOST}:443")],
)
def test_a_host_with_more_than_its_name(monkeypatch: pytest.MonkeyPatch, given: str, host: str) -> None:
    """A path, or the dot that ends a full name and is in no certificate."""
    monkeypatch.setenv(f"{KEYS}INSTANCE_URL", given)
    use_project()
    assert read_credentials().instance_url == host


# --- proxies ---


@pytest.mark.parametrize(
    ("variable", "proxy", "code", "said"),
    [
        ("HTTPS_PROXY", "http://bob:s3cret@127.0.0.1:9", 75, f"The proxy of HTTPS_PROXY {REFUSED_BY}"),
        ("https_proxy", "127.0.0.1:9", 75, f"The proxy of https_proxy {REFUSED_BY}"),
        ("All_Proxy", "http://127.0.0.1:9", 75, f"The proxy of All_Proxy {REFUSED_BY}"),
        ("HTTPS_PROXY", "http://[::1]:9", 75, "The proxy of HTTPS_PROXY ([::1]:9) could not be reached"),
        ("HTTPS_PROXY", "http://bob:s3cret@127.0.0.1:99999", 78, "HTTPS_PROXY is malformed"),
        ("HTTPS_PROXY", "http://bob:s3cret#@127.0.0.1:9", 78, "HTTPS_PROXY is malformed"),
        ("HTTPS_PROXY", "http://", 78, "HTTPS_PROXY is malformed"),
        ("HTTPS_PROXY", "http://[::1", 78, "HTTPS_PROXY is malformed"),
        ("HTTPS_PROXY", "ftp://127.0.0.1:9", 78, "HTTPS_PROXY does not name a proxy by http://"),
    ],
)
def test_a_proxy_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, code: int, said: str
) -> None:
    """Which variable sets it, and whether the network or the variable is wrong."""
    found = failure_of(HOST, monkeypatch, **{variable: proxy})
    assert (found.exit_code, said in found.message) == (code, True), found


def test_a_socks_proxy_without_its_library(org: DemoOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be installed, or the org named in NO_PROXY: then the proxy does not matter."""
    if find_spec("socks"):
        pytest.skip("PySocks is installed here.")
    found = failure_of(org.instance_url, monkeypatch, ALL_PROXY="socks5://127.0.0.1:1080")
    assert (found.exit_code, "ALL_PROXY names a SOCKS proxy" in found.message) == (78, True), found
    assert "PySocks" in found.remedy
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    use_project()
    assert Org(read_credentials()).org_id == org.org_id


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("407 Proxy Authentication Required", 78, "requires a sign-in (HTTP 407)"),
        ("403 Forbidden", 78, f"refuses connections to {HOST} (HTTP 403)"),
        ("503 Service Unavailable", 75, f"could not connect to {HOST} (HTTP 503)"),
    ],
)
def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, status: str, code: int, said: str) -> None:
    """For good, or because it cannot reach the host itself."""
    with answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as host:
        found = failure_of(HOST, monkeypatch, HTTPS_PROXY=f"http://bob:s3cret@{host}")
        assert found.exit_code == code, found
        assert f"The proxy of HTTPS_PROXY ({host}) {said}" in found.message
        if code == 78 and "407" in status:  # of a host without TLS, the proxy answers in its place
            found = failure_of("http://127.0.0.1:9", monkeypatch, HTTP_PROXY=f"http://bob:s3cret@{host}")
            assert (found.exit_code, f"The proxy of HTTP_PROXY ({host}) {said}" in found.message) == (78, True), found


def test_a_proxy_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address begins with https:// by mistake."""
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as host:
        found = failure_of(HOST, monkeypatch, HTTPS_PROXY=f"https://{host}")
    assert (found.exit_code, f"({host}) does not speak TLS" in found.message) == (78, True), found


# --- time-outs and tries ---


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("request_timeout", "0"),
        ("request_timeout", "-1"),
        ("request_timeout", "nan"),
        ("request_timeout", "1e300"),
        ("request_max_attempts", "0"),
        ("request_backoff_factor", "-1"),
        ("request_max_retry_delay", "inf"),
        ("log_level", "LOUD"),
        ("log_format", "{"),
    ],
)
def test_a_value_that_the_http_library_cannot_use(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    """The setting is named, and what it may be."""
    monkeypatch.setenv(f"RUNTIME__{key.upper()}", value)
    with pytest.raises(ConfigError, match=rf"`runtime\.{key}` \(variable RUNTIME__{key.upper()}\) is") as raised:
        use_project()
    assert "It must be" in raised.value.remedy
