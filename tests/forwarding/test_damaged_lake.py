"""Files of a lake that are damaged, lost, or of others: named, or harmless. Once they are gone, nothing is missing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forwarder import differing
from lake_forwarder import LakeForwarder

from pipelines.errors import ConfigError

Lakes = Callable[..., LakeForwarder]


def test_a_damaged_note_of_the_version(lake_of: Lakes, small: Path) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.forward()
    lake.change("update listings set notes = 'new'")
    note = Path(lake.root) / "init"
    for damaged in (note.read_bytes()[:20], b"\xff"):
        note.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"The file init of the lake .* is damaged"):
            lake.forward()
    note.unlink()

    lake.forward()

    assert differing(lake.here(), lake.there()) == {}


@pytest.mark.parametrize(
    "content", [{"a": [1]}, {"recorder": [1], "orgs": [5], "load_id": [2.0]}], ids=["columns", "types"]
)
def test_a_file_of_others_among_the_recorders_is_named(
    lake_of: Lakes, small: Path, content: dict[str, list[object]]
) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.forward()
    foreign = Path(lake.root) / "recorders" / "foreign.parquet"
    pq.write_table(pa.table(content), foreign)

    with pytest.raises(ConfigError, match=r"recorders/foreign\.parquet .* is damaged, or not written by"):
        lake.forward(full=True)

    foreign.unlink()
    assert lake.forward(full=True)


def log_of(lake: LakeForwarder, table: str) -> list[Path]:
    return sorted(Path(lake.root, table, "_delta_log").glob("*.json"))


@pytest.mark.slow_cases
@pytest.mark.parametrize("how", ["first entry lost", "last entry cut", "rows lost"])
def test_a_damaged_delta_table_is_named_and_comes_back(lake_of: Lakes, small: Path, how: str) -> None:
    """It was an unexpected error, or taken for a server that is down, for ever."""
    lake = lake_of(table_format="delta")
    lake.publish(small)
    lake.forward()
    lake.change("update query_jobs set state = 'Closed'")
    if how == "first entry lost":
        log_of(lake, "query_jobs")[0].unlink()
    elif how == "last entry cut":
        last = log_of(lake, "query_jobs")[-1]
        last.write_bytes(last.read_bytes()[:60])
    else:
        for file in lake.paths():
            file.unlink()

    with pytest.raises(
        ConfigError, match=r"The Delta table query_jobs of the lake .* is damaged: .*\n.*remove the fold"
    ):
        lake.forward()

    shutil.rmtree(Path(lake.root) / "query_jobs")
    lake.forward()
    assert differing(lake.here(), lake.there()) == {}


def test_files_that_others_name_like_the_recorders_own(lake_of: Lakes, small: Path) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.forward()
    own = next(path for path in lake.paths() if not path.name.startswith("columns"))
    pq.write_table(pq.read_table(own), own.with_name(f"{own.name.split('.')[0]}.parquet"))
    lake.change("update query_jobs set state = 'Closed'")

    lake.forward()

    assert differing(lake.here(), lake.there()) == {}


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"\xff"])
def test_damaged_notes_of_schemas_do_no_harm(lake_of: Lakes, small: Path, content: bytes) -> None:
    lake = lake_of()
    lake.publish(small)
    lake.forward()
    for note in Path(lake.root, "_dlt_version").iterdir():
        note.write_bytes(content)

    lake.forward(full=True)

    assert differing(lake.here(), lake.there()) == {}
