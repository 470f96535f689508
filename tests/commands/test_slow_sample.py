"""`--slow-sample`: the same tests in every run, some from each folder, and all of them over many seeds."""

import subprocess
import sys
from fractions import Fraction

import pytest
from slow import outside_sample

from pipelines.config.project import PROJECT

TESTS = [
    f"tests/{folder}/test_{n % 2}.py::test_{n}"
    for folder, count in (("many", 80), ("some", 5), ("one", 1))
    for n in range(count)
]


def drawn(share: str, seed: str = "1") -> set[str]:
    return set(TESTS) - outside_sample(TESTS, Fraction(share), seed)


@pytest.mark.parametrize(("share", "many", "some"), [("1/8", 10, 1), ("1/2", 40, 2), ("1/1000", 1, 1)])
def test_a_share_of_each_folder_is_drawn_but_at_least_one(share: str, many: int, some: int) -> None:
    """A folder with a single slow test is always represented."""
    counts = {name: sum(f"/{name}/" in test for test in drawn(share)) for name in ("many", "some", "one")}

    assert counts == {"many": many, "some": some, "one": 1}


def test_a_sample_depends_only_on_names_and_seed() -> None:
    """Not on the order of the tests, nor on how many others there are."""
    again = set(TESTS) - outside_sample([*reversed(TESTS), "tests/another/test_1.py::test"], Fraction(1, 8), "1")

    assert again == drawn("1/8")
    assert drawn("1/8", seed="2") != drawn("1/8")


def test_other_seeds_reach_every_test() -> None:
    """With enough different seeds, all tests are run."""
    assert set().union(*(drawn("1/8", str(seed)) for seed in range(100))) == set(TESTS)


@pytest.mark.parametrize(("chosen", "count"), [("not slow", 1), ("slow", 20)])
def test_all_cases_but_the_first_are_slow_if_a_test_makes_loads(chosen: str, count: int) -> None:
    """As pytest itself reports for a test with twenty-one cases."""
    test = "tests/recording/test_shared_columns.py::test_a_field_named_like_one_of_our_or_dlts_columns_loses_nothing"
    collect = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", "-m", chosen, test]
    said = subprocess.run(collect, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=120)

    assert sum(line.startswith(test) for line in said.stdout.splitlines()) == count
