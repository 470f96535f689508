"""What the settings call an org is kept in `orgs`, and so is that they no longer name it."""

import os

import pytest
from fleets import Fleet, fleet_fixture  # noqa: F401
from recorders import KEYS, NOON

from pipelines.demo_org.org import DemoOrg
from pipelines.demo_org.server import serving


def names(fleet: Fleet) -> dict[str | None, bool]:
    return dict(fleet.recorder.rows("select configured_name, left_settings_at is not null from orgs"))


@pytest.mark.parametrize("metadata", ["true", "false"])
def test_kept_and_renamed(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, metadata: str) -> None:
    monkeypatch.setenv("QUERY_JOBS__FETCH_ORG_METADATA", metadata)
    fleet.load()
    assert names(fleet) == dict.fromkeys(("prod", "uat", "dev"), False)
    fleet.orgs = {"production": fleet.orgs["prod"], "uat": fleet.orgs["uat"], "dev": fleet.orgs["dev"]}
    fleet.configure()
    fleet.load("production")
    assert names(fleet) == dict.fromkeys(("production", "uat", "dev"), False)


def test_left_is_told_once(fleet: Fleet) -> None:
    fleet.load()
    gone = fleet.orgs.pop("uat")
    fleet.configure()
    run = fleet.recorder.run("load", "--quiet")
    assert run.returncode == 0
    assert " WARNING: uat: the settings no longer name this org (" in run.stderr
    assert names(fleet) == {"prod": False, "uat": True, "dev": False}
    assert fleet.recorder.rows("select count(*) from listings where notes like 'uat: the settings no longer%'") == [
        (1,)
    ]
    assert fleet.recorder.run("load", "--quiet").stderr == ""
    fleet.orgs["uat"] = gone
    fleet.configure()
    fleet.load()
    assert names(fleet) == dict.fromkeys(("prod", "uat", "dev"), False)


def test_back_to_a_single_org(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.load()
    fleet.write("secrets.toml")
    only = fleet.orgs["prod"]
    for key in ("instance_url", "client_id", "client_secret"):
        monkeypatch.setitem(os.environ, KEYS + key.upper(), getattr(only, key))
    run = fleet.recorder.run("load")
    assert run.returncode == 0
    assert run.stderr.count("no longer name this org") == 2
    assert names(fleet) == {None: False, "uat": True, "dev": True}


def test_failed_org_is_not_taken_for_one_that_left(fleet: Fleet) -> None:
    fleet.load()
    fleet.configure(uat={"client_secret": "wrong"})
    run = fleet.recorder.run("load", "--quiet")
    assert run.returncode == 77
    assert "no longer" not in run.stderr
    assert names(fleet) == dict.fromkeys(("prod", "uat", "dev"), False)


def test_a_refreshed_sandbox_has_left(fleet: Fleet) -> None:
    """It is another org under the same name: nothing is recorded any more of the one before."""
    fleet.load()
    before = fleet.orgs["uat"].org_id
    with serving(refreshed := DemoOrg(now=NOON, seed=9)):
        fleet.orgs["uat"] = refreshed
        fleet.configure()
        run = fleet.recorder.run("load", "--quiet")
        assert run.stderr.partition(" bulk-jobs ")[2] == (
            f"WARNING: uat: the settings no longer name this org ({before}). What is recorded of it stays; nothing is added.\n"
        )
        for key in ({}, {"client_secret": "wrong"}):  # nor does it come back
            fleet.configure(uat=key)
            assert "no longer" not in fleet.recorder.run("load", "--quiet").stderr
        found = fleet.recorder.rows(
            "select org_id, left_settings_at is not null from orgs where configured_name = 'uat'"
        )
        assert dict(found) == {before: True, refreshed.org_id: False}
