"""Several orgs in one run that differ in everything: in their feeds, fields, answers and how they are named."""

import signal
import time
from datetime import timedelta

import pytest
from fleets import Fleet, fleet_fixture  # noqa: F401
from processes import holding

from pipelines.salesforce import transport


def test_an_org_named_twice_is_recorded_once(fleet: Fleet) -> None:
    run = fleet.recorder.run("load", "--org", "uat", "--org", "UAT")

    assert [line.split(" ")[0] for line in run.stdout.splitlines()] == ["uat:", "1"]
    assert fleet.listed() == {"uat": 1}


@pytest.mark.parametrize("short", [False, True])
def test_two_names_of_one_org_whose_id_is_told_in_two_forms(fleet: Fleet, short: bool) -> None:
    """By an org of its own address, as a sandbox copy has one; that copy itself is another org, with the same jobs."""
    prod, dev = fleet.orgs["prod"], fleet.orgs["dev"]
    copied = dev.add_job(id=next(iter(prod.jobs)), state="Failed")
    if not short:
        assert fleet.recorder.run("load").returncode == 0
        assert sorted(fleet.recorder.rows(f"select org_id, state from query_jobs where id = '{copied}'")) == sorted(
            [(prod.org_id, "InProgress"), (fleet.orgs["uat"].org_id, "InProgress"), (dev.org_id, "Failed")]
        )
        return
    identity = f"https://login.salesforce.com/id/{prod.org_id[:15]}/{prod.integration_user_id}"
    token = {"access_token": dev.access_token, "instance_url": dev.instance_url, "id": identity}
    dev.fail_next(200, token, path="/token", times=9)
    run = fleet.recorder.run("load")

    assert run.returncode == 78
    assert f"[orgs.prod] and [orgs.dev] are the same org, {prod.org_id}" in run.stderr
    assert not fleet.recorder.warehouse.exists()


