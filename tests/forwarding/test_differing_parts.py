"""Two files are compared part by part, and row by row only where the parts differ: what is found is the same."""

from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from planted import NOW, plant

from pipelines.forwarding import differences
from pipelines.forwarding.differences import Differences

JOBS = [{"id": f"750{n:04}", "object": f"Object {n}"} for n in range(100)]
UNTOUCHED = "select 1"


def edited(path: Path, *edits: str) -> tuple[Path, Path]:
    """Two copies of a warehouse, the first of them edited."""
    sent = plant(path / "sent.duckdb", query_jobs=JOBS, alone=True)
    new = path / "new.duckdb"
    new.write_bytes(sent.read_bytes())
    with duckdb.connect(new) as file:
        file.execute("set search_path = 'salesforce'")
        for edit in edits:
            file.execute(edit)
    return new, sent


def found(new: Path, sent: Path, folder: Path) -> tuple[set[str], int]:
    """The ids of the jobs to send, and how many are gone."""
    with closing(Differences(new, sent, folder / "spill")) as both:
        (change,) = [change for change in both.changes if change.table.name == "query_jobs"]
        ids = {str(one) for batch in both.rows(change) for one in batch["id"].to_pylist()} if change.changed else set()
        assert len(ids) == change.changed
        return ids, change.gone


@pytest.mark.parametrize(
    ("edits", "changed", "gone"),
    [
        ([UNTOUCHED], set(), 0),
        (["update query_jobs set state = 'Failed' where id in ('7500003', '7500004', '7500099')"], {3, 4, 99}, 0),
        (["update query_jobs set object = null where id = '7500050'"], {50}, 0),
        (["delete from query_jobs where id in ('7500000', '7500099')"], set(), 2),
        (["insert into query_jobs by name select * replace ('7500100' as id) from query_jobs where id = '7500007'"], {100}, 0),
        # the same rows in other places, and two that exchange what they say
        (["create table others as from query_jobs order by id desc", "delete from query_jobs", "insert into query_jobs from others"], set(), 0),
        (["update query_jobs set object = 'Object ' || case id when '7500008' then 9 else 8 end where id in ('7500008', '7500009')"], {8, 9}, 0),
        (["alter table query_jobs add column nickname varchar", "update query_jobs set nickname = 'a' where id = '7500011'"], {11}, 0),
        # the same change of the last column in an even number of rows
        (["alter table query_jobs add column nickname varchar", "update query_jobs set nickname = 'a' where id in ('7500010', '7500011')"], {10, 11}, 0),
    ],
)  # fmt: skip
def test_what_differs_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edits: list[str], changed: set[int], gone: int
) -> None:
    monkeypatch.setattr(differences, "PART", 8)
    assert found(*edited(tmp_path, *edits), tmp_path) == ({f"750{n:04}" for n in changed}, gone)


@pytest.mark.parametrize("seed", range(3))
def test_any_edits_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The result is that of comparing all rows with each other."""
    monkeypatch.setattr(differences, "PART", 8)
    random, edits, more = Random(seed), [], 200
    for _ in range(12):
        one: Any = random.randrange(100)
        edits.append(
            random.choice([
                f"update query_jobs set state = 'Failed' where id = '750{one:04}'",
                f"update query_jobs set created_date = timestamptz '{NOW}' where id > '750{one + 90:04}'",
                f"delete from query_jobs where id between '750{one:04}' and '750{one + 2:04}'",
                f"insert into query_jobs by name select * replace ('750{more:04}' as id) from query_jobs limit 1",
            ])
        )  # fmt: skip
        more += 1
    new, sent = edited(tmp_path, *edits)
    with duckdb.connect() as file:
        file.execute(f"attach '{new}' as new (read_only); attach '{sent}' as sent (read_only)")
        changed = file.execute(
            "select id from (from new.salesforce.query_jobs except from sent.salesforce.query_jobs)"
        ).fetchall()
        lost = file.execute(
            "select count(*) from sent.salesforce.query_jobs as s anti join new.salesforce.query_jobs as n using (id)"
        ).fetchall()
    assert changed
    assert found(new, sent, tmp_path) == ({str(one) for (one,) in changed}, lost[0][0])
