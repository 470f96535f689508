"""Weeks of consecutive loads; tests/proofs/soak.py runs the same for a month and for a year."""

from datetime import timedelta
from pathlib import Path

import pytest
from soak import Plan, soak

HOUR = timedelta(hours=1)


@pytest.mark.slow
def test_weeks_of_loads_match_what_was_shown_without_growing_costs(tmp_path: Path) -> None:
    """Longer than twice the orgs' retention: the warehouse matches the model of what listings and jobs showed, the lake
    the warehouse, memory and the files beside stay constant, and the file grows only with its rows. How long a load
    takes is measured by soak.py and benchmarks/bench.py."""
    plan = Plan(
        days=16, every=22 * HOUR, jobs_a_day=300, details=10, own_process=3, forwarded=99, compared=2, page_size=100
    )

    found = soak(plan, tmp_path)

    assert found.differences == []
    last = found.loads[-1]
    assert last["jobs"] > 1.8 * last["listed"] > 2_000
    assert last["reasons"] > 200
    for what, factor in (("memory", 1.15), ("files_beside", 1), ("bytes_beside", 1.1)):
        first, then = found.first_and_last(what, share=0.5)
        assert then <= first * factor, what
    full = found.loads[len(found.loads) // 2]
    assert last["file"] - full["file"] < 100 * (last["states"] - full["states"]) + 2**21


@pytest.mark.slow
def test_hourly_loads_match_what_was_shown(tmp_path: Path) -> None:
    """Most jobs are in progress; few change, many around the time of a listing."""
    plan = Plan(days=0.5, every=HOUR, jobs_a_day=1_500, details=5, own_process=6, compared=2, page_size=100)

    found = soak(plan, tmp_path)

    assert found.differences == []
    assert found.loads[-1]["reasons"]
