"""Five recorders forward into one dataset at the same time, round after round: nobody's rows are lost."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forwarder import Forwarder, differing

OTHER_ORG = (
    *(
        f"update {table} set org_id = '{{name}}'"
        for table in ("query_jobs", "query_job_states", "users", "job_details")
    ),
    "update listings set org_id = '{name}', listing_id = '{name}' || listing_id",
)
CHANGED = (
    "update query_jobs set object = 'round {n}' where hash(id) % 5 = {n} % 5",
    "update query_job_states set observed_at = observed_at + interval 1 second where hash(id) % 50 = {n} % 50",
    "alter table query_jobs add column if not exists new_in_round_{n} varchar",
    "update query_jobs set new_in_round_{n} = 'x' where hash(id) % 3 = 0",
)
NAMES = ("apac", "emea", "latam", "na", "test")


@pytest.fixture
def recorders(forwarder_of: Callable[..., Forwarder], some: Path) -> Iterator[list[Forwarder]]:
    found = []
    for name in NAMES:
        one = forwarder_of(name, recorder=name)
        one.publish(some, *(statement.format(name=name) for statement in OTHER_ORG), identity=f"file-{name}")
        found.append(one)
    return iter([found])


# A forward that waits, once its rows are staged, until a file is there; with dlt's own layout, if asked to: one staging
# dataset for all that load into a dataset.
WAITING = """
import sys, time
from pathlib import Path
from dlt.common.destination import Destination
from dlt.destinations.sql_jobs import SqlMergeFollowupJob
from pipelines.forwarding import delivery
from pipelines.query_jobs import main
merge = SqlMergeFollowupJob.from_table_chain.__func__
def waiting(*given):
    Path("{file}.waits").touch()
    while not Path("{file}").exists():
        time.sleep(0.05)
    return merge(*given)
SqlMergeFollowupJob.from_table_chain = classmethod(waiting)
if {shared}:
    delivery._destination = lambda *_: Destination.from_reference("dlt.destinations.postgres")
sys.exit(main(sys.argv[1:]))
"""


def forward_at_once(recorders: list[Forwarder]) -> None:
    """Repeats those that another one was in the way of."""
    left = recorders
    for _ in range(5):
        running = [(one, one.start("--quiet")) for one in left]
        ended = [(one, "".join(process.communicate(timeout=300)), process.returncode) for one, process in running]
        assert {code for _, _, code in ended} <= {0, 75}, ended
        left = [one for one, _, code in ended if code == 75]
        if not left:
            return
    raise AssertionError([said for _, said, _ in ended])


def assert_all_there(recorders: list[Forwarder]) -> None:
    for one in recorders:
        assert differing(one.here(), one.there(f"where org_id = '{one.recorder}'")) == {}, one.recorder
    sums = {table: sum(len(one.here()[table]) for one in recorders) for table in ("query_jobs", "listings")}
    for table, rows in sums.items():
        assert recorders[0].ask(f"select count(*) from salesforce.{table}") == [(rows,)]


@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_nothing_is_lost(recorders: Iterator[list[Forwarder]], rounds: int) -> None:
    """Among them, all first forwards at once, and one new column of all of them in every round."""
    (five,) = recorders
    for n in range(rounds):
        for one in five:
            one.change(*(statement.format(n=n) for statement in (CHANGED if n else ())))
        forward_at_once(five)
        assert_all_there(five)
    names = five[0].ask("select recorder from salesforce.recorders order by 1")
    assert names == [(name,) for name in NAMES]


def test_each_recorder_has_a_staging_dataset_of_its_own(forwarder_of: Callable[..., Forwarder], small: Path) -> None:
    """With dlt's default, one for all of them, the test above loses rows; names that read alike have different ones."""
    names = ("EMEA 1", "emea_1", "emea-1")
    for n, name in enumerate(names):
        one = forwarder_of(f"home{n}", recorder=name)
        one.publish(small)
        one.forward()

    found = one.ask("select nspname from pg_namespace where nspname like 'salesforce%' order by 1")

    assert len(found) == 1 + len(names)
    assert ("salesforce_staging",) not in found
    for (schema,) in found[1:]:  # what was staged is removed again
        assert one.ask(f"select count(*) from {schema}.query_jobs") == [(0,)]


@pytest.mark.parametrize("shared", [False, True])
def test_only_a_shared_staging_dataset_loses_rows(
    recorders: Iterator[list[Forwarder]], tmp_path: Path, shared: bool
) -> None:
    """One recorder has staged its rows, and is about to merge them, when another one forwards. With dlt's default the
    first one's rows are gone, and it reports success: the tests here would notice."""
    first, second = next(recorders)[:2]
    now, later = tmp_path / "now", tmp_path / "later"
    now.touch()
    first.program, second.program = [("-c", WAITING.format(file=file, shared=shared)) for file in (later, now)]
    process = first.start("--quiet")
    while not tmp_path.joinpath("later.waits").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert second.run("--quiet") == (0, "")
    later.touch()
    assert ("".join(process.communicate(timeout=300)), process.returncode) == ("", 0)

    lost = differing(first.here(), first.there(f"where org_id = '{first.recorder}'"))

    assert bool(lost) == shared, lost
    assert differing(second.here(), second.there(f"where org_id = '{second.recorder}'")) == {}
