"""A damaged JSON file is never taken for one that says something else."""

import json
from pathlib import Path

import pytest
from damages import flipped

from pipelines.warehouse.sealed_json import CHECKSUM, DamagedText, seal, unseal
from pipelines.warehouse.state_folder import StateFolder

CONTENT = {"version": 1, "files": {"query_jobs.0.parquet": "9f0c"}, "at": 1.5, "é\ud800": [None, True, "\x00"], "": {}}


def test_what_is_sealed_is_read() -> None:
    assert unseal(seal(CONTENT)) == CONTENT
    assert unseal(seal({})) == {}
    assert unseal(json.dumps(CONTENT)) == CONTENT  # as an earlier version wrote it


def test_every_flipped_bit_is_noticed_or_changes_nothing() -> None:
    text = seal(CONTENT).encode()
    noticed = 0
    for at in range(len(text)):
        for bit in range(8):
            try:
                found = unseal(flipped(text, at, bit))
            except DamagedText:
                noticed += 1
            else:
                assert {key: found[key] for key in CONTENT} == CONTENT  # it was the checksum's own name
    assert noticed > 7 * len(text)


def test_every_shorter_text_is_noticed() -> None:
    text = seal(CONTENT)
    for length in range(len(text)):
        with pytest.raises(DamagedText):
            unseal(text[:length])


@pytest.mark.parametrize("text", ["[]", "null", "1", f'{{"{CHECKSUM}": 1}}', f'["{CHECKSUM}"]', "[" * 100_000, b"\xff"])
def test_other_texts_are_damaged(text: str | bytes) -> None:
    with pytest.raises(DamagedText):
        unseal(text)


@pytest.mark.parametrize("provisional", [False, True])
def test_a_damaged_identity_is_none(tmp_path: Path, provisional: bool) -> None:
    """Never another one. The forms of earlier versions are read."""
    state = StateFolder(tmp_path / "file.duckdb")
    state.path.mkdir()
    state.note_identity("4e19-9f0c", provisional=provisional)
    file = state.path / "identity"
    whole = file.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            file.write_bytes(flipped(whole, at, bit))
            assert state.identity in (None, "4e19-9f0c")
            assert state.identity is None or state.is_provisional == provisional
        file.write_bytes(whole[:at])
        assert state.identity is None
    file.write_text("4e19-9f0c provisional\n" if provisional else "4e19-9f0c\n")
    assert (state.identity, state.is_provisional) == ("4e19-9f0c", provisional)
