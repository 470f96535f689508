"""What the tests of forwarding share: real engines to forward to."""

from collections.abc import Iterator

import pytest
from postgres_server import Server, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A Postgres server, for the whole session; each test makes a database of its own in it."""
    with postgres_server() as server:
        yield server
