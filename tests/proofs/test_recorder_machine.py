"""The machine of recorder_machine.py, with random histories."""

import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from recorder_machine import RecorderMachine
from recorders import Recorder


@pytest.mark.slow
def test_after_a_quiet_load_nothing_is_lost_doubled_or_moved(
    recorder_of: Callable[..., Recorder], capsys: Any, pytestconfig: pytest.Config
) -> None:
    """MACHINE_SECONDS of it; MACHINE_SEED repeats what a failure printed. Without either, always the same, or as seeded."""
    RecorderMachine.recorder_of = staticmethod(recorder_of)
    with capsys.disabled():
        live(RecorderMachine, pytestconfig)
    assert RecorderMachine.tally["quiet loads"] > 1


def live(machine: type[RecorderMachine], pytestconfig: pytest.Config) -> None:
    """Random histories of a machine, until the time is up. Prints how many, and what happened in them."""
    given = os.environ.get("MACHINE_SEED") or pytestconfig.getoption("--hypothesis-seed")
    any_seed = "MACHINE_SECONDS" in os.environ or not settings.default.derandomize
    first = drawn = int(given or (random.randrange(10**6) if any_seed else 1))
    until = time.monotonic() + float(os.environ.get("MACHINE_SECONDS", "60"))
    machine.tally = {}
    quick = settings(
        max_examples=3,  # the first is always the smallest there is
        stateful_step_count=20,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        print_blob=False,
    )
    while time.monotonic() < until:
        try:
            run_state_machine_as_test(seed(drawn)(machine), settings=quick)
        except BaseException as error:
            error.add_note(f"MACHINE_SEED={drawn} repeats it, after {drawn - first}: {machine.tally}")
            raise
        drawn += 1
    print(f"\nMACHINE_SEED={first}, {drawn - first} histories of {machine.__name__}: {machine.tally}")
