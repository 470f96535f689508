"""A secret in the text of a driver is removed in whichever way the driver writes it, and from its logs, too."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.errors import RecorderError
from pipelines.forwarding.destination_errors import Credentials, explained
from pipelines.forwarding.settings import ForwardSettings
from pipelines.salesforce.redaction import redact

SECRET = 'Pl4nted/Db P4ss="q&?%41@\\n'
WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": quote,
    "in a part of a URL": lambda secret: quote(secret, safe=""),
    "by SQLAlchemy": lambda secret: quote(secret, safe=" +"),
    "in a form": quote_plus,
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in JSON of UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "by Python": lambda secret: repr(secret)[1:-1],
    "with quotes escaped": lambda secret: secret.replace("'", "\\'").replace('"', '\\"'),
    "folded": lambda secret: re.sub(r"[ \t\r\n]+", " ", secret),
}


@given(st.text(min_size=1, max_size=30).filter(lambda text: text == text.strip() and "[" not in text))
@example(SECRET)
@example("-----BEGIN KEY-----\nabc+/=\n-----END KEY-----")
@example("ü ß\n'\"")
@example("\ud800x")
def test_a_secret_is_removed_however_it_is_written(secret: str) -> None:
    for way, write in WRITTEN.items():
        if "URL" in way or way in ("by SQLAlchemy", "in a form"):
            secret = secret.encode(errors="replace").decode()  # other text cannot be in a URL
        assert redact(f"<{write(secret)}>", 300, secret) == "<[REDACTED]>", way


def test_many_blanks_take_no_time() -> None:
    began = time.monotonic()
    assert redact("a" + " " * 100_000 + "x", 10, "a" + " b" * 50, "a" + " " * 500 + "y", " " * 50 + "y") == "a"
    assert time.monotonic() - began < 1


class Found:
    """A destination's credentials, as dlt resolves them."""

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)

    def get_resolvable_fields(self) -> dict[str, type]:
        return dict.fromkeys(vars(self), str)


KEYS = {"host": "db.example.com", "username": "bulk_jobs", "password": SECRET, "database": "analytics"}


LOGGING = """
import json, logging, sys
from urllib.parse import quote
from pipelines.forwarding.destination_errors import Credentials, explained
from pipelines.forwarding.settings import ForwardSettings
from pipelines.org_log import set_up, take_over
from test_redaction import KEYS, SECRET, Found

set_up(logging.DEBUG, "json")
take_over("dlt", lambda entry: True)
drivers, dlts = logging.getLogger("driver.of.somebody"), logging.getLogger("dlt")
lines = "MIIEvQIBADANBgkqhkiG9w0B\\nAQEFAASCBKcwggSjAgEAAoIB"
found = Found(**KEYS, private_key=lines, query={"sslpassword": "of-the-key", "sslmode": "require", "Pl4": "nted"})
with explained(ForwardSettings("postgres"), "", Credentials(Found(credentials=found))):
    for text in (SECRET, quote(SECRET, safe=""), "db.example.com", *lines.splitlines(), "of-the-key", "Pl4=nted"):
        drivers.debug("connecting with <%s>, sslmode require", text)
        dlts.warning("connecting with <%s>", text)
    try:
        raise ValueError(SECRET)
    except ValueError:
        drivers.exception("it failed")
        dlts.exception("it failed")
drivers.debug(SECRET)
"""


def test_what_dlt_and_drivers_log_is_redacted() -> None:
    """Messages and tracebacks, as JSON; afterwards, all is logged as before."""
    path = os.pathsep.join(sys.path)
    run = subprocess.run(
        [sys.executable, "-c", LOGGING],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    said = [json.loads(line)["message"] for line in run.stderr.splitlines()]
    assert said[0] == "connecting with <[REDACTED]>, sslmode require"
    assert {line.partition(", ")[0] for line in said[:12]} == {"connecting with <[REDACTED]>"}
    assert said[12].startswith("connecting with <[REDACTED]=[REDACTED]>, ")
    assert said[14].startswith("it failed Traceback")
    assert said[14].endswith("ValueError: [REDACTED]")
    assert said[15:] == [SECRET]  # dlt raises what it logs as an error


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_what_a_destination_says_is_redacted(write: Callable[[str], str]) -> None:
    hidden = Credentials(Found(credentials=Found(**KEYS)))
    with pytest.raises(RecorderError) as raised, explained(ForwardSettings("postgres"), "", hidden):
        raise ValueError(f"cannot use {write(SECRET)} of bulk_jobs at db.example.com")
    assert "cannot use [REDACTED] of [REDACTED] at [REDACTED]." in str(raised.value)
