"""The doctor examines every org of the settings: one that is broken hides none of the others."""

from datetime import UTC, datetime

from fleets import Fleet, fleet_fixture  # noqa: F401


def test_each_org_by_its_names(fleet: Fleet) -> None:
    for org in fleet.orgs.values():
        org.advance(datetime.now(UTC) - org.now)  # the doctor checks the clock
    fleet.orgs["uat"].name = "Acme Test"
    fleet.configure(prod={"client_secret": "wrong"}, dev={"client_id": ""})
    run = fleet.recorder.run("doctor")
    assert run.returncode == 77, run.stdout + run.stderr
    prod, uat, dev = (run.stdout.split(f"\nOrg {name}\n")[1].split("\nOrg ")[0] for name in ("prod", "uat", "dev"))
    assert "BAD   Salesforce refused the sign-in" in prod
    assert "BAD" not in uat
    assert f"org {fleet.orgs['uat'].org_id} (Acme Test)" in uat
    assert "API calls used in 24 hours" in uat
    assert "BAD   The sign-in is incomplete." in dev
    assert run.stdout.endswith("Fix the items marked BAD, then run make doctor again.\n")


def test_two_names_of_one_org(fleet: Fleet) -> None:
    fleet.orgs["prod"].advance(datetime.now(UTC) - fleet.orgs["prod"].now)
    fleet.orgs = {"prod": fleet.orgs["prod"], "dev": fleet.orgs["prod"]}
    fleet.configure()
    run = fleet.recorder.run("doctor")
    assert run.returncode == 78
    assert "[orgs.prod] is the same org." in run.stdout
