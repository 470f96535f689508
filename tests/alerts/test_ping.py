"""The pings of `load`: at its start, and how it ended."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from processes import process
from receivers import Web, web
from recorders import Recorder

from pipelines.config.project import PROJECT


@pytest.fixture
def host(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The host that is pinged; its URL has a secret in its path and in its query."""
    with web() as receiver:
        monkeypatch.setenv("ALERTS__PING_URL", f"http://{receiver.host}/6a2f-secret/?rid=s3cret")
        yield receiver


START = ("/6a2f-secret/start?rid=s3cret", "")


def test_start_and_success(recorder: Recorder, host: Web) -> None:
    """A trailing slash and a query stay in their places."""
    recorder.org.add_job()
    run = recorder.run("load", "--quiet")
    assert (run.returncode, run.stderr) == (0, "")
    assert host.pings == [START, ("/6a2f-secret/?rid=s3cret", "")]


@pytest.mark.parametrize(
    ("settings", "code", "pings"),
    [
        ({"SOURCES__SALESFORCE__CREDENTIALS__CLIENT_SECRET": "wrong"}, 77, 2),
        ({"QUERY_JOBS__LOCK_WAIT": "-1"}, 78, 1),  # before it could begin
    ],
)
def test_failure(recorder: Recorder, host: Web, settings: dict[str, str], code: int, pings: int) -> None:
    run = recorder.run("load", "--quiet", **settings)
    assert run.returncode == code
    assert "secret/" not in run.stderr
    assert host.pings == [START, ("/6a2f-secret/fail?rid=s3cret", str(code))][-pings:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(recorder: Recorder, host: Web, number: signal.Signals) -> None:
    recorder.org.before_answer = lambda *_: time.sleep(3)
    stopped: list[object] = []
    running = recorder.start("load")
    host.on_request = lambda: (
        stopped.append(running.send_signal(number)) if not stopped else None  # as soon as it has begun
    )
    _, said = running.communicate(timeout=120)
    assert running.returncode == 128 + number, said
    assert host.pings == [START, ("/6a2f-secret/fail?rid=s3cret", str(128 + number))]


def test_a_load_that_finds_another_one_running_pings_nothing(recorder: Recorder, host: Web) -> None:
    code = """
        import fcntl, sys
        lock = open(sys.argv[1], "a")
        fcntl.flock(lock, fcntl.LOCK_EX)
        print("held", flush=True)
        sys.stdin.read()
    """
    with process(code, recorder.primary_file.with_name("loader.duckdb.lock")):
        assert recorder.run("load").returncode == 75
    assert host.pings == []


def test_a_host_that_refuses_or_is_down_fails_no_load(
    recorder: Recorder, host: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said has no part of the URL."""
    host.status = 404
    run = recorder.run("load", "--quiet")
    assert run.returncode == 0
    assert run.stderr.rstrip().endswith("`ping_url` under [alerts] was not delivered: its host answered 404.")
    monkeypatch.setenv("ALERTS__PING_URL", "http://127.0.0.1:9/6a2f-secret")  # nothing listens there
    run = recorder.run("load", "--quiet")
    assert (run.returncode, "its host could not be reached" in run.stderr) == (0, True)
    assert "secret" not in run.stderr


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/s3cret", "s3cret", "http://:80/s3cret", "http://127.0.0.1:x/s3cret"])
def test_a_wrong_address_is_a_warning(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    from pipelines.alerts.ping import pinging

    monkeypatch.setenv("ALERTS__PING_URL", url)
    with pinging(lambda _: 1) as ping:
        ping.start()
    assert "Nothing is pinged: `ping_url` under [alerts] is not an http:// or https:// address." in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.slow
def test_two_pings_take_less_than_ten_seconds_together(recorder: Recorder, host: Web) -> None:
    from pipelines.alerts.ping import pinging

    host.drips = True
    began = time.monotonic()
    with pinging(lambda _: 1) as ping:
        ping.start()
        assert time.monotonic() - began < 1
    assert time.monotonic() - began < 10
    assert len(host.pings) == 2


def test_a_load_imports_nothing_that_only_alerts_need() -> None:
    """It starts as quickly as without them."""
    code = "import sys, pipelines.query_jobs; print({'apprise', 'prometheus_client', 'markdown'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
