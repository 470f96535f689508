"""No URL of a channel or of a ping in what any command prints, logs or leaves, whatever the other side does: refuses,
quotes the request, redirects, says nothing, or is not there."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from leaks import forms
from planted import HOUR, plant
from receivers import Web, web
from recorders import Recorder
from watched import TellTale, Watched, planted_org, watch

from pipelines.demo_org.server import serving
from pipelines.warehouse.file_identity import write_identity

# Where a URL has secrets: as its user, password, path, query and header, and as the tokens of a service
USER, CHANNEL_PASSWORD = "pl4ntedUserOfChannel", "Pl4nted/Channel P4ss&?%41@"
PATH, QUERY, HEADER = "pl4ntedPathOfChannel", "pl4ntedQueryOfChannel", "pl4ntedHeaderOfChannel"
SLACK = ("TPL4NTED0A", "BPL4NTED0B", "pl4ntedTokenOfSlack00000")
PING, PING_QUERY = "pl4nted-ping-6a2f-4c1b", "pl4ntedQueryOfPing"
LOUD = ("--verbose", "--log-format", "json")


@pytest.fixture
def org() -> Iterator[TellTale]:
    with serving(demo_org := planted_org()):
        yield demo_org


@pytest.fixture
def host() -> Iterator[Web]:
    with web() as receiver:
        yield receiver


@pytest.fixture
def watched(org: TellTale, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, host: Web) -> Watched:
    """With a problem to tell of, two channels at the host, one that leads nowhere, and a ping to the host."""
    found = watch(recorder, org, monkeypatch)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    texts = {
        "user": USER, "password": CHANNEL_PASSWORD, "path": PATH, "query": QUERY, "header": HEADER,
        "token": SLACK[2], "ping": PING, "ping's query": PING_QUERY,
    }  # fmt: skip
    found.secrets_beside = {f"channel's {name}": forms(text) for name, text in texts.items()}
    login = f"{USER}:{quote(CHANNEL_PASSWORD, safe='')}"
    urls = [
        f"json://{login}@{host.host}/{PATH}?-q={QUERY}&+X-Key={HEADER}",
        f"form://{login}@{host.host}/{PATH}?-q={QUERY}",
        f"slack://{'/'.join(SLACK)}",
        f"mailto://{login}@127.0.0.1:9?from=a@example.com&to=b@example.com",
    ]
    settings = {"ALERTS__URLS": json.dumps(urls), "ALERTS__PING_URL": f"http://{host.host}/{PING}?rid={PING_QUERY}"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return found


def publish(file: Path) -> None:
    at = datetime.now(UTC) - HOUR
    plant(file, listings=[{"started_at": at}], query_jobs=[{"state": "InProgress", "created_date": at - 70 * HOUR}])
    with duckdb.connect(file) as connection:
        write_identity(connection, "planted-file")


ANSWERS = {"taken": 200, "refused": 403, "broken": 500, "moved": 302}


@pytest.mark.slow
@pytest.mark.parametrize("answer", ANSWERS)
def test_no_notification_or_ping_leaks(watched: Watched, host: Web, answer: str) -> None:
    """The host quotes the request, with its path and headers, in its answer's reason, headers and body."""
    host.status, host.echoes = ANSWERS[answer], True
    publish(watched.recorder.warehouse)
    watched.run("check", "--notify", *LOUD, code=75)
    watched.run("check", "--notify", code=75, loud=False)
    watched.run("doctor", *LOUD, code=78)
    watched.recorder.warehouse.unlink()
    for options in (LOUD, ("--quiet",)):
        watched.run("load", *options, code=0)
    paths = [path for _, path, _ in host.requests]
    assert any(PATH in path for path in paths), paths
    assert any(QUERY in path for path in paths), paths
    assert any(path.startswith(f"/{PING}") and PING_QUERY in path for path in paths)

    assert watched.leaks() == []


@pytest.mark.slow
def test_no_host_that_says_nothing_leaks(watched: Watched, host: Web) -> None:
    host.drips = True
    publish(watched.recorder.warehouse)
    watched.recorder.warehouse.unlink()
    watched.run("load", *LOUD, code=0)

    assert watched.leaks() == []


@pytest.mark.slow
def test_no_other_command_leaks_what_alerts_and_forward_have(watched: Watched) -> None:
    """Each with the settings of all; `demo` runs in the same environment."""
    password = "Pl4nted/Db P4ss&?%41@"
    watched.secrets_beside["database's password"] = forms(password)
    watched.environment |= {
        "FORWARD__DESTINATION": "postgres",
        "DESTINATION__POSTGRES__CREDENTIALS": "postgresql://planted:Pl4nted%2FDb%20P4ss%26%3F%2541%40@127.0.0.1:9/db",
    }
    publish(watched.recorder.warehouse)
    commands = {
        "check": 1, "check --json": 1, "metrics --output metrics.prom": 0, "metrics --output -": 0,
        "report --output report.html --numbers numbers.json --pngs pngs": 0, "show": 0, "show failures --json jobs.json": 0,
        "show listings --csv": 0, "show jobs --parquet jobs.parquet": 0, "show nothing": 2, "forward --dry-run": 0,
        "forward": 75, "doctor": 78, "demo --days 1 --home demo": 0,
    }  # fmt: skip
    for command, code in commands.items():
        watched.run(*command.split(), *LOUD, code=code)
    (watched.folder / "secret").write_text(f"{password}\n")
    arguments = ("--instance-url", watched.org.instance_url, "--client-id", "x", "--secret-file", "secret", "--replace")
    watched.run("init", *arguments, *LOUD, code=None)
    (watched.folder / "secret").unlink()
    assert password in json.dumps((watched.folder / ".dlt" / "secrets.toml").read_text())

    assert watched.leaks() == []
