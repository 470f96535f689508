"""Many orgs in one file: what is asked of all at once is what each would answer alone; also as of an earlier time."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from check_rows import NAMES, Row, Tables, crowd, failing, hole, job_id, lost, rejected, sundays, unanswered, unfinished
from check_situations import losing, nightly, rate
from fleet_rows import STUCK, daily, org_ids
from planted import DAY, HOUR, NOW, plant
from test_report import Page

from pipelines.answers.check import Finding, Thresholds, check
from pipelines.answers.fleet import read_fleet
from pipelines.answers.report import MAX_ORGS, write_report
from pipelines.warehouse.as_of import opened_as_of
from pipelines.warehouse.narrowed import ONCE, SCHEMA, answered_once, narrowed
from pipelines.warehouse.reader import opened

SITUATIONS: tuple[Callable[[], Tables], ...] = (
    lambda: failing(7),
    lambda: lost(1_251, 1_251),
    lambda: unfinished(3 * DAY),
    lambda: crowd(100),
    lambda: sundays(400),
    lambda: {
        "rejected_records": [{**row, "first_observed_at": NOW - DAY} for row in rejected(HOUR)["rejected_records"]]
    },
    lambda: unanswered(3 * DAY),
    lambda: hole(6 * DAY),
    lambda: rate(30, 90),
    lambda: losing(9_000, 4),
    lambda: {"query_jobs": nightly(30, 3), "listings": [{"started_at": NOW - n * DAY} for n in range(40)]},
    dict,
)


def owned(org: str, tables: Tables) -> Tables:
    """The rows as those of this org, numbered as `plant` does in a file of their own: other orgs have the same ids."""
    known: Tables = {"listings": [{}], **NAMES, **tables}
    known["orgs"] = [{"name": org}]
    numbered: dict[str, Callable[[int], Row]] = {
        "query_jobs": lambda n: {"id": job_id(n + 1)},
        "listings": lambda n: {"listing_id": f"listing {n}"},
    }
    return {
        name: [{"org_id": org, **numbered.get(name, lambda _: {})(n), **row} for n, row in enumerate(given)]
        for name, given in known.items()
    }


def together(parts: list[Tables]) -> Tables:
    return {name: [row for part in parts for row in part.get(name, [])] for name in {n for part in parts for n in part}}


def by_org(found: list[Finding]) -> dict[str, list[tuple[str, str, tuple[str, ...]]]]:
    """What does not depend on other orgs: an old listing is explained by them."""
    keys: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
    for one in found:
        keys.setdefault(one.org_id, []).append((one.key, one.message, one.ids))
    return keys


@pytest.mark.slow
def test_many_orgs_are_judged_as_each_alone(tmp_path: Path) -> None:
    """Each with a problem of its own; as of the newest listing, too."""
    parts = {org: owned(org, make()) for org, make in zip(org_ids(len(SITUATIONS)), SITUATIONS, strict=True)}
    alone: list[Finding] = []
    for org, tables in parts.items():
        alone += check(plant(tmp_path / f"{org}.duckdb", **tables), Thresholds(), now=NOW)
    assert len({one.kind for one in alone}) >= 10  # the situations are worth comparing

    file = plant(tmp_path / "all.duckdb", **together(list(parts.values())))
    for time in (None, NOW.isoformat()):
        with opened_as_of(file, time) as then:
            assert by_org(check(then, Thresholds(), now=NOW)) == by_org(alone)


def test_what_is_answered_once_is_gone_afterwards(tmp_path: Path) -> None:
    """The views that build on such a view, and queries outside of `narrowed`, do not see it."""
    (mine, other) = org_ids(2)
    jobs = [{"org_id": org, **STUCK} for org in (mine, other)]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=[*daily(mine), *daily(other)])
    with opened(file) as whole:
        with answered_once(whole, {"stuck_jobs": ("from stuck_jobs where false", nullcontext())}):
            with narrowed(whole, mine):
                assert whole.rows("select count(*) as n, any_value(org_id) as org from stuck_jobs")[0]["n"] == 0
                assert whole.rows("select stuck_jobs from fleet") == [{"stuck_jobs": 1}]
            assert len(whole.rows("from stuck_jobs")) == 2
        with narrowed(whole, other):
            assert [job["org_id"] for job in whole.rows("from stuck_jobs")] == [other]
        assert not whole.rows("from duckdb_schemas() where schema_name = $name", {"name": ONCE.split(".")[1]})


@pytest.mark.parametrize("orgs", [1, 2])
def test_a_small_file_is_narrowed_only_if_it_has_several_orgs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orgs: int
) -> None:
    """Of one org, all that the file has is read; the answers are those of a large file."""
    ids = org_ids(orgs)
    jobs = [{"org_id": org, **STUCK} for org in ids]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=[row for org in ids for row in daily(org)])

    def judged() -> tuple[list[Finding], bool]:
        with opened(file) as whole:
            found = check(whole, Thresholds(), now=NOW)
            return found, bool(whole.rows("from duckdb_schemas() where schema_name = $s", {"s": SCHEMA.split(".")[1]}))

    found, was_narrowed = judged()
    assert [one.kind for one in found] == ["unfinished"] * orgs
    assert was_narrowed == (orgs > 1)
    monkeypatch.setattr("pipelines.warehouse.narrowed.SMALL", 1)
    assert judged() == (found, True)


def test_an_org_alone_as_of_an_earlier_time(tmp_path: Path) -> None:
    """Narrowing a file that shows an earlier time shows that time, of that org only; one org after the other."""
    ids = org_ids(2)
    jobs = [
        {"org_id": org, "id": f"{org} {age}", "created_date": NOW - age * DAY, "observed_at": NOW - age * DAY}
        for org in ids
        for age in (0, 1, 5, 6)
    ]
    file = plant(tmp_path / "w.duckdb", query_jobs=jobs, listings=[row for org in ids for row in daily(org)])
    with opened_as_of(file, (NOW - 3 * DAY).isoformat()) as then:
        assert len(then.rows("from jobs")) == 4
        for org in ids:
            with narrowed(then, org):
                assert [job["id"] for job in then.rows("from jobs order by created_date")] == [f"{org} 6", f"{org} 5"]
                assert then.rows("select as_of from recorded_orgs") == [{"as_of": NOW - 3 * DAY}]
        assert len(then.rows("from jobs")) == 4


@pytest.mark.parametrize(
    ("ago", "kinds", "group"),
    [(0, [], "No longer recorded"), (2, ["coverage"], "Production"), (5, [], "Production")],
)
def test_an_org_that_left_was_still_there_before(tmp_path: Path, ago: int, kinds: list[str], group: str) -> None:
    """`--as-of` a time before it left the settings: an old listing of it was a problem then."""
    mine, left = org_ids(2)
    orgs = [{"org_id": mine, "name": "Acme"}, {"org_id": left, "name": "Gone", "left_settings_at": NOW - DAY}]
    listings = [*daily(mine), *daily(left, 4 * DAY)]
    file = plant(tmp_path / "w.duckdb", orgs=orgs, listings=listings)
    with opened_as_of(file, (NOW - ago * DAY).isoformat()) as then:
        found = check(then, Thresholds())
        fleet = read_fleet(then, [mine, left], found, Thresholds())

    assert [(one.org_id, one.kind) for one in found] == [(left, kind) for kind in kinds]
    assert {org["name"]: org["group"] for org in fleet.orgs} == {"Acme": "Production", "Gone": group}
    assert ("Gone silent" in fleet.summary) == bool(kinds)


@pytest.mark.parametrize(("hours", "off"), [(24, True), (49, False), (48, True)])
def test_the_fleet_is_off_when_check_says_so(tmp_path: Path, hours: int, off: bool) -> None:
    """By the same threshold, from the same hour on."""
    ids = org_ids(2)
    file = plant(tmp_path / "w.duckdb", listings=[row for org in ids for row in daily(org, 2 * DAY)])
    thresholds = Thresholds()
    thresholds.listing_age_hours = hours
    with opened_as_of(file, None) as now:
        now.__dict__["clock"] = NOW
        found = check(now, thresholds)
        fleet = read_fleet(now, ids, found, thresholds)

    assert [one.numbers["all_orgs_stopped"] for one in found] == ([True] * 2 if off else [])
    assert ("the recorder seems to be off" in fleet.summary) == off


def test_of_many_orgs_only_those_named_have_charts(tmp_path: Path) -> None:
    """The page of the fleet says how to get them, and what was found."""
    ids = org_ids(MAX_ORGS + 1)
    orgs = [{"org_id": org, "name": f"Org {n}"} for n, org in enumerate(ids)]
    file = plant(tmp_path / "w.duckdb", orgs=orgs, listings=[row for org in ids for row in daily(org)])
    page, numbers = tmp_path / "page.html", tmp_path / "numbers.json"

    def drawn(*names: str) -> tuple[int, list[str]]:
        write_report(file, page, 30, numbers, names)
        written = json.loads(numbers.read_text())
        return len(written["fleet"]), [org["org_id"] for org in written["orgs"]]

    assert drawn() == (len(ids), [])
    all_orgs = Page(page)
    assert "report --org NAME" in all_orgs.text
    assert "coverage" in all_orgs.text  # by this machine's clock, all are old
    assert not all_orgs.all("a")
    assert drawn("Org 1", "Org 3") == (2, [ids[1], ids[3]])
    links = {link["href"] or "" for link in Page(page).all("a")}
    assert {link for link in links if link.startswith(("#fleet", "#org-"))} == {
        "#fleet",
        f"#org-{ids[1]}",
        f"#org-{ids[3]}",
    }
