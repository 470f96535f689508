"""`sent.json` as the first version of `forward` wrote it: what was sent is not sent again because of an upgrade. And what
is not a file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from forwarder import differing
from lake_forwarder import LakeForwarder

from pipelines.errors import ConfigError

FORMATS = pytest.mark.parametrize("table_format", [None, "delta"], ids=["parquet", "delta"])


@FORMATS
def test_what_an_earlier_version_sent_counts_as_sent(
    lake_of: Callable[..., LakeForwarder], small: Path, table_format: str | None
) -> None:
    lake = lake_of(table_format=table_format)
    lake.publish(small)
    lake.forward()
    notes = lake.sent / "sent.json"
    known = json.loads(notes.read_text())
    earlier = {
        key: known[key] for key in ("fingerprint", "recorder", "load_id", "views")
    }  # no mark of a killed forward
    notes.write_text(json.dumps(earlier))

    assert "nothing new" in lake.forward()

    lake.change("update query_jobs set state = 'Closed'")
    assert "1 row of 1 table" in lake.forward()
    assert differing(lake.here(), lake.there()) == {}


@pytest.mark.parametrize(
    "note",
    [{"half_sent": {"orgs": orgs}} for orgs in (None, 5, "org", [None], [["org"]], ["\ud800"])]
    + [{"load_id": load_id} for load_id in (10**400, 1e300, [], "x")],
)
def test_what_is_noted_and_cannot_be_read(
    lake_of: Callable[..., LakeForwarder], small: Path, note: dict[str, object]
) -> None:
    """Everything is sent again, or nothing that is there already; a mark of a killed forward without a checksum."""
    lake = lake_of()
    lake.publish(small)
    lake.forward()
    lake.change("update query_jobs set state = 'Closed'")
    notes = lake.sent / "sent.json"
    known = json.loads(notes.read_text()) | note
    del known["(checksum)"]
    notes.write_text(json.dumps(known))
    lake.forward()

    assert differing(lake.here(), lake.there()) == {}
    assert "nothing new" in lake.forward()


@pytest.mark.parametrize("name", ["sent.json", "warehouse.duckdb", "lock"])
def test_a_directory_in_place_of_a_file(lake_of: Callable[..., LakeForwarder], small: Path, name: str) -> None:
    """It is named before anything is sent, and not taken for something at the destination."""
    lake = lake_of()
    lake.publish(small)
    lake.forward()
    lake.change("update query_jobs set state = 'Closed'")
    (lake.sent / name).unlink()
    (lake.sent / name).mkdir()
    with pytest.raises(ConfigError, match=rf"{name} is a directory, where a file belongs\.\nMove it away"):
        lake.forward()
