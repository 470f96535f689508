"""Which tests are `slow`, and how a sample of them is drawn: pytest's hooks, which conftest.py takes in.

`make test` leaves out what is marked so, `make test-all` runs everything. Two kinds are slow: what says so itself, one
by one or as a module (`pytestmark`); and of a test with many cases that each make a load, all cases but the first, as
well as where a module says that of its own tests (`pytestmark = pytest.mark.slow_cases`).
"""

import hashlib
import math
from collections import defaultdict
from fractions import Fraction

import pytest

LOADS = "recorder_of"  # the fixture of all tests that make loads


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("slow tests")
    group.addoption(
        "--slow-sample",
        type=Fraction,
        default=Fraction(1),
        metavar="SHARE",
        help="of the slow tests of each folder, run this share only (1/8), but one at least",
    )
    group.addoption("--sample-seed", default="1", metavar="SEED", help="draws another sample of them (1)")


@pytest.hookimpl(tryfirst=True)  # before pytest applies -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mark_further_cases(items)
    share, seed = config.getoption("--slow-sample"), config.getoption("--sample-seed")
    if share < 1:
        left_out = outside_sample([item.nodeid for item in items if item.get_closest_marker("slow")], share, seed)
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
        items[:] = [item for item in items if item.nodeid not in left_out]


def mark_further_cases(items: list[pytest.Item]) -> None:
    """For each test that makes loads, or whose module asks for it, all cases except the first that is not slow
    already."""
    begun = set()
    for item in items:
        if not isinstance(item, pytest.Function) or item.get_closest_marker("slow"):
            continue
        if LOADS in item.fixturenames or item.get_closest_marker("slow_cases"):
            test = item.nodeid.partition("[")[0]
            if test in begun:
                item.add_marker("slow")
            begun.add(test)


def outside_sample(tests: list[str], share: Fraction, seed: str) -> set[str]:
    """The tests that a sample leaves out, chosen by their names and the seed alone."""
    folders = defaultdict(list)
    for test in tests:
        folders[test.partition("::")[0].rpartition("/")[0]].append(test)
    return {
        test
        for of_one in folders.values()
        for test in sorted(of_one, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[
            max(1, math.floor(len(of_one) * share)) :
        ]
    }
