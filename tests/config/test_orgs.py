"""`[orgs.*]`: names, places and mistakes."""

import pytest
from fleets import Fleet, fleet_fixture  # noqa: F401

from pipelines.config.orgs import org_names, read_orgs
from pipelines.errors import ConfigError


def problems(fleet: Fleet) -> dict[str, str]:
    return {one.name: str(one.problem) for one in read_orgs() if one.problem}


def test_settings_of_an_org_override_those_of_all(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCES__SALESFORCE__FEEDS")
    fleet.write(
        "config.toml",
        "[sources.salesforce]",
        'job_type = "V2Query"',
        "api_budget_percent = 50",
        "[orgs.prod]",
        'job_type = "Classic"',
    )
    monkeypatch.setenv("ORGS__UAT__FEEDS", '["ingest"]')
    found = {one.name: one for one in read_orgs()}
    assert {name: one.source.job_type for name, one in found.items()} == {
        "prod": "Classic",
        "uat": "V2Query",
        "dev": "V2Query",
    }
    assert {name: one.feeds for name, one in found.items()} == {
        "prod": ("query", "ingest"),
        "uat": ("ingest",),
        "dev": ("query", "ingest"),
    }
    assert {one.source.api_budget_percent for one in found.values()} == {50}


def test_environment(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable for each key, or all keys in one; case and `-` do not count; new names come last."""
    fleet.write("secrets.toml", "[orgs.EU-West.credentials]", 'client_id = "one"')
    monkeypatch.setenv("ORGS__EU_WEST__CREDENTIALS__CLIENT_SECRET", "two")
    monkeypatch.setenv("ORGS__EU_WEST__CREDENTIALS__INSTANCE_URL", "acme.my.salesforce.com")
    monkeypatch.setenv("ORGS__APAC__CREDENTIALS", '{"sf_cli_org": "acme-apac"}')
    found = read_orgs()
    assert [one.name for one in found] == ["EU-West", "apac"]
    assert found[0].usable_credentials.client_secret == "two"
    assert found[1].usable_credentials.sf_cli_org == "acme-apac"
    assert [one.name for one in read_orgs(["eu_west"])] == ["EU-West"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["[orgs.prod]"], "No Salesforce credentials are set under [orgs.prod.credentials]."),
        (["[orgs.prod.credentials]"], "No Salesforce credentials are set under [orgs.prod.credentials]."),
        (["[orgs.prod.credentials]", 'client_id = "x"'], "ORGS__PROD__CREDENTIALS__<KEY>"),
        (["[orgs.prod]", 'feed = ["query"]'], "`orgs.prod.feed` in .dlt/secrets.toml is an unknown setting."),
        (
            ["[orgs.prod.credentials]", 'secret = "x"'],
            "`orgs.prod.credentials.secret` in .dlt/secrets.toml is an unknown",
        ),
        (["[orgs.prod]", "api_budget_percent = 'x'"], "`orgs.prod.api_budget_percent` (in "),
        (
            [
                "[orgs.prod.credentials]",
                'instance_url = "https://yourdomain.my.salesforce.com"',
                "client_id = 'x'",
                "client_secret = 'x'",
            ],
            "is the placeholder of .dlt/secrets.example.toml",
        ),
    ],
)
def test_mistakes_of_one_org(fleet: Fleet, lines: list[str], said: str) -> None:
    fleet.write("secrets.toml", "[orgs.uat.credentials]", 'sf_cli_org = "uat"', *lines)
    found = problems(fleet)
    assert said in found.pop("prod")
    assert not found
    assert all(one.problem.exit_code == 78 for one in read_orgs() if one.problem)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['[orgs."a b".credentials]', 'sf_cli_org = "x"'], "an org cannot have this name"),
        (["[orgs.a__b.credentials]", 'sf_cli_org = "x"'], "an org cannot have this name"),
        (["[orgs.prod]", "[orgs.PROD]"], "one name, written in two ways"),
        (
            ["[orgs.prod]", "[sources.salesforce.credentials]", 'sf_cli_org = "x"'],
            "and also the credentials of a single org",
        ),
    ],
)
def test_mistakes_that_concern_all(fleet: Fleet, lines: list[str], said: str) -> None:
    fleet.write("secrets.toml", *lines)
    with pytest.raises(ConfigError) as raised:
        org_names()
    assert said in str(raised.value)
    assert fleet.recorder.run("load").returncode == 78


def test_unknown_name(fleet: Fleet) -> None:
    run = fleet.recorder.run("load", "--org", "prd")
    assert run.returncode == 2
    assert run.stderr.endswith(" ERROR: There is no org prd in the settings. There are: prod, uat, dev.\n")


def test_exposed_file_is_named_once(fleet: Fleet) -> None:
    file = fleet.recorder.home / ".dlt" / "secrets.toml"
    file.chmod(0o644)
    run = fleet.recorder.run("load", "--quiet")
    assert run.returncode == 0
    assert run.stderr.count("can be read by other users") == 1


def test_secret_in_config_toml(fleet: Fleet) -> None:
    fleet.write("config.toml", "[orgs.prod.credentials]", 'access_token = "x"')
    assert "is a secret, but is set in" in problems(fleet)["prod"]
