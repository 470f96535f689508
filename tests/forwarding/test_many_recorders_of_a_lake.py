"""Five recorders forward into one lake at the same time, round after round: no recorder's rows are lost."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import dlt
import pytest
from forwarder import differing
from lake_forwarder import LakeForwarder
from test_many_recorders import NAMES, OTHER_ORG, forward_at_once

from pipelines.forwarding.lake_destination import LakeDestination

Lakes = Callable[..., LakeForwarder]
CHANGED = (
    "update query_jobs set object = 'round {n}' where hash(id) % 5 = {n} % 5",
    "update query_job_states set observed_at = observed_at + interval 1 second where hash(id) % 50 = {n} % 50",
    "delete from users where hash(id) % 50 = {n} % 50",
)
NEW_COLUMN = (
    "alter table query_jobs add column if not exists new_in_round_{n} varchar",
    "update query_jobs set new_in_round_{n} = 'x' where hash(id) % 3 = 0",
)


def recorders(lake_of: Lakes, some: Path, table_format: str | None) -> list[LakeForwarder]:
    found = []
    for name in NAMES:
        one = lake_of(name, recorder=name, table_format=table_format)
        one.publish(some, *(statement.format(name=name) for statement in OTHER_ORG), identity=f"file-{name}")
        found.append(one)
    return found


def assert_all_there(five: list[LakeForwarder]) -> None:
    for one in five:
        assert differing(one.here(), one.there(f"where org_id = '{one.recorder}'")) == {}, one.recorder
    assert len(five[0].there()["query_jobs"]) == sum(len(one.here()["query_jobs"]) for one in five)


@pytest.mark.parametrize(
    ("table_format", "rounds"),
    [
        (None, 2),
        pytest.param(None, 20, marks=pytest.mark.slow),
        pytest.param("delta", 2, marks=pytest.mark.slow),
        pytest.param("delta", 10, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost(lake_of: Lakes, some: Path, table_format: str | None, rounds: int) -> None:
    """Among them, all first forwards at once; also one new column of all of them in every round."""
    five = recorders(lake_of, some, table_format)
    changes = (*CHANGED, *NEW_COLUMN)
    for n in range(rounds):
        for one in five:
            one.change(*(statement.format(n=n) for statement in (changes if n else ())))
        forward_at_once(five)  # type: ignore[arg-type] # they start and end alike
        assert_all_there(five)
    with five[0].lake() as lake:
        if table_format is None:
            names = lake.execute("select recorder from salesforce.recorders order by 1").fetchall()
            assert names == [(name,) for name in NAMES]


def test_two_that_merge_into_one_delta_table_at_once(lake_of: Lakes, some: Path) -> None:
    """The first forwards of both, which create the tables, and then changes, with a new column of one of them."""
    two = recorders(lake_of, some, "delta")[:2]
    for n in range(2):
        for one in two:
            one.change(*(statement.format(n=n) for statement in (CHANGED if n else ())))
        if n:
            two[0].change(*(statement.format(n=n) for statement in NEW_COLUMN))
        forward_at_once(two)  # type: ignore[arg-type]
        assert_all_there(two)


def test_a_folder_that_another_recorder_creates_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dlt looks whether the lake is there, and creates it: in between, another one did."""
    monkeypatch.chdir(tmp_path)  # dlt notes pipelines there
    mkdir = os.mkdir

    def too_late(path: str | Path, *given: object, **named: object) -> None:
        mkdir(path)
        mkdir(path, *given, **named)  # type: ignore[arg-type]

    destination = LakeDestination(str(tmp_path / "lake"))
    pipeline = dlt.pipeline("first", str(tmp_path / "work"), destination=destination, dataset_name="salesforce")
    pipeline._inject_schema(dlt.Schema("jobs"))
    with pipeline.destination_client() as client:
        with monkeypatch.context() as slower:
            slower.setattr(os, "mkdir", too_late)
            client.initialize_storage()
        assert client.is_storage_initialized()
    [note] = (tmp_path / "lake" / "salesforce").iterdir()
    assert json.loads(note.read_text()) == {"initial_version": 2, "current_version": 2}
