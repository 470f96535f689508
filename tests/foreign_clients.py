"""Clients that were written for the real org, for tests of the demo org: simple-salesforce and jsforce."""

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from keys import PUBLIC_PEM
from recorders import NOON
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving


def peopled_org() -> DemoOrg:
    """Jobs of each type, mode and chunking, on pages of three; users on three pages of SOQL's smallest."""
    org = DemoOrg(now=NOON, page_size=3)
    org.jwt_public_key = PUBLIC_PEM
    for number in range(48):
        mode = "Serial" if number % 3 == 0 else "Parallel"
        org.add_job(
            jobType="Classic" if number % 2 else "V2Query", concurrencyMode=mode, state="Failed", errorMessage="why"
        )
    org.pk_chunking.update(sorted(org.jobs)[::4])
    for number in range(449):
        org.add_user(f"User {number}", f"user{number}@demo-org.example")
    return org


# --- simple-salesforce ---


class ToTheDemoOrg(HTTPAdapter):
    """simple-salesforce signs in at https://<domain>.salesforce.com only: the name leads here, as DNS would."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = self.url + request.path_url
        return super().send(request, *args, **kwargs)


@contextmanager
def session_at(org: DemoOrg, certificate: tuple[str, str]) -> Iterator[requests.Session]:
    """Serves an org, and gives a session whose requests to Salesforce's hosts go there."""
    with serving(org, certfile=certificate[0], keyfile=certificate[1]) as url, requests.Session() as session:
        session.verify = certificate[0]
        session.trust_env = False  # a REQUESTS_CA_BUNDLE of the machine would go before it
        session.mount("https://demo-org.my.salesforce.com", ToTheDemoOrg(url))
        session.mount("https://login.salesforce.com", ToTheDemoOrg(url))
        yield session


def signed_in(org: DemoOrg, http: requests.Session) -> Salesforce:
    """simple-salesforce, signed in by a session id."""
    return Salesforce(instance_url=org.instance_url, session_id=org.access_token, session=http, version="68.0")


# --- jsforce ---

JSFORCE = Path(__file__).parent / "demo_org" / "jsforce"
INSTALL = [
    "npm",
    "ci",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
]


def installed_jsforce(config: pytest.Config) -> Path:
    """A folder of pytest's cache in which jsforce is installed, once for each lockfile."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("jsforce needs Node 18 or later with npm, and there is none on the PATH")
    lock = hashlib.sha256((JSFORCE / "package-lock.json").read_bytes()).hexdigest()[:8]
    folder = config.cache.mkdir(f"jsforce-{lock}")
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # workers ask at the same time
        if not (folder / "installed").exists():
            for file in ("package.json", "package-lock.json"):
                shutil.copy(JSFORCE / file, folder)
            try:
                subprocess.run(INSTALL, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
            except subprocess.SubprocessError as error:
                said = " ".join(str(getattr(error, "stderr", "") or error).split())
                pytest.skip(f"npm cannot install jsforce; perhaps it reaches no registry. It says: {said[:200]}")
            (folder / "installed").touch()
    return folder
