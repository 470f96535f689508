"""A watched recorder: everything that it prints, writes, requests and starts is kept, and searched for planted
secrets."""

import base64
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from demo_org_client import recorded
from keys import PRIVATE_PEM, PUBLIC_PEM
from leaks import files, forms, key_forms, leaks
from recorders import KEYS, NOON, Recorder

from pipelines.demo_org.org import DemoOrg

# Characters that URLs, JSON, TOML and the shell each escape differently.
CLIENT_SECRET = 'Pl4nted/Client+S3cret="q&?%41\\n'
GIVEN_TOKEN = "00DPlantedGivenOrg!AQplantedTokenThatWasGiven.0123456789"
CLI_REFRESH = "force://PlatformCLI::5Aep861PlantedRefreshToken@demo"
CLI_NOISE = "plantedNoiseOfTheCliOnStderr"
PROXY_PASSWORD = "Pl4ntedProxyPassw0rd"
NETRC_PASSWORD = "plantedNetrcPassword"
CLIENT_ID = "3MVG9.planted-consumer-key"
ASSERTION = {base64.urlsafe_b64encode(json.dumps({"iss": CLIENT_ID}, separators=(",", ":"))[:-1].encode())[:-4]}

# Runs before anything of ours: logs at DEBUG, notes each process started, and each file written elsewhere.
WATCH = """
import logging, os, sys
if os.environ.get("LOUD"):
    logging.basicConfig(level=logging.DEBUG)
if os.environ.get("LEAK"):
    import http.client
    http.client.HTTPConnection.debuglevel = 1  # prints requests with their headers and bodies
noted = open(os.environ["NOTED"], "a", buffering=1)
STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")
def note(event, given):
    if event in STARTS:
        noted.write(f"started {given[1] if len(given) > 1 else given[0]}\\n")
    elif event == "open" and isinstance(given[0], str) and (given[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        noted.write(f"written {os.path.abspath(given[0])}\\n")
sys.addaudithook(note)
"""
# It prints all it knows, to anywhere.
SF = """#!{python} -S
import os, sys
noted = open(os.environ["NOTED"], "a")
print("started", open("/proc/self/cmdline").read().split(chr(0)), file=noted)
print({noise!r}, file=sys.stderr)
answers = {answers!r}
print(next(answer for start, answer in answers.items() if " ".join(sys.argv[1:]).startswith(start)))
sys.exit({code})
"""


class TellTale(DemoOrg):
    """A demo org that remembers the tokens it issued."""

    def issue_token(self) -> str:
        token = super().issue_token()
        self.__dict__.setdefault("issued", []).append(token)
        return token


