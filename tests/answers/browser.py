"""A headless Chromium on a local page, driven through chromedriver's protocol (W3C WebDriver)."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

# Requests nothing but the page, and can resolve no host but this machine.
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)  # fmt: skip
# marimo renders into shadow trees, which selectors and innerText do not enter.
EVERYWHERE = """
    const within = root => [...root.querySelectorAll('*')].flatMap(
        found => [found, ...(found.shadowRoot ? within(found.shadowRoot) : [])]);
    const everything = within(document);
    const count = selector => everything.filter(found => found.matches(selector)).length;
    const has_text = (selector, text) => everything.some(
        found => found.matches(selector) && found.innerText.includes(text));
"""


class Browser:
    """One window; `log` is its console output."""

    def __init__(self, driver: str, profile: Path) -> None:
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy for this machine
        options = {"args": [*CHROMIUM, f"--user-data-dir={profile}", "--window-size=1200,900"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._url = driver
        self._url += f"/session/{self._ask('post', '/session', capabilities={'alwaysMatch': wanted})['sessionId']}"

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        answer = self._http.request(method, self._url + path, json=body if method == "post" else None, timeout=120)
        value = answer.json()["value"]
        assert answer.ok, value
        return value

    def open(self, url: str) -> None:
        self._ask("post", "/url", url=url)

    def run(self, script: str) -> Any:
        """The result of a script; see EVERYWHERE for what it may use."""
        return self._ask("post", "/execute/sync", script=EVERYWHERE + script, args=[])

    def texts(self, selector: str) -> list[str]:
        """The text of each element that a CSS selector matches; "" for one without text, such as a chart."""
        return self.run(f"return everything.filter(e => e.matches({selector!r})).map(e => e.innerText || '')")

    def until(self, condition: str, seconds: float = 180) -> None:
        """Waits until a script's expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, (
                f"not within {seconds} s: {condition}\n{self.run('return document.body.innerText')}"
            )
            time.sleep(0.5)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self._ask("post", "/goog/cdp/execute", cmd=command, params=parameters)

    def log(self) -> list[str]:
        return [f"{entry['level']} {entry['message']}" for entry in self._ask("post", "/se/log", type="browser")]

    def close(self) -> None:
        with self._http:
            self._ask("delete", "")


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile, closed at the end. Skips the test if there is none, except in CI."""
    program = shutil.which("chromedriver")
    if not program or not shutil.which("chromium"):
        missing = "no Chromium on the PATH (Debian: apt-get install chromium chromium-driver)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with subprocess.Popen([program, "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout
            started = (re.search(r"started successfully on port (\d+)", line) for line in driver.stdout)
            port = next(filter(None, started))[1]
            window = Browser(f"http://127.0.0.1:{port}", profile)
            try:
                yield window
            finally:
                with suppress(requests.RequestException):
                    window.close()
        finally:
            driver.terminate()
