"""Orgs whose listings end at about the same time are loaded as one package; one that does not fit costs itself only."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Barrier

import pyarrow as pa
import pytest
from failed_loads import LOCKED, load_of, record_errors
from fleets import Fleet, fleet_fixture  # noqa: F401

from pipelines.recording import fleet as run_of_fleet
from pipelines.recording import source
from pipelines.recording.side_by_side import Work, side_by_side


def test_what_ended_meanwhile_comes_together() -> None:
    """One work keeps the main thread until the answers to the two others are there."""
    answered = Barrier(3, timeout=30)

    def first() -> Work[int]:
        yield lambda: None
        answered.wait()
        return 1

    def other() -> Work[int]:
        yield answered.wait
        return 2

    def failing() -> Work[int]:
        yield answered.wait
        raise ValueError

    groups = list(side_by_side({"first": first, "other": other, "failing": failing}))
    assert groups[0][0] == ("first", 1)
    ended = dict(one for group in groups for one in group)
    assert ended["other"] == 2
    assert isinstance(ended["failing"], ValueError)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long each takes."""
    monkeypatch.setattr(
        run_of_fleet, "side_by_side", lambda works: [[one for group in side_by_side(works) for one in group]]
    )


@pytest.mark.usefixtures("together")
def test_one_package_for_all(fleet: Fleet) -> None:
    fleet.load()
    ((packages,),) = fleet.recorder.rows("select count(*) from _dlt_loads")
    fleet.load()
    assert fleet.listed() == {"prod": 2, "uat": 2, "dev": 2}
    assert fleet.recorder.rows("select count(*) from _dlt_loads") == [(packages + 1,)]


@contextmanager
def misfit(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, arguments: int) -> Iterator[None]:
    """A row of `uat`, from its listing (two arguments) or after its details (four), has a column of another type."""
    made = source.listing_rows

    def with_another_type(listings: source.Listings, *given: object) -> pa.Table:
        rows = made(listings, *given)  # type: ignore[arg-type]
        if len(given) + 1 == arguments and listings.org.org_id == fleet.orgs["uat"].org_id:
            rows = rows.set_column(rows.column_names.index("pages"), "pages", pa.array(["many"] * rows.num_rows))
        return rows

    with monkeypatch.context() as for_this_load:
        for_this_load.setattr(source, "listing_rows", with_another_type)
        yield


@pytest.mark.usefixtures("together")
def test_one_that_does_not_fit(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is known that would cause this: the column of another type is ours."""
    with misfit(fleet, monkeypatch, arguments=2):
        run = fleet.load()
    assert list(run.errors) == ["uat"]
    assert fleet.listed() == {"prod": 1, "dev": 1}
    assert sorted(fleet.recorder.rows("select distinct org_id from query_jobs")) == sorted(
        (fleet.orgs[name].org_id,) for name in ("prod", "dev")
    )

    assert not fleet.load().errors
    assert fleet.listed() == {"prod": 2, "uat": 1, "dev": 2}


@pytest.mark.usefixtures("together")
def test_one_package_for_the_details_of_all(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    record_errors(monkeypatch)
    fleet.load()
    failed_loads(fleet)
    ((packages,),) = fleet.recorder.rows("select count(*) from _dlt_loads")
    run = fleet.load()
    assert [one.results.read for one in run.recorded.values() if one.results] == [1, 1, 1]
    assert with_reasons(fleet) == ["dev", "prod", "uat"]
    assert fleet.recorder.rows("select count(*) from _dlt_loads") == [(packages + 2,)]


@pytest.mark.usefixtures("together")
def test_details_that_do_not_fit(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for again by the next load; no answer is known that would cause this, either."""
    record_errors(monkeypatch)
    failed_loads(fleet)
    with misfit(fleet, monkeypatch, arguments=4):
        run = fleet.load()
    assert list(run.errors) == ["uat"]
    assert with_reasons(fleet) == ["dev", "prod"]
    assert not fleet.load().errors
    assert with_reasons(fleet) == ["dev", "prod", "uat"]


def failed_loads(fleet: Fleet) -> None:
    """One in each org."""
    for org in fleet.orgs.values():
        org.fail_records(load_of(org), [(LOCKED, {"Name": "Anna"})])


def with_reasons(fleet: Fleet) -> list[str]:
    """The orgs of which a reason is recorded why records failed."""
    known = {org for (org,) in fleet.recorder.rows("select org_id from record_errors")}
    return sorted(name for name, org in fleet.orgs.items() if org.org_id in known)