@dataclass
class Watched:
    """A recorder whose entire output and files are kept for the search."""

    recorder: Recorder
    org: TellTale
    said: list[tuple[str, bytes]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    secrets_beside: dict[str, set[bytes]] = field(default_factory=dict)  # those that only one test plants
    running: subprocess.Popen[str] | None = None
    at_page_2: Callable[[], object] = lambda: None

    @property
    def folder(self) -> Path:
        return self.recorder.home

    def start(self, *arguments: str, loud: bool = True, **environment: str) -> subprocess.Popen[str]:
        noisy = {"LOUD": "1", "RUNTIME__LOG_LEVEL": "DEBUG"} if loud else {}
        self.running = self.recorder.start(*arguments, **noisy, **self.environment, **environment)
        return self.running

    def run(self, *arguments: str, code: int | None, loud: bool = True, **environment: str) -> str:
        """A complete run, and its output."""
        arguments = arguments or ("load", "--verbose")
        return self.finish(self.start(*arguments, loud=loud, **environment), code, arguments)

    def finish(self, run: subprocess.Popen[str], code: int | None, arguments: Any = "") -> str:
        """Waits for its end; any `code` will do if none is given."""
        ended = threading.Event()
        looking = threading.Thread(target=self._look_until, args=(ended, run.pid))
        looking.start()
        try:
            out, err = run.communicate(timeout=120)
        finally:
            run.kill()
            ended.set()
            looking.join()
        assert code in (None, run.returncode), out + err
        self.said += [(f"stdout of {arguments}", out.encode()), (f"stderr of {arguments}", err.encode())]
        return out + err

    def look(self, demo_org: DemoOrg, listing: str, page: int) -> None:
        """Before each page: the command lines, and at the second one whatever a test does then."""
        assert self.running
        self._look_at(self.running.pid)
        if page == 2:
            self.at_page_2()

    def _look_until(self, ended: threading.Event, process: int) -> None:
        while not ended.wait(0.05):
            with suppress(OSError):  # one has ended meanwhile
                self._look_at(process)

    def _look_at(self, process: int) -> None:
        """The command lines of a run and its children, as shown by `ps`."""
        for listed in Path(f"/proc/{process}/task").glob("*/children"):
            for pid in (str(process), *listed.read_text().split()):
                seen = (f"ps of {pid}", Path(f"/proc/{pid}/cmdline").read_bytes())
                if seen not in self.said:
                    self.said.append(seen)

    def secrets(self) -> dict[str, set[bytes]]:
        return {
            "client secret": forms(CLIENT_SECRET),
            "access token": {form for token in (GIVEN_TOKEN, *self.org.issued) for form in forms(token)},
            "private key": key_forms(PRIVATE_PEM),
            "assertion": ASSERTION,
            "the sf CLI's output": forms(CLI_REFRESH) | forms(CLI_NOISE),
            "proxy's password": forms(PROXY_PASSWORD),
            "netrc's password": forms(NETRC_PASSWORD),
            **self.secrets_beside,
        }

    def leaks(self) -> list[str]:
        """Everything that this recorder printed, wrote and requested, searched."""
        asked = [(f"URL of a request, {r.path}", repr((r.path, r.query)).encode()) for r in self.org.requests]
        return leaks(self.secrets(), [*self.said, *asked, *self.noted(), *files(self.folder)])

    def noted(self) -> list[tuple[str, bytes]]:
        """The processes started; also checks that nothing was written outside the folder."""
        lines = Path(os.environ["NOTED"]).read_text().splitlines()
        written = [line.removeprefix("written ") for line in lines if line.startswith("written ")]
        assert [file for file in written if not file.startswith((str(self.folder), "/dev/"))] == []
        return [("a command line", line.encode()) for line in lines if line.startswith("started ")]


def install_sf(watched: Watched, org: TellTale, *, code: int = 0) -> None:
    """The sf CLI from before May 2026; when it fails, it prints all it knows."""
    shown = recorded("a_42_sfcli_org_display_redacted")
    shown["result"] |= {"accessToken": org.access_token, "instanceUrl": org.instance_url, "sfdxAuthUrl": CLI_REFRESH}
    if code:
        shown |= {"message": f"{org.access_token} was refused", "stack": CLI_REFRESH}
    command = watched.folder.parent / "bin" / "sf"
    command.parent.mkdir(exist_ok=True)
    answers = {"org display": json.dumps(shown)}
    command.write_text(SF.format(python=sys.executable, noise=CLI_NOISE, answers=answers, code=code))
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    watched.environment["PATH"] = f"{command.parent}{os.pathsep}{os.environ['PATH']}"


def keys_of(way: str, org: TellTale) -> dict[str, str]:
    of_the_app = {"instance_url": org.instance_url, "client_id": CLIENT_ID}
    return {
        "client credentials": of_the_app | {"client_secret": CLIENT_SECRET},
        "JWT bearer": of_the_app | {"username": org.integration_username, "private_key": PRIVATE_PEM},
        "sf CLI": {"sf_cli_org": "mine"},
        # with what a link out of the browser has in it
        "access token": {"instance_url": f"{org.instance_url}/x?sid={GIVEN_TOKEN}", "access_token": GIVEN_TOKEN},
    }[way]


def planted_org() -> TellTale:
    """An org whose secrets are known, with three pages of jobs."""
    org = TellTale(now=NOON, page_size=3, seed=4711)  # not the one that `make demo-org` serves
    org.client_id, org.client_secret, org.jwt_public_key = CLIENT_ID, CLIENT_SECRET, PUBLIC_PEM
    org._tokens[GIVEN_TOKEN] = org.integration_user_id
    for number in range(7):
        org.add_job(state="JobComplete" if number % 2 else "InProgress")
    return org


def watch(recorder: Recorder, org: TellTale, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Signed in by client credentials from the environment, through a proxy that requires a password: the demo org
    itself, which accepts a proxy's requests."""
    outside = recorder.home.parent
    (outside / "watch").mkdir()
    (outside / "watch" / "sitecustomize.py").write_text(WATCH)
    (outside / "netrc").write_text(f"machine 127.0.0.1 login bob password {NETRC_PASSWORD}\n")
    (outside / "noted").touch()
    (recorder.home / "tmp").mkdir()
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    proxy = org.instance_url.replace("://", f"://bob:{PROXY_PASSWORD}@")
    settings = {
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "NETRC": str(outside / "netrc"),
        "NOTED": str(outside / "noted"),
        "PYTHONPATH": os.pathsep.join([str(outside / "watch"), os.environ.get("PYTHONPATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(recorder.home),
        "TMPDIR": str(recorder.home / "tmp"),
        "QUERY_JOBS__DETAILS_PER_RUN": "2",
        "QUERY_JOBS__FETCH_ORG_METADATA": "true",
        f"{KEYS}CLIENT_ID": CLIENT_ID,
        f"{KEYS}CLIENT_SECRET": CLIENT_SECRET,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    watched = Watched(recorder, org)
    org.before_answer = watched.look
    return watched
