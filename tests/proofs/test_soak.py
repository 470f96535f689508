"""Weeks of loads, one after the other: tests/proofs/soak.py runs the same for a month and for a year."""

from datetime import timedelta
from pathlib import Path

import pytest
from soak import Plan, soak

HOUR = timedelta(hours=1)


@pytest.mark.slow
def test_weeks_of_loads_equal_what_was_shown_and_need_no_more_in_the_end(tmp_path: Path) -> None:
    """Longer than twice what the org remembers: the warehouse equals the model of what listings showed, memory and the
    folder beside the file are what they were, and the file has grown with its rows. How long a load takes is for
    soak.py and benchmarks/bench.py to measure."""
    plan = Plan(days=16, every=8 * HOUR, jobs_a_day=300, details=20, own_process=4, compared=3, page_size=250)

    found = soak(plan, tmp_path)

    assert found.differences == []
    last = found.loads[-1]
    assert last["jobs"] > 1.8 * last["listed"] > 2_000
    for what, factor in (("memory", 1.15), ("files_beside", 1), ("bytes_beside", 1.1)):
        first, then = found.first_and_last(what, share=0.5)
        assert then <= first * factor, what
    assert (
        found.loads[-1]["file"] - found.loads[24]["file"] < 100 * (last["states"] - found.loads[24]["states"]) + 2**21
    )


@pytest.mark.slow
def test_hourly_loads_equal_what_was_shown(tmp_path: Path) -> None:
    """Most of their jobs are under way; few change, many by a listing that comes before and one that comes after."""
    found = soak(Plan(days=1, every=HOUR, jobs_a_day=1_000, own_process=12, compared=2, page_size=250), tmp_path)

    assert found.differences == []
