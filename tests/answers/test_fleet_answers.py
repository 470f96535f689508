"""Several orgs in one file: which has gone silent, what they are called, and what `check` and `report` say of each."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fleet_rows import STUCK, daily, org_ids
from planted import DAY, HOUR, NOW, ORG, plant, rows
from recorders import Recorder

from pipelines.answers.check import Thresholds, check
from pipelines.answers.check_text import as_text
from pipelines.answers.fleet import read_fleet
from pipelines.answers.report import write_report
from pipelines.errors import ConfigError
from pipelines.warehouse.narrowed import narrowed
from pipelines.warehouse.reader import opened

Row = dict[str, Any]
OTHER = "00DDm0000002000MAA"


def silent(file: Path) -> set[str]:
    return {org for (org,) in rows(file, "select org_id from fleet where is_silent")}


@pytest.mark.parametrize(
    ("ages", "every", "expected"),
    [
        ((0, 0, 0), DAY, ""),
        ((0, 0, 49), HOUR, "c"),
        ((0, 0, 23), HOUR, ""),  # others go on for less than a day
        ((0, 0, 25), DAY, ""),  # missed one daily load
        ((0, 0, 48), DAY, "c"),  # missed two
        ((90, 90, 91), HOUR, ""),  # the recorder is off: no org is singled out
        ((90, 90, 200), HOUR, "c"),
        ((0, 0, 200), 7 * DAY, ""),  # its own rhythm is a week
    ],
)
def test_an_org_is_silent_if_others_go_on(
    tmp_path: Path, ages: tuple[int, ...], every: timedelta, expected: str
) -> None:
    """By more than a day and one and a half of its own usual gaps."""
    ids = dict(zip("abc", org_ids(3), strict=True))
    listings = [row for org, age in zip(ids.values(), ages, strict=True) for row in daily(org, age * HOUR, every)]

    assert silent(plant(tmp_path / "w.duckdb", listings=listings)) == {ids[org] for org in expected}


def test_an_org_that_left_is_not_silent_and_moves_nothing(tmp_path: Path) -> None:
    """Neither is one that stays compared with it."""
    left = {"org_id": OTHER, "name": "Gone", "left_settings_at": NOW}
    for mine, other in ((timedelta(0), 9 * DAY), (9 * DAY, timedelta(0))):
        listings = [*daily(ORG, mine), *daily(OTHER, other)]
        assert not silent(plant(tmp_path / f"{other.days}.duckdb", listings=listings, orgs=[{"name": "Acme"}, left]))


@pytest.mark.parametrize(
    ("orgs", "shown"),
    [
        ([{}], [ORG]),
        ([{"configured_name": "prod"}], ["prod"]),
        ([{"name": "Acme", "configured_name": "prod"}], ["Acme (prod)"]),
        ([{"name": "Acme", "configured_name": "acme"}], ["Acme"]),
        (
            [{"name": "Acme", "configured_name": "a"}, {"org_id": OTHER, "name": "Acme", "configured_name": "b"}],
            ["Acme (a)", "Acme (b)"],
        ),
        (
            [{"name": "Acme"}, {"org_id": OTHER, "name": "Acme", "is_sandbox": True}],
            [f"Acme ({ORG})", f"Acme (sandbox {OTHER})"],
        ),
        # a refreshed sandbox is another org under the same name
        (
            [{"name": "Acme", "configured_name": "uat"}, {"org_id": OTHER, "name": "Acme", "configured_name": "uat"}],
            [f"Acme (uat) ({ORG})", f"Acme (uat) ({OTHER})"],
        ),
    ],
)
def test_the_name_shown_joins_both_names_and_is_unique(tmp_path: Path, orgs: list[Row], shown: list[str]) -> None:
    listings = [{"org_id": org.get("org_id", ORG), "listing_id": str(n)} for n, org in enumerate(orgs)]
    file = plant(tmp_path / "w.duckdb", orgs=orgs, listings=listings)

    assert [name for (name,) in rows(file, "select name from fleet order by name")] == shown


def test_a_line_counts_both_weeks_of_an_org(tmp_path: Path) -> None:
    """Up to its own newest listing; an org without jobs has zeros, and nulls for what is not known."""
    ages = [(1, "Failed"), (2, "JobComplete"), (6, "Failed"), (8, "Failed"), (13, "JobComplete"), (15, "Failed")]
    jobs = [{"created_date": NOW - age * DAY, "state": state} for age, state in ages]
    limits = [
        {"listing_id": str(n), "limit_name": name, "max": 100, "remaining": left, "asked_at": NOW - n * DAY}
        for n, (name, left) in enumerate([("A", 60), ("B", 30), ("C", 20)], 5)
    ]
    # The code is part of what Salesforce says, sometimes twice.
    details = [
        {"id": f"750{n:012}AAA", "error_message": said, "error_template": said}
        for n, said in ((1, "InvalidBatch : no such field"), (3, "InvalidBatch : InvalidBatch : no such field"))
    ]
    file = plant(
        tmp_path / "w.duckdb", query_jobs=[*jobs, STUCK], listings=[*daily(ORG), *daily(OTHER)], org_limits=limits,
        job_details=details,
    )  # fmt: skip
    columns = (
        "jobs, jobs_before, failed_jobs, failed_jobs_before, main_reason, main_reason_jobs, stuck_jobs, worst_limit"
    )

    assert rows(file, f"select {columns} from fleet order by org_id") == [
        (4, 2, 2, 1, "InvalidBatch: no such field", 2, 1, "B"),
        (0, 0, 0, 0, None, None, 0, None),
    ]


def test_of_an_org_that_left_only_its_jobs_are_reported_and_for_a_week(tmp_path: Path) -> None:
    """Its old listings need nothing any more."""
    orgs = [{"name": "Acme"}, {"org_id": OTHER, "name": "Gone", "left_settings_at": NOW - 2 * DAY}]
    stuck = {**STUCK, "org_id": OTHER, "created_date": NOW - 9 * DAY, "observed_at": NOW - 4 * DAY}
    file = plant(
        tmp_path / "w.duckdb", orgs=orgs, listings=[*daily(ORG), *daily(OTHER, 3 * DAY)], query_jobs=[stuck]
    )  # fmt: skip

    assert [(one.org, one.kind) for one in check(file, Thresholds(), now=NOW)] == [("Gone", "unfinished")]
    assert "unfinished" not in [one.kind for one in check(file, Thresholds(), now=NOW + 5 * DAY)]


def test_an_org_that_fails_alone_is_told_from_a_recorder_that_is_off(tmp_path: Path) -> None:
    """A recorder that is off is one event of all orgs, in text; each org keeps its key."""
    ids = org_ids(3)
    alone = plant(tmp_path / "a.duckdb", listings=[*daily(ids[0]), *daily(ids[1]), *daily(ids[2], 3 * DAY)])
    (one,) = check(alone, Thresholds(), now=NOW)
    assert (one.org_id, one.key, one.numbers["all_orgs_stopped"]) == (ids[2], f"coverage/{ids[2]}", False)
    assert "Other orgs were recorded up to" in one.remedy

    off = check(
        plant(tmp_path / "b.duckdb", listings=[r for org in ids for r in daily(org)]), Thresholds(), now=NOW + 2 * DAY
    )
    assert [one.key for one in off] == [f"coverage/{org}" for org in ids]
    said, _mute = as_text(off)
    assert said.startswith("COVERAGE in 3 orgs: ")
    assert all(org in said for org in ids)


@pytest.mark.parametrize(("days", "first"), [(6, "URGENT COVERAGE"), (3, "COVERAGE")])
def test_findings_of_several_orgs_stand_org_by_org(tmp_path: Path, days: int, first: str) -> None:
    """That which has gone silent first, urgent or not."""
    listings = [*daily(ORG), *daily(OTHER, days * DAY)]
    stuck = [STUCK, {**STUCK, "org_id": OTHER, "created_date": NOW - 9 * DAY, "observed_at": NOW - 7 * DAY}]
    file = plant(tmp_path / "w.duckdb", listings=listings, query_jobs=stuck)
    paragraphs = list(as_text(check(file, Thresholds(), now=NOW)))

    assert [text.split(" in ")[0].split(":")[0] for text in paragraphs[:-1]] == [
        f"--- {OTHER}", first, "UNFINISHED", f"--- {ORG}", "UNFINISHED",
    ]  # fmt: skip


def test_each_org_is_judged_as_if_it_were_alone_in_the_file(tmp_path: Path) -> None:
    """Narrowing the file to one org changes no finding, and ends with the block."""
    jobs = {org: [{"org_id": org, "id": f"{org}{n}", **STUCK} for n in range(3)] for org in (ORG, OTHER)}
    file = plant(tmp_path / "w.duckdb", query_jobs=[*jobs[ORG], *jobs[OTHER]], listings=[*daily(ORG), *daily(OTHER)])
    with opened(file) as whole:
        for org in (ORG, OTHER):
            with narrowed(whole, org) as one:
                assert one.rows("select distinct org_id from jobs") == [{"org_id": org}]
        assert len(whole.rows("select distinct org_id from jobs")) == 2
    alone = [
        finding
        for org, of_org in jobs.items()
        for finding in check(
            plant(tmp_path / f"{org}.duckdb", query_jobs=of_org, listings=daily(org)), Thresholds(), now=NOW
        )
    ]

    assert len(alone) == 2
    assert sorted(check(file, Thresholds(), now=NOW), key=str) == sorted(alone, key=str)


@pytest.mark.parametrize("name", ["prod", "Acme", "Acme (prod)", ORG, ORG[:15]])
def test_an_org_is_chosen_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    orgs = [{"name": "Acme", "configured_name": "prod"}, {"org_id": OTHER, "name": "Umbrella"}]
    jobs = [STUCK, {**STUCK, "org_id": OTHER}]
    file = plant(tmp_path / "w.duckdb", orgs=orgs, query_jobs=jobs, listings=[*daily(ORG), *daily(OTHER)])

    assert [(one.org, one.configured_name) for one in check(file, Thresholds(), NOW, [name])] == [
        ("Acme (prod)", "prod")
    ]
    write_report(file, tmp_path / "page.html", 30, tmp_path / "n.json", [name])
    assert [org["display_name"] for org in json.loads((tmp_path / "n.json").read_text())["orgs"]] == ["Acme (prod)"]


@pytest.mark.parametrize("command", ["check", "report"])
def test_an_unknown_org_is_answered_with_those_there_are(recorder: Recorder, tmp_path: Path, command: str) -> None:
    file = plant(tmp_path / "w.duckdb", orgs=[{"name": "Acme", "configured_name": "prod"}])
    run = recorder.run(command, "--warehouse", str(file), "--org", "prdo")

    assert (run.returncode, run.stdout) == (2, "")
    assert "--org prdo" in run.stderr
    assert "It has: prod." in run.stderr
    with pytest.raises(ConfigError):
        check(file, Thresholds(), NOW, ["prdo"])


def test_fifty_orgs_have_a_line_each_sandboxes_apart(tmp_path: Path) -> None:
    """The most urgent first in each group; the summary names those that have gone silent."""
    ids = org_ids(50)
    orgs = [{"org_id": org, "name": f"Org {n:02}", "is_sandbox": n % 5 == 0} for n, org in enumerate(ids)]
    listings = [row for n, org in enumerate(ids) for row in daily(org, (6 if n in (5, 33) else 0) * DAY)[:3]]
    with opened(plant(tmp_path / "w.duckdb", orgs=orgs, listings=listings)) as file:
        fleet = read_fleet(file, ids, check(file, Thresholds(), now=NOW), Thresholds())

    assert {group: len(lines) for group, lines in fleet.groups.items()} == {"Production": 40, "Sandboxes": 10}
    assert [lines[0]["name"] for lines in fleet.groups.values()] == ["Org 33", "Org 05"]
    assert "50 orgs, of which 10 sandboxes." in fleet.summary
    assert "Gone silent while others are recorded: Org 33, Org 05." in fleet.summary
