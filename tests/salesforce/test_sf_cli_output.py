"""What an `sf` prints in addition to its JSON, or instead of it; a script on the PATH prints it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from demo_org_client import FIXTURES
from dlt.sources.helpers import requests

from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import RecorderError
from pipelines.salesforce import reached_hosts
from pipelines.salesforce.org import Org
from pipelines.salesforce.session import Session
from pipelines.salesforce.sign_in import sign_in

Install = Callable[..., Path]


@pytest.fixture
def sf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, give) -> Install:
    """Puts a script called `sf` on the PATH, before everything else, that prints this and ends with this code."""
    give(sf_cli_org="mine")

    def install(out: bytes = b"", err: bytes = b"", code: int = 0, head: str = "#!/bin/sh") -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "out").write_bytes(out)
        (folder / "err").write_bytes(err)
        command = folder / "sf"
        command.write_text(f"{head}\ncat '{folder}/err' >&2\ncat '{folder}/out'\nexit {code}\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
        return command

    return install


def signed_in() -> Session:
    return sign_in(read_credentials(), requests.Client(raise_for_status=False))


def refusal() -> RecorderError:
    with pytest.raises(RecorderError) as raised:
        signed_in()
    return raised.value


@pytest.mark.parametrize("name", ["a_64_sfcli_colour.txt", "a_65_sfcli_notice_before.txt"])
@pytest.mark.parametrize("after", [b"", b"\nA new version is available {2.140.0}\n"])
def test_recorded_output(sf: Install, name: str, after: bytes) -> None:
    """Colours, and notices before and after."""
    sf((FIXTURES / name).read_bytes().replace(b"PORT", b"8042") + after)
    session = signed_in()
    assert (session.instance_url, session.access_token, session.org_id) == (
        "http://127.0.0.1:8042",
        "00DR0000000abcd!AQ.token",
        "00DR0000000abcdMAA",
    )


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"{ not JSON }\n", b'{"event": "notice"}\n', "»Ü«\n".encode()])
def test_other_notices(sf: Install, before: bytes) -> None:
    """A mark of byte order, braces, and an object that is none of the answers."""
    sf(before + (FIXTURES / "a_65_sfcli_notice_before.txt").read_bytes().replace(b"PORT", b"8042"))
    assert signed_in().instance_url == "http://127.0.0.1:8042"


def test_its_node_is_not_on_the_path(sf: Install) -> None:
    """cron's is short: `sf` is a script for node."""
    sf(head="#!/usr/bin/env no-such-node")
    found = refusal()
    assert (found.exit_code, "no-such-node" in found.message) == (78, True), found
    assert "PATH" in found.remedy


@pytest.mark.parametrize("content", [b"\x7fELF of another machine", b""])
def test_it_is_of_a_wrong_format(sf: Install, content: bytes) -> None:
    """Of another machine, or a download that was cut off."""
    sf().write_bytes(content)
    found = refusal()
    assert (found.exit_code, "`sf`" in found.message) == (78, True), found


def test_it_is_not_executable(sf: Install) -> None:
    sf().chmod(0o600)
    assert refusal().exit_code == 78


STALE = (
    b'{"name": "RefreshTokenAuthError", "message": "Error authenticating with the refresh token due to: expired '
    b'access/refresh token"}'
)
OUTPUTS: list[tuple[bytes, bytes, int, int, str]] = [
    (STALE, b"", 1, 77, "expired access/refresh token"),
    (b'{"result": {"connectedStatus": "RefreshTokenAuthError"}}', b"", 0, 77, "RefreshTokenAuthError"),
    (b'{"result": {"connectedStatus": "read ETIMEDOUT"}}', b"", 0, 75, "ETIMEDOUT"),
    (b'{"message": "getaddrinfo EAI_AGAIN acme.my.salesforce.com"}', b"", 1, 75, "EAI_AGAIN"),
    (b'{"message": "request failed: socket hang up"}', b"", 1, 75, "socket hang up"),
    (b'{"message": "getaddrinfo ENOTFOUND acme.my.salesforce.com"}', b"", 1, 78, "ENOTFOUND"),
    (b'{"message": "login rate exceeded"}', b"", 1, 75, "login rate exceeded"),
    (b'{"message": "ip restricted"}', b"", 1, 77, "ip restricted"),
    (b"", b"\n\x1b[31mError: read ECONNRESET\x1b[39m\nat x\n", 1, 75, ": Error: read ECONNRESET."),
    (b"", b"Error: No such command\nmore\n", 2, 78, "exit code 2: Error: No such command."),
    (b"no JSON", b"", 0, 78, "printed no JSON result."),
    (b'{"result": []}', b"Warning: odd\n", 0, 78, "printed no JSON result: Warning: odd."),
    (b'["result"]', b"", 0, 78, "printed no JSON result."),
]  # fmt: skip


@pytest.mark.parametrize(("out", "err", "code", "exit_code", "said"), OUTPUTS)
def test_what_it_says_and_whether_it_passes(
    sf: Install, out: bytes, err: bytes, code: int, exit_code: int, said: str
) -> None:
    """Its message, or the first line of its stderr."""
    sf(out, err, code)
    found = refusal()
    assert (found.exit_code, said in found.message) == (exit_code, True), found
    assert "\x1b" not in str(found)
    if exit_code == 77:
        assert "sf org login web --alias mine" in found.remedy


def test_a_host_that_it_cannot_find_any_more(sf: Install) -> None:
    """It has answered before."""
    sf(b'{"message": "getaddrinfo ENOTFOUND once.my.salesforce.com"}', code=1)
    reached_hosts.remember(["once.my.salesforce.com"])
    try:
        assert refusal().exit_code == 75
    finally:
        reached_hosts._reached.discard("once.my.salesforce.com")


def test_a_stale_token_is_refused_with_what_to_do(org: DemoOrg, sf: Install) -> None:
    """sf shows it again and again: the org's own answer counts."""
    shown = (FIXTURES / "a_65_sfcli_notice_before.txt").read_bytes()
    sf(shown.replace(b"http://127.0.0.1:PORT", org.instance_url.encode()))
    with pytest.raises(RecorderError) as raised:
        Org(read_credentials()).get("jobs/query")
    assert (raised.value.exit_code, "sf org login web" in raised.value.remedy) == (77, True)
