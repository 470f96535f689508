"""Several orgs in one run: each is recorded as if it were the only one, and what fails of one costs that one."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Event

import pytest
from fleets import Fleet, fleet_fixture  # noqa: F401

from pipelines.config.settings import read_credentials
from pipelines.demo_org.org import DemoOrg
from pipelines.errors import ConfigError
from pipelines.recording.feeds import FEEDS, Feed
from pipelines.recording.read_ahead import read_ahead
from pipelines.salesforce.org import Org


def test_all_orgs_are_recorded_and_published_once(fleet: Fleet) -> None:
    run = fleet.load()
    assert list(run.names) == ["prod", "uat", "dev"]
    assert not run.errors
    assert fleet.listed() == {"prod": 1, "uat": 1, "dev": 1}
    for name, org in fleet.orgs.items():
        assert fleet.recorder.rows(f"select id from query_jobs where org_id = '{org.org_id}'") == [
            (job,) for job in org.jobs
        ], name
    assert str(run).startswith("3 of 3 orgs recorded · 3 jobs · 3 changed · ")
    assert str(fleet.load("uat")).startswith("1 of 1 org recorded · 1 job · 0 changed · ")


def test_command_line(fleet: Fleet) -> None:
    done = fleet.recorder.run("load")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:3]] == ["prod", "uat", "dev"]
    assert done.stdout.splitlines()[3].startswith("3 of 3 orgs recorded · ")
    assert done.stderr == ""
    quiet = fleet.recorder.run("load", "--quiet", "--org", "uat")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert fleet.listed() == {"prod": 1, "uat": 2, "dev": 1}


def test_wrong_key_costs_one_org(fleet: Fleet) -> None:
    fleet.configure(prod={"client_secret": "wrong"})
    done = fleet.recorder.run("load", "--quiet")
    assert done.returncode == 77
    first, last = done.stderr.splitlines()
    assert " bulk-jobs ERROR: prod: " in first
    assert first.endswith("(exit code 77)")
    assert " ERROR: 2 of 3 orgs recorded · 1 failed · " in last
    assert fleet.listed() == {"uat": 1, "dev": 1}
    fleet.configure()
    assert fleet.recorder.run("load").returncode == 0
    assert fleet.listed() == {"prod": 1, "uat": 2, "dev": 2}


def test_two_names_of_one_org(fleet: Fleet) -> None:
    fleet.orgs["dev"] = fleet.orgs["prod"]
    fleet.configure()
    calls = len(fleet.orgs["prod"].jobs)
    with pytest.raises(ConfigError, match=r"\[orgs.prod\] and \[orgs.dev\] are the same org"):
        fleet.load()
    assert not fleet.recorder.warehouse.exists()
    assert calls


def test_spans_of_all_orgs_without_rebuild(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.load()
    for org in fleet.orgs.values():
        org.advance(timedelta(hours=1))
        org.move_job(next(iter(org.jobs)), "JobComplete")
        org.add_job()
    monkeypatch.setattr("pipelines.warehouse.state_spans._rebuild", lambda primary: pytest.fail("rebuilt"))
    fleet.load()
    states = "select org_id, id, state, observed_at from "
    assert fleet.recorder.rows(f"{states} state_spans order by all") == fleet.recorder.rows(
        f"{states} query_job_states order by all"
    )
    assert fleet.recorder.rows("select count(*) from state_spans") == [(9,)]


class OneAfterTheOther(dict[Feed, dict[str, str]]):
    """Filters that are looked at with pauses, in which a listing that has begun comes to its end."""

    def __iter__(self) -> Iterator[Feed]:
        for feed in super().__iter__():
            yield feed
            Event().wait(0.5)


@pytest.mark.usefixtures("recorder")
def test_each_listing_counts_its_own_calls_however_short_they_are(org: DemoOrg) -> None:
    filters = OneAfterTheOther({feed: {} for feed in FEEDS.values()})
    pages = read_ahead(Org(read_credentials()), filters, lambda feed, page: None, Event())
    assert [page.calls for feed in FEEDS.values() for page in pages[feed].pages()] == [1, 1]
    assert len([request for request in org.requests if "/jobs/" in request.path]) == 2
