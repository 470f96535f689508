"""The machine of recorder_machine.py within a company: what it records is forwarded to a Postgres, and what `check`
finds goes to a channel. Connections break and the channel is down at random."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from forwarder import Forwarder, differing
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from postgres_server import Server, postgres_server
from receivers import Web, web
from recorder_machine import RecorderMachine
from recorders import Recorder
from test_recorder_machine import live

from pipelines.answers.check import check
from pipelines.answers.findings.thresholds import Thresholds
from pipelines.command_line import command_line_parser
from pipelines.commands import COMMANDS
from pipelines.config.dlt_context import use_project
from pipelines.errors import RecorderError, unwrap_error

CHANGES = {"began": r"(\d+) new", "now urgent": r"(\d+) now urgent", "over": r"(\d+) over"}  # in the title of many


@dataclass
class Forwarding(Forwarder):
    """With settings of its own, beside the recorder's files."""

    @property
    def published(self) -> Path:
        return self.home.parent / "warehouse.duckdb"


class CompanyMachine(RecorderMachine):
    """After a quiet load and forward, the destination is the published copy; and whenever the channel answers, it has
    got one message of each finding that began, became urgent, or ended, and no other."""

    server: ClassVar[Server]
    tally: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.channel: Web = self.closing.enter_context(web())
        self.database = self.server.new_database()
        self.open: dict[str, bool] = {}  # the findings of the last check, by key: whether they are urgent
        self.due: Counter[str] = Counter()  # how many messages, by what they are about

    @precondition(lambda self: self.recorder.warehouse.exists())
    @rule(breaks=st.none() | st.tuples(st.integers(1, 80), st.booleans()), full=st.booleans())
    def forward(self, breaks: tuple[int, bool] | None, full: bool) -> None:
        """One whose connections the server may end, at any statement of it: before or after that."""
        forwarding = self.forwarding()
        self.count("forwards")
        with self.broken_at(*breaks) if breaks else nullcontext():
            try:
                forwarding.forward(full=full)
            except Exception as error:
                if not breaks or not unwrap_error(error):
                    raise
                self.count("forwards that failed")
            finally:
                use_project()

    @precondition(lambda self: self.recorder.warehouse.exists())
    @rule(status=st.sampled_from([200, 200, 500]))
    def notify(self, status: int) -> None:
        """A run of `check --notify`."""
        if not (self.recorder.state_folder / "alerts.json").exists():  # as docs/alerts.md says of a lost file
            self.open, self.due = {}, notified(self.channel)
        now = {finding.key: finding.urgent for finding in check(self.recorder.warehouse, Thresholds())}
        self.due["began"] += len(now.keys() - self.open.keys())
        self.due["over"] += len(self.open.keys() - now.keys())
        self.due["now urgent"] += sum(now[key] and not self.open[key] for key in now.keys() & self.open.keys())
        self.open = now
        self.channel.status, before = status, len(self.channel.requests)
        urls = json.dumps([f"json://{self.channel.host}/"])
        alerts = {"ALERTS__URLS": urls, "ALERTS__REMIND_AFTER_HOURS": "0"}
        with patch.dict(os.environ, alerts), redirect_stdout(StringIO()):
            code = check_and_notify()
        assert code == (75 if status != 200 and len(self.channel.requests) > before else bool(now))
        if status == 200:
            self.count("messages", len(self.channel.requests) - before)
            assert notified(self.channel) == +self.due
        else:
            self.count("messages that did not arrive", len(self.channel.requests) - before)
            del self.channel.requests[before:]

    @precondition(lambda self: self.loads > 2)
    @rule(together=st.booleans())
    def quiet_load(self, together: bool) -> None:
        super().quiet_load(together)
        forwarding = self.forwarding()
        try:
            forwarding.forward()
            assert differing(forwarding.here(), forwarding.there()) == {}
            assert "nothing new" in forwarding.forward()
        finally:
            use_project()
        self.notify(200)

    def forwarding(self) -> Forwarding:
        paths = {
            "DESTINATION__DUCKDB__CREDENTIALS": str(self.recorder.primary_file),
            "QUERY_JOBS__WAREHOUSE": str(self.recorder.warehouse),
        }
        return Forwarding(self.recorder.home / "forwarding", self.server, self.database, environment=paths)

    @contextmanager
    def broken_at(self, statement: int, late: bool) -> Iterator[None]:
        """The server ends all connections to the database at this statement: before it, or once it has carried it out."""
        real, left = Psycopg2SqlClient.execute_query, iter(range(statement))
        end = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{self.database}'"

        def execute(*given: Any, **options: Any) -> Any:
            if next(left, None) != statement - 1:
                return real(*given, **options)
            if late:
                with real(*given, **options):
                    pass
            self.server.execute(end)
            return real(*given, **options)

        with patch.object(Psycopg2SqlClient, "execute_query", execute):
            yield


def check_and_notify() -> int:
    """The exit code."""
    try:
        return COMMANDS["check"](command_line_parser().parse_args(["check", "--notify"]))
    except RecorderError as error:
        return error.exit_code


def notified(channel: Web) -> Counter[str]:
    """How many findings the channel's messages are about, by what happened to these."""
    found: Counter[str] = Counter()
    for title in channel.titles:
        if title.startswith("Findings: "):
            found += {
                change: int(number.group(1)) for change, words in CHANGES.items() if (number := re.search(words, title))
            }
        else:
            found["over" if title.startswith("Over: ") else "now urgent" if title.startswith("Now ") else "began"] += 1
    return found


@pytest.mark.slow
def test_after_a_quiet_forward_the_destination_is_the_published_copy_and_each_finding_is_told_once(
    recorder_of: Callable[..., Recorder], capsys: Any, pytestconfig: pytest.Config
) -> None:
    """Like its sibling, by MACHINE_SECONDS and MACHINE_SEED."""
    CompanyMachine.recorder_of = staticmethod(recorder_of)
    with postgres_server() as CompanyMachine.server, capsys.disabled():
        live(CompanyMachine, pytestconfig)
    assert min(CompanyMachine.tally.get(what, 0) for what in ("quiet loads", "messages")) > 0