def test_feeds_of_their_own(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for org in fleet.orgs.values():
        org.add_job(jobType="V2Ingest", operation="insert")
    monkeypatch.delenv("SOURCES__SALESFORCE__FEEDS")
    fleet.write("config.toml", "[orgs.prod]", 'feeds = ["ingest"]', "[orgs.uat]", 'feeds = ["query"]')
    for _ in range(2):
        run = fleet.recorder.run("load")
        assert (run.returncode, run.stderr) == (0, "")

    found = fleet.recorder.rows(
        "select configured_name, feed, count(*) from listings left join orgs using (org_id) group by all order by all"
    )
    assert found == [
        ("dev", "ingest", 2), ("dev", "query", 2), ("prod", "ingest", 2), ("uat", "query", 2)
    ]  # fmt: skip
    assert fleet.recorder.rows("select count(*) from query_jobs") == [(2,)]
    assert fleet.recorder.rows("select count(*) from ingest_jobs") == [(2,)]


def test_an_undocumented_field_of_one_org(fleet: Fleet) -> None:
    """And of two orgs, in two spellings that are one name in SQL: only the first of them gets a column, nothing is
    lost of the other."""
    fleet.orgs["prod"].add_job(shinyField="x")
    fleet.orgs["uat"].add_job(ShinyField=7)
    assert fleet.recorder.run("load").returncode == 0
    fleet.orgs["dev"].add_job(shiny_field={"a": 1}, another="y")
    run = fleet.recorder.run("load")

    assert (run.returncode, run.stderr) == (0, "")
    found = fleet.recorder.rows(
        "select shiny_field, another, extra_fields from query_jobs where extra_fields is not null or shiny_field is not null"
    )
    values = sorted(value for row in found for value in row if value)
    assert values in (
        ["7", "y", '{"shinyField":"x"}', '{"shiny_field":{"a":1}}'],
        ["x", "y", '{"ShinyField":7}', '{"shiny_field":{"a":1}}'],
    )
    assert fleet.recorder.run("load").stdout.splitlines()[-1].startswith("3 of 3 orgs recorded · 6 jobs · 0 changed")


@pytest.mark.parametrize("path", ["/oauth2/token", "/jobs/query"])
def test_a_host_that_drips_for_ever(fleet: Fleet, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes keep coming, so no read times out; but a response has only so much time."""
    drip = {"head": '{"records": [', "pause": 0.2, "headers": {"Content-Type": "application/json"}}
    fleet.orgs["uat"].stream_next(" ", path=path, times=50, **drip)  # type: ignore[arg-type]
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 3.0)
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "2")
    run = fleet.load()

    assert "was not complete within 3 s" in str(run.failures.pop("uat"))
    assert not run.failures
    assert fleet.listed() == {"prod": 1, "dev": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("path", ["/oauth2/token", "/jobs/query"])
def test_stopped_while_all_wait_for_the_network(fleet: Fleet, path: str, number: signal.Signals) -> None:
    for org in fleet.orgs.values():
        org.stall_next(60, path=path)
    run = fleet.recorder.start("load")
    until = time.monotonic() + 60
    while all(org.faults._waiting for org in fleet.orgs.values()):
        assert run.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(1)  # the others follow at once
    run.send_signal(number)
    began = time.monotonic()
    said, failed = run.communicate(timeout=60)

    assert time.monotonic() - began < 10
    assert (run.returncode, said, len(failed.splitlines())) == (128 + number, "", 1), failed
    for org in fleet.orgs.values():
        org.faults.clear()
    assert fleet.recorder.run("load").returncode == 0
    assert fleet.listed() == {"prod": 1, "uat": 1, "dev": 1}


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("ORGS____CREDENTIALS", "[orgs.]: an org cannot have this name"),
        ("ORGS____CREDENTIALS__CLIENT_ID", "[orgs.]: an org cannot have this name"),
        ("ORGS__A B__CREDENTIALS", "[orgs.a b]: an org cannot have this name"),
    ],
)
def test_a_variable_without_a_name(fleet: Fleet, variable: str, said: str) -> None:
    for command in ("load", "doctor"):
        run = fleet.recorder.run(command, **{variable: "{}"})
        assert run.returncode == 78
        assert said in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


def test_an_org_called_credentials(fleet: Fleet) -> None:
    fleet.orgs = {"credentials": fleet.orgs["prod"], "orgs": fleet.orgs["uat"], "salesforce": fleet.orgs["dev"]}
    fleet.configure()
    secret = fleet.orgs["credentials"].client_secret
    fleet.configure(credentials={"client_secret": "wrong"})
    run = fleet.recorder.run("load", "--quiet", ORGS__CREDENTIALS__CREDENTIALS__CLIENT_SECRET=secret)

    assert (run.returncode, run.stderr) == (0, "")
    assert fleet.listed() == {"credentials": 1, "orgs": 1, "salesforce": 1}


def test_a_misspelt_key_of_an_org_is_told_once(fleet: Fleet) -> None:
    fleet.write("config.toml", "[orgs.uat]", 'feed = ["query"]', "[query_jobs]", "lockwait = 1")
    run = fleet.recorder.run("load", "--quiet")

    assert run.returncode == 78
    assert run.stderr.count("orgs.uat.feed") == 1
    assert run.stderr.count("query_jobs.lockwait") == 1
    assert "orgs.uat.feed" in fleet.recorder.run("load", "--quiet", "--org", "prod").stderr


def test_each_org_is_kept_while_the_file_is_locked(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of different feeds, twice, with a field that only one has; a listing that two runs kept counts twice."""
    monkeypatch.delenv("SOURCES__SALESFORCE__FEEDS")
    fleet.write("config.toml", "[orgs.prod]", 'feeds = ["ingest"]', "[orgs.uat]", 'feeds = ["query"]')
    assert fleet.recorder.run("load").returncode == 0
    with holding(fleet.recorder.primary_file):
        for n in range(2):
            for org in fleet.orgs.values():
                org.advance(timedelta(hours=1))
                org.add_job(jobType="V2Ingest", operation="insert")
                org.add_job(**({"shiny": str(n)} if org is fleet.orgs["uat"] else {}))
            assert fleet.recorder.run("load").returncode == 75
    assert fleet.recorder.run("load").returncode == 0

    listed = fleet.recorder.rows("select configured_name, count(*) from listings join orgs using (org_id) group by all")
    assert dict(listed) == {"prod": 4, "uat": 4, "dev": 8}
    assert fleet.recorder.rows("select count(*), count(shiny) from query_jobs") == [(6, 2)]
    assert fleet.recorder.rows("select count(*) from ingest_jobs") == [(4,)]
