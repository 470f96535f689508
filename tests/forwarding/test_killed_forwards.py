"""kill -9 at any moment of a forward: the next one that ends well leaves every row right, and none twice."""

import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forwarder import Forwarder, differing
from postgres_server import Server, postgres_server

CHANGE = (
    "update query_jobs set object = 'Changed {n}' where hash(id) % 3 = {n} % 3",
    "insert into listings select * replace ('extra {n}' as listing_id) from listings limit 1",
    "update query_job_states set observed_at = observed_at + interval 1 second where hash(id) % 50 = {n} % 50",
    "delete from users where rowid = 0", "update job_details set retries = {n} where retries % 5 = 0",
)  # fmt: skip
# Statements at which the server holds a forward until it is killed: a table that it has to wait for
TABLES = ("query_jobs", "query_job_states", "users", "listings", "recorders", "_dlt_loads", "_dlt_version")


@pytest.fixture
def sending(forwarder_of: Callable[..., Forwarder], some: Path) -> Forwarder:
    """A recorder that has forwarded, and has something new."""
    forwarder = forwarder_of()
    forwarder.publish(some)
    forwarder.forward()
    forwarder.change(*(statement.format(n=0) for statement in CHANGE))
    return forwarder


def complete(forwarder: Forwarder) -> None:
    code, said = forwarder.run("--quiet")
    assert (code, said) == (0, "")
    assert differing(forwarder.here(), forwarder.there()) == {}
    assert forwarder.run()[1].startswith("nothing new")
    assert [
        file.name for file in forwarder.sent.iterdir() if file.name not in ("warehouse.duckdb", "sent.json", "lock")
    ] == []


@pytest.mark.slow_cases
@pytest.mark.parametrize("table", TABLES)
def test_killed_while_it_waits_for_a_table(sending: Forwarder, postgres: Server, table: str) -> None:
    """Each of them stops it between other statements."""
    blocking = postgres.connect(sending.database)
    try:
        with blocking.cursor() as cursor:
            cursor.execute(f"begin; lock table salesforce.{table} in share mode")
            process = sending.start()
            waits = f"select 1 from pg_stat_activity where datname = '{sending.database}' and wait_event_type = 'Lock'"
            deadline = time.monotonic() + 60
            while process.poll() is None and not postgres.execute(waits) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert process.poll() is None, process.communicate()
            assert postgres.execute(waits)
            process.kill()
            process.communicate()
            cursor.execute("rollback")
    finally:
        blocking.close()

    complete(sending)


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "Interrupted"), (signal.SIGTERM, "Terminated")])
def test_stopped_by_a_signal(sending: Forwarder, postgres: Server, number: int, word: str) -> None:
    blocking = postgres.connect(sending.database)
    try:
        with blocking.cursor() as cursor:
            cursor.execute("begin; lock table salesforce.query_jobs in share mode")
            process = sending.start("--quiet")
            waits = f"select 1 from pg_stat_activity where datname = '{sending.database}' and wait_event_type = 'Lock'"
            while process.poll() is None and not postgres.execute(waits):
                time.sleep(0.02)
            process.send_signal(number)
            time.sleep(0.5)
            cursor.execute("rollback")
    finally:
        blocking.close()
    said = "".join(process.communicate(timeout=120))

    assert process.returncode == 128 + number
    assert said.endswith(f" ERROR: {word}. The next forward picks up where this one stopped.\n")
    assert said.count("\n") == 1
    complete(sending)


@pytest.mark.slow_cases
@pytest.mark.parametrize("seed", range(24))
def test_killed_at_random(sending: Forwarder, seed: int) -> None:
    """Again and again, also while everything is sent for the first time."""
    dice = random.Random(seed)
    for n in range(3):
        sending.change(
            *(
                statement.format(n=f"{seed} {n}") if "listing_id" in statement else statement.format(n=n)
                for statement in CHANGE
            )
        )
        process = sending.start()
        time.sleep(dice.uniform(0.6, 3))
        process.kill()
        process.communicate()

    complete(sending)


def test_the_server_stopped_and_started_meanwhile(forwarder_of: Callable[..., Forwarder], some: Path) -> None:
    with postgres_server() as server:
        forwarder = forwarder_of("elsewhere")
        forwarder.server, forwarder.database = server, server.new_database()
        forwarder.environment["DESTINATION__POSTGRES__CREDENTIALS"] = server.url(forwarder.database)
        forwarder.publish(some)
        blocking = server.connect(forwarder.database)
        forwarder.forward(init=True)
        blocking.cursor().execute("begin; lock table salesforce.job_details in share mode")
        process = forwarder.start()
        waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        while process.poll() is None and not server.execute(waits):
            time.sleep(0.02)
        server.stop()
        said = "".join(process.communicate(timeout=120))
        assert (process.returncode, "cannot be reached" in said) == (75, True), said
        assert re.search(r"127\.0\.0\.1|Traceback", said) is None
        server.start()

        complete(forwarder)
