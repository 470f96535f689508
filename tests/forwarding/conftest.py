"""What the tests of forwarding share: real engines to forward to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forwarder import Forwarder
from postgres_server import Server, postgres_server

from pipelines.config.settings import Settings


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A Postgres server, for the whole session; each test makes a database of its own in it."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def forwarder_of(tmp_path: Path, postgres: Server) -> Callable[..., Forwarder]:
    """Makes recorders that forward into one database."""
    database = postgres.new_database()

    def make(name: str = "home", **given: object) -> Forwarder:
        return Forwarder(tmp_path / name, postgres, database, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def forwarder(forwarder_of: Callable[..., Forwarder], filled: Settings) -> Forwarder:
    """A recorder that has published two weeks of the demo org."""
    made = forwarder_of()
    made.publish(filled.warehouse)
    return made
