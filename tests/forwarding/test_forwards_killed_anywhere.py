"""kill -9 at any request, statement or change of a file of a forward: the next one, undisturbed, leaves every row right,
in Postgres and in a lake. KILLS sets how many of its moments are tried; many thousands mean all."""

import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from forwarder import Forwarder, differing
from killed_at import Ended, Runs, noting, some_of
from lake_forwarder import LakeForwarder
from postgres_server import Server

PARTS = 4
CHANGES = (  # new, changed and removed rows
    "insert into query_jobs by name select 'new{n}' as id, * exclude (id) from query_jobs where id = 'job1'",
    "update query_jobs set object = 'Changed {n}' where hash(id) % 3 = 0",
    "insert into listings select * replace ('extra {n}' as listing_id) from listings where listing_id = 'one'",
    "update job_details set retries = -{n} where hash(id) % 50 = 0",
    "delete from users where id = 'user{n}'",
)


class Killed:
    """A recorder that has forwarded once; whatever it publishes, its forwards are killed."""

    def __init__(self, forwarder: Forwarder, processes: Runs, published: Path) -> None:
        self.forwarder, self.processes, self.changes = forwarder, processes, 0
        forwarder.publish(published)

    def forward(self, moment: int | str = 0) -> Ended:
        """One that has something to send in every way."""
        self.changes += 1
        self.forwarder.change(*(statement.format(n=self.changes) for statement in CHANGES))
        return self._run(moment)

    def _run(self, moment: int | str = 0) -> Ended:
        environment = self.forwarder.environment
        ended = self.processes.run("forward", moment=moment, cwd=self.forwarder.home, environment=environment)
        assert (ended.returncode, ended.stderr) in ((0, ""), (-signal.SIGKILL, "")), ended
        return ended

    def complete(self) -> None:
        """An undisturbed forward, and one more."""
        forwarder, ended = self.forwarder, self._run()
        assert ended.returncode == 0
        assert differing(forwarder.here(), forwarder.there()) == {}
        assert self._run().stdout.startswith("nothing new")
        kept = {file.name for file in forwarder.sent.iterdir()}
        assert kept == {"warehouse.duckdb", "sent.json", "lock"}


Place = Callable[[str], Killed]


@pytest.fixture
def killed_in(request: pytest.FixtureRequest, some: Path, processes: Runs, tmp_path: Path) -> Place:
    """Makes such recorders, each with a place of its own."""
    numbers = count()

    def make(place: str) -> Killed:
        home = tmp_path / f"home {next(numbers)}"
        if place == "postgres":
            server: Server = request.getfixturevalue("postgres")
            return Killed(Forwarder(home, server, server.new_database()), processes, some)
        lake = LakeForwarder(home, url=f"{home} lake", table_format="delta" if place == "delta" else None)
        return Killed(lake, processes, some)

    return make


PLACES = pytest.mark.parametrize("place", ["parquet", "postgres", "delta"])
MIDDLE = {
    "postgres": r"(?i)after postgres execute .*delete from .*query_jobs",
    "parquet": r"before os\.rename .*/query_jobs/.*\.parquet",
    "delta": r"before os\.rename .*/loaded/",
}


@pytest.mark.slow_cases
@PLACES
def test_killed_in_the_middle_and_before_it_is_noted(killed_in: Place, place: str) -> None:
    killed = killed_in(place)
    assert killed.forward().returncode == 0
    for moment in (MIDDLE[place], r"before os\.rename .*sent\.json"):
        assert killed.forward(moment).returncode == -signal.SIGKILL
    killed.complete()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@PLACES
def test_killed_at_every_moment(killed_in: Place, place: str, part: int) -> None:
    killed = killed_in(place)
    killed.forward()
    moments = len(killed.forward().trail)
    for moment in some_of(moments, part, PARTS):
        at = killed.forward(moment).trail[-1]
        with noting(moment, moments, at):
            killed.complete()


@pytest.mark.slow
@PLACES
def test_the_first_forward_killed_at_any_moment(killed_in: Place, place: str) -> None:
    """Which creates everything."""
    moments = len(killed_in(place).forward().trail)
    for moment in some_of(moments, 0, 8):
        killed = killed_in(place)
        at = killed.forward(moment).trail[-1]
        with noting(moment, moments, at):
            killed.complete()
